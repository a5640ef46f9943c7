"""What a new configuration brought to a running member: it waits until every living member knows it too.

Else the first to be told would claim a group before its primary has heard of it, or add an address that another
group's owner has not removed yet (shared/protocol section 4, F12 and F18).
"""

from __future__ import annotations

from collections.abc import Iterable

from vyos_agent.core.model import Vip


class Novelty:
    """Of one group: is it new itself, and which of its addresses are?"""

    def __init__(self, since_ms: int | None) -> None:
        """`since_ms`: when the group became known to a member that was running already, else None."""
        self.since_ms = since_ms
        self.vips: dict[Vip, int] = {}
        """Addresses that are new, and since when."""

    def learn(self, known: Iterable[Vip], now_named: Iterable[Vip], now: int | None) -> None:
        """The group's addresses changed; those added are new when there is a time to count from.

        An address that was there with another prefix, broadcast or interface is not new: nobody else can hold it.
        """
        old = {v.address for v in known}
        named = tuple(now_named)
        if now is not None:
            self.vips.update({v: now for v in named if v.address not in old})
        self.vips = {v: since_ms for v, since_ms in self.vips.items() if v in named}

    def ripen(self, now: int, init_dead_ms: int, *, same_generation: bool) -> None:
        """Nothing is new any more when all know it, or after the initial dead interval."""
        limit_ms = now if same_generation else now - init_dead_ms
        self.vips = {v: since_ms for v, since_ms in self.vips.items() if since_ms > limit_ms}
        if self.since_ms is not None and self.since_ms <= limit_ms:
            self.since_ms = None

    def due_ms(self, init_dead_ms: int) -> list[int]:
        """When it stops being new whatever the others know."""
        since = [*self.vips.values(), *([] if self.since_ms is None else [self.since_ms])]
        return [since_ms + init_dead_ms for since_ms in since]
