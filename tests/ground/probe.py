"""A client that pings an address every few milliseconds and remembers which probes were answered.

    with Probe("192.168.0.123", interval_ms=10) as probe:
        ...
    probe.longest_gap_ms, probe.lost

Its own small ICMP instead of `ping`: one result per probe with both times, down to 1 ms between probes,
and no giving up at the first error.
"""

import contextlib
import ipaddress
import itertools
import os
import socket
import struct
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ground.layout import netns
from ground.sockets import socket_in

_ECHO = {4: 8, 6: 128}
_ECHO_REPLY = {4: 0, 6: 129}
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number: RFC 792, RFC 4443
_ICMP = {4: (socket.AF_INET, socket.IPPROTO_ICMP), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}
_identifiers = itertools.count(os.getpid())  # each probe knows its own answers
_LATE_S = 0.5  # a last answer may take so long


@dataclass
class Sample:
    """One probe: when it was sent and when answered (None: never), in seconds of time.monotonic()."""

    sent_s: float
    answered_s: float | None = None


class Probe:
    """Pings `address` from a machine's network (the client's) for the length of a `with`."""

    def __init__(self, address: str, *, interval_ms: int = 10, source: str = "client", hops: int = 64) -> None:
        """`hops` 1: answered by who is asked, and not by whom that one would forward it to (IPv4)."""
        self.address = address
        self.interval_ms = interval_ms
        self.samples: list[Sample] = []
        self._version = ipaddress.ip_address(address).version
        family, protocol = _ICMP[self._version]
        self._socket = socket_in(netns(source), family, socket.SOCK_RAW, protocol)
        self._socket.settimeout(0.1)
        if self._version == 4:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        # Sending must never wait: while ARP asks in vain, packets pile up in the socket's buffer
        self._out = self._socket.dup()
        self._out.setblocking(False)
        self._stop = threading.Event()
        self._identifier = next(_identifiers) & 0xFFFF
        self._sender = threading.Thread(target=self._send, name=f"probe-{address}", daemon=True)
        self._receiver = threading.Thread(target=self._receive, name=f"probe-{address}-in", daemon=True)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._receiver.start()
        self._sender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more, take the last answers, and close; a second time does nothing."""
        self._stop.set()
        self._sender.join()
        end = time.monotonic() + _LATE_S
        while time.monotonic() < end and self.samples and self.samples[-1].answered_s is None:
            time.sleep(0.01)
        self._ended.set()
        self._receiver.join()
        self._out.close()
        self._socket.close()

    @property
    def answered(self) -> int:
        """How many probes were answered."""
        return sum(sample.answered_s is not None for sample in self.samples)

    @property
    def lost(self) -> int:
        """How many probes were not answered (while it runs: yet)."""
        return len(self.samples) - self.answered

    def gaps_ms(self, longer_than_ms: int = 0) -> list[int]:
        """Return the times without any answer, each from one answer to the next, start and end included."""
        # By arrival, not by probe: probes that wait in the client's own ARP queue are answered late, not lost
        samples = [*self.samples]
        if not samples:
            return []
        answers = sorted(sample.answered_s for sample in samples if sample.answered_s is not None)
        times = [samples[0].sent_s, *answers, max(samples[-1].sent_s, *answers[-1:])]
        gaps = [round((after - before) * 1000) for before, after in itertools.pairwise(times)]
        return [gap for gap in gaps if gap > longer_than_ms]

    @property
    def longest_gap_ms(self) -> int:
        """The longest time without any answer; with nothing lost, about the interval."""
        return max(self.gaps_ms(), default=0)

    def __str__(self) -> str:
        return (
            f"{self.address}: {self.answered} of {len(self.samples)} probes answered "
            f"(one per {self.interval_ms} ms), longest gap {self.longest_gap_ms} ms"
        )

    def _send(self) -> None:
        start = time.monotonic()
        while not self._stop.is_set():
            number = len(self.samples)
            packet = _HEADER.pack(_ECHO[self._version], 0, 0, self._identifier, number & 0xFFFF)
            if self._version == 4:  # for IPv6 the kernel does it
                packet = packet[:2] + _checksum(packet) + packet[4:]
            self.samples.append(Sample(time.monotonic()))
            with contextlib.suppress(OSError):  # nobody answers ARP, no route: a lost probe like another
                self._out.sendto(packet, (self.address, 0))
            # by the clock from the start, not after each other: a late probe delays none
            self._stop.wait(max(0.0, start + (number + 1) * self.interval_ms / 1000 - time.monotonic()))

    def _receive(self) -> None:
        while not self._ended.is_set():
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            except OSError:  # an ICMP error for an earlier probe
                continue
            now = time.monotonic()
            if self._version == 4:  # a raw IPv4 socket hands the IP header over, too
                packet = packet[(packet[0] & 0xF) * 4 :]
            if len(packet) < _HEADER.size:
                continue
            kind, _, _, identifier, sequence = _HEADER.unpack_from(packet)
            if kind != _ECHO_REPLY[self._version] or identifier != self._identifier:
                continue
            # the newest probe with these 16 bits
            number = len(self.samples) - 1 - ((len(self.samples) - 1 - sequence) & 0xFFFF)
            if number >= 0 and self.samples[number].answered_s is None:
                self.samples[number].answered_s = now


def _checksum(packet: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
