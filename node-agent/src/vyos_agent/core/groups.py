"""All groups of one node: which there are, and what is asked of every one of them.

What one of them does is the work of `group` and `rules`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, ValuesView

from vyos_agent.core import rules, speak, wire
from vyos_agent.core.announce import NEVER_MS
from vyos_agent.core.effects import Decided
from vyos_agent.core.events import Hint
from vyos_agent.core.group import GroupMachine
from vyos_agent.core.model import OWNING, Config, MemberId, Reason, wire_id
from vyos_agent.core.peers import Peers
from vyos_agent.core.relocation import relocated
from vyos_agent.core.senses import Senses
from vyos_agent.core.turn import Instant, Turn
from vyos_agent.core.view import view


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one look at all groups."""

    decided: tuple[Decided, ...]
    news: bool
    """Something must be said at once."""
    relayed: bool
    """Somebody else's claim came or went, which must be passed on soon."""
    moved: bool
    """The report says something new."""


class Groups:
    """See the module's text."""

    def __init__(self, senses: Senses) -> None:
        self.entries: dict[str, wire.GroupEntry] = {}
        """What this node's frame says of each."""
        self.watchful = False
        """An acknowledgement alone, with no other news, may change something."""
        self._senses = senses
        self._machines: dict[str, GroupMachine] = {}
        self._turns: dict[str, Turn] = {}
        self._served: set[str] = set()

    @property
    def all(self) -> ValuesView[GroupMachine]:
        """Every one of them, members only by relay and removed ones included."""
        return self._machines.values()

    def get(self, name: str) -> GroupMachine | None:
        """One by its name."""
        return self._machines.get(name)

    def configure(self, config: Config, epochs: Mapping[str, int], now: int, *, running: bool, numbered: bool) -> None:
        """Those of a new configuration; one that it names no more is let go at once. `running`: not at the start.

        `numbered`: the configuration has a higher generation than the one before.
        """
        named = {g.name for g in config.groups}
        for machine in self.all:
            held = [v for v in machine.group.vips if v not in machine.novelty.vips]
            moved = relocated((*held, *machine.relocated), machine.group.name, config)
            own = {v.address for group in config.groups if group.name == machine.group.name for v in group.vips}
            machine.relocate(moved, now, own=own, numbered=numbered)
        for machine in self.all:
            if machine.group.name not in named:
                machine.rank = -1
                machine.stop(now, Reason.REMOVED, at_once=True)
        for group in config.groups:
            known = self._machines.get(group.name)
            if known is not None:
                known.reconfigure(group, now, running=running)
                continue
            epoch, fresh_ms = epochs.get(group.name, 0), now if running else None
            self._machines[group.name] = GroupMachine(group, config.me, now, epoch=epoch, fresh_since_ms=fresh_ms)

    def stop(self, now: int, *, at_once: bool) -> None:
        """This member leaves."""
        for machine in self.all:
            machine.stop(now, Reason.LEAVING, at_once=at_once)

    def sleep(self, now: int, *, spare_linked: bool) -> None:
        """Listen first. `spare_linked`: owners whose addresses' links have a carrier were deaf, not absent."""
        for machine in self.all:
            if not (spare_linked and machine.state in OWNING and self._senses.linked(machine.group)):
                machine.sleep(now)

    def darken(self, now: int) -> None:
        """No heartbeat link has a carrier: owners whose addresses' links have none either hold back."""
        for machine in self.all:
            if machine.state in OWNING and not self._senses.linked(machine.group):
                machine.sleep(now)

    def hint(self, hints: Mapping[str, Hint], me: str, now: int) -> None:
        """Take in epochs that are known elsewhere, by group."""
        for name, hint in hints.items():
            machine = self._machines.get(name)
            if machine is not None:
                other = MemberId(wire_id(hint.owner)) if hint.owner is not None and hint.owner != me else None
                machine.hint(hint.epoch, other, now)

    def decide(self, at: Instant, peers: Peers) -> Outcome:
        """Let every group look at this instant."""
        up = self._senses.up_links(at.config.interfaces)
        reachable = frozenset(p.id for p in peers.living() if p.heard_on & up)
        decided: list[Decided] = []
        news = relayed = moved = False
        for name, machine in list(self._machines.items()):
            owner = machine.following.owner
            turn = self._turns[name] = Turn(
                at=at,
                view=view(peers, machine.group, reachable, at.config.generation, at.now),
                mine=self._senses.standing(at.me, max(0, machine.rank), machine.group),
                judged=self._senses.judged(machine.group),
                linked=self._senses.linked(machine.group),
                occupied=self._senses.occupies(machine.group),
            )
            rules.decide(machine, turn)
            old, new = self.entries.get(name), speak.entry(machine, turn)
            self.entries[name] = new
            news |= speak.is_news(old, new)
            relayed |= speak.is_relayed_news(old, new)
            moved |= bool(machine.decided) or machine.following.owner != owner
            decided += machine.decided
            machine.decided.clear()
            if old == new and machine.rank < 0 and not machine.busy and machine.group not in at.config.groups:
                del self._machines[name], self._turns[name], self.entries[name]
        for machine in self.all:
            self._give_up_relocated(machine, at)
        self.watchful = any(m.watchful for m in self.all)
        return Outcome(tuple(decided), news, relayed, moved)

    def _give_up_relocated(self, machine: GroupMachine, at: Instant) -> None:
        """Give up addresses that another group has taken over: with this node as its owner, or with another one."""
        for vip, moved in list(machine.relocated.items()):
            new, turn = self._machines[moved.group], self._turns[moved.group]
            here = new.state in OWNING and vip.address in {v.address for v in new.wanted}
            if here or (new.state not in OWNING and moved.is_over(turn.view, at.config, at.now)):
                del machine.relocated[vip]

    def deadline_ms(self) -> int:
        """When one of them must look again with nothing heard."""
        return min((m.deadline_ms(self._turns[n]) for n, m in self._machines.items()), default=NEVER_MS)

    def pairs(self) -> list[tuple[GroupMachine, Turn]]:
        """Each with the instant that it looked at last."""
        return [(m, self._turns[n]) for n, m in self._machines.items()]

    def epochs(self) -> dict[str, int]:
        """The highest known of each that has any."""
        return {name: m.epoch for name, m in self._machines.items() if m.epoch}

    def serving(self) -> dict[str, tuple[str, ...]]:
        """Which host services must run: of every group that has, or had, any, once that is decided."""
        decided = {n: m for n, m in self._machines.items() if m.services.wanted is not None}
        self._served |= {n for n, m in decided.items() if m.group.units}
        return {n: m.group.units if m.services.wanted else () for n, m in decided.items() if n in self._served}
