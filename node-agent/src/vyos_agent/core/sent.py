"""When this node sent which sequence: the other half of every proof."""

from __future__ import annotations

import collections

from vyos_agent.core import wire


class SentLog:
    """When this node sent which sequence: the other half of a proof."""

    def __init__(self) -> None:
        self.newest = 0
        self._forgotten = 0
        self._log: collections.deque[tuple[int, int]] = collections.deque()

    def sent(self, newest: int, now: int, keep_ms: int) -> None:
        """Sequences up to `newest` have gone out now; those older than `keep_ms` prove nothing any more."""
        self.newest = newest
        self._log.append((newest, now))
        while self._log[0][1] < now - keep_ms:
            self._forgotten, _ = self._log.popleft()

    def at_ms(self, sequence: int) -> int | None:
        """When it went out; None: too long ago, or never."""
        if not self._forgotten < sequence <= self.newest:
            return None
        found = None
        for newest, at_ms in reversed(self._log):
            if newest < sequence:
                break
            found = at_ms
        return found

    def whole(self, low: int) -> int | None:
        """The sequence whose low 32 bits these are; None: this life has sent no such frame."""
        sequence = self.newest - ((self.newest - low) & wire.LOW_32)
        return sequence if sequence > 0 else None
