"""A kernel's addresses, as far as failover sees them: lifetimes in whole seconds, removal that comes late."""

from __future__ import annotations

import random

from vyos_agent.core.lease import KERNEL_LATE_MS
from vyos_agent.core.model import Vip


class Kernel:
    """The addresses of one machine. It lives on when the daemon is killed or frozen, and ends with the power."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._gone_ms: dict[Vip, int] = {}
        self._end_ms: dict[Vip, int] = {}
        self.refuses: set[Vip] = set()

    def apply(self, lifetimes_ms: dict[Vip, int], now: int) -> tuple[frozenset[Vip], dict[Vip, str]]:
        """Add or renew (0: leave alone), remove what is not named; what is held, and what was refused."""
        self._gone_ms = {v: t for v, t in self._gone_ms.items() if v in lifetimes_ms}
        failed = {}
        for vip, life_ms in lifetimes_ms.items():
            if life_ms and vip in self.refuses:
                failed[vip] = "refused"
            elif life_ms:
                self._end_ms[vip] = now + life_ms
                self._gone_ms[vip] = now + life_ms + self._rng.randint(0, KERNEL_LATE_MS)
        return self.holds(now), failed

    def holds(self, now: int) -> frozenset[Vip]:
        """What answers ARP here now."""
        return frozenset(v for v, t in self._gone_ms.items() if t > now)

    def left_ms(self, now: int) -> dict[Vip, int]:
        """The lives left, in whole seconds, as the kernel tells them."""
        return {v: max(0, self._end_ms[v] - now) // 1000 * 1000 for v in self.holds(now)}

    def changes_ms(self, now: int) -> set[int]:
        """When addresses expire, if nobody renews them."""
        return {t for t in self._gone_ms.values() if t > now}
