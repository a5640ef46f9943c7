"""ICMP and ICMPv6 echo: requests out, and the answers to them that can be believed. No schedule and no verdicts.

Raw sockets, as ping sockets need a sysctl that hosts leave shut (net.ipv4.ping_group_range). The kernel's filter lets
through only echo replies with our identifier. A reply counts when it comes from the address that was asked and brings
back the secret of this life, so that nobody off the path keeps a dead address alive.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import secrets
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from vyos_agent.edge import bpf

ICMPV6 = 58
ECHO_REQUEST, ECHO_REPLY = 8, 0
"""RFC 792."""
ECHO_REQUEST_V6, ECHO_REPLY_V6 = 128, 129
"""RFC 4443 section 4."""
ECHO = struct.Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence: the same in both families."""
TAIL = struct.Struct("!8sI")
"""What we ask to have back: this life's secret, and the target's number."""
REPLIES_MAX = 256
"""Read in one go; what is left wakes the loop again."""
RECEIVE_BUFFER = 256 * 1024
SO_RCVBUFFORCE = 33
PAYLOAD_MAX = 256

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reply(NamedTuple):
    """A number that was sent, the 16-bit sequence that it was sent with, and who brings it back."""

    number: int
    sequence: int
    source: bytes


class Pinger:
    """One socket per family, opened when an address of that family is first asked."""

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}
        """Requests that the kernel did not take, by the error's name."""
        self._identifier = secrets.randbelow(0xFFFF) + 1
        self._secret = secrets.token_bytes(8)
        self._sockets: dict[int, socket.socket] = {}

    def close(self) -> None:
        """Give the sockets back."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()

    def open(self, version: int) -> int | None:
        """The descriptor of a family's socket if this call opened it. Raises OSError."""
        if version in self._sockets:
            return None
        sock = _open(version, self._identifier)
        self._sockets[version] = sock
        return sock.fileno()

    def send(self, ip: IpAddress, text: str, number: int, sequence: int, scope: int) -> bool:
        """Ask once, never blocking; whether the kernel took it. `scope`: the interface of a link-local address."""
        v4 = ip.version == 4
        tail = TAIL.pack(self._secret, number)
        head = ECHO.pack(ECHO_REQUEST if v4 else ECHO_REQUEST_V6, 0, 0, self._identifier, sequence & 0xFFFF)
        if v4:  # the kernel fills in ICMPv6's checksum, which covers the addresses, and not ICMP's
            head = head[:2] + struct.pack("!H", checksum(head + tail)) + head[4:]
        to = (text, 0) if v4 else (text, 0, 0, scope if ip.is_link_local else 0)
        try:
            self._sockets[ip.version].sendto(head + tail, to)
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "EIO")
            self.errors[name] = self.errors.get(name, 0) + 1
            return False
        return True

    def drain(self) -> Iterator[Reply]:
        """The answers that have come, from whomever they say that they are; at most REPLIES_MAX a family."""
        for version, sock in self._sockets.items():
            for _ in range(REPLIES_MAX):
                try:
                    data, source = sock.recvfrom(PAYLOAD_MAX)
                except OSError:
                    break
                reply = self._reply(data, source[0], version)
                if reply is not None:
                    yield reply

    def _reply(self, data: bytes, source: str, version: int) -> Reply | None:
        if version == 4:
            data = data[(data[0] & 0x0F) * 4 :]
        if len(data) != ECHO.size + TAIL.size:
            return None
        _, _, _, identifier, sequence = ECHO.unpack_from(data)
        secret, number = TAIL.unpack_from(data, ECHO.size)
        if identifier != self._identifier or secret != self._secret:
            return None
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        return Reply(number, sequence, socket.inet_pton(family, source.partition("%")[0]))


WORDS = struct.Struct(f"!{(ECHO.size + TAIL.size) // 2}H")


def checksum(data: bytes) -> int:
    """RFC 1071, of one request or reply."""
    total: int = sum(WORDS.unpack(data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _open(version: int, identifier: int) -> socket.socket:
    v4 = version == 4
    family, protocol = (socket.AF_INET, socket.IPPROTO_ICMP) if v4 else (socket.AF_INET6, ICMPV6)
    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        with contextlib.suppress(OSError):  # without NET_ADMIN the usual buffer must do
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        bpf.attach(sock, _filter(v4, identifier))
    except OSError:
        sock.close()
        raise
    return sock


def _filter(v4: bool, identifier: int) -> bytes:
    """Echo replies with our identifier; a raw IPv4 socket sees the IP header too."""
    if v4:
        reads = [(bpf.LDX_MSH, 0), (bpf.LD_B_IND, 0), (bpf.JEQ, ECHO_REPLY), (bpf.LD_H_IND, 4), (bpf.JEQ, identifier)]
    else:
        reads = [(bpf.LD_B, 0), (bpf.JEQ, ECHO_REPLY_V6), (bpf.LD_H, 4), (bpf.JEQ, identifier)]
    return bpf.program(reads)
