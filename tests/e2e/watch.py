"""Who held an address when, by the kernels' own word: every change of address on every router, as it happens.

Reads RTM_NEWADDR and RTM_DELADDR in each router's namespace; a router that is switched off holds nothing from then on.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from ground import daemons
from ground.api import Ground
from ground.layout import NODES
from ground.shell import GroundError

RTMGRP_ADDRESSES = 0x10 | 0x100
"""RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h."""
RTM_NEWADDR, RTM_DELADDR = 20, 21
IFA_ADDRESS, IFA_LOCAL = 1, 2
HEADER = struct.Struct("=IHHII")
ADDRESS_HEADER = struct.Struct("=BBBBI")
ATTRIBUTE = struct.Struct("=HH")


@dataclass(frozen=True)
class Change:
    """An address came to a router, or went."""

    at_s: float
    node: str
    came: bool


@dataclass
class Watched:
    """One address: who held it at the beginning, and all changes since."""

    first: frozenset[str]
    since_s: float
    changes: list[Change] = field(default_factory=list)

    def spans(self) -> list[tuple[float, float, frozenset[str]]]:
        """(from, to, holders), in order of time."""
        held, at_s = self.first, self.since_s
        found = []
        for change in sorted(self.changes, key=lambda c: c.at_s):
            found.append((at_s, change.at_s, held))
            held = held | {change.node} if change.came else held - {change.node}
            at_s = change.at_s
        found.append((at_s, time.monotonic(), held))
        return found


class Holders:
    """Watches addresses on all routers for the length of a test."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._watched: dict[str, Watched] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._listen, args=(node,), daemon=True) for node in NODES]
        for thread in self._threads:
            thread.start()

    def watch(self, address: str) -> None:
        """Begin with an address, written without its prefix."""
        self._watched[address] = Watched(frozenset(self._ground.holders(address)), time.monotonic())

    def overlap_ms(self, address: str) -> int:
        """For how long more than one router held it."""
        return self._total(address, 2, 99)

    def dark_ms(self, address: str) -> int:
        """For how long none held it."""
        return self._total(address, 0, 0)

    def came_s(self, address: str, node: str) -> float:
        """When it last came to that router, by time.monotonic."""
        return max(c.at_s for c in self._watched[address].changes if c.node == node and c.came)

    def history(self, address: str) -> list[str]:
        """For a failed assertion's message: who, from when, in milliseconds since the beginning."""
        watched = self._watched[address]
        return [
            f"{round((begin - watched.since_s) * 1000)} ms: {','.join(sorted(held)) or '-'}"
            for begin, _, held in watched.spans()
        ]

    def stop(self) -> None:
        """End the listening."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _total(self, address: str, least: int, most: int) -> int:
        spans = self._watched[address].spans()
        return round(sum(end - begin for begin, end, held in spans if least <= len(held) <= most) * 1000)

    def _listen(self, node: str) -> None:
        """One router; opened anew when it comes back, for a router that reboots has a network of its own again."""
        while not self._stop.is_set():
            try:
                sock = self._ground.socket(node, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            except (GroundError, OSError):
                self._note_all(node, off=True)
                self._stop.wait(0.1)
                continue
            with contextlib.closing(sock):
                sock.bind((0, RTMGRP_ADDRESSES))
                sock.settimeout(0.1)
                self._note_all(node, off=False)
                while not self._stop.is_set() and self._on(node):
                    with contextlib.suppress(TimeoutError):
                        self._take(node, sock.recv(65536))
            self._note_all(node, off=True)

    def _on(self, node: str) -> bool:
        """Whether the router has power: that is what tells first that all on it is gone."""
        return daemons.alive(f"power-{node}")

    def _note_all(self, node: str, *, off: bool) -> None:
        for address, watched in self._watched.items():
            held = watched.spans()[-1][2]
            has = not off and node in self._ground.holders(address)
            if has != (node in held):
                watched.changes.append(Change(time.monotonic(), node, has))

    def _take(self, node: str, data: bytes) -> None:
        now = time.monotonic()
        offset = 0
        while offset + HEADER.size <= len(data):
            length, kind, *_ = HEADER.unpack_from(data, offset)
            if kind in (RTM_NEWADDR, RTM_DELADDR):
                self._note(node, kind == RTM_NEWADDR, data[offset + HEADER.size : offset + length], now)
            offset += (length + 3) & ~3

    def _note(self, node: str, came: bool, body: bytes, now: float) -> None:
        found: dict[int, bytes] = {}
        offset = ADDRESS_HEADER.size
        while offset + ATTRIBUTE.size <= len(body):
            length, kind = ATTRIBUTE.unpack_from(body, offset)
            found[kind] = body[offset + ATTRIBUTE.size : offset + length]
            offset += max(4, (length + 3) & ~3)
        raw = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)
        watched = self._watched.get(str(ipaddress.ip_address(raw))) if raw else None
        if watched is None or (node in watched.spans()[-1][2]) == came:
            return  # a renewal
        watched.changes.append(Change(now, node, came))
