"""The wires: a switch, two routers and a client, each a network namespace, all named vcb-*.

Two switches in fact: eth0 of each is the LAN with the address and the client, eth1 joins the two routers alone and is
used by the trials with two heartbeat links. What happens to addresses is told by each router's kernel.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench import cage
from edge import netns
from vyos_agent.edge.netlink import Message, Netlink, attribute, attributes, messages

PREFIX = "vcb"
NODES = ("r1", "r2")
NET, NET2 = "10.77.0.", "10.78.0."
HOSTS = {"r1": 1, "r2": 2, "c": 10, "x": 66}
"""`x` is a stranger, who is silent but in the trials that are about him."""
LAST = 160
VIPS = tuple(f"{NET}{n}" for n in range(129, LAST + 1))
"""32 of them, for as many groups as a cluster may have; the client probes the first."""
VIP = VIPS[0]
VIP_RANGE = f"{NET}128/25"
LINKS = ("eth0", "eth1")

RTM_NEWLINK, RTM_SETLINK, RTM_NEWADDR, RTM_DELADDR = 16, 19, 20, 21
RTMGRP_IPV4_IFADDR = 0x10
IFA_LOCAL = 2
IFLA_PROTINFO, IFLA_BRPORT_STATE, NESTED = 12, 1, 0x8000
BR_STATE_DISABLED, BR_STATE_FORWARDING = 0, 3
IFF_UP = 1
IFINFO = struct.Struct("=BxHiII")
SO_RCVBUFFORCE = 33


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One router's kernel got the probed address, or lost it."""

    at_ns: int
    node: str
    holds: bool


class Watcher(threading.Thread):
    """Hears each router's kernel tell about the probed address."""

    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__(daemon=True)
        self.holds = dict.fromkeys(places, False)
        self.changes: list[Change] = []
        self._socks = {netns.within(place, _address_socket): node for node, place in places.items()}
        self._over = threading.Event()

    def run(self) -> None:
        cage.be_prompt()
        while not self._over.is_set():
            ready, _, _ = select.select(list(self._socks), [], [], 0.2)
            at_ns = time.time_ns()
            for sock in ready:
                for kind, _, _, _, body in messages(sock.recv(1 << 16)):
                    self._take(self._socks[sock], kind, body, at_ns)

    def stop(self) -> None:
        self._over.set()
        self.join()
        for sock in self._socks:
            sock.close()

    def owners(self) -> set[str]:
        """Who holds the probed address now."""
        return {node for node, holds in self.holds.items() if holds}

    def _take(self, node: str, kind: int, body: bytes, at_ns: int) -> None:
        holds = kind == RTM_NEWADDR
        if not holds and kind != RTM_DELADDR:
            return
        local = dict(attributes(body, 8)).get(IFA_LOCAL)
        if local == socket.inet_aton(VIP) and self.holds[node] != holds:  # a renewal is no change
            self.holds[node] = holds
            self.changes.append(Change(at_ns, node, holds))


class Lan:
    """See the module's text; made by `lan`."""

    def __init__(self, tag: str, places: Mapping[str, str], watcher: Watcher) -> None:
        self.places = places
        self.watcher = watcher
        self._switch = netns.within(places["lan"], Netlink)
        self._isolated: set[str] = set()
        self._ports = {name: _index(places["lan"], name) for h in HOSTS for name in _ports(h)}

    def plug(self, node: str, *, up: bool, links: tuple[str, ...] = LINKS) -> None:
        """The carrier of a router's cables."""
        for link in links:
            index = self._ports[f"p-{node}-{link}"]
            self._change(Message(RTM_NEWLINK, 0, IFINFO.pack(0, 0, index, IFF_UP if up else 0, IFF_UP)))

    def isolate(self, node: str, *, cut: bool) -> None:
        """Whether the switches pass anything at the router's ports; the carrier stays."""
        if cut == (node in self._isolated):
            return  # a port without carrier refuses to be set, and forwards by itself when that comes
        (self._isolated.add if cut else self._isolated.remove)(node)
        state = bytes([BR_STATE_DISABLED if cut else BR_STATE_FORWARDING])
        for port in _ports(node):
            body = IFINFO.pack(socket.AF_BRIDGE, 0, self._ports[port], 0, 0)
            body += attribute(IFLA_PROTINFO | NESTED, attribute(IFLA_BRPORT_STATE, state))
            self._change(Message(RTM_SETLINK, 0, body))

    def sweep(self, node: str) -> None:
        """Take the shared addresses from a router: what a reboot does."""
        netns.ip("addr", "flush", "dev", "eth0", "to", VIP_RANGE, netns=self.places[node])

    def forget(self) -> None:
        """The client asks anew who has the address, so that each trial begins with a fresh ARP entry."""
        netns.ip("neigh", "flush", "dev", "eth0", netns=self.places["c"])

    def sent(self, node: str) -> tuple[int, int]:
        """Bytes and frames that a router has put on its wires."""
        found = [0, 0]
        for port in _ports(node):
            words = netns.run(
                *("ip", "netns", "exec", self.places["lan"], "cat"),
                *(f"/sys/class/net/{port}/statistics/rx_{what}" for what in ("bytes", "packets")),
            ).split()
            found = [a + int(b) for a, b in zip(found, words, strict=True)]
        return found[0], found[1]

    def close(self) -> None:
        self._switch.close()

    def _change(self, request: Message) -> None:
        (refusal,) = self._switch.change([request])
        if refusal is not None:
            raise refusal


@contextlib.contextmanager
def lan(tag: str) -> Iterator[Lan]:
    """The wires for the length of a `with`; `tag` keeps those of several apart."""
    places = {host: f"{PREFIX}-{os.getpid()}-{tag}-{host}" for host in ("lan", *HOSTS)}
    with netns.named(*places.values()):
        for place in places.values():
            six = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
            netns.run("ip", "netns", "exec", place, "sysctl", "-qw", *six)
        for bridge in ("br0", "br1"):
            options = ("stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
            netns.ip("link", "add", bridge, "type", "bridge", *options, netns=places["lan"])
            netns.ip("link", "set", bridge, "up", netns=places["lan"])
        for host, number in HOSTS.items():
            _cable(places, host, "eth0", "br0", f"{NET}{number}/24", mac(host))
            if host in NODES:
                _cable(places, host, "eth1", "br1", f"{NET2}{number}/24", mac(host, 1))
        watcher = Watcher({node: places[node] for node in NODES})
        watcher.start()
        wires = Lan(tag, places, watcher)
        try:
            yield wires
        finally:
            wires.close()
            watcher.stop()


def mac(host: str, link: int = 0) -> str:
    """The hardware address of a host's interface."""
    return f"02:00:0a:4d:{link:02x}:{HOSTS[host]:02x}"


def sweep_stale() -> list[str]:
    """Remove the namespaces of runs that were killed; their names."""
    found = []
    for name in os.listdir("/run/netns") if Path("/run/netns").is_dir() else ():
        owner = name.split("-")
        if owner[0] == PREFIX and len(owner) > 1 and not Path(f"/proc/{owner[1]}").exists():
            netns.run("ip", "netns", "del", name)
            found.append(name)
    return found


def _ports(host: str) -> tuple[str, ...]:
    return tuple(f"p-{host}-{link}" for link in (LINKS if host in NODES else LINKS[:1]))


def _cable(places: Mapping[str, str], host: str, link: str, bridge: str, address: str, hardware: str) -> None:
    port, switch, place = f"p-{host}-{link}", places["lan"], places[host]
    peer = ("peer", "name", link, "address", hardware, "netns", place)
    netns.ip("link", "add", port, "type", "veth", *peer, netns=switch)
    netns.ip("link", "set", port, "master", bridge, "up", netns=switch)
    netns.ip("addr", "add", address, "brd", "+", "dev", link, netns=place)
    netns.ip("link", "set", link, "up", netns=place)


def _index(place: str, name: str) -> int:
    return netns.within(place, lambda: socket.if_nametoindex(name))


def _address_socket() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
    sock.bind((0, RTMGRP_IPV4_IFADDR))
    return sock
