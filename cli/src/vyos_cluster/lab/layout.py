"""From a manifest to the lab that shows it: which interfaces, addresses and peers. Pure: makes nothing.

The lab serves addresses alone. Host services are taken out, because the routers share the machine's systemd: a lab that
lost a failover would stop the ssh of the machine it runs on.
"""

from __future__ import annotations

import base64
import dataclasses
import ipaddress
from collections.abc import Collection, Iterator
from typing import Any

from vyos_api import manifest, services, yaml_writer
from vyos_api.nodeconfig import Address
from vyos_api.v1alpha1 import Group, Spec

FAST: dict[str, object] = {
    "keepaliveInterval": "200ms",
    "deadInterval": "3s",
    "monitorDeadInterval": "3s",
    "initDeadInterval": "5s",
}
"""The intervals of examples/demo.yaml."""
NAME_MAX = 15
"""Longest name that Linux gives a link (IFNAMSIZ less its NUL)."""
SPARE = "10.254.{}.0/24"
"""For an interface in whose subnet no shared address is: IPv4 multicast needs some source."""
OBJECT = "lab"
"""Name of the Secret in the manifest that the daemons read."""
ROUTERS_MAX = 16
"""More daemons than that are slow to start on one machine."""

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class LabError(Exception):
    """The lab cannot do that; the text says what to change."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lan:
    """One interface of every router, and the bridge that joins them."""

    interface: str
    routers: dict[str, tuple[Interface, ...]]
    client: tuple[Interface, ...]
    """The client's addresses on the bridge, and the monitors that lie in its subnets."""


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """All that is to be built."""

    cluster: str
    routers: tuple[str, ...]
    lans: tuple[Lan, ...]
    vips: dict[str, str]
    """By shared address: its group."""
    routes: tuple[tuple[str, str], ...]
    """(address, interface) of shared addresses that lie in no subnet of the client."""
    unicast: bool
    dead_ms: int
    manifest: str = dataclasses.field(repr=False)
    """What the daemons read; holds the secret."""
    notes: tuple[str, ...] = ()
    """What the lab leaves out."""

    def peers(self, me: str) -> Iterator[str]:
        """`--peer` arguments for unicast."""
        for name, addresses in self.lans[0].routers.items():
            if name != me:
                yield f"{name}={addresses[0].ip}"


def plan(text: str, *, fast: bool = False) -> Layout:
    """The lab for a manifest. Raises LabError."""
    try:
        found = manifest.read(text)
    except manifest.ManifestError as error:
        raise LabError(str(error)) from None
    spec = found.cluster.spec
    routers = tuple(dict.fromkeys(m for g in spec.groups for m in g.members))
    if len(routers) > ROUTERS_MAX:
        raise LabError(f"spec.groups: a lab has at most {ROUTERS_MAX} routers, not {len(routers)}")
    held = [(group, address) for group in spec.groups for address in _addresses(group)]
    names = tuple(dict.fromkeys([*spec.interfaces, *(a.interface for _, a in held if a.interface)]))
    for name in names:
        if len(name) > NAME_MAX or name == "lo":
            raise LabError(f"interface {name}: a lab needs a name of at most {NAME_MAX} characters that is not lo")
    taken = {ipaddress.ip_address(a.address) for _, a in held} | {
        ipaddress.ip_address(m) for g in spec.groups for m in g.monitors
    }
    lans, routes, notes = [], [], [*_units(spec)]
    for number, name in enumerate(names):
        here = [a for _, a in held if (a.interface or names[0]) == name]
        networks = [ipaddress.ip_interface(f"{a.address}/{a.prefix}").network for a in here]
        wide = [n for n in dict.fromkeys(networks) if n.num_addresses > len(routers) + len(taken) + 3]
        if not any(n.version == 4 for n in wide):
            wide.append(ipaddress.ip_network(SPARE.format(number)))
        wide.sort(key=lambda n: n.version)
        lans.append(_lan(name, routers, wide, taken, [m for g in spec.groups for m in g.monitors]))
        routes += [(a.address, name) for a in here if not any(ipaddress.ip_address(a.address) in n for n in wide)]
    reached = {str(i.ip) for lan in lans for i in lan.client}
    for monitor in dict.fromkeys(m for g in spec.groups for m in g.monitors):
        if str(ipaddress.ip_address(monitor)) not in reached:
            notes.append(f"monitor {monitor} lies in no subnet of the lab, so no router reaches it")
    dead_ms = 3000 if fast else spec.dead_interval.ms
    return Layout(
        cluster=found.cluster.metadata.name,
        routers=routers,
        lans=tuple(lans),
        vips={address.address: group.name for group, address in held},
        routes=tuple(routes),
        unicast=spec.unicast,
        dead_ms=dead_ms,
        manifest=_manifest(found, fast=fast),
        notes=tuple(notes),
    )


def _addresses(group: Group) -> list[Address]:
    found = [parsed for text in group.services if isinstance(parsed := services.parse(text), Address)]
    if not found:
        raise LabError(f"group {group.name}: has host services only, and a lab has none; add an address")
    return found


def _units(spec: Spec) -> Iterator[str]:
    for group in spec.groups:
        for text in group.services:
            if not isinstance(services.parse(text), Address):
                yield f"service {text} of group {group.name} is left out: a lab must not touch this machine's systemd"


def _lan(
    name: str,
    routers: tuple[str, ...],
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    taken: Collection[object],
    monitors: list[str],
) -> Lan:
    mine: dict[str, list[Interface]] = {router: [] for router in routers}
    client: list[Interface] = []
    for network in networks:
        free = (a for a in network.hosts() if a not in taken)
        for owner in (*mine.values(), client):
            owner.append(ipaddress.ip_interface(f"{next(free)}/{network.prefixlen}"))
        inside = (m for m in dict.fromkeys(monitors) if ipaddress.ip_address(m) in network)
        client += [ipaddress.ip_interface(f"{m}/{network.prefixlen}") for m in inside]
    return Lan(name, {router: tuple(found) for router, found in mine.items()}, tuple(client))


def _manifest(found: manifest.Manifest, *, fast: bool) -> str:
    cluster = found.cluster
    spec: dict[str, Any] = cluster.spec.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True, exclude={"pre_shared_secret"}
    )
    for group in spec["groups"]:
        group["services"] = [s for s in group["services"] if isinstance(services.parse(s), Address)]
    spec |= FAST if fast else {}
    spec["preSharedSecret"] = {"secretKeyRef": {"name": OBJECT, "key": "secret"}}
    data = {"secret": base64.b64encode(found.secret).decode()}
    documents = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": OBJECT}, "data": data},
        {
            "apiVersion": cluster.api_version,
            "kind": cluster.kind,
            "metadata": {"name": cluster.metadata.name},
            "spec": spec,
        },
    ]
    return yaml_writer.dump_all(documents)
