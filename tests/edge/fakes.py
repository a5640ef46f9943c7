"""Stand-ins: a kernel in memory, and a clock that is set by hand."""

from __future__ import annotations

import dataclasses
import errno
import threading
from collections.abc import Callable, Sequence

from vyos_agent.edge.kernel import Entry, Link, Put

ETH0 = Link(2, "eth0", b"\x02\x00\x00\x00\x00\x01", 1, up=True, promotes=True)


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


class FakeKernel:
    """Interfaces and addresses in memory; it can refuse, be slow, and be strange."""

    port = 77

    def __init__(self) -> None:
        self.links: dict[str, Link] = {"eth0": ETH0}
        self.held: dict[Entry, int] = {}
        self.puts: list[list[Put]] = []
        self.removed: list[Entry] = []
        self.refuses: dict[str, int] = {}
        self.before_put: Callable[[], None] = lambda: None
        self.broken = False
        self.idle = threading.Event()

    def close(self) -> None:
        pass

    def link(self, name: str) -> Link | None:
        if self.broken:
            raise OSError(errno.ENOBUFS, "no room")
        return self.links.get(name)

    def addresses(self, index: int = 0) -> list[Entry]:
        return [e for e in self.held if index in (0, e.index)]

    def is_local(self, address: str) -> bool:
        return any(e.address == address for e in self.held)

    def put(self, puts: Sequence[Put]) -> list[OSError | None]:
        self.before_put()
        self.puts.append(list(puts))
        answers: list[OSError | None] = []
        for put in puts:
            number = self.refuses.get(put.entry.address, 0)
            if put.new and put.entry in self.held:
                number = errno.EEXIST
            if not number:
                self.held.pop(put.entry, None)  # equal entries may differ in their broadcast
                self.held[dataclasses.replace(put.entry, broadcast=put.broadcast)] = put.life_s
            answers.append(OSError(number, "refused here") if number else None)
        return answers

    def remove(self, entries: Sequence[Entry]) -> list[OSError | None]:
        answers: list[OSError | None] = []
        for entry in entries:
            there = self.held.pop(entry, None)
            self.removed.append(entry)
            answers.append(None if there is not None else OSError(errno.EADDRNOTAVAIL, "not there"))
        return answers

    def promote(self, index: int) -> None:
        self.links = {
            n: dataclasses.replace(k, promotes=True) if k.index == index else k for n, k in self.links.items()
        }
