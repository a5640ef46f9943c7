"""Datagrams as they come from a socket: when the kernel got them, on the core's clock, and no more than a turn's worth.

The kernel stamps by the wall clock. A frame's age by it is believed as long as that clock was not set meanwhile, and
never beyond the last time that the sockets were emptied.
"""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator

from vyos_agent.core import wire
from vyos_agent.core.events import Frame
from vyos_agent.edge import bpf
from vyos_agent.edge.clock import NS_PER_MS

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
"""asm-generic/socket.h: what Python's socket module has no name for."""
UDP_HEADER = 8
"""A socket filter on UDP sees the header first (udp_queue_rcv_one_skb in net/ipv4/udp.c)."""

Source = Iterator[tuple[str, bytes, int]]
"""Datagrams with their interface and the kernel's stamp, wall clock in nanoseconds."""
Note = Callable[[bytes, str], None]


class Dates:
    """Gives frames their dates: of the sockets that are emptied together."""

    def __init__(self) -> None:
        self._drained_ms: int | None = None
        self._offset_ns = _offset_ns()

    def frames(self, sources: Iterable[Source], now: int) -> tuple[Frame, ...]:
        """At most FRAMES_MAX of them, a fair share of each source, oldest first."""
        offset_ns = _offset_ns()
        stepped = abs(offset_ns - self._offset_ns) > STEP_NS
        self._offset_ns = offset_ns
        wall_ns = time.time_ns()
        floor = now if stepped or self._drained_ms is None else self._drained_ms
        frames = [
            Frame(data, interface, min(now, max(floor, now - (wall_ns - stamp_ns) // NS_PER_MS)))
            for interface, data, stamp_ns in itertools.islice(_fairly(list(sources)), FRAMES_MAX)
        ]
        self._drained_ms = now
        return tuple(sorted(frames, key=lambda f: f.at_ms))


def prepare(sock: socket.socket) -> None:
    """A buffer and stamps for a socket that frames come to. Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1)


def received(interface: str, sock: socket.socket, note: Note | None = None) -> Source:
    """What is queued in a socket. `note(data, address)` is told where each came from."""
    while True:
        try:
            data, control, _, address = sock.recvmsg(wire.FRAME_MAX + 1, SPACE)
        except OSError:
            return  # empty, or the interface is going away: the next link event tells
        if note is not None:
            note(data, address[0])
        seconds, nanoseconds = STAMP.unpack_from(control[0][2]) if control else (0, time.time_ns())
        yield interface, data, seconds * 1_000_000_000 + nanoseconds


def magic() -> list[bpf.Instruction]:
    """Checks that let frames of this protocol through, and of a length that can be."""
    return [
        *_word(0, wire.MAGIC),
        (bpf.LD_LEN, 0),
        (bpf.JGE, UDP_HEADER + wire.FRAME_MIN),
        (bpf.JGT, UDP_HEADER + wire.FRAME_MAX),
    ]


def of_cluster(cluster_id: bytes) -> list[bpf.Instruction]:
    """Checks that let frames of one cluster through."""
    at = wire.CLUSTER_ID.start
    return [check for i in range(0, len(cluster_id), 4) for check in _word(at + i, cluster_id[i : i + 4])]


def _word(offset: int, word: bytes) -> list[bpf.Instruction]:
    return [(bpf.LD_W, UDP_HEADER + offset), (bpf.JEQ, int.from_bytes(word, "big"))]


def _fairly(sources: list[Source]) -> Source:
    """One of each in turn, so that a flood on one interface leaves the others their share."""
    while sources:
        for source in list(sources):
            try:
                yield next(source)
            except StopIteration:
                sources.remove(source)


def _offset_ns() -> int:
    return time.time_ns() - time.monotonic_ns()
