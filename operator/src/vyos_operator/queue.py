"""The work queue: names that need a look, each looked at by one worker at a time, with retries.

It knows levels only: a name is dirty or it is not, whatever happened and however often. That replaces kopf's own
handling of changes, which would write an annotation (with the pre-shared secret in it) to every resource. It decides
nothing about clusters and never talks to the API.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

WORKERS = 8
"""Clusters under work at once: enough to hide round trips, few enough for the API server's fairness queues."""
SETTLE_S = 0.1
"""A takeover is several writes of several agents; waiting this long makes one look of them."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 60.0
"""The first retry and the longest wait between two; each failure doubles."""


class Retry(Exception):
    """A failure that time may mend (the API server, mostly): logged in one line, without a traceback."""


class WorkQueue:
    """Dirty names and the workers that clean them; must be used within one event loop."""

    def __init__(self, reconcile: Callable[[str], Awaitable[None]], *, workers: int = WORKERS) -> None:
        self._reconcile = reconcile
        self._workers = workers
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        """All of `_due` but names under work, and what was true before; the one that is due first is on top."""
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._changed = asyncio.Event()

    def mark(self, name: str, *, delay_s: float = SETTLE_S) -> None:
        """Have a look at `name` soon. A name that waits for a retry is looked at earlier, but not in a tight loop."""
        due = max(asyncio.get_running_loop().time() + delay_s, self._not_before.get(name, 0.0))
        if due < self._due.get(name, math.inf):
            self._put(name, due)
            self._changed.set()

    @property
    def idle(self) -> bool:
        """Whether no name is dirty or under work."""
        return not self._due and not self._busy

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"reconciler {number}")

    async def _work(self) -> None:
        while True:
            name = await self._next()
            self._busy.add(name)
            try:
                await self._reconcile(name)
            except Exception as error:  # whatever it was: this name is tried again, others go on
                self._failed(name, error)
            else:
                self._failures.pop(name, None)
                self._not_before.pop(name, None)
            finally:
                self._busy.discard(name)
                if name in self._due:
                    self._put(name, self._due[name])
                self._changed.set()

    def _put(self, name: str, due: float) -> None:
        self._due[name] = due
        heapq.heappush(self._heap, (due, name))

    def _stale(self, due: float, name: str) -> bool:
        """Whether an entry of the heap counts no more, or not now: it is put there anew when its worker is done."""
        return name in self._busy or self._due.get(name) != due

    def _failed(self, name: str, error: Exception) -> None:
        count = self._failures[name] = self._failures.get(name, 0) + 1
        wait_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(count - 1, 16))
        now = asyncio.get_running_loop().time()
        self._not_before[name] = now + BACKOFF_FIRST_S
        due = max(self._due.get(name, now + wait_s), self._not_before[name])
        self._due[name] = min(due, now + wait_s)
        logger.warning(
            "%s: try %d failed, next in %.1f s: %s: %s",
            name,
            count,
            self._due[name] - now,
            type(error).__name__,
            error,
            exc_info=None if isinstance(error, Retry) else error,
        )

    async def _next(self) -> str:
        """The name that is due first and that no other worker has; waits for one."""
        loop = asyncio.get_running_loop()
        while True:
            while self._heap and self._stale(*self._heap[0]):
                heapq.heappop(self._heap)
            wait_s = self._heap[0][0] - loop.time() if self._heap else None
            if wait_s is not None and wait_s <= 0:
                _, name = heapq.heappop(self._heap)
                del self._due[name]
                return name
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass
