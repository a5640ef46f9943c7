"""From what the user wrote to what one member is told: VyosCluster -> NodeConfig.

Pure; used by the operator for the ConfigMaps and by the heartbeat daemon for its own file. Every member gets the whole
cluster, since both sides of a planned move compare generations of the same thing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from vyos_api import limits, nodeconfig, services, v1alpha1
from vyos_api.nodeconfig import Address, NodeConfig


def members(spec: v1alpha1.Spec) -> tuple[str, ...]:
    """All members of the cluster, each once, sorted."""
    return tuple(sorted({m for g in spec.groups for m in g.members}))


def render(
    cluster: v1alpha1.VyosCluster,
    node: str,
    addresses: Mapping[str, Sequence[str]] | None = None,
    cordoned: Collection[str] = (),
    departing: Collection[str] = (),
) -> NodeConfig:
    """The NodeConfig of a member. Raises ValueError for a node that is none, or without uid or generation.

    `addresses`: those of the nodes; used with unicast only, so that nothing else changes when one of them does.
    `cordoned`: the nodes that are; used with onCordon only, and for the member itself.
    `departing`: nodes that were members and still own something. Their configuration names them in no group, so that
    they hand over to the members that it names.
    """
    spec, metadata = cluster.spec, cluster.metadata
    if node not in members(spec) and node not in departing:
        raise ValueError(f"{node} is no member of {metadata.name} (members: {', '.join(members(spec))})")
    if not metadata.uid or metadata.generation < 1:
        raise ValueError(f"{metadata.name} has no uid or generation yet")
    return NodeConfig(
        cluster=metadata.name,
        uid=metadata.uid,
        generation=metadata.generation,
        node=node,
        interfaces=spec.interfaces,
        keepalive_ms=spec.keepalive_interval.ms,
        dead_ms=spec.dead_interval.ms,
        monitor_dead_ms=spec.monitor_dead_interval.ms,
        init_dead_ms=spec.init_dead_interval.ms,
        mcast_group=spec.mcast_group,
        port=spec.port,
        ttl=spec.ttl,
        announcements=nodeconfig.Announcements(
            count=spec.announcements.count,
            interval_ms=spec.announcements.interval.ms,
            refresh_ms=spec.announcements.refresh.ms,
        ),
        groups=tuple(_group(spec, g) for g in spec.groups),
        unicast=spec.unicast,
        fence=spec.fence,
        nodes=_nodes(spec, (*members(spec), *departing), addresses or {}) if spec.unicast else {},
        standby=spec.on_cordon == "Standby" and node in cordoned,
    )


def _nodes(
    spec: v1alpha1.Spec, names: Iterable[str], addresses: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Of the nodes with these names, and without a shared address that a node took for its own."""
    services_ = [services.parse(text) for group in spec.groups for text in group.services]
    shared = {service.address for service in services_ if isinstance(service, Address)}
    found = {name: tuple(a for a in addresses.get(name, ()) if a not in shared) for name in names}
    return {name: own[: limits.NODE_ADDRESSES] for name, own in found.items() if own}


def _group(spec: v1alpha1.Spec, group: v1alpha1.Group) -> nodeconfig.Group:
    found = [services.parse(text) for text in group.services]
    delay = spec.dead_interval if group.failback_delay is None else group.failback_delay
    return nodeconfig.Group(
        name=group.name,
        members=group.members,
        auto_failback=group.auto_failback,
        failback_delay_ms=delay.ms,
        addresses=tuple(s for s in found if isinstance(s, Address)),
        units=tuple(s.name for s in found if isinstance(s, services.Unit)),
        monitors=group.monitors,
        maintenance=group.maintenance,
    )
