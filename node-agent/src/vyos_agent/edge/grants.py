"""How long an address may live that was granted a lifetime some time ago: arithmetic, without a kernel or a thread.

Apart from `addresses`, so that the simulator's worker (tests/sim/keeper.py) writes into its kernel what the real one
does.
"""

from __future__ import annotations

import dataclasses

SLIP_MS = 100
"""A call that took longer is asked about again: the node may have lost its authority meanwhile (protocol section 6)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """A lifetime that the core gave to one address, and when; `due` until it is written into the kernel."""

    life_ms: int
    issued_ms: int
    due: bool

    def seconds(self, at_ms: int) -> int:
        """What to write into the kernel at this instant: late is less, but for the kernel's smallest unit."""
        late_ms = at_ms - self.issued_ms
        if late_ms >= self.life_ms:
            return 0
        if not self.due:
            return (self.life_ms - late_ms) // 1000
        return max(1, (self.life_ms - (late_ms if late_ms > SLIP_MS else 0)) // 1000)


def granted(old: Grant | None, life_ms: int, at_ms: int) -> Grant:
    """0 leaves an address as it is, and so what was granted to it before."""
    if life_ms == 0 and old is not None:
        return old
    return Grant(life_ms, at_ms, due=life_ms > 0)
