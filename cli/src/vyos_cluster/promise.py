"""What two intervals promise: the arithmetic of docs/protocol.md, rule LEASE-7, for those who choose them.

It is written a second time beside the daemon's own, which the command line may not know inside; a test compares both,
and the table of the protocol, with this.
"""

from __future__ import annotations

KERNEL_LATE_MS = 1_100
"""E: how late the kernel may remove an expired address."""
LIFETIME_LEAST_MS = 1_000
"""The least L: the kernel counts lifetimes in whole seconds."""
TOP_UP_MS = 400
"""Addresses are renewed again, between frames, when less than this remains of their life."""


def lost_frames(keepalive_ms: int, dead_ms: int) -> int:
    """n: so many of an owner's last frames may be lost, and a kill still leaves no moment with two holders.

    Below zero nothing is promised.
    """
    life_ms = max(LIFETIME_LEAST_MS, (dead_ms - 2 * keepalive_ms - KERNEL_LATE_MS) // 1_000 * 1_000)
    return (dead_ms - _last_top_up_ms(keepalive_ms, life_ms) - life_ms - KERNEL_LATE_MS) // keepalive_ms


def least_dead_ms(keepalive_ms: int) -> int:
    """The shortest dead interval with a promise at all."""
    shortest_ms = _last_top_up_ms(keepalive_ms, LIFETIME_LEAST_MS) + LIFETIME_LEAST_MS + KERNEL_LATE_MS
    return max(shortest_ms, 2 * keepalive_ms + 1)


def _last_top_up_ms(keepalive_ms: int, life_ms: int) -> int:
    """T: the age of the last renewal between two frames."""
    step_ms = life_ms - TOP_UP_MS
    return 0 if life_ms >= keepalive_ms + TOP_UP_MS else (keepalive_ms - 1) // step_ms * step_ms
