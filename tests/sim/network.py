"""The LANs between the hosts, and everything that can go wrong on them; also the recorder that an attacker has.

It knows facts that no node can know: which of a node's newest frames reached whom. The invariants count by them.
"""

from __future__ import annotations

import collections
import dataclasses
import random
import typing
from collections.abc import Iterable

if typing.TYPE_CHECKING:
    from sim.world import World

NEVER_MS = -(2**62)
TAPE_MAX = 20_000
"""Frames that the recorder keeps in a long run; a story of a minute keeps every frame there ever was."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """One datagram as it went out."""

    source: str
    interface: str
    data: bytes
    at_ms: int


@dataclasses.dataclass(slots=True)
class Weather:
    """What happens to frames at random, on every link."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """This share comes late by up to `late_ms`, so that later frames overtake it."""
    late_ms: int = 0

    @property
    def calm(self) -> bool:
        return not (self.loss or self.duplicate or self.reorder)


@dataclasses.dataclass(slots=True)
class Pair:
    """What is true of one sender and one receiver."""

    delivered: int = 0
    """Number of the sender's newest frame that reached the receiver's socket."""
    delivered_ms: int = NEVER_MS
    """When one did last."""
    lost_ms: int = NEVER_MS
    """When one was lost last, for whatever cause."""
    was_cut_ms: int = NEVER_MS
    """When one was last lost because of a cut, a dead carrier or a full queue; not at random."""


class Network:
    """Every interface name is a LAN that all hosts share; a frame reaches each other host once."""

    def __init__(self, world: World, seed: int | str, delay_ms: tuple[int, int]) -> None:
        self._world = world
        self._rng = random.Random(f"network {seed}")
        self._tape_rng = random.Random(f"tape {seed}")
        self.delay_ms = delay_ms
        self.slow_ms = 0
        """The longest delay of late: what was sent then may be under way."""
        self.weather = Weather()
        self.cut: set[tuple[str, str]] = set()
        """(sender, receiver) on every LAN."""
        self.cut_on: set[tuple[str, str, str]] = set()
        """(sender, receiver, interface)."""
        self.deaf: set[tuple[str, str]] = set()
        """(host, interface) whose carrier is gone."""
        self.mute: set[tuple[str, str]] = set()
        """(host, interface) that takes frames and carries none: without an address of the multicast group's family."""
        self.tape: collections.deque[Recorded] = collections.deque(maxlen=TAPE_MAX)
        self.pairs: dict[tuple[str, str], Pair] = collections.defaultdict(Pair)
        self.frames: collections.Counter[str] = collections.Counter()
        """How many frames each host has sent (all parts and links of one turn count as one)."""

    # -- sending

    def begin_frame(self, source: str) -> None:
        """The datagrams that follow are one frame."""
        self.frames[source] += 1

    def send(self, source: str, interface: str, data: bytes) -> bool:
        """Multicast one datagram; whether the interface took it."""
        if (source, interface) in self.deaf:
            return False
        self.tape.append(Recorded(source, interface, data, self._world.now))
        if self._world.tape is not None:
            self._world.tape.append((source, interface, data))
        number = self.frames[source]
        for target in self._world.hosts:
            if target != source:
                self._carry(source, target, interface, data, number)
        return True

    def _carry(self, source: str, target: str, interface: str, data: bytes, number: int) -> None:
        weather, rng, now = self.weather, self._rng, self._world.now
        if self.blocked(source, target, interface):
            pair = self.pairs[source, target]
            pair.lost_ms = pair.was_cut_ms = now
            return
        if weather.loss and rng.random() < weather.loss:
            self.pairs[source, target].lost_ms = now
            return
        delay_ms = rng.randint(*self.delay_ms)
        if weather.reorder and rng.random() < weather.reorder:
            delay_ms += rng.randint(0, weather.late_ms)
        self._world.at(now + delay_ms, lambda: self._arrive(source, target, interface, data, number))
        if weather.duplicate and rng.random() < weather.duplicate:
            self.deliver(target, interface, data, rng.randint(*self.delay_ms) + rng.randint(0, weather.late_ms))

    def _arrive(self, source: str, target: str, interface: str, data: bytes, number: int) -> None:
        pair = self.pairs[source, target]
        if (target, interface) in self.deaf or not self._world.hosts[target].receive(data, interface):
            pair.lost_ms = pair.was_cut_ms = self._world.now
            return
        pair.delivered = max(pair.delivered, number)
        pair.delivered_ms = self._world.now

    def deliver(self, target: str, interface: str, data: bytes, delay_ms: int = 0) -> None:
        """A frame that nobody sends now: a duplicate, a recording, a forgery."""

        def arrive() -> None:
            if (target, interface) not in self.deaf:
                self._world.hosts[target].receive(data, interface)

        self._world.at(self._world.now + delay_ms, arrive)

    # -- what is known of pairs

    def blocked(self, source: str, target: str, interface: str) -> bool:
        """Whether nothing gets through from one host to another on that LAN."""
        return (
            (source, target) in self.cut
            or (source, target, interface) in self.cut_on
            or not self.deaf.isdisjoint({(source, interface), (target, interface)})
            or not self.mute.isdisjoint({(source, interface), (target, interface)})
        )

    def hears(self, target: str, source: str) -> bool:
        """Whether some LAN carries frames from source to target."""
        if (source, target) in self.cut:
            return False
        return any(not self.blocked(source, target, i) for i in self._world.interfaces)

    def lost_run(self, source: str, target: str) -> int:
        """How many of the newest frames of one host have not reached another."""
        return self.frames[source] - self.pairs[source, target].delivered

    def note_cuts(self) -> None:
        """Who does not hear whom now was cut until now, also where nobody sent: a carrier was gone."""
        for (source, target), pair in self.pairs.items():
            if not self.hears(target, source):
                pair.was_cut_ms = self._world.now

    def lost_ms(self, x: str, y: str) -> int:
        """When a frame between the two was lost last, either way."""
        return max(self.pairs[x, y].lost_ms, self.pairs[y, x].lost_ms)

    def joined(self, names: Iterable[str]) -> bool:
        """Whether every two of these hear each other, or have a neighbour that passes on what they say."""
        who = list(names)
        ear = {(x, y): self.hears(y, x) for x in who for y in who if x != y}
        return all(
            heard or any(ear.get((x, m)) and ear.get((m, y)) for m in who if m not in (x, y))
            for (x, y), heard in ear.items()
        )

    # -- partitions and the recorder

    def partition(self, *sides: Iterable[str]) -> None:
        """Members of different sides do not hear each other: partition("ab", "c")."""
        parts = [list(s) for s in sides]
        self.cut = {(x, y) for s in parts for x in s for t in parts if t is not s for y in t}

    def heal(self) -> None:
        """Every cut is over (a carrier that is gone is not a cut)."""
        self.cut.clear()
        self.cut_on.clear()

    def replay(self, count: int, gap_ms: int, targets: Iterable[str], *, source: str | None = None) -> int:
        """Send recordings, of anybody or of one host, drawn at random, to each target on any LAN; how many."""
        tape = [r for r in self.tape if source in (None, r.source)]
        rng = self._tape_rng
        for i in range(count if tape else 0):
            frame = rng.choice(tape)
            for target in targets:
                self.deliver(target, rng.choice(self._world.interfaces), frame.data, i * gap_ms)
        return count if tape else 0
