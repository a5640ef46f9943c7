"""What the shell told of this node's surroundings: carriers of its interfaces, and verdicts on its monitors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vyos_agent.core.election import Candidate, list_hash
from vyos_agent.core.model import Config, Group, MemberId


class Senses:
    """Of one node. Until told, a link is up and a monitor undecided."""

    def __init__(self) -> None:
        self._links: dict[str, bool] = {}
        self._carries: dict[str, bool] = {}
        self.occupied: frozenset[str] = frozenset()
        """Addresses of the cluster that this machine has for good."""
        self.monitors: Mapping[str, bool] = {}

    def see_link(self, interface: str, *, up: bool, carries: bool | None = None) -> None:
        """An interface's carrier came or went. `carries`: whether a heartbeat can go out on it (None: if it is up)."""
        self._links[interface] = up
        self._carries[interface] = up if carries is None else carries

    def carries(self, interfaces: Iterable[str]) -> bool:
        """Whether a heartbeat can go out on one of these."""
        return any(self._carries.get(name, True) for name in interfaces)

    def occupies(self, group: Group) -> bool:
        """Whether this machine has one of the group's addresses for good."""
        return bool(self.occupied) and any(v.address in self.occupied for v in group.vips)

    def up(self, interface: str) -> bool:
        """Whether it has a carrier."""
        return self._links.get(interface, True)

    def linked(self, group: Group) -> bool:
        """Whether the interfaces of all its addresses have one."""
        return all(self.up(v.interface) for v in group.vips)

    def up_links(self, interfaces: Iterable[str]) -> frozenset[int]:
        """The numbers of the heartbeat links that have one."""
        return frozenset(i for i, name in enumerate(interfaces) if self.up(name))

    def standing(self, me: MemberId, rank: int, group: Group) -> Candidate:
        """This node by the criteria of the ranking; an undecided monitor counts as reachable."""
        reachable = sum(self.monitors.get(address) is not False for address in group.monitors)
        return Candidate(me, rank, reachable, list_hash(group.monitors))

    def judged(self, group: Group) -> bool:
        """Whether every monitor of the group has a verdict."""
        return all(address in self.monitors for address in group.monitors)

    def links(self, config: Config) -> dict[str, bool]:
        """Every interface that matters here: those with heartbeats, then those of this node's addresses."""
        mine = {v.interface for g in config.groups if config.me in g.members for v in g.vips}
        return {name: self.up(name) for name in dict.fromkeys([*config.interfaces, *sorted(mine)])}
