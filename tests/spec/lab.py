"""One production node on a bench, with peers that say exactly what a test lets them say.

The simulator shows what clusters do. Here is shown what one node makes of one frame: a `Puppet` has no will of its own,
its frames may lie, and time stands still between two lines of a test.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vyos_agent.core import effects, events, wire
from vyos_agent.core.model import Config, Group, GroupId, Keyring, MemberId, Serving, State, Vip, wire_id
from vyos_agent.core.node import Node

KEY = bytes(range(32))
CLUSTER_ID = b"spec-cluster-uid"
VIP = Vip("192.0.2.123", 24, "eth0")
K, D, INIT = 500, 3000, 6000
INCARNATION = 0xA0A0


def member(name: str) -> MemberId:
    return MemberId(wire_id(name))


def group(name: str = "g", members: Iterable[str] = "ab", vips: Iterable[Vip] = (VIP,), **fields: Any) -> Group:
    base = Group(name, tuple(members), auto_failback=False, failback_delay_ms=D, vips=tuple(vips))
    return dataclasses.replace(base, **fields)


def config(me: str = "a", groups: Sequence[Group] | None = None, **fields: Any) -> Config:
    base = Config(
        cluster_id=CLUSTER_ID,
        generation=1,
        me=me,
        interfaces=("eth0",),
        keepalive_ms=K,
        dead_ms=D,
        init_dead_ms=INIT,
        announce_count=3,
        announce_interval_ms=100,
        announce_refresh_ms=60_000,
        groups=tuple(groups) if groups is not None else (group(),),
        keyring=Keyring(1, {1: KEY}),
    )
    return dataclasses.replace(base, **fields)


class Puppet:
    """A peer that says what it is told to, and acknowledges the newest frame that it heard."""

    def __init__(self, lab: Lab, name: str, incarnation: int) -> None:
        self.lab, self.name, self.incarnation = lab, name, incarnation
        self.keepalive_ms, self.dead_ms = lab.node.config.keepalive_ms, lab.node.config.dead_ms
        self.generation = lab.node.config.generation
        self.ring: Keyring | None = None
        """What it seals with, if not with the node's own keyring."""
        self.sequence = 0
        self.leaving = False
        self.deaf = False
        """Hears nothing any more, so that it acknowledges nothing new."""
        self.hears: str | None = None
        """Hears this link of the node only; None: all."""
        self.link = 0
        """Over which link its frames come."""
        self.heard: tuple[int, int, int] | None = None
        """Incarnation, sequence and time of the node's newest frame."""
        self.groups: dict[GroupId, wire.GroupEntry] = {}
        self.lists: dict[MemberId, wire.PeerEntry] = {}
        """What it lists of others than the node."""
        self._beating = 0

    @property
    def id(self) -> MemberId:
        return member(self.name)

    def stands(self, state: State, name: str = "g", **fields: Any) -> Puppet:
        """What it says of a group from now on; its rank is that of the node's configuration."""
        found = next(g for g in self.lab.node.config.groups if g.name == name)
        rank = found.members.index(self.name) if self.name in found.members else 0
        plain = dict(
            epoch=0,
            rank=rank,
            candidate=state in (State.STANDBY, State.LISTENING),
            ready=state in (State.STANDBY, State.OWNER),
        )
        plain |= dict(services_stopped=True, monitors=len(found.monitors))
        self.groups[found.id] = wire.GroupEntry(group=found.id, state=state, **{**plain, **fields})
        return self

    def beat(self, **fields: Any) -> wire.Beat:
        """Its next frame."""
        self.sequence += 1
        lists = dict(self.lists)
        if self.heard is not None:
            life, sequence, at_ms = self.heard
            state = wire.PeerState.ALIVE
            me = self.lab.me
            age_ms = min(wire.AGE_MS_MAX, self.lab.now - at_ms + 1)
            lists[me] = wire.PeerEntry(me, life, sequence & wire.LOW_32, age_ms, state)
        made = wire.Beat(
            sender=self.id,
            incarnation=self.incarnation,
            sequence=self.sequence,
            dead_ms=self.dead_ms,
            keepalive_ms=self.keepalive_ms,
            generation=self.generation,
            leaving=self.leaving,
            answer_please=False,
            link=self.link,
            peers=tuple(sorted(lists.values(), key=lambda p: p.member)),
            groups=tuple(self.groups.values()),
        )
        return dataclasses.replace(made, **fields)

    def sealed(self, **fields: Any) -> bytes:
        """Its next frame as a datagram, for the test to deliver."""
        mine = self.lab.node.config
        return wire.seal(self.beat(**fields), mine.cluster_id, self.ring or mine.keyring)

    def say(self, **fields: Any) -> bytes:
        """Say it now; the datagram, for a recorder."""
        data = self.sealed(**fields)
        self.lab.hear(data, self.lab.node.config.interfaces[self.link] if self.link else None)
        return data

    def entry(self, age_ms: int = 1, *, state: wire.PeerState = wire.PeerState.ALIVE) -> wire.PeerEntry:
        """What another member would list of it now."""
        return wire.PeerEntry(self.id, self.incarnation, self.sequence, age_ms, state)

    def beats(self, every_ms: int | None = None) -> Puppet:
        """Say it now, and again each keepalive, until `rests`."""
        self._beating += 1
        self._again(self._beating, every_ms or self.keepalive_ms)
        return self

    def rests(self) -> Puppet:
        self._beating += 1
        return self

    def _again(self, turn: int, every_ms: int) -> None:
        if turn == self._beating:
            self.say()
            self.lab.at(self.lab.now + every_ms, lambda: self._again(turn, every_ms))


class Lab:
    """The bench: virtual time, a kernel that does as it is told, and everything that the node did."""

    def __init__(
        self,
        config_: Config | None = None,
        *,
        incarnation: int = INCARNATION,
        epochs: Mapping[str, int] | None = None,
        left_ms: Mapping[Vip, int] | None = None,
        netlink_ms: int = 1,
    ) -> None:
        self.now = 100_000
        self.netlink_ms = netlink_ms
        """How long the kernel takes to answer a Hold."""
        self.heard_on = "eth0"
        """Over which interface frames come, if a test says nothing else."""
        self.accepts = True
        """Whether frames are accepted for sending."""
        self.serves: Callable[[str, tuple[str, ...]], Serving | None] = _at_once
        """What the host does with a Serve; None: it takes its time."""
        self.kernel: dict[Vip, int] = {v: self.now + ms for v, ms in (left_ms or {}).items()}
        self.refuses: set[Vip] = set()
        self.said: list[tuple[int, wire.Beat]] = []
        """Frames on the first interface, each part."""
        self.sent: list[tuple[int, dict[str, tuple[bytes, ...]]]] = []
        self.did: list[tuple[int, effects.Effect]] = []
        self.events: list[tuple[int, str]] = []
        """What the outside saw, in order: "frame", "add", "remove", "announce", "start", "stop"."""
        self.puppets: list[Puppet] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._left_ms: Mapping[Vip, int] | None = left_ms or {}
        self.node = Node(config_ or config(), incarnation=incarnation, epochs=epochs or {}, now=self.now)
        self.me = member(self.node.config.me)
        self.over: effects.Stopped | None = None
        self.feed(events.Woke())

    # -- time

    def at(self, when: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._count), action))

    def run(self, for_ms: int) -> Lab:
        """Let time pass: what is due happens, and the node's timer rings."""
        until = self.now + for_ms
        while self.over is None:
            due = self._heap[0][0] if self._heap else until + 1
            when = min(due, self.node.deadline)
            if when > until:
                break
            self.now = max(self.now, when)
            if due <= self.node.deadline:
                heapq.heappop(self._heap)[2]()
            else:
                self.feed(events.Woke())
        self.now = until
        return self

    def stall(self, for_ms: int, *frames: bytes) -> None:
        """The process stands still; when it goes on these frames have just come."""
        self.now += for_ms
        queued = tuple(events.Frame(data, "eth0", self.now) for data in frames)
        self.feed(events.Woke(queued))

    # -- the node's outside

    def feed(self, event: events.Event) -> None:
        if self.over is not None:
            return
        for effect in self.node.step(event, self.now):
            self.did.append((self.now, effect))
            self._perform(effect)
        assert self.over is not None or self.node.deadline > self.now

    def hear(self, data: bytes, interface: str | None = None, *, age_ms: int = 0) -> None:
        self.feed(events.Woke((events.Frame(data, interface or self.heard_on, self.now - age_ms),)))

    def _perform(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Send(datagrams):
                self._send(datagrams)
            case effects.Hold(lifetimes):
                self.at(self.now + self.netlink_ms, lambda: self._netlink(dict(lifetimes)))
            case effects.Serve(running):
                for name, units in running.items():
                    self.events.append((self.now, f"{'start' if units else 'stop'} {name}"))
                    state = self.serves(name, units)
                    if state is not None:
                        told = events.Served(name, state)
                        self.at(self.now, lambda e=told: self.feed(e))  # type: ignore[misc]
            case effects.Announce(vips):
                self.events += [(self.now, f"announce {v.address}") for v in vips]
            case effects.Stopped():
                self.over = effect
            case _:
                pass

    def _send(self, datagrams: Mapping[str, tuple[bytes, ...]]) -> None:
        self.sent.append((self.now, dict(datagrams)))
        self.events.append((self.now, "frame"))
        for data in next(iter(datagrams.values())):
            beat = wire.unseal(data, self.node.config.cluster_id, self.node.config.keyring)
            assert isinstance(beat, wire.Beat), beat
            self.said.append((self.now, beat))
            for puppet in self.puppets:
                if self.accepts and not puppet.deaf and (puppet.hears is None or puppet.hears in datagrams):
                    puppet.heard = (beat.incarnation, beat.sequence, self.now)
        self.feed(events.Sent(self.accepts))

    def _netlink(self, lifetimes_ms: dict[Vip, int]) -> None:
        if self.over is not None:
            return
        held = self.holds()
        for vip in held - lifetimes_ms.keys():
            del self.kernel[vip]
            self.events.append((self.now, f"remove {vip.address}"))
        failed = {}
        for vip, life_ms in lifetimes_ms.items():
            if not life_ms or not self.node.may_hold(self.now):
                continue
            if vip in self.refuses:
                failed[vip] = "refused"
                continue
            if vip not in held:
                self.events.append((self.now, f"add {vip.address}"))
            self.kernel[vip] = self.now + life_ms
        left_ms, self._left_ms = self._left_ms or {}, None
        self.feed(events.Held(self.holds(), failed, dict(left_ms)))

    def holds(self) -> frozenset[Vip]:
        return frozenset(v for v, end_ms in self.kernel.items() if end_ms > self.now)

    # -- peers

    def puppet(self, name: str, incarnation: int = 0, *, deaf: bool = False) -> Puppet:
        made = Puppet(self, name, incarnation or 0xB000 + len(self.puppets))
        made.deaf = deaf
        self.puppets.append(made)
        return made

    def meet(self, *puppets: Puppet) -> Lab:
        """Let each prove itself and keep talking."""
        for puppet in puppets:
            puppet.say()
        self.run(25)
        for puppet in puppets:
            puppet.beats()
        return self.run(1)

    # -- what tests ask

    def state(self, name: str = "g") -> State:
        return next(g.state for g in self.node.report().groups if g.name == name)

    def entry(self, name: str = "g", sender: wire.Beat | None = None) -> wire.GroupEntry:
        """What the node's newest frame says of a group."""
        beat = sender or self.said[-1][1]
        return next(e for e in beat.groups if e.group == wire_id(name))

    def listed(self, name: str) -> wire.PeerEntry | None:
        """What the node's newest frame lists of a peer."""
        return next((p for p in self.said[-1][1].peers if p.member == member(name)), None)

    def peer(self, name: str) -> str:
        return next(p.state for p in self.node.report().peers if p.name == name)

    def drops(self) -> dict[str, int]:
        return dict(self.node.report().drops)

    def decided(self) -> list[effects.Decided]:
        return [e for _, e in self.did if isinstance(e, effects.Decided)]

    def lives_ms(self) -> list[tuple[int, int]]:
        """Every lifetime that was given, and when."""
        return [(at, ms) for at, e in self.did if isinstance(e, effects.Hold) for ms in e.lifetimes_ms.values() if ms]

    def when(self, what: str, since: int = 0) -> list[int]:
        """When the outside saw this."""
        return [at for at, seen in self.events if seen.startswith(what) and at >= since]


def _at_once(name: str, units: tuple[str, ...]) -> Serving:
    return Serving.RUNNING if units else Serving.STOPPED


def owner(name: str = "b", *, me: str = "a", epoch: int = 5, lab: Lab | None = None) -> tuple[Lab, Puppet]:
    """A node that stands by while a peer owns the group."""
    lab = lab or Lab(config(me))
    peer = lab.puppet(name).stands(State.OWNER, epoch=epoch)
    lab.meet(peer).run(50)
    assert lab.state() is State.STANDBY
    return lab, peer


def owning(*, config_: Config | None = None, names: str = "b", standby: bool = True) -> tuple[Lab, list[Puppet]]:
    """A node that owns the group while its peers stand by."""
    lab = Lab(config_ or config(groups=[group(members="a" + names)]))
    peers = [lab.puppet(name).stands(State.STANDBY if standby else State.LISTENING) for name in names]
    lab.meet(*peers).run(2 * K)
    assert lab.state() is State.OWNER
    assert lab.holds() == {VIP}
    return lab, peers
