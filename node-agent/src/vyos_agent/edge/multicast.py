"""A cluster's heartbeat sockets: one per interface, each hearing only frames of this cluster.

A socket per cluster, not one shared by all: a multicast datagram reaches every socket that has joined, and each has a
filter in the kernel on magic, cluster and length, so that a flood at one cluster neither wakes nor crowds another.
Frames are not parsed here. What cannot be sent is counted by the name of its error, and is never fatal.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import itertools
import logging
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence

from vyos_agent.config import Endpoint
from vyos_agent.core import wire
from vyos_agent.core.events import Frame
from vyos_agent.edge import bpf
from vyos_agent.edge.clock import NS_PER_MS

logger = logging.getLogger(__name__)

FRAMES_MAX = 256
"""Frames taken in one turn; what is left wakes the loop again (shared/protocol README)."""
RECEIVE_BUFFER = 512 * 1024
"""Some 500 small frames of the largest cluster's 63 peers; bounded, as anybody on the LAN can fill it."""
STEP_NS = 5 * NS_PER_MS
"""The wall clock was set when it moved so much against the monotonic one; less is the time between two readings."""
STAMP = struct.Struct("=qq")
"""struct __kernel_timespec, the same on every architecture since Linux 5.1."""
SPACE = socket.CMSG_SPACE(STAMP.size)

SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS_NEW = 64
SO_BINDTOIFINDEX = 62
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
"""asm-generic/socket.h, linux/in.h, linux/in6.h: what Python's socket module has no name for."""
UDP_HEADER = 8
"""A socket filter on UDP sees the header first (udp_queue_rcv_one_skb in net/ipv4/udp.c)."""


def open_socket(endpoint: Endpoint, cluster_id: bytes, index: int) -> socket.socket:
    """A socket that has joined the group on one interface. Blocking (joining takes RTNL). Raises OSError."""
    v4 = endpoint.group.version == 4
    sock = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, index)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1)
        bpf.attach(sock, _filter(cluster_id))
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
        self._drained_ms: int | None = None
        self._offset_ns = _offset_ns()

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
        """What is queued, at most FRAMES_MAX, dated on the core's clock, oldest first. Never blocks."""
        offset_ns = _offset_ns()
        stepped = abs(offset_ns - self._offset_ns) > STEP_NS
        self._offset_ns = offset_ns
        wall_ns = time.time_ns()
        floor = now if stepped or self._drained_ms is None else self._drained_ms
        sources = [_received(name, sock) for name, (_, sock) in self._sockets.items()]
        frames = [
            Frame(data, interface, min(now, max(floor, now - (wall_ns - stamp_ns) // NS_PER_MS)))
            for interface, data, stamp_ns in itertools.islice(_fairly(sources), FRAMES_MAX)
        ]
        self._drained_ms = now
        return tuple(sorted(frames, key=lambda f: f.at_ms))


def _received(interface: str, sock: socket.socket) -> Iterator[tuple[str, bytes, int]]:
    """Queued datagrams with the kernel's stamp, wall clock in nanoseconds."""
    while True:
        try:
            data, control, _, _ = sock.recvmsg(wire.FRAME_MAX + 1, SPACE)
        except OSError:
            return  # empty, or the interface is going away: the next link event tells
        seconds, nanoseconds = STAMP.unpack_from(control[0][2]) if control else (0, time.time_ns())
        yield interface, data, seconds * 1_000_000_000 + nanoseconds


def _fairly(sources: list[Iterator[tuple[str, bytes, int]]]) -> Iterator[tuple[str, bytes, int]]:
    """One of each in turn, so that a flood on one interface leaves the others their share."""
    while sources:
        for source in list(sources):
            try:
                yield next(source)
            except StopIteration:
                sources.remove(source)


def _offset_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


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


def _filter(cluster_id: bytes) -> bytes:
    """Magic, cluster and length, in this order."""
    words = [(0, wire.MAGIC)]
    words += [(wire.CLUSTER_ID.start + i, cluster_id[i : i + 4]) for i in range(0, len(cluster_id), 4)]
    checks: list[bpf.Instruction] = []
    for offset, word in words:
        checks += [(bpf.LD_W, UDP_HEADER + offset), (bpf.JEQ, int.from_bytes(word, "big"))]
    checks += [(bpf.LD_LEN, 0), (bpf.JGE, UDP_HEADER + wire.FRAME_MIN), (bpf.JGT, UDP_HEADER + wire.FRAME_MAX)]
    return bpf.program(checks)
