"""Whether a spec can be carried out: ordered checks, the first that finds something decides. Pure.

A finding refuses the newest spec and leaves in place what ran before. The one thing that does not refuse is a member
that is no Node (`unknown_nodes`): the others can serve the groups meanwhile, and a Node that is deleted by mistake
must not take a running cluster's configuration with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from vyos_api import names
from vyos_api.nodeconfig import KeySet, NodeConfig
from vyos_api.problems import InvalidObject
from vyos_api.reasons import AcceptedReason
from vyos_api.render import members, render
from vyos_api.v1alpha1 import Spec, VyosCluster, parse
from vyos_operator import claims, psk
from vyos_operator.world import Finding, World

LISTED_MAX = 8
"""Names that one message spells out; the rest is counted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome: `configs` and `keys` to run when `refusal` is None."""

    refusal: Finding | None
    note: Finding | None = None
    """Something the user should know about a spec that is accepted all the same."""
    configs: tuple[NodeConfig, ...] = ()
    keys: KeySet | None = None


def judge(world: World) -> Verdict:
    """Accept or refuse the newest spec."""
    try:
        cluster = parse({key: value for key, value in world.cluster.items() if key != "status"})
    except InvalidObject as error:
        return Verdict(Finding(AcceptedReason.INVALID_SPEC, str(error)))
    for check in CHECKS:
        refusal = check(world, cluster)
        if refusal is not None:
            return Verdict(refusal)
    secret = psk.find(world, cluster.spec)
    assert isinstance(secret, bytes), "the checks have found it"
    return Verdict(
        refusal=None,
        note=unknown_nodes(world, cluster.spec),
        configs=tuple(render(cluster, m, world.addresses, world.cordoned) for m in members(cluster.spec)),
        keys=psk.key_set(secret, cluster.metadata.uid),
    )


def secret_usable(world: World, cluster: VyosCluster) -> Finding | None:
    """The pre-shared secret is there and can be used."""
    found = psk.find(world, cluster.spec)
    return found if isinstance(found, Finding) else None


def secret_unchanged(world: World, cluster: VyosCluster) -> Finding | None:
    """The pre-shared secret is the one that the members use."""
    found = psk.find(world, cluster.spec)
    running = psk.running(world, cluster.metadata.uid)
    if running is None or isinstance(found, Finding) or psk.key_set(found, cluster.metadata.uid) == running:
        return None
    where = f"{world.agent_namespace}/{names.key_secret(cluster.metadata.name)}"
    message = (
        f"spec.preSharedSecret: it is not the secret that the members use (key Secret {where}); rotation comes with a "
        "later release: put the old secret back, or delete the VyosCluster and create it again"
    )
    return Finding(AcceptedReason.SECRET_CHANGED, message)


def addresses_free(world: World, cluster: VyosCluster) -> Finding | None:
    """No other cluster holds an address of this one on the same node, or asked for it first."""
    mine = claims.Claim(
        cluster=cluster.metadata.name,
        created=world.created,
        asked=claims.places(render(cluster, members(cluster.spec)[0])),
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


CHECKS: tuple[Callable[[World, VyosCluster], Finding | None], ...] = (
    secret_usable,
    secret_unchanged,
    addresses_free,
)
"""In the order in which a person would mend them."""


def unknown_nodes(world: World, spec: Spec) -> Finding | None:
    """Members that are no Node of this Kubernetes cluster."""
    unknown = [member for member in members(spec) if member not in world.nodes]
    if not unknown:
        return None
    message = (
        f"spec.groups: no Node of this Kubernetes cluster is called {listed(unknown, ' or ')}; the other members are "
        "programmed; correct the name, or let the node join"
    )
    return Finding(AcceptedReason.NODE_NOT_FOUND, message)


def listed(words: Iterable[str], glue: str = ", ") -> str:
    """The first few of many, and how many more there are."""
    found = list(words)
    shown = glue.join(found[:LISTED_MAX])
    return shown if len(found) <= LISTED_MAX else f"{shown} and {len(found) - LISTED_MAX} more"
