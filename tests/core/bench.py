"""One real node, and peers that say whatever a test wants: what no simulated cluster would say by itself."""

from __future__ import annotations

import dataclasses
from typing import Any

from sim.build import config, group
from vyos_agent.core import wire
from vyos_agent.core.effects import Announce, Decided, Effect, Hold, Persist, Send, Serve, Stopped
from vyos_agent.core.events import Event, Frame, Held, Sent, Woke
from vyos_agent.core.model import Config, MemberId, State, Vip, wire_id
from vyos_agent.core.node import Node
from vyos_agent.core.report import GroupReport

LIFE = 77
"""The node's incarnation."""


class Bench:
    """Member `a` unless told otherwise, its kernel empty and quick. `run` lets time pass, timer by timer."""

    def __init__(
        self,
        core: Config | None = None,
        *,
        epochs: dict[str, int] | None = None,
        left_ms: dict[Vip, int] | None = None,
        answers_holds: bool = True,
    ) -> None:
        self.config = core or config("a", [group(members="abc")])
        self.now = 10_000
        self.node = Node(self.config, incarnation=LIFE, epochs=epochs or {}, now=self.now)
        self.effects: list[Effect] = []
        self.kernel = dict(left_ms or {})
        self.refuses: dict[Vip, str] = {}
        self.answers_holds = answers_holds
        self.mute = False
        """No interface accepts a frame."""
        self.said: wire.Beat | None = None
        self.step(Woke())

    def step(self, event: Event) -> list[Effect]:
        """One event and what follows from it; the effects of all of it."""
        mark = len(self.effects)
        holds = self._perform(event)
        while holds and self.answers_holds and not self.over:
            holds += self._perform(self._hold(holds.pop(0)))
        assert self.node.deadline > self.now
        return self.effects[mark:]

    def _perform(self, event: Event) -> list[Hold]:
        """What is answered at once is; the Holds, which are answered later."""
        holds: list[Hold] = []
        for effect in self.node.step(event, self.now):
            self.effects.append(effect)
            if isinstance(effect, Send):
                beats = [self._open(d) for d in next(iter(effect.datagrams.values()))]
                self.said = beats[-1]
                holds += self._perform(Sent(not self.mute))
            elif isinstance(effect, Hold):
                holds.append(effect)
        return holds

    def run(self, for_ms: int) -> list[Effect]:
        """Let time pass: every deadline is met to the millisecond."""
        mark, end = len(self.effects), self.now + for_ms
        while not self.over and self.node.deadline <= end:
            self.now = self.node.deadline
            self.step(Woke())
        self.now = end
        if not self.over:
            self.step(Woke())
        return self.effects[mark:]

    @property
    def over(self) -> bool:
        return any(isinstance(e, Stopped) for e in self.effects)

    def group(self, name: str = "g") -> GroupReport:
        return next(g for g in self.node.report().groups if g.name == name)

    def state(self) -> State:
        """A call, not a property: what it was before tells nothing of what it is now."""
        return self.group().state

    def entry(self, name: str = "g") -> wire.GroupEntry:
        """What its newest frame says of a group."""
        assert self.said is not None
        return next(e for e in self.said.groups if e.group == wire_id(name))

    def _open(self, data: bytes) -> wire.Beat:
        beat = wire.unseal(data, self.config.cluster_id, self.config.keyring)
        assert isinstance(beat, wire.Beat)
        return beat

    def _hold(self, hold: Hold) -> Held:
        failed = {v: t for v, t in self.refuses.items() if hold.lifetimes_ms.get(v)}
        self.kernel = {
            v: life or self.kernel.get(v, 0)
            for v, life in hold.lifetimes_ms.items()
            if (life or v in self.kernel) and v not in failed
        }
        return Held(frozenset(self.kernel), failed, dict(self.kernel))


class Puppet:
    """A peer by hand: `say` sends one frame that acknowledges the newest one of the node."""

    def __init__(self, bench: Bench, name: str, *, incarnation: int = 5, **fields: Any) -> None:
        self.bench, self.name = bench, name
        self.id = MemberId(wire_id(name))
        self.incarnation = incarnation
        self.sequence = 0
        rank = next((g.members.index(name) for g in bench.config.groups if name in g.members), 0)
        self.entry: dict[str, Any] = {
            "epoch": 0,
            "state": State.STANDBY,
            "rank": rank,
            "candidate": True,
            "ready": True,
            "services_stopped": True,
        }
        self.header: dict[str, Any] = {}
        self.peers: list[wire.PeerEntry] = []
        """Others whom it lists."""
        self.acks: int | None = None
        """Acknowledge this sequence instead of the newest one; 0: none."""
        self.entry |= fields

    def say(self, *, interface: str | None = None, **fields: Any) -> list[Effect]:
        """One frame, heard now. What it says of group g stays so until said otherwise."""
        self.entry |= fields
        return self.bench.step(Woke((self.frame(interface),)))

    def frame(self, interface: str | None = None, *, groups: bool = True) -> Frame:
        bench = self.bench
        interface = interface or bench.config.interfaces[0]
        self.sequence += 1
        newest = bench.said.sequence if self.acks is None and bench.said is not None else self.acks
        peers = list(self.peers)
        if newest:
            state = wire.PeerState.ALIVE
            peers.append(wire.PeerEntry(MemberId(wire_id(bench.config.me)), LIFE, newest & wire.LOW_32, 1, state))
        beat = wire.Beat(
            sender=self.id,
            incarnation=self.incarnation,
            sequence=self.sequence,
            dead_ms=bench.config.dead_ms,
            keepalive_ms=bench.config.keepalive_ms,
            generation=bench.config.generation,
            leaving=False,
            answer_please=False,
            link=bench.config.interfaces.index(interface),
            peers=tuple(peers),
            groups=(wire.GroupEntry(group=bench.config.groups[0].id, **self.entry),) if groups else (),
        )
        beat = dataclasses.replace(beat, **self.header)
        return Frame(wire.seal(beat, bench.config.cluster_id, bench.config.keyring), interface, bench.now)


def all_heard(bench: Bench, *names: str, **fields: Any) -> dict[str, Puppet]:
    """Puppets for these members, believed."""
    puppets = {name: Puppet(bench, name, **fields) for name in names}
    for puppet in puppets.values():
        puppet.say()
    return puppets


def keep_saying(puppets: dict[str, Puppet], for_ms: int) -> None:
    """Let time pass while these peers send their keepalives."""
    bench = next(iter(puppets.values())).bench
    end = bench.now + for_ms
    while bench.now < end:
        bench.run(min(bench.config.keepalive_ms, end - bench.now))
        for puppet in puppets.values():
            puppet.say()


def names(effects: list[Effect]) -> list[str]:
    """In which order which kinds of effects came."""
    return [type(e).__name__ for e in effects]


def decided(effects: list[Effect]) -> list[tuple[State, State, str]]:
    """The changes of state among effects."""
    return [(e.before, e.after, e.reason.value) for e in effects if isinstance(e, Decided)]


__all__ = ["Announce", "Bench", "Hold", "Persist", "Puppet", "Serve", "all_heard", "decided", "keep_saying", "names"]
