"""When this node sent which sequence: the other half of every proof."""

from __future__ import annotations

import bisect

from vyos_agent.core import wire

KEPT_MS = 70_000
"""Longer than an age in a frame can say (65.5 s): what a frame acknowledges dates it, also after a long cut."""
SPARE = 256
"""Forgotten entries are cut off by so many at a time."""


class SentLog:
    """When this node sent which sequence: the other half of a proof."""

    def __init__(self) -> None:
        self.newest = 0
        self._forgotten = 0
        self._sequences: list[int] = []
        self._sent_ms: list[int] = []

    def sent(self, newest: int, now: int) -> None:
        """Sequences up to `newest` have gone out now."""
        self.newest = newest
        self._sequences.append(newest)
        self._sent_ms.append(now)
        old = bisect.bisect_left(self._sent_ms, now - KEPT_MS)
        if old >= SPARE:
            self._forgotten = self._sequences[old - 1]
            del self._sequences[:old], self._sent_ms[:old]

    def at_ms(self, sequence: int) -> int | None:
        """When it went out; None: too long ago, or never."""
        if not self._forgotten < sequence <= self.newest:
            return None
        return self._sent_ms[bisect.bisect_left(self._sequences, sequence)]

    def whole(self, low: int) -> int | None:
        """The sequence whose low 32 bits these are; None: this life has sent no such frame."""
        sequence = self.newest - ((self.newest - low) & wire.LOW_32)
        return sequence if sequence > 0 else None
