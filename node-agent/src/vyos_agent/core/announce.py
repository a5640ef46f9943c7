"""When to tell the LAN where a group's addresses are: a burst on arrival, then a slow refresh."""

from __future__ import annotations

NEVER_MS = 2**62
"""A deadline that does not come."""


class Announcer:
    """The schedule of one group. Deadlines live in the core, so that the simulator sees them."""

    def __init__(self) -> None:
        self._left = 0
        self.due_ms = NEVER_MS

    def burst(self, now: int, count: int) -> None:
        """The addresses have come, or a rival is gone: the full count, beginning now."""
        self._left = count
        self.due_ms = now

    def cancel(self) -> None:
        """Not a word more: the group is given away."""
        self._left = 0
        self.due_ms = NEVER_MS

    def take(self, now: int, *, interval_ms: int, refresh_ms: int) -> None:
        """One announcement is made now; the next is set."""
        self._left = max(0, self._left - 1)
        self.due_ms = now + (interval_ms if self._left else refresh_ms)
