"""What this process asks of the kernel's network: one interface, its addresses, and changes to addresses.

Blocking: RTNL may be held by others for 100 ms and more, so each worker thread has its own `Kernel`. It knows messages,
not clusters: which address belongs where is `addresses`' work.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import ipaddress
import socket
import struct
from collections.abc import Sequence

from vyos_agent.edge import netlink
from vyos_agent.edge.netlink import Message, attribute

MARK = 0x76
"""IFA_PROTO of every address that this daemon adds ('v'; the kernel itself uses 1 to 3, if_addr.h). Kernels before 5.18
do not keep it: there an address of an earlier life cannot be told from a stranger's until its lifetime is over."""

RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR, RTM_GETROUTE = 16, 18, 20, 21, 22, 26
IFLA_ADDRESS, IFLA_IFNAME, IFLA_AF_SPEC, IFLA_EXT_MASK, IFLA_ALT_IFNAME = 1, 3, 26, 29, 53
IFLA_INET_CONF = 1
RTEXT_FILTER_SKIP_STATS = 8
PROMOTE_SECONDARIES = 20
"""IPV4_DEVCONF_PROMOTE_SECONDARIES (linux/ip.h): the place in IFLA_INET_CONF, counted from 1."""
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_PROTO = 1, 2, 4, 6, 8, 11
IFA_F_NODAD, IFA_F_NOPREFIXROUTE = 0x02, 0x200
RTA_DST = 1
RTN_LOCAL = 2
IFF_UP, IFF_RUNNING, IFF_LOWER_UP = 0x1, 0x40, 0x10000
READY = IFF_UP | IFF_RUNNING | IFF_LOWER_UP
"""Administratively up, operationally up (RFC 2863) and with a carrier."""
NAME_BYTES = 15
"""IFNAMSIZ without its NUL: a longer name can only be an alternative one."""
IFINFO = struct.Struct("=BBHiII")
IFADDR = struct.Struct("=BBBBI")
RTMSG = struct.Struct("=8BI")
CACHEINFO = struct.Struct("=IIII")
"""struct ifa_cacheinfo: preferred, valid, and two stamps."""
FOREVER = 0xFFFFFFFF

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """One interface as it is now."""

    index: int
    name: str
    """Its name proper, also when it was looked up by another."""
    mac: bytes
    type: int
    """ARPHRD_*: 1 is Ethernet."""
    up: bool
    promotes: bool
    """Whether a secondary address survives the primary one of its subnet."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One address as the kernel holds it."""

    index: int
    address: str
    prefix: int
    marked: bool = True
    left_s: int = dataclasses.field(default=0, compare=False)
    """The life that it has left at the least, in whole seconds, when the kernel was asked."""
    broadcast: str | None = dataclasses.field(default=None, compare=False)
    """IPv4 only; not compared, as the kernel names an address by its prefix."""

    @property
    def ip(self) -> IpAddress:
        """The address proper."""
        return _ip(self.address)

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """The subnet that it brings along."""
        return ipaddress.ip_network(f"{self.address}/{self.prefix}", strict=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Put:
    """Add or renew one address. `new`: refuse when somebody has added it meanwhile."""

    entry: Entry
    life_s: int
    new: bool
    broadcast: str | None = None


class Kernel:
    """One thread's door to rtnetlink."""

    def __init__(self) -> None:
        self._netlink = netlink.Netlink()
        self.port = self._netlink.port
        """By which events name this door as their cause."""

    def close(self) -> None:
        """Give the socket back."""
        self._netlink.close()

    def link(self, name: str) -> Link | None:
        """The interface of this name or alternative name, None when there is none. Raises OSError."""
        text = name.encode() + b"\0"
        kind = IFLA_IFNAME if len(text) <= NAME_BYTES + 1 else IFLA_ALT_IFNAME
        return self._one_link(0, attribute(kind, text))

    def link_at(self, index: int) -> Link | None:
        """The interface of this number, None when there is none. Raises OSError."""
        return self._one_link(index, b"")

    def _one_link(self, index: int, name: bytes) -> Link | None:
        body = IFINFO.pack(0, 0, 0, index, 0, 0) + name
        body += attribute(IFLA_EXT_MASK, struct.pack("=I", RTEXT_FILTER_SKIP_STATS))
        try:
            return _link(self._netlink.get(Message(RTM_GETLINK, 0, body)))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def addresses(self, index: int = 0) -> list[Entry]:
        """The addresses of one interface, 0 for all of them. Raises OSError."""
        request = Message(RTM_GETADDR, 0, IFADDR.pack(socket.AF_UNSPEC, 0, 0, 0, index))
        try:
            bodies = self._netlink.dump(request)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return []
            raise
        entries = [entry for body in bodies if (entry := _entry(body)) is not None]
        return [entry for entry in entries if index in (0, entry.index)]

    def is_local(self, address: str) -> bool:
        """Whether the machine takes packets to this address as its own. Raises OSError."""
        ip = _ip(address)
        body = RTMSG.pack(_family(ip), ip.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + attribute(RTA_DST, ip.packed)
        try:
            return self._netlink.get(Message(RTM_GETROUTE, 0, body))[7] == RTN_LOCAL
        except OSError as error:
            if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL):
                return False  # no route, or one that says unreachable, prohibit or blackhole
            raise

    def put(self, puts: Sequence[Put]) -> list[OSError | None]:
        """Add or renew all of them together; for each None or the kernel's refusal."""
        return self._netlink.change([_put(p) for p in puts])

    def remove(self, entries: Sequence[Entry]) -> list[OSError | None]:
        """Remove exactly these; for each None or the kernel's refusal."""
        return self._netlink.change([Message(RTM_DELADDR, 0, _named(e)) for e in entries])

    def promote(self, index: int) -> None:
        """Let secondary addresses of an interface survive their primary. Raises OSError."""
        conf = attribute(PROMOTE_SECONDARIES, struct.pack("=I", 1))
        inet = attribute(socket.AF_INET | netlink.NLA_F_NESTED, attribute(IFLA_INET_CONF | netlink.NLA_F_NESTED, conf))
        body = IFINFO.pack(0, 0, 0, index, 0, 0) + attribute(IFLA_AF_SPEC | netlink.NLA_F_NESTED, inet)
        (refusal,) = self._netlink.change([Message(RTM_NEWLINK, 0, body)])
        if refusal is not None:
            raise refusal


@functools.lru_cache(maxsize=4096)
def _ip(text: str) -> IpAddress:
    return ipaddress.ip_address(text)


def _family(ip: IpAddress) -> int:
    return socket.AF_INET if ip.version == 4 else socket.AF_INET6


def _named(entry: Entry) -> bytes:
    ip = entry.ip
    body = IFADDR.pack(_family(ip), entry.prefix, 0, 0, entry.index)
    return body + attribute(IFA_LOCAL, ip.packed) + attribute(IFA_ADDRESS, ip.packed)


def _put(put: Put) -> Message:
    """Deprecated from birth (preferred 0), so that the router's own connections go by its own addresses."""
    entry = put.entry
    body = _named(entry) + attribute(IFA_CACHEINFO, CACHEINFO.pack(0, put.life_s, 0, 0))
    body += attribute(IFA_PROTO, bytes([MARK]))
    if put.broadcast is not None:
        body += attribute(IFA_BROADCAST, _ip(put.broadcast).packed)
    if entry.ip.version == 6:
        # Two members must never test for each other's copy (RFC 4862 DAD): the protocol says whose it is.
        flags = IFA_F_NODAD | (IFA_F_NOPREFIXROUTE if entry.prefix == 128 else 0)
        body += attribute(IFA_FLAGS, struct.pack("=I", flags))
    flags = netlink.NLM_F_CREATE | (netlink.NLM_F_EXCL if put.new else netlink.NLM_F_REPLACE)
    return Message(RTM_NEWADDR, flags, body)


def _link(body: bytes) -> Link:
    _, _, kind, index, flags, _ = IFINFO.unpack_from(body)
    found = dict(netlink.attributes(body, IFINFO.size))
    families = dict(netlink.attributes(found.get(IFLA_AF_SPEC, b""), 0))
    conf = dict(netlink.attributes(families.get(socket.AF_INET, b""), 0)).get(IFLA_INET_CONF, b"")
    at = (PROMOTE_SECONDARIES - 1) * 4
    return Link(
        index=index,
        name=found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        mac=found.get(IFLA_ADDRESS, b""),
        type=kind,
        up=flags & READY == READY,
        promotes=len(conf) >= at + 4 and struct.unpack_from("=I", conf, at) != (0,),
    )


def _entry(body: bytes) -> Entry | None:
    family, prefix, _, _, index = IFADDR.unpack_from(body)
    found = dict(netlink.attributes(body, IFADDR.size))
    packed = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)
    if family not in (socket.AF_INET, socket.AF_INET6) or packed is None:
        return None
    _, valid_s, _, _ = CACHEINFO.unpack_from(found.get(IFA_CACHEINFO, bytes(CACHEINFO.size)))
    left_s = max(0, valid_s - 1)  # the kernel rounds up (inet_fill_ifaddr, inet6_fill_ifaddr)
    raw = found.get(IFA_BROADCAST) if family == socket.AF_INET else None
    broadcast = None if raw is None else socket.inet_ntop(family, raw)
    marked = found.get(IFA_PROTO) == bytes([MARK])
    return Entry(index, socket.inet_ntop(family, packed), prefix, marked, left_s, broadcast)
