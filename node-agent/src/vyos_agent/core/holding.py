"""What the kernel must hold of all groups, for how long, and when the LAN is told: the lease made into effects.

One lease covers every address of the cluster here, for they are renewed in one batch: it is as long as the shortest
life in the batch. Whether a group may hold anything is the group's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vyos_agent.core.effects import Announce, Hold
from vyos_agent.core.events import Held
from vyos_agent.core.group import GroupMachine
from vyos_agent.core.lease import LIFETIME_MIN_MS, Lease
from vyos_agent.core.model import Config, Vip


class Holding:
    """Of one node."""

    def __init__(self) -> None:
        self.lease = Lease()
        self.held: frozenset[Vip] | None = None
        """What the kernel holds, by its last word; None: it has not answered yet."""
        self.failed: Mapping[Vip, str] = {}
        self._asked: frozenset[Vip] | None = None
        self._possible: frozenset[Vip] = frozenset()
        """What was asked for since the kernel's last word: it may be there already, or come yet."""

    def answer(self, held: Held) -> None:
        """The kernel's word."""
        self.held, self.failed = held.vips, held.failed
        self._possible = frozenset()

    @property
    def maybe_held(self) -> frozenset[Vip] | None:
        """All that the kernel may hold; None: it has not answered yet."""
        return None if self.held is None else self.held | self._possible

    def may_hold(self, now: int) -> bool:
        """Whether this node's authority over its addresses is still good."""
        return now < self.lease.end_ms

    def lapsed(self, machines: Iterable[GroupMachine], now: int) -> bool:
        """Whether this process slept through the life of addresses that it holds."""
        return 0 < self.lease.end_ms <= now and any(m.renewed for m in machines)

    def first(self, config: Config) -> Hold:
        """At the start: leave what could be adopted, remove the rest, and tell what there is."""
        self._asked = frozenset(v for g in config.groups if config.me in g.members for v in g.vips)
        return Hold(dict.fromkeys(self._asked, 0))

    def removal(self, machines: Iterable[GroupMachine]) -> Hold | None:
        """What is not wanted any more goes; the rest is left as it is."""
        wanted = _wanted(machines)
        if self._asked is None or self.held is None or not self._asked - wanted:
            return None
        self._asked = wanted
        return Hold(dict.fromkeys(wanted, 0))

    def renewal(self, machines: Iterable[GroupMachine], config: Config, now: int) -> Hold | None:
        """A new life for whatever this node may renew; None: there is nothing."""
        renewed = {v: m.brief or v in m.relocated for m in machines for v in m.renewed}
        if not renewed:
            return None
        life_ms = self.lease.life_ms(dead_ms=config.dead_ms, keepalive_ms=config.keepalive_ms)
        lives_ms = {v: LIFETIME_MIN_MS if brief else life_ms for v, brief in renewed.items()}
        self.lease.renew(now, min(lives_ms.values()))
        self._possible |= renewed.keys() - (self.held or frozenset())
        self._asked = _wanted(machines)
        return Hold({v: lives_ms.get(v, 0) for v in self._asked})

    def top_up_due(self, machines: Iterable[GroupMachine], config: Config, now: int, *, alone: bool) -> bool:
        """Whether the addresses must be renewed between two frames."""
        return self.lease.top_up_due(now, config.keepalive_ms, alone) and any(m.renewed for m in machines)

    def announcement(self, machines: Iterable[GroupMachine], config: Config, now: int) -> Announce | None:
        """What the LAN must be told now; what it may not be told yet stays due."""
        due: list[Vip] = []
        for machine in machines:
            if now < machine.announcer.due_ms or not self.may_hold(now):
                continue
            here = [v for v in machine.announced if v in (self.held or ())]
            if here:
                machine.announcer.take(
                    now, interval_ms=config.announce_interval_ms, refresh_ms=config.announce_refresh_ms
                )
                due += here
        return Announce(tuple(due)) if due else None


def _wanted(machines: Iterable[GroupMachine]) -> frozenset[Vip]:
    return frozenset(v for m in machines for v in m.wanted)
