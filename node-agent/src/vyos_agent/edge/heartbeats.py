"""One way for frames, in and out: multicast on each interface, and unicast beside it where that is wanted.

Interfaces that are missing are joined when they come, and sockets that cannot be opened are tried again. Frames are
neither read nor made here.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ipaddress
import logging
from collections.abc import Callable, Mapping

from vyos_agent.config import UNICAST
from vyos_agent.core.events import Frame
from vyos_agent.edge import unicast
from vyos_agent.edge.kernel import Link
from vyos_agent.edge.links import Links
from vyos_agent.edge.multicast import Multicast, open_socket
from vyos_agent.edge.orders import Item
from vyos_agent.edge.unicast import Unicast

logger = logging.getLogger(__name__)

RETRY_S = 1.0
"""When to try again to open a socket that could not be opened."""


class Heartbeats:
    """See the module's text. `apply` whenever the item changes; `listen` once there is somebody to be woken."""

    def __init__(self, item: Item, links: Links, hub: Unicast, wake: Callable[[], None]) -> None:
        self._item = item
        self._links = links
        self._wake = wake
        self._multicast = Multicast(item.endpoint)
        self._door = hub.open(item.core.cluster_id, item.config.cluster, self._frames_came)
        self.unicast_accepted = True
        """Whether one member's address took the newest frame."""
        self._listening = False
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._unopened: dict[str, str] = {}
        self._loop = asyncio.get_running_loop()

    # -- life

    async def apply(self, item: Item) -> None:
        """Have the sockets that this configuration asks for; what is wanted no more is closed by `settle`."""
        self._item = item
        await self._open_sockets()
        self._multicast.expect(item.core.members)
        self._door.configure(item.endpoint.port, unicast.others(item.core.me, item.config.nodes.items()))

    def settle(self) -> None:
        """The core speaks on the new interfaces only: close the others."""
        for name in set(self._multicast.interfaces) - set(self._item.config.interfaces):
            self._drop(name)

    def listen(self) -> None:
        """Call `wake` whenever frames have come."""
        self._listening = True
        for name in self._multicast.interfaces:
            self._listen(name)

    async def close(self) -> None:
        """Give every socket back."""
        self._listening = False
        await asyncio.gather(*self._tasks)
        if self._retry is not None:
            self._retry.cancel()
        for name in self._multicast.interfaces:
            self._drop(name)
        self._door.close()

    # -- frames

    def drain(self, at_ms: int) -> tuple[Frame, ...]:
        """Frames that have come, oldest first."""
        found = self._multicast.drain(at_ms)
        straight = self._door.drain(at_ms)
        return tuple(sorted(found + straight, key=lambda f: f.at_ms)) if straight else found

    def send(self, datagrams: Mapping[str, tuple[bytes, ...]]) -> bool:
        """Send; whether one interface, or one member's address, took it all."""
        sent = self._multicast.send({name: parts for name, parts in datagrams.items() if name != UNICAST})
        if UNICAST not in datagrams:
            return sent
        self.unicast_accepted = self._door.send(datagrams[UNICAST])
        return self.unicast_accepted or sent

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Those with an open socket."""
        return self._multicast.interfaces

    @property
    def group(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The multicast group."""
        return self._item.endpoint.group

    def refusal(self, interface: str) -> str | None:
        """Why no frame goes out on an interface, as far as the socket says; None: nothing is known against it."""
        return self._unopened.get(interface) or self._multicast.refusal(interface)

    def source(self, member: str, interface: str) -> str | None:
        """The address that a member's frames come from on an interface."""
        return self._multicast.source(member, interface)

    @property
    def unicast_heard_ms(self) -> int | None:
        """When a frame last came by unicast."""
        return self._door.heard_ms

    @property
    def errors(self) -> dict[str, Mapping[str, int]]:
        """Datagrams that were not accepted for sending, by way and the error's name."""
        return {"multicast": self._multicast.errors, "unicast": self._door.errors}

    # -- sockets

    def link_changed(self, name: str, link: Link | None) -> None:
        """An interface came, went, or is another one now."""
        if name in self._item.config.interfaces and self._multicast.index(name) != (link.index if link else None):
            self._open_later()

    def _frames_came(self) -> None:
        if self._listening:
            self._wake()

    def _listen(self, interface: str) -> None:
        self._loop.add_reader(self._multicast.fileno(interface), self._wake)

    def _drop(self, interface: str) -> None:
        fd = self._multicast.fileno(interface)
        if fd >= 0:
            self._loop.remove_reader(fd)
        sock = self._multicast.detach(interface)
        if sock is not None:
            self._links.soon(sock.close)
        self._unopened.pop(interface, None)

    def _open_later(self) -> None:
        self._retry = None
        task = self._loop.create_task(self._open_sockets(), name=f"sockets of {self._item.config.cluster}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open_sockets(self) -> None:
        """One socket for each heartbeat interface that is there, bound to what it is now."""
        async with self._opening:
            self._unopened = {n: text for n, text in self._unopened.items() if self._links.get(n) is not None}
            old = self._multicast
            new = old if old.endpoint == self._item.endpoint else Multicast(self._item.endpoint)
            # With another endpoint also where it spoke until now: the core may have a frame due there before it learns
            for name in dict.fromkeys(self._item.config.interfaces + (() if new is old else old.interfaces)):
                link = self._links.get(name)
                if new.index(name) == (link.index if link else None):
                    continue
                if new is old:
                    self._drop(name)
                if link is not None:
                    await self._open(new, name, link)
            if new is not old:
                for name in old.interfaces:
                    self._drop(name)
                new.errors.update(old.errors)
                self._multicast = new
                if self._listening:
                    self.listen()
            if self._unopened and self._retry is None:
                self._retry = self._loop.call_later(RETRY_S, self._open_later)

    async def _open(self, multicast: Multicast, name: str, link: Link) -> None:
        endpoint = multicast.endpoint
        opening = functools.partial(open_socket, endpoint, self._item.core.cluster_id, link.index)
        try:
            sock = await self._links.run(opening)
        except OSError as error:
            self._cannot_open(name, error)
            return
        self._unopened.pop(name, None)
        multicast.attach(name, link.index, sock)
        if self._listening and multicast is self._multicast:
            self._listen(name)
        cluster = self._item.config.cluster
        logger.info("%s: heartbeats on %s (%s port %d)", cluster, name, endpoint.group, endpoint.port)

    def _cannot_open(self, name: str, error: OSError) -> None:
        text = error.strerror or str(error)
        if error.errno == errno.EACCES:
            text += f" (a port below 1024, such as {self._item.endpoint.port}, needs NET_BIND_SERVICE)"
        if self._unopened.get(name) != text:
            self._unopened[name] = text
            logger.warning("%s: no heartbeats on %s: %s; trying again", self._item.config.cluster, name, text)
