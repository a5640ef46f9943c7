"""Which interfaces there are, by the names that configurations use, and whether they have a carrier.

Netlink's events are read for their fixed headers only: the flags tell a carrier at once; anything else about a link is
asked again in a thread, where waiting for RTNL harms nobody. Events about addresses are passed on as hints.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import errno
import logging
import socket
from collections.abc import Callable, Iterable
from typing import TypeVar

from vyos_agent.edge import manners, netlink
from vyos_agent.edge.finding import Subnet
from vyos_agent.edge.kernel import IFADDR, IFINFO, READY, RTM_DELADDR, RTM_NEWADDR, RTM_NEWLINK, Kernel, Link

logger = logging.getLogger(__name__)

T = TypeVar("T")

RTM_DELLINK = 17
SO_RCVBUFFORCE = 33
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
"""linux/rtnetlink.h."""
READS_MAX = 64
"""Datagrams read in one go: a storm of links (pods) must not keep the loop from the heartbeat."""
RECEIVE_BUFFER = 1 << 20
SETTLE_S = 0.02
"""Links come with a handful of events each: one look for all of them."""
RETRY_S = 1.0


class Links:
    """The table of the interfaces that somebody wants to know about."""

    def __init__(
        self,
        *,
        on_link: Callable[[str, Link | None], None],
        on_address: Callable[[int | None, int, bool], None],
        make: Callable[[], Kernel] = Kernel,
    ) -> None:
        """`on_address(index, port, removed)`: an address there was removed, or set (None: anywhere, anything), by the
        socket of that port."""
        self._on_link = on_link
        self._on_address = on_address
        self._make = make
        self._table: dict[str, Link | None] = {}
        self._wanted: frozenset[str] = frozenset()
        self._worker = concurrent.futures.ThreadPoolExecutor(1, "links", manners.join_in)
        self._kernel: Kernel | None = None
        self._sock: socket.socket | None = None
        self._reopen: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stale = False

    def start(self) -> None:
        """Listen for events. Raises OSError."""
        self._listen()

    def _listen(self) -> None:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        sock.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        self._sock = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)

    async def close(self) -> None:
        """Stop listening and looking."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()
        if self._reopen is not None:
            self._reopen.cancel()
        if self._look is not None:
            self._look.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._kernel is not None:
            self._worker.submit(self._kernel.close)
        self._worker.shutdown()

    async def want(self, names: Iterable[str]) -> None:
        """Watch exactly these; returns when each is known, or known to be absent."""
        self._wanted = frozenset(names)
        self._table = {name: link for name, link in self._table.items() if name in self._wanted}
        while self._wanted - self._table.keys():
            await self._refresh()

    def get(self, name: str) -> Link | None:
        """What is known of an interface; None: there is none of this name, or nobody wanted it."""
        return self._table.get(name)

    async def subnets(self) -> list[Subnet]:
        """Every address of the node's own that brings a subnet along. Raises OSError."""
        return await self.run(self._subnets)

    async def run(self, work: Callable[[], T]) -> T:
        """Do work that takes RTNL in the thread that may wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def soon(self, work: Callable[[], None]) -> None:
        """The same for work that nobody waits for."""
        self._worker.submit(work)

    # -- events

    def _readable(self) -> None:
        assert self._sock is not None
        for _ in range(READS_MAX):
            try:
                data = self._sock.recv(netlink.RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    self._lose(error)
                    return
                self._on_address(None, 0, True)  # events were lost: look at everything
                self._look_soon()
                continue
            for kind, _, _, port, body in netlink.messages(data):
                self._event(kind, port, body)

    def _lose(self, error: OSError) -> None:
        """Close a socket that fails: its reader would be called in every turn of the loop. Another follows."""
        assert self._sock is not None
        logger.error("events about links are lost: %s; listening again in %g s", error, RETRY_S)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._sock = None
        self._reopen = loop.call_later(RETRY_S, self._listen_again)

    def _listen_again(self) -> None:
        self._reopen = None
        try:
            self._listen()
        except OSError as error:
            logger.error("cannot listen for events about links: %s; trying again in %g s", error, RETRY_S)
            self._reopen = asyncio.get_running_loop().call_later(RETRY_S, self._listen_again)
        self._on_address(None, 0, True)  # whatever happened meanwhile was not heard
        self._look_soon()

    def _event(self, kind: int, port: int, body: bytes) -> None:
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            self._on_address(IFADDR.unpack_from(body)[4], port, kind == RTM_DELADDR)
        elif kind in (RTM_NEWLINK, RTM_DELLINK):
            _, _, _, index, flags, _ = IFINFO.unpack_from(body)
            known = [(name, link) for name, link in self._table.items() if link is not None and link.index == index]
            for name, link in known:
                up = kind == RTM_NEWLINK and flags & READY == READY
                self._set(name, dataclasses.replace(link, up=up))
            if known or None in self._table.values():
                self._look_soon()

    def _look_soon(self) -> None:
        self._stale = True
        if self._look is None and self._task is None:
            self._look = asyncio.get_running_loop().call_later(SETTLE_S, self._begin)

    def _begin(self) -> None:
        self._look = None
        self._task = asyncio.create_task(self._refresh(), name="links")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        error = task.exception()
        if error is not None:
            logger.error("the kernel refuses to tell about links: %s", error)
            self._look = asyncio.get_running_loop().call_later(RETRY_S, self._begin)
        elif self._stale and self._sock is not None and self._sock.fileno() >= 0:
            self._look_soon()

    async def _refresh(self) -> None:
        """Ask about every name; what an event overtook meanwhile is asked again."""
        self._stale = False
        names = self._wanted
        found = await asyncio.get_running_loop().run_in_executor(self._worker, self._ask, names)
        for name, link in found.items():
            if name in self._wanted and not (self._stale and name in self._table):
                self._set(name, link)

    def _ask(self, names: frozenset[str]) -> dict[str, Link | None]:
        kernel = self._door()
        return {name: kernel.link(name) for name in names}

    def _subnets(self) -> list[Subnet]:
        kernel = self._door()
        entries = [e for e in kernel.addresses() if not e.marked and e.prefix < e.ip.max_prefixlen]
        links = {index: kernel.link_at(index) for index in {e.index for e in entries}}
        return [Subnet(link.name, e) for e in entries if (link := links[e.index]) is not None]

    def _door(self) -> Kernel:
        if self._kernel is None:
            self._kernel = self._make()
        return self._kernel

    def _set(self, name: str, link: Link | None) -> None:
        known = name in self._table
        before = self._table.get(name)
        self._table[name] = link
        if not known or before != link:
            self._on_link(name, link)
