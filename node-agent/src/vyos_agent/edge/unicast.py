"""Frames straight to the members' node addresses, for networks that lose multicast: one more link of a cluster.

One socket per family and port for all clusters of the daemon, as the kernel gives a datagram to a node's address to one
socket only. Its filter knows the clusters; what passes is sorted into each one's queue, which is bounded.
"""

from __future__ import annotations

import asyncio
import collections
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable, Sequence

from vyos_agent.config import UNICAST
from vyos_agent.core import wire
from vyos_agent.core.events import Frame
from vyos_agent.edge import bpf, frames

logger = logging.getLogger(__name__)

IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
"""linux/in.h, linux/in6.h: without them other joins of this machine would be heard here too."""
QUEUE_MAX = frames.FRAMES_MAX
RETRY_S = 1.0

Where = tuple[int, int]
"""IP version and port."""


class Door:
    """One cluster's way in and out."""

    def __init__(self, hub: Unicast, cluster_id: bytes, name: str, wake: Callable[[], None]) -> None:
        self.cluster_id = cluster_id
        self.name = name
        self.wake = wake
        self.queue: collections.deque[Frame] = collections.deque()
        self.overflows = 0
        self.port = 0
        self.members: dict[str, tuple[str, ...]] = {}
        self.heard_ms: int | None = None
        """When a frame last came this way."""
        self.errors: collections.Counter[str] = collections.Counter()
        """Datagrams that were not accepted for sending, by the error's name."""
        self._hub = hub
        self._failing: dict[str, str] = {}

    @property
    def used(self) -> bool:
        """Whether the cluster wants it at all."""
        return bool(self.members)

    def configure(self, port: int, members: dict[str, tuple[str, ...]]) -> None:
        """To whom: the node addresses of the other members; empty: not at all."""
        self.port, self.members = port, members
        self._failing = {a: e for a, e in self._failing.items() if any(a in found for found in members.values())}
        if not members:
            self.queue.clear()
        self._hub.changed()

    def send(self, parts: Sequence[bytes]) -> bool:
        """A frame's parts to every address of every member; whether one address took them all."""
        return any([self._send(address, parts) for found in self.members.values() for address in found])

    def drain(self, now: int) -> tuple[Frame, ...]:
        """What has come. Never blocks."""
        if not self.used:
            return ()
        self._hub.sort(now)
        found = tuple(self.queue)
        self.queue.clear()
        if found:
            self.heard_ms = now
        return found

    def take(self, frame: Frame) -> None:
        """One for this cluster has come."""
        if len(self.queue) < QUEUE_MAX:
            self.queue.append(frame)
        else:
            self.overflows += 1

    def close(self) -> None:
        """Neither in nor out any more."""
        self.configure(0, {})
        self._hub.forget(self)

    def _send(self, address: str, parts: Sequence[bytes]) -> bool:
        try:
            sock = self._hub.socket(_version(address), self.port)
            if sock is None:
                raise OSError(errno.ENODEV, "no socket")
            for data in parts:
                sock.sendto(data, (address, self.port))
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "EIO")
            self.errors[name] += 1
            if self._failing.get(address) != name:
                self._failing[address] = name
                text = "%s: heartbeats do not go out to %s: %s (told once until it changes)"
                logger.warning(text, self.name, address, error.strerror)
            return False
        if self._failing.pop(address, None):
            logger.info("%s: heartbeats go out to %s again", self.name, address)
        return True


class Unicast:
    """See the module's text. One per daemon, in the loop's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._doors: list[Door] = []
        self._sockets: dict[Where, tuple[socket.socket, frames.Dates]] = {}
        self._told: dict[Where, str] = {}
        self._retry: asyncio.TimerHandle | None = None

    def open(self, cluster_id: bytes, name: str, wake: Callable[[], None]) -> Door:
        """A cluster's door, shut until it is configured. `wake` is called when frames have come for it."""
        door = Door(self, cluster_id, name, wake)
        self._doors.append(door)
        return door

    def forget(self, door: Door) -> None:
        """The cluster is gone."""
        if door in self._doors:
            self._doors.remove(door)
        self.changed()

    def close(self) -> None:
        """No sockets any more."""
        self._cancel_retry()
        self._doors.clear()
        for where in list(self._sockets):
            self._drop(where)

    def socket(self, version: int, port: int) -> socket.socket | None:
        """The one for this family and port."""
        found = self._sockets.get((version, port))
        return found[0] if found is not None else None

    def changed(self) -> None:
        """Have the sockets that the doors need, and no others, each with a filter for its clusters."""
        self._cancel_retry()
        wanted = {(_version(a), d.port) for d in self._doors for found in d.members.values() for a in found}
        for where in self._sockets.keys() - wanted:
            self._drop(where)
        for where in wanted:
            try:
                self._have(where)
                self._told.pop(where, None)
            except OSError as error:
                text = error.strerror or str(error)
                if self._told.get(where) != text:
                    self._told[where] = text
                    logger.warning("no unicast heartbeats on IPv%d port %d: %s; trying again", *where, text)
                if self._retry is None:
                    self._retry = self._loop.call_later(RETRY_S, self.changed)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def sort(self, now: int) -> None:
        """Read the sockets and give each frame to its cluster."""
        doors: dict[tuple[int, bytes], list[Door]] = {}
        for door in self._doors:
            if door.used:
                doors.setdefault((door.port, door.cluster_id), []).append(door)
        for (_, port), (sock, dates) in self._sockets.items():
            for frame in dates.frames([frames.received(UNICAST, sock)], now):
                for door in doors.get((port, frame.data[wire.CLUSTER_ID]), ()):
                    door.take(frame)

    def _readable(self) -> None:
        """Each cluster drains for itself: the turn that is begun here reads the socket."""
        for door in [d for d in self._doors if d.used]:
            door.wake()

    def _have(self, where: Where) -> None:
        clusters = [d.cluster_id for d in self._doors if d.used and d.port == where[1]]
        program = bpf.program(frames.magic(), [frames.of_cluster(cluster_id) for cluster_id in clusters])
        if where in self._sockets:
            bpf.attach(self._sockets[where][0], program)
            return
        sock = _bound(*where, program)
        self._sockets[where] = (sock, frames.Dates())
        self._loop.add_reader(sock.fileno(), self._readable)

    def _drop(self, where: Where) -> None:
        sock, _ = self._sockets.pop(where)
        self._loop.remove_reader(sock.fileno())
        sock.close()


def others(me: str, nodes: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """The node addresses of all members but this one."""
    return {name: addresses for name, addresses in nodes if name != me and addresses}


def _bound(version: int, port: int, program: bytes) -> socket.socket:
    v4 = version == 4
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    sock = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        frames.prepare(sock)
        bpf.attach(sock, program)
        if v4:
            sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
        sock.bind(("0.0.0.0" if v4 else "::", port))
    except OSError:
        sock.close()
        raise
    return sock


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version
