"""The addresses of this node that are not this project's: of which families an interface has some, which are for good.

Looked at before a cluster is started or changed, and soon after an address came or went: a storm costs one look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from vyos_agent.edge.kernel import Entry, Kernel
from vyos_agent.edge.links import Links

logger = logging.getLogger(__name__)

FOR_GOOD_S = 60
"""An address without this project's mark that lives longer than this is not from here: a lifetime is shorter than the
dead interval, and that is 60 s at most."""
SETTLE_S = 0.05
RETRY_S = 1.0


class NodeAddresses:
    """One per daemon, in the loop's thread."""

    def __init__(self, links: Links) -> None:
        self.listeners: set[Callable[[], None]] = set()
        """Called when what is known here has changed."""
        self._links = links
        self._entries: frozenset[Entry] | None = None
        self._families: dict[int, frozenset[int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stale = False
        self._closed = False

    async def look(self) -> None:
        """Look now: what is set before a cluster is started is known to it before it can claim anything."""
        self._stale = False
        try:
            found = await self._links.run(self._ask)
        except OSError as error:
            logger.error("the kernel refuses to tell about addresses: %s", error.strerror)
            if not self._closed and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(RETRY_S, self._begin)
            return
        before, self._entries = self._entries, found
        self._families = {}
        for entry in found:
            self._families[entry.index] = self._families.get(entry.index, frozenset()) | {entry.ip.version}
        if _told(before) != _told(found):
            for listener in tuple(self.listeners):
                listener()

    def moved(self) -> None:
        """An address of somebody else came or went: look again soon."""
        self._stale = True
        if self._timer is None and self._task is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(SETTLE_S, self._begin)

    def families(self, index: int) -> frozenset[int] | None:
        """The IP versions of which an interface has an address; None: not known yet."""
        return None if self._entries is None else self._families.get(index, frozenset())

    def for_good(self, address: str) -> str | None:
        """The interface that has this address for good, and not from this project; None: there is none."""
        for entry in self._entries or ():
            if entry.address == address and entry.left_s >= FOR_GOOD_S:
                with contextlib.suppress(OSError):  # it has gone since
                    return socket.if_indextoname(entry.index)
        return None

    async def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _begin(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self.look(), name="addresses of the node")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if self._stale:
            self.moved()

    @staticmethod
    def _ask() -> frozenset[Entry]:
        with contextlib.closing(Kernel()) as kernel:
            return frozenset(e for e in kernel.addresses() if not e.marked)


def _told(entries: frozenset[Entry] | None) -> object:
    """All that others may ask for: entries compare without the life that they have left."""
    return None if entries is None else frozenset((e, e.left_s >= FOR_GOOD_S) for e in entries)
