"""Network namespaces for tests: one of the test's own, or named ones for whole daemons."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str) -> str:
    """A command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def ip(*args: str, netns: str | None = None) -> str:
    """One `ip` command, in a named namespace or in this thread's own."""
    return run("ip", *(("-n", netns) if netns else ()), *args)


@contextlib.contextmanager
def private() -> Iterator[None]:
    """This thread, and whatever it starts, in a fresh namespace."""
    home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        ip("link", "set", "lo", "up")
        yield
    finally:
        _check(_libc.setns(home, CLONE_NEWNET))
        os.close(home)


@contextlib.contextmanager
def named(*names: str) -> Iterator[tuple[str, ...]]:
    """Namespaces that `ip` and others can name; removed at the end."""
    made: list[str] = []
    try:
        for name in names:
            run("ip", "netns", "add", name)
            made.append(name)
            ip("link", "set", "lo", "up", netns=name)
        yield names
    finally:
        for name in made:
            run("ip", "netns", "del", name)


@contextlib.contextmanager
def neighbour(near: tuple[str, str], far: tuple[str, str]) -> Iterator[str]:
    """The other end of `veth` as eth0 of a namespace of its own; both ends with an IPv4/24 and an IPv6/64; its name."""
    with named(f"edge-far-{secrets.token_hex(4)}") as (name,):
        ip("link", "set", "peer0", "netns", name, "name", "eth0")
        ip("link", "set", "eth0", "up", netns=name)
        for place, (v4, v6) in ((None, near), (name, far)):
            ip("addr", "add", f"{v4}/24", "dev", "eth0", netns=place)
            ip("addr", "add", f"{v6}/64", "dev", "eth0", "nodad", netns=place)
        yield name


def within(name: str, work: Callable[[], T]) -> T:
    """Do some work in a named namespace: sockets made there stay there."""
    results: list[T] = []

    def enter() -> None:
        fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(fd, CLONE_NEWNET))
        finally:
            os.close(fd)
        results.append(work())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return results[0]


def veth(name: str = "eth0", peer: str = "peer0") -> None:
    """A pair of interfaces in this thread's namespace, both up."""
    ip("link", "add", name, "type", "veth", "peer", "name", peer)
    for one in (name, peer):
        ip("link", "set", one, "up")


def _check(code: int) -> None:
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
