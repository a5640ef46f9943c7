"""The stated bounds, as numbers of one cluster: what the invariants measure against. From the protocol's own words."""

from __future__ import annotations

import dataclasses
import typing

from sim.kernel import LATE_MS

if typing.TYPE_CHECKING:
    from sim.world import World

DRIFT_PPM = 500
"""Clocks run up to this fast or slow; a bound that is measured on two machines grows by twice that."""
LOOP_MS = 5
"""A turn of the loop, and the grain of two clocks that count whole milliseconds."""
REMOVE_MS = 20
"""The old owner keeps its addresses for this long after it heard the new claim (protocol section 5, step 4)."""
GIVEN_LIFE_MS = 1_000
"""Lifetimes while a group is given (protocol section 5, step 2)."""
RESEND_MS = 50
TOP_UP_MS = 400
"""Renewed when less than this is left (protocol section 1)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """Of the slowest intervals that any host is configured with."""

    keepalive_ms: int
    dead_ms: int
    members: int
    delay_ms: int
    netlink_ms: int
    job_ms: int
    failback_ms: int

    @property
    def validity_ms(self) -> int:
        """V of a handover: max(4 K, 500 ms)."""
        return max(4 * self.keepalive_ms, 500)

    def drift(self, of_ms: int) -> int:
        """How far two clocks may be apart over that time, and their grain."""
        return 2 * of_ms * DRIFT_PPM // 1_000_000 + LOOP_MS

    @property
    def contact_ms(self) -> int:
        """Two owners that hear each other are one after 2 keepalives, and the address is gone."""
        return 2 * self.keepalive_ms + 4 * self.delay_ms + 2 * self.netlink_ms + self.drift(2 * self.keepalive_ms)

    @property
    def exchange_ms(self) -> int:
        """A frame that is sent at once, its relay, and a turn of the loop."""
        return 2 * self.delay_ms + self.netlink_ms + 2 * LOOP_MS

    @property
    def handover_ms(self) -> int:
        """Old and new hold for at most one delay, one loop and 20 ms, and what netlink takes."""
        return self.delay_ms + LOOP_MS + REMOVE_MS + 2 * self.netlink_ms + LOOP_MS

    @property
    def settled_ms(self) -> int:
        """All hear each other: suspensions and ghosts are over, everybody has waited its turn, moves are made."""
        turns_ms = self.members * (self.keepalive_ms + TOP_UP_MS)
        moves_ms = 4 * self.validity_ms + 8 * self.job_ms
        return 2 * self.dead_ms + turns_ms + moves_ms + 2 * self.keepalive_ms + 2 * self.contact_ms + 3_000

    @property
    def placed_ms(self) -> int:
        """And failbacks and monitors have had their way."""
        moves_ms = self.failback_ms + 4 * self.keepalive_ms + 2 * self.validity_ms + 8 * self.job_ms
        return self.settled_ms + 2 * moves_ms + self.dead_ms


def of(world: World) -> Bounds:
    """As the hosts are configured now."""
    configs = [h.config for h in world.hosts.values()]
    return Bounds(
        keepalive_ms=max(c.keepalive_ms for c in configs),
        dead_ms=max(c.dead_ms for c in configs),
        members=len(configs),
        delay_ms=max(world.network.delay_ms[1], world.network.slow_ms) + world.network.weather.late_ms,
        netlink_ms=max([world.netlink_ms[1]] + [ms for h in world.hosts.values() for ms in h.netlink_bounds_ms]),
        job_ms=max(h.systemd.job_ms[1] for h in world.hosts.values()),
        failback_ms=max((g.failback_delay_ms for c in configs for g in c.groups), default=0),
    )


def lifetime_ms(dead_ms: int, keepalive_ms: int) -> int:
    """L = max(1 s, D - 2K - 1.1 s in whole seconds): the judge's own reckoning."""
    return max(1_000, (dead_ms - 2 * keepalive_ms - LATE_MS) // 1_000 * 1_000)


def allowance(dead_ms: int, keepalive_ms: int) -> int:
    """n of the promise: how many of the last frames of a killed owner may be lost (design.md section 5)."""
    life_ms = lifetime_ms(dead_ms, keepalive_ms)
    step_ms = life_ms - TOP_UP_MS
    top_up_ms = 0 if life_ms >= keepalive_ms + TOP_UP_MS else (keepalive_ms - 1) // step_ms * step_ms
    return (dead_ms - top_up_ms - life_ms - LATE_MS) // keepalive_ms
