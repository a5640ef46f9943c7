"""Faults as values: what can be done to a cluster, how one is drawn at random, and its one-line text in a transcript.

Each fault ends by itself (its last argument is often a duration), so that any of a schedule's faults can be left out.
The kinds register themselves: see `faults_life`, `faults_net`, `faults_work` and `faults_spec`.
"""

from __future__ import annotations

import dataclasses
import random
import typing
from collections.abc import Callable

if typing.TYPE_CHECKING:
    from sim.driver import Driver

Args = tuple[str, ...]

BYGONE_MS = 2_000
"""For so long after a slow network or kernel is fast again, moves that were begun before are judged by the slow one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One line of a schedule."""

    wait_ms: int
    """After the fault before it."""
    kind: str
    args: Args

    @property
    def text(self) -> str:
        """As a transcript writes it."""
        return " ".join((f"+{self.wait_ms}", self.kind, *self.args))

    @classmethod
    def parse(cls, text: str) -> Fault:
        """The other way."""
        wait, kind, *args = text.split()
        return cls(int(wait), kind, tuple(args))


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """What a fault can be drawn for: the cluster as it will be at the start."""

    members: tuple[str, ...]
    groups: tuple[str, ...]
    interfaces: tuple[str, ...]
    monitors: tuple[str, ...]
    units: tuple[str, ...]
    keepalive_ms: int
    dead_ms: int

    def span(self, rng: random.Random) -> int:
        """A duration: often around the intervals that decide, sometimes long."""
        most_ms = rng.choice(
            (self.keepalive_ms, 2 * self.keepalive_ms, self.dead_ms, 2 * self.dead_ms, 4 * self.dead_ms)
        )
        return rng.randint(1, most_ms + 100)


Draw = Callable[[random.Random, Shape], Args]
Apply = Callable[..., bool]
"""(driver, *args): whether it could be done as things are."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault."""

    name: str
    draw: Draw
    apply: Apply
    weight: int = 10


KINDS: dict[str, Kind] = {}


def kind(name: str, draw: Draw, *, weight: int = 10) -> Callable[[Apply], Apply]:
    """Register a kind: `apply(driver, *args)` takes the texts that `draw` makes."""

    def register(apply: Apply) -> Apply:
        assert name not in KINDS, name
        KINDS[name] = Kind(name, draw, apply, weight)
        return apply

    return register


def draw(rng: random.Random, shape: Shape, wait_ms: int) -> Fault:
    """Any fault."""
    names = list(KINDS)
    name = rng.choices(names, [KINDS[n].weight for n in names])[0]
    return Fault(wait_ms, name, KINDS[name].draw(rng, shape))


def inflict(driver: Driver, fault: Fault) -> bool:
    """Do it; whether it could be done."""
    return KINDS[fault.kind].apply(driver, *fault.args)


# -- what the draws are made of


def host(rng: random.Random, shape: Shape) -> str:
    return rng.choice(shape.members)


def some(rng: random.Random, names: tuple[str, ...]) -> str:
    """A non-empty choice, as one word."""
    return ",".join(rng.sample(names, rng.randint(1, len(names)))) if names else "-"


def two(rng: random.Random, shape: Shape) -> tuple[str, str]:
    x, y = rng.sample(shape.members, 2)
    return x, y


def for_host(rng: random.Random, shape: Shape) -> Args:
    """(host, duration)."""
    return host(rng, shape), str(shape.span(rng))


def for_pair(rng: random.Random, shape: Shape) -> Args:
    """(host, host, duration)."""
    return *two(rng, shape), str(shape.span(rng))
