"""Sockets in other network namespaces: a test can send and listen as the client, or as any machine of the ground."""

import ctypes
import os
import socket
import threading

_CLONE_NEWNET = 0x40000000  # linux/sched.h


def socket_in(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Make a socket in another network namespace; it stays there, wherever it is used."""
    made: list[socket.socket | OSError] = []

    def make() -> None:  # in a thread of its own, which alone enters the namespace, and then ends
        try:
            with open(f"/run/netns/{namespace}") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, f"entering network namespace {namespace}: {os.strerror(number)}")
            made.append(socket.socket(family, kind, protocol))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make, name=f"socket-in-{namespace}")
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]
