"""What passes at one interface, each frame with the kernel's time of it: for tests of what is said, and when."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

from edge import netns

ETH_P_ALL = 0x0003
SO_TIMESTAMPNS = 35
"""asm-generic/socket.h: each frame comes with its struct timespec, by the wall clock (socket(7))."""
TIMESPEC = struct.Struct("@ll")
BUFFER = 1 << 20
"""Whoever looks late has lost nothing."""


class Wire:
    """An open ear at an interface."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def frames(self) -> Iterator[tuple[float, bytes]]:
        """What has passed since the last look, sent by this side or by the other, with its time in seconds."""
        while True:
            try:
                data, control, _, _ = self._socket.recvmsg(2048, 64)
            except BlockingIOError:
                return
            ((_, _, stamp),) = control
            s, ns = TIMESPEC.unpack(stamp)
            yield s + ns / 1e9, data


@contextlib.contextmanager
def listening(place: str, interface: str = "eth0") -> Iterator[Wire]:
    """Hear all that passes at an interface of a named namespace."""
    with netns.within(place, lambda: _open(interface)) as sock:
        yield Wire(sock)


def _open(interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind((interface, ETH_P_ALL))  # not before it stamps what it takes
    return sock
