"""A kernel's addresses, as far as failover sees them: lifetimes in whole seconds, removal that comes late."""

from __future__ import annotations

import random
from collections.abc import Mapping

from vyos_agent.core.model import Vip

LATE_MS = 1_100
"""How late a kernel may remove an expired address: measured up to 1.03 s (protocol section 1, F1a). The core has its
own constant for it; this one is the world's."""


class Kernel:
    """The addresses of one machine, by its own clock. It outlives the daemon, and ends with the power."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ends_ms: dict[Vip, int] = {}
        """When each address is over; it goes up to 1.1 s later than that."""
        self._gone_ms: dict[Vip, int] = {}
        self.refuses: set[Vip] = set()
        self.late_ms = (0, LATE_MS)

    def apply(self, lifetimes_ms: Mapping[Vip, int], now: int) -> dict[Vip, str]:
        """Add or renew (0: leave alone), remove what is not named; what was refused."""
        for vip in self._gone_ms.keys() - lifetimes_ms.keys():
            del self._gone_ms[vip], self._ends_ms[vip]
        failed = {}
        late_ms = self._rng.randint(*self.late_ms)
        for vip, life_ms in lifetimes_ms.items():
            if life_ms and vip in self.refuses:
                failed[vip] = "refused"
            elif life_ms:
                self._ends_ms[vip] = now + life_ms
                self._gone_ms[vip] = now + life_ms + late_ms
        return failed

    def remove(self, vip: Vip) -> None:
        """Somebody took it away."""
        self._gone_ms.pop(vip, None)
        self._ends_ms.pop(vip, None)

    def holds(self, now: int) -> frozenset[Vip]:
        """What answers ARP here now."""
        return frozenset(v for v, t in self._gone_ms.items() if t > now)

    def left_ms(self, now: int) -> dict[Vip, int]:
        """What is left of each life: the kernel tells whole seconds, and since when to a hundredth (ifa_cacheinfo)."""
        return {v: max(0, self._ends_ms[v] - now) // 10 * 10 for v in self.holds(now)}

    def next_gone_ms(self, now: int) -> int | None:
        """When the next address goes, if nobody renews it."""
        return min((t for t in self._gone_ms.values() if t > now), default=None)
