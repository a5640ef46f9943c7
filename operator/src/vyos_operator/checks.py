"""Whether a spec can be carried out: ordered checks, the first that finds something decides. Pure.

A finding refuses the newest spec and leaves in place what ran before. The one thing that does not refuse is a member
that is no Node, or whose Node has no agent (`Verdict.note`): the others can serve the groups meanwhile, and a Node that
is deleted by mistake must not take a running cluster's configuration with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence

from vyos_api.nodeconfig import NodeConfig
from vyos_api.reasons import AcceptedReason
from vyos_api.render import members
from vyos_api.v1alpha1 import Spec, Status, VyosCluster
from vyos_operator import claims, departures, node_addresses, presence, psk
from vyos_operator.rendering import Rendering
from vyos_operator.world import Finding, World

LISTED_MAX = 8
"""Names that one message spells out; the rest is counted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome: `configs` to run and the `secret` to get to when `refusal` is None.

    After the members' configurations, `configs` has those of departing nodes.
    """

    refusal: Finding | None
    note: Finding | None = None
    """Something the user should know about a spec that is accepted all the same."""
    configs: tuple[NodeConfig, ...] = ()
    secret: bytes = dataclasses.field(default=b"", repr=False)
    rendering: Rendering | None = dataclasses.field(default=None, repr=False)
    """Where `configs` are from."""


def judge(world: World, known: Status) -> Verdict:
    """Accept or refuse the newest spec. `known`: the status, with what the agents reported."""
    rendering = world.rendered()
    cluster = rendering.cluster
    if cluster is None:
        return Verdict(Finding(AcceptedReason.INVALID_SPEC, rendering.problem))
    for check in CHECKS:
        refusal = check(world, rendering, cluster)
        if refusal is not None:
            return Verdict(refusal)
    secret = psk.find(world, cluster.spec)
    assert isinstance(secret, bytes), "the checks have found it"
    return Verdict(
        refusal=None,
        note=nodes_with_shared_addresses(world, cluster.spec)
        or unknown_nodes(world, cluster.spec)
        or nodes_without_agent(world, cluster.spec, [entry.name for entry in known.nodes]),
        configs=rendering.configs(
            world.addresses, world.cordoned, departures.departing(world, rendering.members, known)
        ),
        rendering=rendering,
        secret=secret,
    )


def secret_usable(world: World, _rendering: Rendering, cluster: VyosCluster) -> Finding | None:
    """The pre-shared secret is there and can be used."""
    found = psk.find(world, cluster.spec)
    return found if isinstance(found, Finding) else None


def addresses_free(world: World, rendering: Rendering, cluster: VyosCluster) -> Finding | None:
    """No other cluster holds an address of this one on the same node, or asked for it first."""
    mine = claims.Claim(
        cluster=cluster.metadata.name,
        created=world.created,
        asked=rendering.asked,
        held=world.held,
    )
    taken = claims.conflicts(mine, world.rivals)
    if not taken:
        return None
    by_winner: dict[tuple[str, str, bool], list[str]] = {}
    for conflict in taken:
        key = (conflict.place.address, conflict.winner, conflict.held)
        by_winner.setdefault(key, []).append(conflict.place.node)
    parts = [
        f"{address} on {listed(nodes)} is {'held' if held else 'claimed'} by the {'' if held else 'older '}"
        f"VyosCluster {winner}"
        for (address, winner, held), nodes in by_winner.items()
    ]
    message = f"spec.groups: {listed(parts, '; ')}; remove it from one of the two"
    return Finding(AcceptedReason.ADDRESS_CONFLICT, message)


def addresses_foreign(world: World, _rendering: Rendering, cluster: VyosCluster) -> Finding | None:
    """No address that the cluster asks for now belongs to a Node, to pods or to the API server, or is a monitor."""
    held = {place.address for place in world.held}
    monitors = node_addresses.monitored(cluster.spec)
    parts = []
    for field_, address in node_addresses.shared(cluster.spec):
        owner = world.taken.by(address) if address not in held else None
        if owner is not None:
            parts.append(f"{field_}: {address} is {owner}; share an address that belongs to no machine")
        elif address in monitors:
            parts.append(f"{field_}: {address} is also {monitors[address]}; a monitor must be another machine's")
    return Finding(AcceptedReason.ADDRESS_CONFLICT, listed(parts, "; ")) if parts else None


CHECKS: tuple[Callable[[World, Rendering, VyosCluster], Finding | None], ...] = (
    secret_usable,
    addresses_foreign,
    addresses_free,
)
"""In the order in which a person would mend them."""


def nodes_with_shared_addresses(world: World, spec: Spec) -> Finding | None:
    """Addresses that the cluster has, and that belong to a Node that came later: what runs is not torn down."""
    parts = [
        f"{field_}: {address} is {owner}, too; change the Node's address, or share another one"
        for field_, address in node_addresses.shared(spec)
        if (owner := world.taken.by(address)) is not None
    ]
    return Finding(AcceptedReason.NODE_HAS_ADDRESS, listed(parts, "; ")) if parts else None


def unknown_nodes(world: World, spec: Spec) -> Finding | None:
    """Members that are no Node of this Kubernetes cluster."""
    unknown = [member for member in members(spec) if member not in world.nodes]
    if not unknown:
        return None
    message = (
        f"{_fields(spec, unknown)}: no Node of this Kubernetes cluster is called {listed(unknown, ' or ')}; the other "
        "members are programmed; correct the name, or let the node join"
    )
    return Finding(AcceptedReason.NODE_NOT_FOUND, message)


def nodes_without_agent(world: World, spec: Spec, reported: Collection[str]) -> Finding | None:
    """Members whose Node has no agent, and that never reported; one that did and has lost its agent is Degraded."""
    absent = presence.absences(members(spec), nodes=world.nodes, lost=world.lost, agents=world.agents)
    bare = [member for member, absence in absent.items() if absence == presence.NO_POD and member not in reported]
    if not bare:
        return None
    message = (
        f"{_fields(spec, bare)}: no agent's pod is on {listed(bare, ' or ')}; the other members are programmed; name "
        "another Node, or let the agents' DaemonSet run there (its nodeSelector and tolerations, want of room)"
    )
    return Finding(AcceptedReason.NO_AGENT, message)


def field(groups: Iterable[Sequence[str]], member: str) -> str:
    """Where a spec first names a member. `groups`: the members of each, the primary first."""
    for number, named in enumerate(groups):
        if member in named:
            place = named.index(member)
            return f"spec.groups[{number}].{f'secondaries[{place - 1}]' if place else 'primary'}"
    return "spec.groups"


def _fields(spec: Spec, named: Iterable[str]) -> str:
    groups = [group.members for group in spec.groups]
    return listed(field(groups, member) for member in named)


def listed(words: Iterable[str], glue: str = ", ") -> str:
    """The first few of many, and how many more there are."""
    found = list(words)
    shown = glue.join(found[:LISTED_MAX])
    return shown if len(found) <= LISTED_MAX else f"{shown} and {len(found) - LISTED_MAX} more"
