"""How long to wait after a failure: doubling up to a cap, shortened at random so that agents do not come in step."""

from __future__ import annotations

import random

FIRST_MS = 200
CAP_MS = 1500
"""The status catches up within 5 s of the API server's return: one wait, one connection, two requests."""


class Backoff:
    """The waits between attempts at one thing."""

    def __init__(self, first_ms: int = FIRST_MS, cap_ms: int = CAP_MS) -> None:
        self._first_ms = first_ms
        self._cap_ms = cap_ms
        self._next_ms = first_ms

    def failed(self) -> int:
        """One more failure: so long to wait now."""
        wait_ms = self._next_ms
        self._next_ms = min(self._cap_ms, 2 * self._next_ms)
        return random.randint(wait_ms // 2, wait_ms)

    def worked(self) -> None:
        """It worked: the next failure is a first one."""
        self._next_ms = self._first_ms
