"""Tells the LAN where addresses are: a gratuitous ARP request and reply, or an unsolicited neighbour advertisement.

Frames are built here and sent through one packet socket, so that they leave exactly as written, also while the kernel
still thinks twice about a new address. When to announce is the core's decision.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import struct
from collections.abc import Callable, Iterable

from vyos_agent.core.model import Vip
from vyos_agent.edge.kernel import Link

logger = logging.getLogger(__name__)

ARPHRD_ETHER = 1
ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
BROADCAST = b"\xff" * 6
ARP = struct.Struct("!HHBBH6s4s6s4s")
"""RFC 826: hardware type, protocol type, their lengths, operation, sender's and target's pair."""
ARP_REQUEST, ARP_REPLY = 1, 2
ALL_NODES = ipaddress.IPv6Address("ff02::1")
ALL_NODES_MAC = b"\x33\x33\x00\x00\x00\x01"
"""RFC 2464 section 7."""
ICMPV6 = 58
NEIGHBOUR_ADVERTISEMENT = 136
NA_ROUTER, NA_OVERRIDE = 0x80000000, 0x20000000
"""RFC 4861 section 4.4; unsolicited, so the solicited flag is 0 (section 7.2.6)."""
TARGET_LINK_LAYER_ADDRESS = 2
HOP_LIMIT = 255
"""Receivers drop any other (RFC 4861 section 7.1.2)."""
FORWARDING = "/proc/sys/net/ipv6/conf/{}/forwarding"


class Announcer:
    """One packet socket for all interfaces; it sends and never receives (protocol 0)."""

    def __init__(self, look: Callable[[str], Link | None]) -> None:
        self._look = look
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._told: set[str] = set()

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()

    def announce(self, vips: Iterable[Vip]) -> int:
        """Say once where these addresses are; how many frames went out. Interfaces that are down are left out."""
        sent = 0
        for vip in vips:
            link = self._look(vip.interface)
            if link is not None and link.up and link.type == ARPHRD_ETHER and len(link.mac) == 6:
                sent += sum(self._send(link, frame) for frame in frames(vip.address, link))
        return sent

    def _send(self, link: Link, frame: bytes) -> bool:
        try:
            self._sock.sendto(frame, (link.name, 0))
        except OSError as error:
            if link.name not in self._told:
                self._told.add(link.name)
                name = errno.errorcode.get(error.errno or 0, "EIO")
                logger.warning("%s: announcements do not go out: %s (told once)", link.name, name)
            return False
        self._told.discard(link.name)
        return True


def frames(address: str, link: Link) -> tuple[bytes, ...]:
    """The Ethernet frames of one announcement."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        # Some neighbours heed only requests, others only replies (RFC 5227 section 3 has both views).
        return gratuitous(ip, link.mac, ARP_REQUEST), gratuitous(ip, link.mac, ARP_REPLY)
    return (advertisement(ip, link.mac, router=_forwards(link.name)),)


def gratuitous(ip: ipaddress.IPv4Address, mac: bytes, operation: int) -> bytes:
    """An ARP frame in which sender and target are the same address."""
    target = bytes(6) if operation == ARP_REQUEST else mac
    body = ARP.pack(ARPHRD_ETHER, 0x0800, 6, 4, operation, mac, ip.packed, target, ip.packed)
    return BROADCAST + mac + struct.pack("!H", ETH_P_ARP) + body


def advertisement(ip: ipaddress.IPv6Address, mac: bytes, *, router: bool) -> bytes:
    """An unsolicited neighbour advertisement to all nodes, which overrides what they know."""
    flags = NA_OVERRIDE | (NA_ROUTER if router else 0)
    option = struct.pack("!BB6s", TARGET_LINK_LAYER_ADDRESS, 1, mac)
    packet = icmpv6(NEIGHBOUR_ADVERTISEMENT, struct.pack("!I16s", flags, ip.packed) + option, ip, ALL_NODES)
    return ALL_NODES_MAC + mac + struct.pack("!H", ETH_P_IPV6) + packet


def icmpv6(kind: int, tail: bytes, source: ipaddress.IPv6Address, target: ipaddress.IPv6Address) -> bytes:
    """An IPv6 packet of neighbour discovery; `tail` follows type, code and checksum."""
    head = struct.pack("!BB", kind, 0)
    length = len(head) + 2 + len(tail)
    pseudo = source.packed + target.packed + struct.pack("!I3xB", length, ICMPV6)
    icmp = head + struct.pack("!H", _checksum(pseudo + head + bytes(2) + tail)) + tail
    return struct.pack("!IHBB16s16s", 6 << 28, length, ICMPV6, HOP_LIMIT, source.packed, target.packed) + icmp


def _checksum(data: bytes) -> int:
    """RFC 1071; the data has an even length here."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _forwards(interface: str) -> bool:
    """Whether the kernel itself would call this node a router: a contradiction makes hosts drop their default route."""
    try:
        with open(FORWARDING.format(interface)) as file:
            return file.read().strip() != "0"
    except OSError:
        return False
