"""Which addresses of which nodes a cluster asks for or holds, and who goes first when two want one. Pure.

Two clusters that hold one address on one node would add, renew and remove it against each other. Of two that ask, the
older one gets it; but whoever holds it already keeps it. Were age alone to decide, an older resource that is edited to
name a younger one's address would take it from running agents, who hold on to it (what is refused keeps running), and
both would hold it.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vyos_api.nodeconfig import Address, NodeConfig


class Place(NamedTuple):
    """An address on a node; a link-local one together with its interface, as it is unique only there."""

    node: str
    address: str


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """What one cluster asks for (`asked`) and holds (`held`), and since when the cluster exists."""

    cluster: str
    created: str
    """RFC 3339 in UTC and whole seconds, as the API server writes it: it sorts as text."""
    asked: frozenset[Place]
    held: frozenset[Place]

    def rank(self, place: Place) -> tuple[bool, str, str]:
        """Lowest goes first: who holds it, then the older one, then by name."""
        return (place not in self.held, self.created, self.cluster)


@dataclasses.dataclass(frozen=True, slots=True)
class Conflict:
    """An address that another cluster goes first for."""

    place: Place
    winner: str
    held: bool


def places(config: NodeConfig) -> frozenset[Place]:
    """Every address on every member that may come to hold it."""
    return frozenset(
        Place(member, _text(address))
        for group in config.groups
        for address in group.addresses
        for member in group.members
    )


def conflicts(mine: Claim, others: Iterable[Claim]) -> tuple[Conflict, ...]:
    """The addresses that `mine` asks for and does not get, by address and node."""
    found = []
    for place in mine.asked:
        rivals = [other for other in others if place in other.asked or place in other.held]
        winner = min([mine, *rivals], key=lambda claim: claim.rank(place))
        if winner is not mine:
            found.append(Conflict(place, winner.cluster, place in winner.held))
    return tuple(sorted(found, key=lambda c: (c.place.address, c.place.node)))


class Claims:
    """The claims of all clusters, found by address, so that a change wakes those whom it concerns and nobody else."""

    def __init__(self) -> None:
        self._by_cluster: dict[str, Claim] = {}
        self._by_place: dict[Place, set[str]] = {}

    def replace(self, name: str, claim: Claim | None) -> frozenset[str]:
        """Set or forget (None) what `name` claims; the other clusters that must be looked at again."""
        before = self._by_cluster.get(name)
        if claim == before:
            return frozenset()
        old = _all(before)
        new = _all(claim)
        for place in old - new:
            self._by_place[place].discard(name)
            if not self._by_place[place]:
                del self._by_place[place]
        for place in new - old:
            self._by_place.setdefault(place, set()).add(name)
        if claim is None:
            self._by_cluster.pop(name, None)
        else:
            self._by_cluster[name] = claim
        return self._sharing(name, old | new)

    def of(self, name: str) -> Claim | None:
        """What `name` claims."""
        return self._by_cluster.get(name)

    def rivals(self, name: str) -> tuple[Claim, ...]:
        """The claims of other clusters that share an address and node with `name`."""
        sharing = self._sharing(name, _all(self._by_cluster.get(name)))
        return tuple(self._by_cluster[other] for other in sorted(sharing))

    def _sharing(self, name: str, wanted: frozenset[Place]) -> frozenset[str]:
        return frozenset(other for place in wanted for other in self._by_place.get(place, ()) if other != name)


def _all(claim: Claim | None) -> frozenset[Place]:
    return claim.asked | claim.held if claim else frozenset()


@functools.lru_cache(maxsize=4096)
def _text(address: Address) -> str:
    found = ipaddress.ip_address(address.address)
    return f"{found}%{address.interface}" if found.is_link_local and address.interface else str(found)


def held(configs: Mapping[str, NodeConfig]) -> frozenset[Place]:
    """What the ConfigMaps of one cluster let its members hold, by the member each is for."""
    return frozenset(place for node, config in configs.items() for place in places(config) if place.node == node)
