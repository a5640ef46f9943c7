"""Virtual time, the hosts, and what everybody can see of them. One seed gives one run; nothing here reads a clock.

The world tells its `Watch` of every fact as it comes about; the invariants are there, not here.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Mapping

from sim.build import KEY, VIP, config, group
from sim.clients import Clients
from sim.history import History
from sim.host import Host
from sim.invariants import Invariants
from sim.network import Network
from sim.peace import NEVER, Peace
from vyos_agent.core.effects import Decided
from vyos_agent.core.events import Event, Hint, Served
from vyos_agent.core.model import Config, Group, State, Vip

__all__ = ["KEY", "VIP", "World", "config", "group"]


class World:
    """Hosts on shared LANs, clients beside them, and the invariants that are checked after every step."""

    def __init__(
        self,
        configs: Iterable[Config],
        *,
        seed: int | str = 1,
        delay_ms: tuple[int, int] = (0, 2),
        check: bool = True,
    ) -> None:
        self.now = 1_000
        self.seed = seed
        self.rng = random.Random(seed)
        self.netlink_ms = (0, 3)
        self.hosts: dict[str, Host] = {}
        self.status: dict[str, Hint] = {}
        """What the VyosCluster's status says of groups when a daemon starts."""
        self.claimed: dict[str, Hint] = {}
        """The claim with the highest epoch of each group: what the status says while every owner reaches the API."""
        self.log: list[str] = []
        self.held: dict[str, frozenset[Vip]] = {}
        self.interfaces: tuple[str, ...] = ()
        self.network = Network(self, seed, delay_ms)
        self.history = History(self)
        self.peace = Peace(self)
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._changed = False
        self.tape: list[tuple[str, str, bytes]] | None = None
        """Set to a list: every datagram that goes out from now on, as (sender, interface, data)."""
        self.careful = False
        """Whether whoever inflicts faults says which groups they may move (`Peace.harm`)."""
        self._newest: Config | None = None
        self._brought: dict[Vip, str] = {}
        self._groups: dict[str, Group] = {}
        self._looks: set[int] = set()
        for c in configs:
            self.hosts[c.me] = Host(self, c, seed)
            self.held[c.me] = frozenset()
            self.interfaces = tuple(dict.fromkeys([*self.interfaces, *c.interfaces]))
        self.clients = Clients(self, seed, list(self.hosts)[:2])
        self.invariants = Invariants(self) if check else None

    # -- time

    def at(self, when: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (max(when, self.now), self._count, action))

    def run(self, for_ms: int) -> None:
        """Let this much time pass; the invariants are looked at after every step that changed anything."""
        self.reckon()  # a test may have changed anything since
        until = self.now + for_ms
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, action = heapq.heappop(heap)
            action()
            if self._changed:
                self._changed = False
                if self.invariants is not None:
                    self.invariants.check()
        self.now = until

    def start(self, spread_ms: int = 30) -> None:
        """Power on all hosts, a little apart."""
        for host in self.hosts.values():
            self.at(self.now + self.rng.randint(0, spread_ms), host.start)

    def changed(self) -> None:
        """A fact that an invariant could depend on has changed."""
        self._changed = True

    def look_again(self, when: int) -> None:
        """An allowance ends then: look at the invariants again."""
        if self.now < when < NEVER and when not in self._looks:
            self._looks.add(when)
            self.at(when, lambda: self._look_now(when))

    def _look_now(self, when: int) -> None:
        self._looks.discard(when)
        self.changed()

    def reckon(self) -> None:
        """A fault has begun or ended, or a host came or went."""
        self.peace.reckon()
        self.changed()

    def disturbed(self) -> None:
        """Something was done to a host. Unless who did it says exactly what it may move, it may move anything."""
        if not self.careful:
            self.peace.harm(None)

    # -- what hosts tell

    def started(self, host: Host) -> None:
        self.disturbed()
        self.history.started(host)
        self.reckon()

    def restored(self, host: Host) -> None:
        self.history.restored(host)
        if self.invariants is not None:
            self.invariants.restored(host)
        self.reckon()

    def went_down(self, host: Host) -> None:
        """Killed or frozen just now, and was running before."""
        self.disturbed()
        self.history.went_down(host)
        self.reckon()

    def ended(self, host: Host) -> None:
        self.history.ended(host)
        self.reckon()

    def stepped(self, host: Host, event: Event, at_ms: int) -> None:
        if isinstance(event, Served):
            self.history.served(host, event)
        if host.node is not None:
            self.history.relocated |= {(vip, host.name): self.now for vip in host.node.relocated}
        if self.invariants is not None:
            self.invariants.stepped(host, at_ms)

    def sent(self, host: Host, datagrams: Mapping[str, tuple[bytes, ...]], *, accepted: bool) -> None:
        if accepted:
            self.history.sent(host)
        if self.invariants is not None:
            self.invariants.spoke(host, datagrams)

    def announce(self, host: Host, vips: Iterable[Vip]) -> None:
        told = tuple(vips)
        if self.invariants is not None:
            self.invariants.announced(host, told)
        self.clients.announced(host.name, told)
        if self.clients.flips:
            self.changed()

    def decided(self, host: Host, d: Decided) -> None:
        peer = f" {d.peer}" if d.peer else ""
        line = f"{d.group}: {d.before.name} -> {d.after.name} epoch {d.epoch} ({d.reason}{peer})"
        self.note(host.name, line)
        if d.after is State.OWNER and d.epoch > self.claimed.get(d.group, Hint(0)).epoch:
            self.claimed[d.group] = Hint(d.epoch, host.name)
        if self.invariants is not None:
            self.invariants.decided(host, d)
        self.history.decided(host, d)
        self.changed()

    def services_changed(self, host: Host, group_name: str | None) -> None:
        self.changed()

    def look(self, host: Host) -> None:
        """Note who holds what; called whenever a kernel's addresses may have changed."""
        held = frozenset() if host.clock.paused else host.kernel.holds(host.now)
        before = self.held[host.name]
        if held == before:
            return
        self.held[host.name] = held
        for vip in held ^ before:
            self.history.held(vip, self.holders(vip))
            if self.invariants is not None:
                self.invariants.lit(vip, self.history.before(vip))
            self.clients.changed(vip)
        self.changed()

    def note(self, who: str, line: str) -> None:
        """One line of the transcript."""
        self.log.append(f"{self.now:>7} {who} {line}")

    # -- what tests ask

    @property
    def groups(self) -> dict[str, Group]:
        """Every group of the newest configuration that any host has."""
        newest = max((h.config for h in self.hosts.values()), key=lambda c: c.generation)
        if newest is not self._newest:
            self._newest, self._groups = newest, {g.name: g for g in newest.groups}
            self._brought |= {vip: g.name for g in newest.groups for vip in g.vips}
        return self._groups

    def group_of(self, vip: Vip) -> str | None:
        """The group that brings this address along; None: it was in a group that is gone."""
        return next((name for name, g in self.groups.items() if vip in g.vips), None)

    def was_of(self, vip: Vip) -> str | None:
        """The group that brings it along, or brought it last: what is removed may be in the middle of a move."""
        return self.group_of(vip) or self._brought.get(vip)

    def owners(self, name: str = "g") -> set[str]:
        """Hosts that say that they own it, and do not ask or give it to another."""
        found = set()
        for host in self.hosts.values():
            if host.node is not None:
                states = {g.name: g.state for g in host.node.report().groups}
                if states.get(name) in (State.OWNER, State.SUSPENDED):
                    found.add(host.name)
        return found

    def holders(self, vip: Vip = VIP) -> set[str]:
        """Hosts that answer ARP for it."""
        return {name for name, vips in self.held.items() if vip in vips}

    def serving(self, name: str = "g") -> set[str]:
        """Hosts on which a unit of the group runs."""
        return {h.name for h in self.hosts.values() if h.systemd.runs(name)}

    def overlap_ms(self, since: int, vip: Vip = VIP) -> int:
        """How long two or more hosts held it."""
        return self.history.total_ms(vip, since, lambda holders: len(holders) > 1)

    def dark_ms(self, since: int, vip: Vip = VIP) -> int:
        """How long no host held it."""
        return self.history.total_ms(vip, since, lambda holders: not holders)

    @property
    def arp(self) -> dict[Vip, str]:
        """What the client that hears everything has in its cache."""
        return self.clients.all[0].cache

    # -- short forms for stories

    @property
    def cut(self) -> set[tuple[str, str]]:
        """(sender, receiver): nothing gets through."""
        return self.network.cut

    @cut.setter
    def cut(self, pairs: set[tuple[str, str]]) -> None:
        self.network.cut = pairs
        self.reckon()

    @property
    def loss(self) -> float:
        """The share of frames that is lost."""
        return self.network.weather.loss

    @loss.setter
    def loss(self, share: float) -> None:
        self.network.weather.loss = share
        self.reckon()

    @property
    def deaf_links(self) -> set[tuple[str, str]]:
        """(host, interface) whose carrier is gone."""
        return self.network.deaf

    def partition(self, *sides: str) -> None:
        self.network.partition(*sides)
        self.reckon()

    def heal(self) -> None:
        self.network.heal()
        self.reckon()

    def add_twin(self, of: str, name: str) -> Host:
        """A third machine is started with another's configuration, by mistake."""
        twin = self.hosts[name] = Host(self, self.hosts[of].config, self.seed, name)
        self.held[name] = frozenset()
        twin.start()
        return twin

    def deliver(self, target: str, interface: str, data: bytes, delay_ms: int = 0) -> None:
        self.network.deliver(target, interface, data, delay_ms)
