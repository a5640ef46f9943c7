"""What an earlier life of this node left in the kernel: whether to go on with it.

The kernel is the only witness (shared/protocol section 2): a group is taken up again when an address of it, with this
project's mark, has life left. Until a peer acknowledges this life nothing is renewed, for the peers may be about to
take over; the addresses live on what they have.
"""

from __future__ import annotations

from collections.abc import Mapping

from vyos_agent.core.lease import TOP_UP_MS
from vyos_agent.core.model import Vip


class Adoption:
    """The addresses of one group that were found, and until when they live."""

    def __init__(self, left_ms: Mapping[Vip, int], now: int) -> None:
        self.vips = frozenset(left_ms)
        self.end_ms = now + min(left_ms.values())

    @property
    def due_ms(self) -> int:
        """When it must be decided: the addresses are renewed or removed with this much life left."""
        return self.end_ms - TOP_UP_MS


def witnessed(vips: tuple[Vip, ...], left_ms: Mapping[Vip, int]) -> dict[Vip, int]:
    """Those of a group's addresses that are alive in the kernel."""
    return {vip: left_ms[vip] for vip in vips if left_ms.get(vip, 0) > 0}
