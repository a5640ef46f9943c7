"""A revision that rises when what is shown says something new, and the wait for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bulletin:
    """In the loop's thread."""

    def __init__(self, shown: Callable[[], object]) -> None:
        """`shown()`: what is compared; counters are no part of it."""
        self.revision = 0
        self._read = shown
        self._shown: object = None
        self._moved = asyncio.Event()
        self._looking = False

    def look_soon(self) -> None:
        """Once for all that changes in this turn of the loop."""
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    async def wait(self, after: int | None, timeout_s: float) -> None:
        """Until the revision is not `after`, or the time is over; at once where it is not."""
        self._look()
        if after == self.revision:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._moved.wait()
            except TimeoutError:
                pass

    def _look(self) -> None:
        self._looking = False
        shown = self._read()
        if shown != self._shown:
            self._shown = shown
            self.revision += 1
            self._moved.set()
            self._moved = asyncio.Event()
