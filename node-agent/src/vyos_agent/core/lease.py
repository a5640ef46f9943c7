"""How long an address may live in the kernel without this process: the arithmetic of the promise.

The kernel removes the address of a process that was killed or frozen, before its peers take over (design.md
section 5). One lease covers all addresses of a cluster on this node, for they are renewed in one batch.
"""

from __future__ import annotations

import collections

KERNEL_LATE_MS = 1_100
"""How late the kernel may remove an expired address: measured up to 1.03 s (shared/protocol section 1, F1a)."""
LIFETIME_MIN_MS = 1_000
"""The kernel counts lifetimes in whole seconds."""
TOP_UP_MS = 400
"""Renewed when less than this is left (shared/protocol section 1)."""
FRAMES_REMEMBERED = 3
"""A peer that lost the newest two frames still judges by the third (shared/protocol section 1)."""


def lifetime_ms(*, dead_ms: int, keepalive_ms: int) -> int:
    """L = max(1 s, D - 2K - 1.1 s in whole seconds)."""
    return max(LIFETIME_MIN_MS, (dead_ms - 2 * keepalive_ms - KERNEL_LATE_MS) // 1_000 * 1_000)


class Lease:
    """When the addresses were last renewed, and by which dead intervals the peers may judge."""

    def __init__(self) -> None:
        self._dead_ms: collections.deque[int] = collections.deque(maxlen=FRAMES_REMEMBERED)
        self.end_ms = 0
        """Until when this node may believe that its addresses live; 0: it holds none, or was asleep."""
        self._frame_ms = 0

    def frame_sent(self, now: int, dead_ms: int) -> None:
        """A frame with this dead interval was accepted for sending."""
        self._dead_ms.append(dead_ms)
        self._frame_ms = now

    def life_ms(self, *, dead_ms: int, keepalive_ms: int) -> int:
        """How long an address may live from now."""
        return lifetime_ms(dead_ms=min(self._dead_ms, default=dead_ms), keepalive_ms=keepalive_ms)

    def renew(self, now: int, life_ms: int) -> None:
        """Begin a new life now, as long as the shortest that is given to an address."""
        self.end_ms = now + life_ms

    def lapse(self) -> None:
        """Nothing may be added, renewed or announced until the next renewal."""
        self.end_ms = 0

    def top_up_ms(self) -> int:
        """When the addresses must be renewed between frames, if the frames are further apart than that."""
        return self.end_ms - TOP_UP_MS

    def top_up_due(self, now: int, keepalive_ms: int, alone: bool) -> bool:
        """Due now, and not later than K after an accepted frame unless no peer is living (then nobody takes over)."""
        return 0 < self.top_up_ms() <= now and (alone or now - self._frame_ms <= keepalive_ms)
