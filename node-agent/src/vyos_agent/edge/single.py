"""One agent per cluster and network namespace: two would answer for one address with two minds."""

from __future__ import annotations

import contextlib
import errno
import socket


class Taken(Exception):
    """Another process of this network namespace serves the cluster."""


def lock(uid: str) -> socket.socket:
    """Held until the socket is closed: its name is the kernel's, and dies with this process. Raises Taken."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        sock.bind(f"\0vyos-cluster/{uid}")
    except OSError as error:
        with contextlib.closing(sock):
            if error.errno != errno.EADDRINUSE:
                raise
        raise Taken("another heartbeat daemon in this network namespace serves this cluster; stop it") from None
    return sock
