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
import random
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

WORKERS = 8
"""Clusters under work at once: enough to hide round trips, few enough for the API server's fairness queues."""
SETTLE_S = 0.1
"""A takeover is several writes of several agents; waiting this long makes one look of them."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 60.0
"""The first retry and the longest wait between two; each failure doubles."""


OUTAGE_FIRST_S = 1.0
OUTAGE_MAX_S = 3.0
"""The wait after an Outage: no less than a server's Retry-After (1 s in kube-apiserver), and soon enough to have caught
up 5 s after its end."""
OUTAGE_TRIES_PER_S = 2.5
"""With many names the waits are longer, so that all of them together ask about so often; the first that succeeds tells
that the outage is over, and the others follow at once."""
OUTAGE_OVER = 3
"""So many failures in a row make an outage; one name may always fail, by a webhook that answers 500 for it alone."""


class Retry(Exception):
    """A failure that time may mend (the API server, mostly): logged in one line, without a traceback."""


class Outage(Retry):
    """The server did not answer, or was in no state to: it is not about the name."""


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
        self._outage: set[str] = set()
        """The names whose last try met an outage."""
        self._in_a_row = 0
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
                self._worked(name)
            finally:
                self._busy.discard(name)
                if name in self._due:
                    self._put(name, self._due[name])
                self._changed.set()

    def _worked(self, name: str) -> None:
        """The server answered: what failed because it did not is due again."""
        self._outage.discard(name)
        if self._in_a_row >= OUTAGE_OVER:
            for other in self._outage:
                self.mark(other, delay_s=0.0)
        self._in_a_row = 0

    def _put(self, name: str, due: float) -> None:
        self._due[name] = due
        heapq.heappush(self._heap, (due, name))

    def _stale(self, due: float, name: str) -> bool:
        """Whether an entry of the heap counts no more, or not now: it is put there anew when its worker is done."""
        return name in self._busy or self._due.get(name) != due

    def _failed(self, name: str, error: Exception) -> None:
        count = self._failures[name] = self._failures.get(name, 0) + 1
        wait_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(count - 1, 16))
        if isinstance(error, Outage):
            self._outage.add(name)
            self._in_a_row += 1
            wait_s = random.uniform(OUTAGE_FIRST_S, max(OUTAGE_MAX_S, 2 * len(self._outage) / OUTAGE_TRIES_PER_S))
        else:
            self._worked(name)  # it was answered
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
