"""What a stranger on the LAN can throw at two routers while one of them dies: recordings, garbage, floods, forgeries.

The frames are made of one that the owner sent: a stranger hears those, too. One process sends them from a port of its
own, as fast as asked for or as it can; how fast that was, and what became of them, the trial tells.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

from bench import cage, probe
from bench.words import Fault
from edge import netns

PER_S = {Fault.REPLAYED: 1_000, Fault.GARBLED: 2_000, Fault.FILTERED: 100_000, Fault.FORGED: 20_000}
"""How many frames a second are asked for: the last two are what the promise names."""
ETH_P_IP = 0x0800
ETHERNET, IP_MIN, UDP_HEAD = 14, 20, 8
PROTOCOL = ETHERNET + 9
TAG = 16
VIRTUAL = b"\0\0\x5e"
"""The hardware addresses that VRRP and CARP send from (RFC 5798 section 7.3)."""
MAGIC = 4
PAYLOAD_MAX = 1500 - IP_MIN - UDP_HEAD
FORGERIES = 64
"""Different tags, so that no cache of verdicts helps."""
TICK_S = 0.001
LONGEST_S = 120.0
WAIT_S = 10.0


class Storm:
    """Frames of one kind, from `begin` to `end`."""

    def __init__(self, place: str, kind: Fault, *, owner: str, stranger: str) -> None:
        """From eth0 of a namespace; the hardware addresses of the owner, and of that eth0."""
        self._kind = kind
        self._owner, self._stranger = (bytes.fromhex(text.replace(":", "")) for text in (owner, stranger))
        self._ear = netns.within(place, _open)
        self._process: multiprocessing.process.BaseProcess | None = None

    def begin(self) -> None:
        """Take the owner's newest frame and begin. Raises TimeoutError when none is heard."""
        frames = _made_of(self._newest(), self._kind)
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe(duplex=False)
        self._process = context.Process(target=_send, args=(self._ear, frames, PER_S[self._kind], there), daemon=True)
        self._process.start()
        there.close()
        self._told = here

    def end(self) -> dict[str, Any]:
        """Stop; what was sent."""
        figures: dict[str, Any] = {}
        if self._process is not None and self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(EOFError):
                sent, seconds = self._told.recv()
                figures = {"storm_sent": sent, "storm_per_s": round(sent / max(seconds, 0.001))}
            self._process.join(2)
            self._process.kill()
        self._ear.close()
        return figures

    def _newest(self) -> bytes:
        end = time.monotonic() + WAIT_S
        self._ear.settimeout(WAIT_S)
        while time.monotonic() < end:
            data = self._ear.recv(2048)
            if (data[6:12] == self._owner or data[6:9] == VIRTUAL) and probe.is_heartbeat(data):
                # From a hardware address of its own: with the owner's it would lead the switch astray, whatever runs
                return data[:6] + self._stranger + data[12:]
        raise TimeoutError("no frame of the owner was heard")


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    sock.bind(("eth0", ETH_P_IP))
    return sock


def _made_of(frame: bytes, kind: Fault) -> list[bytes]:
    if kind is Fault.REPLAYED and frame[PROTOCOL] == probe.VRRP:
        return [frame]
    body = frame[ETHERNET + IP_MIN + UDP_HEAD :]
    match kind:
        case Fault.REPLAYED:  # not as it was heard: a veth leaves the UDP checksum to hardware that is not there
            bodies = [body]
        case Fault.GARBLED:
            short = [body[:n] for n in range(len(body))]
            bodies = short + [body + bytes(n) for n in range(1, PAYLOAD_MAX - len(body), 16)]
        case Fault.FILTERED:
            bodies = [bytes(MAGIC) + body[MAGIC:]]
        case Fault.FORGED:
            bodies = [body[:-TAG] + os.urandom(TAG) for _ in range(FORGERIES)]
        case _:
            raise AssertionError(kind)
    return [_with(frame, b) for b in bodies]


def _with(frame: bytes, body: bytes) -> bytes:
    """The same frame with another UDP payload (no UDP checksum: that is none in IPv4)."""
    ip = bytearray(frame[ETHERNET : ETHERNET + IP_MIN])
    ip[2:4] = (IP_MIN + UDP_HEAD + len(body)).to_bytes(2)
    ip[10:12] = bytes(2)
    ip[10:12] = probe.checksum(bytes(ip))
    udp = frame[ETHERNET + IP_MIN : ETHERNET + IP_MIN + 4] + (UDP_HEAD + len(body)).to_bytes(2) + bytes(2)
    return frame[:ETHERNET] + bytes(ip) + udp + body


def _send(sock: socket.socket, frames: Sequence[bytes], per_s: int, told: Any) -> None:
    cage.die_with_parent()
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: over.append(number))
    sock.setblocking(False)
    each = max(1, round(per_s * TICK_S))
    endless, sent, begun = itertools.cycle(frames), 0, time.monotonic()
    due = begun
    while not over and due - begun < LONGEST_S:
        for _ in range(each):
            with contextlib.suppress(OSError):
                sock.send(next(endless))
                sent += 1
        due = max(due + TICK_S, time.monotonic() - 0.01)
        time.sleep(max(0.0, due - time.monotonic()))
    told.send((sent, time.monotonic() - begun))


def kernel_drops(place: str) -> int:
    """Datagrams to the heartbeats' port that the kernel did not queue: refused by a filter, or no room."""
    rows = netns.run("ip", "netns", "exec", place, "cat", "/proc/net/udp").splitlines()[1:]
    return sum(int(row.split()[-1]) for row in rows if row.split()[1].endswith(f":{probe.HEARTBEAT_PORT:04X}"))
