"""A cluster's heartbeat sockets: one per interface, each hearing only frames of this cluster.

A socket per cluster, not one shared by all: a multicast datagram reaches every socket that has joined, and each has a
filter in the kernel on magic, cluster and length, so that a flood at one cluster neither wakes nor crowds another.
Frames are not parsed here. What cannot be sent is counted by the name of its error, and is never fatal.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence

from vyos_agent.config import Endpoint
from vyos_agent.core.events import Frame
from vyos_agent.core.model import wire_id
from vyos_agent.edge import bpf, frames

logger = logging.getLogger(__name__)

SO_BINDTOIFINDEX = 62
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
"""asm-generic/socket.h, linux/in.h, linux/in6.h: what Python's socket module has no name for."""


SENDER = slice(28, 32)
"""Where a frame names its sender (`core.wire`). Believed for reports only: the frame is not opened here."""


def open_socket(endpoint: Endpoint, cluster_id: bytes, index: int) -> socket.socket:
    """A socket that has joined the group on one interface. Blocking (joining takes RTNL). Raises OSError."""
    v4 = endpoint.group.version == 4
    sock = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, index)
        frames.prepare(sock)
        bpf.attach(sock, bpf.program([*frames.magic(), *frames.of_cluster(cluster_id)]))
        (_bind_v4 if v4 else _bind_v6)(sock, endpoint, index)
    except OSError:
        sock.close()
        raise
    return sock


class Multicast:
    """The open sockets of one cluster, by interface."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.errors: collections.Counter[str] = collections.Counter()
        """Datagrams that were not accepted for sending, by the error's name."""
        self._sockets: dict[str, tuple[int, socket.socket]] = {}
        self._failing: dict[str, str] = {}
        self._dates = frames.Dates()
        self._members: frozenset[bytes] = frozenset()
        self._sources: dict[tuple[str, bytes], str] = {}

    def expect(self, members: Iterable[str]) -> None:
        """Whose addresses `source` is to know."""
        self._members = frozenset(_sender(member) for member in members)

    def attach(self, interface: str, index: int, sock: socket.socket) -> None:
        """Use this socket for an interface that has none."""
        assert interface not in self._sockets, interface
        self._sockets[interface] = (index, sock)

    def detach(self, interface: str) -> socket.socket | None:
        """Use the interface's socket no more; closing it is the caller's, as leaving a group takes RTNL."""
        _, sock = self._sockets.pop(interface, (0, None))
        return sock

    def index(self, interface: str) -> int | None:
        """The kernel's number of the interface that its socket is bound to."""
        return self._sockets[interface][0] if interface in self._sockets else None

    def fileno(self, interface: str) -> int:
        """The descriptor of its socket, -1 if it has none."""
        return self._sockets[interface][1].fileno() if interface in self._sockets else -1

    def refusal(self, interface: str) -> str | None:
        """Why the newest frame did not go out there; None: it did, or none was sent yet."""
        return self._failing.get(interface)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Those with an open socket."""
        return tuple(self._sockets)

    def send(self, datagrams: Mapping[str, Sequence[bytes]]) -> bool:
        """Multicast a frame's parts on each interface; whether one of them took them all."""
        target = (str(self.endpoint.group), self.endpoint.port)
        return any([self._send(interface, parts, target) for interface, parts in datagrams.items()])

    def _send(self, interface: str, parts: Sequence[bytes], target: tuple[str, int]) -> bool:
        try:
            if interface not in self._sockets:
                raise OSError(errno.ENODEV, "no socket")
            for data in parts:
                self._sockets[interface][1].sendto(data, target)
        except OSError as error:
            self._failed(interface, error)
            return False
        if self._failing.pop(interface, None):
            logger.info("%s: heartbeats go out again", interface)
        return True

    def _failed(self, interface: str, error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, "EIO")
        self.errors[name] += 1
        if self._failing.get(interface) != name:
            self._failing[interface] = name
            logger.warning("%s: heartbeats do not go out: %s (told once until it changes)", interface, error.strerror)

    def drain(self, now: int) -> tuple[Frame, ...]:
        """What is queued, dated on the core's clock, oldest first; no more than a turn's worth. Never blocks."""
        sockets = self._sockets.items()
        return self._dates.frames([frames.received(name, sock, self._noter(name)) for name, (_, sock) in sockets], now)

    def source(self, member: str, interface: str) -> str | None:
        """The address that a member's frames come from on an interface, by the frames' own word."""
        return self._sources.get((interface, _sender(member)))

    def _noter(self, interface: str) -> frames.Note:
        def note(data: bytes, address: str) -> None:
            sender = data[SENDER]
            if sender in self._members:
                self._sources[interface, sender] = address.partition("%")[0]

        return note


def _sender(member: str) -> bytes:
    return wire_id(member).to_bytes(4, "big")


def _bind_v4(sock: socket.socket, endpoint: Endpoint, index: int) -> None:
    group = endpoint.group.packed
    sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, endpoint.ttl)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    sock.bind((str(endpoint.group), endpoint.port))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("=4s4si", group, b"", index))


def _bind_v6(sock: socket.socket, endpoint: Endpoint, index: int) -> None:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    with contextlib.suppress(OSError):  # since Linux 4.20; without it other joins of this machine are heard too
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, endpoint.ttl)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    sock.bind((str(endpoint.group), endpoint.port, 0, index))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("=16si", endpoint.group.packed, index))
