"""How a member leaves: when its time is over, and the last words. What is released first is the groups' work."""

from __future__ import annotations

FAREWELLS = 3
FAREWELL_GAP_MS = 20
"""A farewell is said three times, for one frame may be lost (shared/protocol, state table)."""
STOP_LIMIT_MS = 8_000
"""A stopping member gives its groups away for this long: some refusals, and host services that take their time."""
RELEASE_LIMIT_MS = 3_000
"""Then it lets go, and leaves after this whatever the kernel says: a lifetime of 1 s, its lateness, and some more."""


class Farewell:
    """Of one node."""

    def __init__(self) -> None:
        self._begun_ms: int | None = None
        self._next_ms = 0
        self._said = 0

    @property
    def begun(self) -> bool:
        """Whether this member is leaving."""
        return self._begun_ms is not None

    def begin(self, now: int) -> None:
        """Leave. Asked again, it goes on leaving."""
        if self._begun_ms is None:
            self._begun_ms = self._next_ms = now

    def is_over_time(self, now: int) -> bool:
        """Whether everything must be let go now, given away or not."""
        return self._begun_ms is not None and now >= self._begun_ms + STOP_LIMIT_MS

    def say(self, *, busy: bool, now: int) -> bool:
        """Whether the last word must be said now. `busy`: something is held, or running, still."""
        if self._begun_ms is None or now < self._next_ms:
            return False
        if busy and now < self._begun_ms + STOP_LIMIT_MS + RELEASE_LIMIT_MS:
            return False
        self._said += 1
        self._next_ms = now + FAREWELL_GAP_MS
        return True

    @property
    def over(self) -> bool:
        """Whether everything is said."""
        return self._said >= FAREWELLS

    def due_ms(self) -> list[int]:
        """When it must be looked at again."""
        if self._begun_ms is None:
            return []
        return [self._next_ms, self._begun_ms + STOP_LIMIT_MS, self._begun_ms + STOP_LIMIT_MS + RELEASE_LIMIT_MS]
