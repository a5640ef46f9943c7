"""The client: an ICMP echo to the address every millisecond, and every frame that reaches it, by the kernel's clock.

One process for each lane, for a thread would share the interpreter with the harness. The routers' kernels answer, so no
echo daemon is part of what is measured. A probe carries its number, an answer names its router by its hardware
address; probes that wait in the client's own ARP queue and are answered late are not lost.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import dataclasses
import mmap
import multiprocessing
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from bench import cage
from bench.lan import HOSTS, NODES, VIP, mac
from edge import netns

EVERY_NS = 1_000_000
LONGEST_S = 400
"""A run is ended after so long whatever happens: the longest trial is a partition at 5 s / 20 s."""
STALL_NS = 20_000_000
"""A prober that itself was late by more counts that (`stalls`), and does not send what it missed."""

ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 0x0003, b"\x08\x00", b"\x08\x06"
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SO_RCVBUFFORCE, SO_ATTACH_FILTER, SO_TIMESTAMPNS = 33, 26, 35
TIMESPEC = struct.Struct("qq")
ECHO = struct.Struct("!BBHHHQ")
"""RFC 792, with the probe's number as its data."""
ECHO_REQUEST, ECHO_REPLY = 8, 0
UDP, VRRP = 17, 112
HEARTBEAT_PORT = 694
"""Of heartbeat and of ours. VRRP and ucarp (CARP) share protocol 112."""
SHARED = struct.Struct("=qi?")
"""When the last answer came, from whom, and whether to stop."""


@dataclasses.dataclass(slots=True)
class Seen:
    """What the client saw of one trial. Times are nanoseconds of the wall clock."""

    begin_ns: int
    end_ns: int
    sent_ns: array.array[int]
    """By the probe's number."""
    answers: list[tuple[int, int, str]]
    """When, which probe, which router."""
    frames: list[tuple[int, str, str]]
    """When, from which router, "frame" (of the protocol) or "announcement" (gratuitous ARP for the address)."""
    stalls: int


class Prober:
    """The process; `run` it for each trial."""

    def __init__(self, place: str) -> None:
        self._shared = mmap.mmap(-1, SHARED.size)
        here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=self._main, args=(place, there), daemon=True)
        self._process.start()
        there.close()
        self._pipe = here

    def begin(self) -> None:
        """Start to probe."""
        SHARED.pack_into(self._shared, 0, 0, 0, False)
        self._pipe.send(True)

    def last(self) -> tuple[int, str]:
        """When the last answer came, and from which router."""
        at_ns, who, _ = SHARED.unpack_from(self._shared, 0)
        return at_ns, NODES[who - 1] if who else ""

    def finish(self) -> Seen:
        """Stop, and tell."""
        self._shared[SHARED.size - 1] = 1
        seen = self._pipe.recv()
        if not isinstance(seen, Seen):
            raise RuntimeError(f"the prober failed: {seen}")
        return seen

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._pipe.send(False)
        self._process.join(2)
        self._process.kill()
        self._process.join()

    # -- the process

    def _main(self, place: str, pipe: Connection) -> None:
        cage.die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        cage.be_prompt()
        while pipe.recv():
            try:
                answer: object = netns.within(place, lambda: _Sockets().probe(self._shared))
            except (OSError, IndexError) as error:
                answer = repr(error)
            pipe.send(answer)


class _Sockets:
    def __init__(self) -> None:
        self.out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.out.setblocking(False)
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # answers are read from the capture
        self.out.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(nothing)))
        self.heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.heard.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.heard.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.heard.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.heard.bind(("eth0", ETH_P_ALL))
        self.heard.setblocking(False)

    def probe(self, shared: mmap.mmap) -> Seen:
        routers = {bytes.fromhex(mac(n).replace(":", "")): i for i, n in enumerate(NODES, 1)}
        target = socket.inet_aton(VIP)
        ident = os.getpid() & 0xFFFF
        sent, answers, others = array.array("q"), [], []
        begin_ns = time.time_ns()
        stalls, at_ns = 0, time.monotonic_ns()
        end_ns = at_ns + LONGEST_S * 1_000_000_000
        with self.out, self.heard:
            while at_ns < end_ns and not shared[SHARED.size - 1]:
                packet = _echo(ident, len(sent))
                sent.append(time.time_ns())
                with contextlib.suppress(OSError):  # no answer to ARP, no room: a lost probe like another
                    self.out.sendto(packet, (VIP, 0))
                for when, data in self._read():
                    if data[12:14] == ETH_P_IP and data[23] == 1 and data[26:30] == target and data[34] == ECHO_REPLY:
                        who = routers.get(data[6:12], 0)
                        answers.append((when, ECHO.unpack_from(data, 34)[5], who))
                        SHARED.pack_into(shared, 0, when, who, shared[SHARED.size - 1] != 0)
                    else:
                        others.append((when, data))
                at_ns += EVERY_NS
                left_ns = at_ns - time.monotonic_ns()
                if left_ns > 0:
                    time.sleep(left_ns / 1e9)
                elif left_ns < -STALL_NS:
                    stalls += 1
                    at_ns = time.monotonic_ns()
        named = [(when, number, NODES[who - 1]) for when, number, who in answers if who]
        return Seen(begin_ns, time.time_ns(), sent, named, list(_frames(others)), stalls)

    def _read(self) -> Iterator[tuple[int, bytes]]:
        while True:
            try:
                data, extra, _, _ = self.heard.recvmsg(2048, 64)
            except BlockingIOError:
                return
            seconds, ns = TIMESPEC.unpack(extra[0][2])
            yield seconds * 1_000_000_000 + ns, data


def _frames(captured: list[tuple[int, bytes]]) -> Iterator[tuple[int, str, str]]:
    senders = {socket.inet_aton(f"10.77.0.{HOSTS[n]}"): n for n in NODES}
    hardware = {bytes.fromhex(mac(n).replace(":", "")): n for n in NODES}
    target = socket.inet_aton(VIP)
    for when, data in captured:
        if data[12:14] == ETH_P_ARP and data[28:32] == target and data[:6] == b"\xff" * 6:
            if (node := hardware.get(data[6:12])) is not None:
                yield when, node, "announcement"
        elif data[12:14] == ETH_P_IP and is_heartbeat(data) and (node := senders.get(data[26:30])) is not None:
            yield when, node, "frame"  # by the address, for ucarp sends from a virtual hardware address


def is_heartbeat(data: bytes) -> bool:
    """Whether an IPv4 frame is of one of the systems' protocols."""
    return data[23] == VRRP or (data[23] == UDP and int.from_bytes(data[36:38]) == HEARTBEAT_PORT)


def _echo(ident: int, number: int) -> bytes:
    packet = ECHO.pack(ECHO_REQUEST, 0, 0, ident, number & 0xFFFF, number)
    return packet[:2] + checksum(packet) + packet[4:]


def checksum(data: bytes) -> bytes:
    """The internet checksum (RFC 1071) of an even number of bytes, its own place in them being 0."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return (~(total + (total >> 16)) & 0xFFFF).to_bytes(2)
