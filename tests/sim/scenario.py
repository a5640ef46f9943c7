"""A whole run drawn from one seed: the cluster, its members' clocks, bursts of faults, and the peace after each.

Drawing never looks at the world, so that a schedule can be written down, shortened, and run again.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from sim import bounds, faults
from sim.build import KEYRING
from sim.clock import Clock
from sim.driver import Driver, Spec
from sim.faults import Fault, Shape
from vyos_agent.core.model import Group, Vip

HOUR_MS = 3_600_000
MONITORS = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
UNITS = ("ssh.service", "named.service", "dhcpd.service")
FAST_MS = {50: 1, 100: 2, 250: 4, 500: 8, 1_000: 12}
SLOW_MS = {2_000: 2, 3_000: 1, 5_000: 3}
"""Keepalives and their weights: half of the hours are at 1 s or less."""
MEMBERS = {2: 5, 3: 6, 4: 4, 5: 2, 6: 1, 7: 1, 8: 1}
GROUPS = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1, 6: 1, 7: 1, 8: 1}
RUN_S = 6.0
STEP_S, STEP_GROUP_S = 120e-6, 40e-6
"""Measured: a step of a node, and what each group adds to it."""
BUSY_MS = 250
"""Below this keepalive a large cluster costs minutes of computing for each hour: it is drawn small."""


@dataclasses.dataclass(frozen=True, slots=True)
class Burst:
    """Some faults close together, and how much peace follows."""

    faults: tuple[Fault, ...]
    peace: str
    """none, settled or placed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """What one seed means."""

    seed: str
    spec: Spec
    shape: Shape
    delay_ms: tuple[int, int]
    ppm: tuple[int, ...]

    @classmethod
    def drawn(cls, seed: str) -> Scenario:
        """From the seed alone."""
        rng = random.Random(f"scenario {seed}")
        keepalive_ms = _weighted(rng, FAST_MS if seed.endswith("fast") or rng.random() < 0.1 else SLOW_MS)
        dead_ms = min(29_000, max(2 * keepalive_ms + 1, int(keepalive_ms * rng.choice((2.1, 2.5, 3, 4, 5, 6)))))
        busy = keepalive_ms <= BUSY_MS
        names = tuple("abcdefgh"[: _weighted(rng, {2: 3, 3: 3, 4: 1} if busy else MEMBERS)])
        count = _weighted(rng, {1: 2, 2: 1} if busy else GROUPS)
        interfaces = ("eth0",) if rng.random() < 0.6 else ("eth0", "eth1")
        groups = tuple(_group(rng, i, names, interfaces, dead_ms) for i in range(count))
        spec = Spec(
            groups=groups,
            keepalive_ms=keepalive_ms,
            dead_ms=dead_ms,
            init_dead_ms=max(dead_ms, rng.choice((dead_ms, 2 * dead_ms, 30_000))),
            interfaces=interfaces,
            keyring=KEYRING,
        )
        # A name that no group knows is no member: then it only listens.
        shape = Shape(
            members=names,
            groups=tuple(g.name for g in groups),
            interfaces=interfaces,
            monitors=tuple(sorted({m for g in groups for m in g.monitors})),
            units=tuple(sorted({u for g in groups for u in g.units})),
            keepalive_ms=keepalive_ms,
            dead_ms=dead_ms,
        )
        delay_ms = (0, rng.choice((0, 1, 2, 2, 5)))
        return cls(seed, spec, shape, delay_ms, tuple(rng.randint(-bounds.DRIFT_PPM, bounds.DRIFT_PPM) for _ in names))

    @property
    def length_ms(self) -> int:
        """How long it is run for: as much simulated time as some seconds of computing give, at most an hour.

        Every frame is a step of every other member, and a step costs more with more groups.
        """
        members, groups = len(self.shape.members), len(self.shape.groups)
        steps = members * members * HOUR_MS / self.shape.keepalive_ms
        hours = RUN_S / (steps * (STEP_S + groups * STEP_GROUP_S))
        return int(min(1.0, max(hours, 0.05)) * HOUR_MS)

    def bursts(self) -> Iterator[Burst]:
        """Without end."""
        rng = random.Random(f"faults {self.seed}")
        while True:
            count = rng.choice((1, 1, 2, 2, 3, 4, 6, 8))
            wait_ms = rng.choice((0, 100, self.shape.keepalive_ms, self.shape.dead_ms, 2 * self.shape.dead_ms))
            drawn = tuple(faults.draw(rng, self.shape, rng.randint(0, wait_ms)) for _ in range(count))
            yield Burst(drawn, rng.choice(("none", "settled", "placed", "placed")))

    def driver(self) -> Driver:
        """A world at its beginning: all hosts are about to be powered on."""
        driver = Driver(self.spec, self.shape.members, seed=self.seed, delay_ms=self.delay_ms)
        rng = random.Random(f"clocks {self.seed}")
        for machine, ppm in zip(driver.world.hosts.values(), self.ppm, strict=True):
            machine.clock = Clock(driver.world.now, local_ms=rng.randint(1_000, 10**9), ppm=ppm)
            machine.monitored_after_ms = rng.choice((0, 50, 1_000))
        driver.harm()
        driver.world.start(spread_ms=rng.choice((0, 30, 2_000)))
        return driver


def _weighted(rng: random.Random, weights: dict[int, int]) -> int:
    return rng.choices(list(weights), list(weights.values()))[0]


def _group(rng: random.Random, number: int, names: tuple[str, ...], interfaces: tuple[str, ...], dead_ms: int) -> Group:
    members = rng.sample(names, len(names) if number == 0 else rng.randint(2, len(names)))
    vips = [Vip(f"10.0.{number}.{i}", 24, rng.choice(interfaces)) for i in range(rng.choice((1, 1, 2)))]
    units = rng.sample(UNITS, rng.choice((0, 0, 1, 2)))
    return Group(
        name=f"g{number}",
        members=tuple(members),
        auto_failback=rng.random() < 0.4,
        failback_delay_ms=rng.choice((0, 1_000, dead_ms)),
        vips=tuple(vips),
        monitors=tuple(rng.sample(MONITORS, rng.choice((0, 0, 1, 2, 3)))),
        units=tuple(f"{number}-{u}" for u in units),
    )
