"""Virtual time and the network between hosts. One seed gives one run; nothing here reads a clock."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Sequence

from sim.host import Host
from vyos_agent.core.effects import Decided
from vyos_agent.core.model import Config, Group, Keyring, State, Vip

KEY = bytes(range(32))
VIP = Vip("192.168.0.123", 24, "eth0")


def group(
    name: str = "g",
    members: Sequence[str] = ("a", "b"),
    *,
    auto_failback: bool = False,
    vip: Vip = VIP,
    delay_ms: int = 1000,
    monitors: Sequence[str] = (),
    units: Sequence[str] = (),
    maintenance: Iterable[str] = (),
) -> Group:
    return Group(
        name, tuple(members), auto_failback, delay_ms, (vip,), tuple(monitors), tuple(units), frozenset(maintenance)
    )


def config(
    me: str,
    groups: Iterable[Group],
    *,
    keepalive_ms: int = 500,
    dead_ms: int = 3000,
    init_dead_ms: int = 6000,
    generation: int = 1,
    key: bytes = KEY,
    interfaces: tuple[str, ...] = ("eth0",),
) -> Config:
    return Config(
        cluster_id=b"sim-cluster-uid!",
        generation=generation,
        me=me,
        interfaces=interfaces,
        keepalive_ms=keepalive_ms,
        dead_ms=dead_ms,
        init_dead_ms=init_dead_ms,
        announce_count=5,
        announce_interval_ms=200,
        announce_refresh_ms=60_000,
        groups=tuple(groups),
        keyring=Keyring(1, {1: key}),
    )


class World:
    """Hosts on shared LANs. `holders` is recorded at every change, so that a test can ask who held what when."""

    def __init__(self, configs: Iterable[Config], *, seed: int = 1, delay_ms: tuple[int, int] = (0, 2)) -> None:
        self.now = 1_000
        self.rng = random.Random(seed)
        self.delay_ms = delay_ms
        self.netlink_ms = (0, 3)
        self.loss = 0.0
        self.cut: set[tuple[str, str]] = set()
        self.deaf_links: set[tuple[str, str]] = set()
        self.tape: list[tuple[str, str, bytes]] | None = None
        self.hosts: dict[str, Host] = {}
        self.log: list[str] = []
        self.spans: dict[Vip, list[tuple[int, frozenset[str]]]] = {}
        self.arp: dict[Vip, str] = {}
        self.running: dict[str, list[tuple[int, frozenset[str]]]] = {}
        """By group, where its host services ran since when."""
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        for c in configs:
            self.hosts[c.me] = Host(self, c)
            for g in c.groups:
                for vip in g.vips:
                    self.spans.setdefault(vip, [(self.now, frozenset())])

    # -- time

    def at(self, when: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (max(when, self.now), self._count, action))

    def run(self, for_ms: int) -> None:
        until = self.now + for_ms
        while self._heap and self._heap[0][0] <= until:
            when, _, action = heapq.heappop(self._heap)
            self.now = when
            action()
        self.now = until

    def start(self, spread_ms: int = 30) -> None:
        for host in self.hosts.values():
            self.at(self.now + self.rng.randint(0, spread_ms), host.start)

    # -- the network

    def send(self, source: str, interface: str, data: bytes) -> bool:
        if (source, interface) in self.deaf_links:
            return False
        if self.tape is not None:
            self.tape.append((source, interface, data))
        for name in self.hosts:
            if name != source:
                self._carry(source, name, interface, data)
        return True

    def _carry(self, source: str, target: str, interface: str, data: bytes) -> None:
        lost = self.rng.random() < self.loss
        if lost or (source, target) in self.cut or (target, interface) in self.deaf_links:
            return
        self.deliver(target, interface, data, self.rng.randint(*self.delay_ms))

    def deliver(self, target: str, interface: str, data: bytes, delay_ms: int = 0) -> None:
        self.at(self.now + delay_ms, lambda: self.hosts[target].receive(data, interface))

    def partition(self, *sides: str) -> None:
        """Members of different sides do not hear each other: partition("ab", "c")."""
        self.cut = {(x, y) for s in sides for x in s for t in sides if t != s for y in t}

    def heal(self) -> None:
        self.cut.clear()

    def announce(self, name: str, vips: Iterable[Vip]) -> None:
        for vip in vips:
            self.arp[vip] = name

    def serve(self, host: str, name: str, *, running: bool) -> None:
        """A group's host services were started or stopped on a host."""
        spans = self.running.setdefault(name, [(self.now, frozenset())])
        now = spans[-1][1] | {host} if running else spans[-1][1] - {host}
        if now != spans[-1][1]:
            spans.append((self.now, now))

    # -- looking

    def look(self) -> None:
        """Note who holds what; called whenever a kernel's addresses change."""
        held = {h.name: h.kernel.holds(self.now) for h in self.hosts.values()}
        for vip, spans in self.spans.items():
            holders = frozenset(name for name, vips in held.items() if vip in vips)
            if spans[-1][1] != holders:
                spans.append((self.now, holders))

    def note(self, name: str, d: Decided) -> None:
        peer = f" {d.peer}" if d.peer else ""
        line = f"{d.group}: {d.before.name} -> {d.after.name} epoch {d.epoch} ({d.reason}{peer})"
        self.log.append(f"{self.now:>7} {name} {line}")

    def owners(self, name: str = "g") -> set[str]:
        found = set()
        for host in self.hosts.values():
            if host.node is not None:
                states = {g.name: g.state for g in host.node.report().groups}
                if states.get(name) in (State.OWNER, State.SUSPENDED):
                    found.add(host.name)
        return found

    def holders(self, vip: Vip = VIP) -> set[str]:
        return set(self.spans[vip][-1][1])

    def serves(self, name: str = "g") -> set[str]:
        return set(self.running.get(name, [(0, frozenset())])[-1][1])

    def twice_ms(self, name: str = "g") -> int:
        """For how long a group's services ran on two hosts."""
        spans = [*self.running.get(name, []), (self.now, frozenset())]
        return sum(end - begin for (begin, at), (end, _) in itertools.pairwise(spans) if len(at) > 1)

    def overlap_ms(self, since: int, vip: Vip = VIP) -> int:
        return self._total(vip, since, lambda holders: len(holders) > 1)

    def dark_ms(self, since: int, vip: Vip = VIP) -> int:
        return self._total(vip, since, lambda holders: not holders)

    def _total(self, vip: Vip, since: int, wanted: Callable[[frozenset[str]], bool]) -> int:
        spans = [*self.spans[vip], (self.now, frozenset())]
        return sum(
            max(0, end - max(begin, since)) for (begin, held), (end, _) in itertools.pairwise(spans) if wanted(held)
        )
