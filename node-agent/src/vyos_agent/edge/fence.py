"""The exact fence (`fence: Nftables`): the kernel drops what an owner would still answer whose lease has run out.

One nftables table per cluster, of the netdev family, which alone sees IPv4, IPv6 and ARP: what comes in for a shared
address is dropped unless the address is in a set of living ones, whose elements time out by the millisecond. They are
renewed from the packet path: a frame of ours, with a mark, a protocol of its own and the address as its destination,
updates the set on its way out and is dropped there. That is no transaction: measured, a renewal costs 4 microseconds,
and the ruleset keeps its generation. Refreshed by transactions every 10 ms, `nft list ruleset` of 3,000 chains (0.25 s
long) did not end within 30 s, and every 100 ms it took up to 1.6 s: no other user of nftables could live beside that.

The ruleset itself is loaded by the nft program: the host's, where this daemon is in a container.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import hashlib
import ipaddress
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Mapping

from vyos_agent.config import UNFOUND
from vyos_agent.core.model import Config, Vip
from vyos_agent.edge import arp, hooks
from vyos_agent.edge.clock import now
from vyos_agent.edge.hooks import Executor
from vyos_agent.edge.kernel import Link

logger = logging.getLogger(__name__)

NFT = "/usr/sbin/nft"
NFT_S = 10.0
MARK = 0x7679
PROTOCOL = 253
"""For experiments (RFC 3692); with the mark and a shared address as destination: nobody else's packets."""
SO_MARK = 36
NOWHERE = b"\x02\x00\x00\x00\x00\x00"
"""A hardware address that nobody has: the frame never leaves."""
STALL_MS = 100
"""How late a renewal may be where that fits: a set's timeouts are as exact as the kernel's ticks (4 ms at 250 Hz)."""
AGAIN_S = 30.0
UNQUOTABLE = frozenset('"*\\')
"""The kernel takes these in an interface's name; nft's text ends at the first, and the others make a pattern of it."""


def life_ms(*, dead_ms: int, keepalive_ms: int) -> int:
    """How long an address answers without a renewal: two frames may be lost where that is more than a keepalive."""
    return max(dead_ms - 2 * keepalive_ms, keepalive_ms + min(keepalive_ms, STALL_MS))


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a table is made of."""

    vips: frozenset[Vip]
    links: frozenset[tuple[int, str]]
    """Index and name of their interfaces: a chain goes with its interface, and another must be made for the next."""
    life_ms: int


class Fence:
    """Of one cluster. `configure` with every configuration and change of interfaces, `renew` with every Hold."""

    def __init__(
        self,
        uid: str,
        name: str,
        executor: Executor,
        look: Callable[[str], Link | None],
        on_change: Callable[[], None],
        clock: Callable[[], int] = now,
    ) -> None:
        self.problem = ""
        """Why there is no fence though one is wanted."""
        self._name = name
        self._table = f"vyos-cluster-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"
        self._executor = executor
        self._look = look
        self._on_change = on_change
        self._clock = clock
        self._wanted: Wanted | None = None
        self._loaded: Wanted | None = None
        self._renewed_ms: dict[Vip, int] = {}
        self._sock: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    def configure(self, core: Config, *, wanted: bool) -> None:
        """Fence the addresses of this member's groups, or have no fence."""
        mine = [v for g in core.groups if core.me in g.members for v in g.vips if v.interface != UNFOUND]
        life = life_ms(dead_ms=core.dead_ms, keepalive_ms=core.keepalive_ms)
        links = frozenset(link for vip in mine if (link := self._look(vip.interface)) is not None)
        found = frozenset((link.index, link.name) for link in links)
        self._wanted = Wanted(frozenset(mine), found, life) if wanted and mine else None
        if self._wanted != self._loaded or self._task is not None:
            self._moved.set()
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._work(), name=f"fence of {self._name}")

    def renew(self, vips: Iterable[Vip]) -> None:
        """Let these answer for another life: this node has just been allowed to hold them. Never blocks."""
        if self._wanted is None:
            return
        at_ms = self._clock()
        for vip in vips:
            self._renewed_ms[vip] = at_ms
            self._send(vip)

    async def close(self) -> None:
        """Take the table away: the addresses are released, or their lifetimes end them."""
        self._wanted = None
        self._moved.set()
        task = self._task
        if task is None and self._loaded is not None:
            task = asyncio.get_running_loop().create_task(self._work())
        if task is not None:
            await asyncio.wait([task], timeout=NFT_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    async def _work(self) -> None:
        """Bring the kernel to the newest that is wanted; try again what fails."""
        while self._wanted != self._loaded:
            self._moved.clear()
            wanted = self._wanted
            text = _unquotable(wanted)
            if not text:
                text = await self._executor.run([NFT, self._text(wanted)], {"PATH": hooks.PATH}, NFT_S)
            if not text:
                self._loaded = wanted
                logger.info("%s: fence %s", self._name, "is up" if wanted else "is taken away")
            self._tell(f"nft: {text}" if text and wanted is not None else "")
            if text and wanted is None:
                break  # the host is gone, or there is no nft: nothing is left to be done
            if text:
                try:
                    async with asyncio.timeout(AGAIN_S):
                        await self._moved.wait()
                except TimeoutError:
                    pass
        self._task = None

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            if problem:
                logger.error("%s: no fence: %s; trying again", self._name, problem)
            self.problem = problem
            self._on_change()

    def _send(self, vip: Vip) -> None:
        link = self._look(vip.interface)
        if link is None or self._loaded is None or (link.index, link.name) not in self._loaded.links:
            return  # no chain is there that would drop it; what lives is in the table when that is loaded
        if self._sock is None:
            self._sock = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
            )
            self._sock.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
        try:
            self._sock.sendto(frame(vip.address, link.mac), (link.name, 0))
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.ENETDOWN, errno.ENXIO, errno.ENODEV):
                raise  # ENOBUFS is how the kernel tells that the rule has dropped it, as it should

    # -- the ruleset

    def _text(self, wanted: Wanted | None) -> str:
        """One transaction: the old table goes and the new one is there, with what lives now."""
        gone = f"add table netdev {self._table}; delete table netdev {self._table}"
        if wanted is None:
            return gone
        at_ms, life = self._clock(), wanted.life_ms
        left_ms = {v: life - (at_ms - self._renewed_ms[v]) for v in wanted.vips if v in self._renewed_ms}
        names = sorted(name for _, name in wanted.links)
        body = f"{_sets(wanted.vips, {v: ms for v, ms in left_ms.items() if ms > 0}, life)} {_chains(names, life)}"
        return f"{gone}; table netdev {self._table} {{ {body} }}"


def _unquotable(wanted: Wanted | None) -> str:
    """Why this cannot be written as a ruleset: names come from the kernel, where a configuration has another one."""
    names = sorted(name for _, name in wanted.links) if wanted is not None else []
    found = next((name for name in names if not UNQUOTABLE.isdisjoint(name)), None)
    return "" if found is None else f"it cannot take the interface name {found!r}: rename the interface"


def frame(address: str, mac: bytes) -> bytes:
    """An empty IP packet to the address itself, in an Ethernet frame."""
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20, 0, 0, 1, PROTOCOL, 0, bytes(4), ip.packed)
        return NOWHERE + mac + struct.pack("!H", 0x0800) + head
    head = struct.pack("!IHBB16s16s", 6 << 28, 0, PROTOCOL, 1, bytes(16), ip.packed)
    return NOWHERE + mac + struct.pack("!H", arp.ETH_P_IPV6) + head


KEYS = {4: "typeof ip daddr", 6: "typeof @nh,192,128"}
"""IPv6 by raw bytes of the header, so that a neighbour solicitation's target can be compared with the same sets."""


def _sets(vips: Iterable[Vip], left_ms: Mapping[Vip, int], life: int) -> str:
    found: list[str] = []
    for version, key in KEYS.items():
        mine = sorted((v for v in vips if (":" in v.address) == (version == 6)), key=lambda v: v.address)
        fenced = ", ".join(_element(v) for v in mine)
        alive = ", ".join(f"{_element(v)} timeout {left_ms[v]}ms" for v in mine if v in left_ms)
        found.append(f"set fenced{version} {{ {key}; {f'elements = {{ {fenced} }};' if fenced else ''} }}")
        flags = f"size 65535; flags dynamic,timeout; timeout {life}ms;"
        found.append(f"set live{version} {{ {key}; {flags} {f'elements = {{ {alive} }};' if alive else ''} }}")
    return "; ".join(found) + ";"


def _element(vip: Vip) -> str:
    ip = ipaddress.ip_address(vip.address)
    return str(ip) if ip.version == 4 else f"0x{int(ip):032x}"


def _chains(interfaces: Iterable[str], life: int) -> str:
    ours = f"meta mark {MARK:#x} meta protocol"
    local = "fib daddr . iif type local"  # a router that forwards to the owner must not drop what is not its own
    out = [
        f"{ours} ip ip protocol {PROTOCOL} ip daddr @fenced4 update @live4 {{ ip daddr timeout {life}ms }} drop",
        f"{ours} ip6 ip6 nexthdr {PROTOCOL} @nh,192,128 @fenced6 update @live6 {{ @nh,192,128 timeout {life}ms }} drop",
    ]
    come = [
        f"ip daddr @fenced4 ip daddr != @live4 {local} drop",
        f"meta protocol ip6 @nh,192,128 @fenced6 @nh,192,128 != @live6 {local} drop",
        "arp operation request arp daddr ip @fenced4 arp daddr ip != @live4 drop",
        "icmpv6 type nd-neighbor-solicit @nh,384,128 @fenced6 @nh,384,128 != @live6 drop",
    ]
    text = ""
    for number, name in enumerate(interfaces):
        for hook, rules in (("egress", out), ("ingress", come)):
            head = f'type filter hook {hook} device "{name}" priority -300;'
            text += f"chain {hook}{number} {{ {head} {'; '.join(rules)}; }} ; "
    return text
