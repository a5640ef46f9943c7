"""Asks the LAN who has an address, and hears who says that it has one: ARP, and neighbour discovery. No verdicts.

The question names no sender's address (RFC 5227's probe) or the interface's own, so that no cache learns anything from
it. What is heard is anybody's word: it is for reports, and never stops a takeover.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from vyos_agent.edge import arp, bpf, manners
from vyos_agent.edge.kernel import Link

NEIGHBOUR_SOLICITATION = 135
SOURCE_LINK_LAYER_ADDRESS = 1
"""RFC 4861 sections 4.3 and 4.6.1."""
SOLICITED_NODE = ipaddress.IPv6Address("ff02::1:ff00:0")
"""RFC 4291 section 2.7.1; the low 24 bits are the target's."""
ETHERNET = 14
ARP_SENDER_MAC, ARP_SENDER_IP = ETHERNET + 8, ETHERNET + 14
IPV6_NEXT, IPV6_BODY = ETHERNET + 6, ETHERNET + 40
NA_TARGET, NA_OPTIONS = IPV6_BODY + 8, IPV6_BODY + 24
READS_MAX = 64
FILTERED_MAX = 256
"""Addresses that fit the kernel's longest program (BPF_MAXINSNS, 4096) many times; beyond that all is heard."""
FRAME_BYTES = 256
SO_RCVBUF_BYTES = 64 * 1024
NET_DEV = "/proc/thread-self/net/dev"
SIOCGIFHWADDR, MAC_AT = 0x8927, 18
"""linux/sockios.h; in struct ifreq after the name and the family."""
IF_INET6 = "/proc/thread-self/net/if_inet6"
LINK_LOCAL, TENTATIVE = "20", 0x40
"""Its columns are address, interface, prefix, scope, flags and name (if6_seq_show in net/ipv6/addrconf.c)."""
PACKET_OUTGOING = 4
"""linux/if_packet.h: our own frames."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


_closer = concurrent.futures.ThreadPoolExecutor(1, "ears", manners.join_in)


class Word(NamedTuple):
    """Somebody says that it has an address."""

    ip: IpAddress
    mac: bytes


class Ear:
    """Hears on one interface whoever says that it has one of some addresses. Raises OSError when opened."""

    def __init__(self, link: Link) -> None:
        _closer.submit(_close, ())  # its thread is there before it is needed: a start waits until the thread has run
        self.link = link
        self._sockets = {kind: _open(kind, link.index) for kind in (arp.ETH_P_ARP, arp.ETH_P_IPV6)}
        self._wanted: frozenset[IpAddress] = frozenset()

    def filenos(self) -> list[int]:
        """The descriptors to wait for."""
        return [sock.fileno() for sock in self._sockets.values()]

    def want(self, ips: Collection[IpAddress]) -> None:
        """Hear of these only: the kernel drops the rest."""
        if self._wanted != frozenset(ips):
            self._wanted = frozenset(ips)
            for kind, sock in self._sockets.items():
                bpf.attach(sock, _filter(kind, self._wanted))

    def hear(self) -> Iterator[Word]:
        """What has come. Never blocks."""
        for kind, sock in self._sockets.items():
            for _ in range(READS_MAX):
                try:
                    data, source = sock.recvfrom(FRAME_BYTES)
                except OSError:
                    break
                word = None if source[2] == PACKET_OUTGOING else (_arp if kind == arp.ETH_P_ARP else _na)(data)
                if word is not None and word.ip in self._wanted:
                    yield word

    def fits(self, link: Link | None) -> bool:
        """Whether it hears on that interface as it is now. A carrier that comes or goes changes nothing."""
        mine = self.link
        return link is not None and (link.index, link.name, link.mac) == (mine.index, mine.name, mine.mac)

    def close(self) -> None:
        """Give the sockets back, in a thread: for each the kernel waits until all processors have let go of it.

        Measured, 8 to 15 ms in packet_release (synchronize_net); a heartbeat or a claim would be late by as much.
        """
        _closer.submit(_close, tuple(self._sockets.values()))


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def question(ip: IpAddress, link: Link, source: ipaddress.IPv6Address | None) -> bytes | None:
    """The frame that asks; None for IPv6 on an interface without a source address."""
    if isinstance(ip, ipaddress.IPv4Address):
        nobody = bytes(4)
        body = arp.ARP.pack(arp.ARPHRD_ETHER, 0x0800, 6, 4, arp.ARP_REQUEST, link.mac, nobody, bytes(6), ip.packed)
        return arp.BROADCAST + link.mac + struct.pack("!H", arp.ETH_P_ARP) + body
    if source is None:
        return None
    target = ipaddress.IPv6Address(int(SOLICITED_NODE) | int(ip) & 0xFFFFFF)
    option = struct.pack("!BB6s", SOURCE_LINK_LAYER_ADDRESS, 1, link.mac)
    packet = arp.icmpv6(NEIGHBOUR_SOLICITATION, struct.pack("!I16s", 0, ip.packed) + option, source, target)
    return b"\x33\x33" + target.packed[-4:] + link.mac + struct.pack("!H", arp.ETH_P_IPV6) + packet


def _arp(data: bytes) -> Word | None:
    if len(data) < ETHERNET + arp.ARP.size:
        return None
    ip = ipaddress.IPv4Address(data[ARP_SENDER_IP : ARP_SENDER_IP + 4])
    return Word(ip, data[ARP_SENDER_MAC : ARP_SENDER_MAC + 6])


def _na(data: bytes) -> Word | None:
    if len(data) < NA_OPTIONS:
        return None
    ip, mac = ipaddress.IPv6Address(data[NA_TARGET:NA_OPTIONS]), data[6:12]
    option = data[NA_OPTIONS : NA_OPTIONS + 8]
    if len(option) == 8 and option[:2] == bytes([arp.TARGET_LINK_LAYER_ADDRESS, 1]):
        mac = option[2:]
    return Word(ip, mac)


def _open(kind: int, index: int) -> socket.socket:
    flags = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    sock = socket.socket(socket.AF_PACKET, flags, 0)  # hears nothing before its filter is there and it is bound
    try:
        bpf.attach(sock, bpf.program([(bpf.LD_LEN, 0), (bpf.JEQ, 0)]))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SO_RCVBUF_BYTES)
        sock.bind((socket.if_indextoname(index), kind))
    except OSError:
        sock.close()
        raise
    return sock


def _filter(kind: int, ips: Iterable[IpAddress]) -> bytes:
    version = 4 if kind == arp.ETH_P_ARP else 6
    at = ARP_SENDER_IP if version == 4 else NA_TARGET
    found = [_is(at, ip.packed) for ip in sorted(ips, key=int) if ip.version == version]
    if not found:
        return bpf.program([(bpf.LD_LEN, 0), (bpf.JEQ, 0)])
    if len(found) > FILTERED_MAX:
        found = []
    if version == 4:
        return bpf.program([], found)
    checks = [(bpf.LD_B, IPV6_NEXT), (bpf.JEQ, arp.ICMPV6)]
    return bpf.program([*checks, (bpf.LD_B, IPV6_BODY), (bpf.JEQ, arp.NEIGHBOUR_ADVERTISEMENT)], found)


def _is(at: int, packed: bytes) -> list[bpf.Instruction]:
    words = [(at + i, int.from_bytes(packed[i : i + 4], "big")) for i in range(0, len(packed), 4)]
    return [check for offset, word in words for check in ((bpf.LD_W, offset), (bpf.JEQ, word))]


def own_address(link: Link) -> ipaddress.IPv6Address | None:
    """A link-local IPv6 address of the interface, from the kernel's table: no RTNL is taken for it."""
    with contextlib.suppress(OSError), open(IF_INET6) as table:
        for line in table:
            packed, index, _, scope, flags, _ = line.split()
            if int(index, 16) == link.index and scope == LINK_LOCAL and not int(flags, 16) & TENTATIVE:
                return ipaddress.IPv6Address(bytes.fromhex(packed))
    return None


def own_macs() -> frozenset[bytes]:
    """The hardware addresses of all interfaces of this node, without RTNL.

    A node with two of them on one LAN answers on both for every address that it has (arp_ignore): that is no rival.
    """
    found: set[bytes] = set()
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, open(NET_DEV) as table:
        for line in table.readlines()[2:]:
            name = line.partition(":")[0].strip().encode()
            with contextlib.suppress(OSError):
                found.add(fcntl.ioctl(sock, SIOCGIFHWADDR, struct.pack("40s", name))[MAC_AT : MAC_AT + 6])
    return frozenset(found)


class Mouth:
    """Asks on any interface, through one packet socket."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)

    def ask(self, ip: IpAddress, link: Link) -> bool:
        """Ask once; whether the question went out."""
        if not link.up or link.type != arp.ARPHRD_ETHER or len(link.mac) != 6:
            return False
        frame = question(ip, link, own_address(link) if ip.version == 6 else None)
        if frame is not None:
            with contextlib.suppress(OSError):
                return self._sock.sendto(frame, (link.name, 0)) > 0
        return False

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()
