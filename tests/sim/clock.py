"""A machine's own clocks against the world's time: fast or slow, standing still while it is paused, and a wall clock.

Only hosts read these. The world's time is what the invariants are measured in.
"""

from __future__ import annotations

MILLION = 1_000_000


class Clock:
    """Whole milliseconds of one machine. `ppm` is how much faster than the world it runs, in parts per million."""

    def __init__(self, world_ms: int, *, local_ms: int = 0, ppm: int = 0) -> None:
        self._world_ms, self._local_ms = world_ms, local_ms or world_ms
        self._ppm = ppm
        self.paused = False
        self.wall_offset_ms = 1_700_000_000_000
        """Wall clock less monotonic: an NTP step changes it."""
        self.stepped = False
        """Since somebody last looked."""

    @property
    def ppm(self) -> int:
        return self._ppm

    def local(self, world_ms: int) -> int:
        """What this machine's monotonic clock shows at that instant of the world."""
        if self.paused:
            return self._local_ms
        return self._local_ms + (world_ms - self._world_ms) * (MILLION + self._ppm) // MILLION

    def world(self, local_ms: int) -> int:
        """The first instant of the world at which this clock shows at least `local_ms`."""
        ahead = local_ms - self._local_ms
        return self._world_ms + max(0, -(-ahead * MILLION // (MILLION + self._ppm)))

    def run_at(self, world_ms: int, ppm: int) -> None:
        """From now on it runs fast or slow."""
        self._local_ms, self._world_ms, self._ppm = self.local(world_ms), world_ms, ppm

    def pause(self, world_ms: int) -> None:
        """The whole machine stands still, and so does every clock in it."""
        self._local_ms, self._world_ms = self.local(world_ms), world_ms
        self.paused = True

    def resume(self, world_ms: int) -> None:
        self._world_ms = world_ms
        self.paused = False

    def set_back(self, world_ms: int, local_ms: int) -> None:
        """The machine is restored from a snapshot: its monotonic clock goes on from there."""
        self._local_ms, self._world_ms = local_ms, world_ms

    def step_wall(self, by_ms: int) -> None:
        """An NTP step: the monotonic clock knows nothing of it."""
        self.wall_offset_ms += by_ms
        self.stepped = True
