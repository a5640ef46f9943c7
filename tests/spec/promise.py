"""The arithmetic of the promise, as docs/protocol.md has it, apart from the code that keeps it."""

from __future__ import annotations

import math

from vyos_agent.core import lease


def lost_frames(dead_ms: int, keepalive_ms: int) -> int:
    """n of [LEASE-7]."""
    life_ms = lease.lifetime_ms(dead_ms=dead_ms, keepalive_ms=keepalive_ms)
    step_ms = life_ms - lease.TOP_UP_MS
    top_up_ms = 0 if life_ms >= keepalive_ms + lease.TOP_UP_MS else (math.ceil(keepalive_ms / step_ms) - 1) * step_ms
    return math.floor((dead_ms - top_up_ms - life_ms - lease.KERNEL_LATE_MS) / keepalive_ms)
