"""One cluster on this node: its Node and runner, its sockets, its place among the addresses, its files.

Wires the parts together and decides nothing. Everything here runs in the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

from vyos_agent.config import UNFOUND
from vyos_agent.core.effects import Decided
from vyos_agent.core.events import Configured, Forced, Frame, Held, Hinted, LinkChanged, Stopping
from vyos_agent.core.farewell import RELEASE_LIMIT_MS, STOP_LIMIT_MS
from vyos_agent.core.model import Config, Ending, Force, Vip
from vyos_agent.core.node import Node
from vyos_agent.edge.addresses import AddressKeeper
from vyos_agent.edge.arp import Announcer
from vyos_agent.edge.clock import now
from vyos_agent.edge.kernel import Link
from vyos_agent.edge.links import Links
from vyos_agent.edge.multicast import Multicast, open_socket
from vyos_agent.edge.orders import Item
from vyos_agent.edge.report import STATE_NAMES, ClusterReporter, Facts
from vyos_agent.edge.runner import Runner
from vyos_agent.edge.state import State

logger = logging.getLogger(__name__)

RETRY_S = 1.0
"""When to try again to open a socket that could not be opened."""
STOP_S = (STOP_LIMIT_MS + RELEASE_LIMIT_MS) / 1000 + 1
"""How long a cluster may take to leave; the core's own limit is shorter (core.farewell)."""


class Taken(Exception):
    """Another process of this network namespace serves the cluster."""


class Tools:
    """What all clusters of the daemon share."""

    def __init__(self, keeper: AddressKeeper, links: Links, announcer: Announcer, state: State) -> None:
        self.keeper = keeper
        self.links = links
        self.announcer = announcer
        self.state = state


class Cluster:
    """See the module's text. `start` once, then `update` and `link_changed`, then `stop`."""

    def __init__(
        self,
        item: Item,
        tools: Tools,
        *,
        on_change: Callable[[], None],
        on_crash: Callable[[Cluster, Exception], None],
    ) -> None:
        self.item = item
        self._tools = tools
        self._on_change = on_change
        self._on_crash = on_crash
        self._reporter = ClusterReporter(lambda name: tools.links.get(name) is not None, now)
        self._multicast = Multicast(item.endpoint)
        self._failed: dict[Vip, str] = {}
        self._gone = asyncio.Event()
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._unopened: dict[str, str] = {}
        self._loop = asyncio.get_running_loop()
        self._lock = _lock(item.uid)
        self._runner: Runner | None = None

    # -- life

    async def start(self) -> None:
        """Open the sockets, and begin to listen. Interfaces that are missing are joined when they come."""
        item, core = self.item, self.item.core
        await self._open_sockets()
        epochs = _higher(self._tools.state.epochs(core.cluster_id), item.epochs)
        node = Node(core, incarnation=secrets.randbits(64) or 1, epochs=epochs, now=now())
        self._slot = self._tools.keeper.open(item.config.cluster, _scope(core), node.may_hold, self._held)
        self._runner = Runner(node, self)
        for interface in self._multicast.interfaces:
            self._listen(interface)
        self._runner.turn(*(LinkChanged(name, self._is_up(name)) for name in self.interfaces))

    async def update(self, item: Item) -> None:
        """A new configuration, or only new epochs, of the same cluster."""
        before, self.item = self.item, item
        if item.epochs:
            self._turn(Hinted(item.epochs))
        if item.core == before.core and item.endpoint == before.endpoint:
            return
        await self._open_sockets()  # before the core speaks on them, and the old ones are closed after
        self._failed = {}
        self._tools.keeper.rescope(self._slot, _scope(item.core))
        events = [LinkChanged(name, self._is_up(name)) for name in self.interfaces]
        self._turn(*events, Configured(item.core))
        for name in set(self._multicast.interfaces) - set(item.core.interfaces):
            self._drop(name)
        logger.info("%s: generation %d is in force", item.config.cluster, item.core.generation)

    async def stop(self) -> None:
        """Release everything, say so, and end. Bounded."""
        self._turn(Stopping())
        if self._runner is not None and not self._runner.over:
            try:
                async with asyncio.timeout(STOP_S):
                    await self._gone.wait()
            except TimeoutError:
                logger.error("%s: did not leave in %g s; ending it", self.item.config.cluster, STOP_S)
        await self.close()

    async def close(self) -> None:
        """End at once; whatever is held still is removed."""
        if self._runner is not None:
            self._runner.end()
            self._tools.keeper.close(self._slot)
            self._runner = None
        await asyncio.gather(*self._tasks)
        if self._retry is not None:
            self._retry.cancel()
        for interface in self._multicast.interfaces:
            self._drop(interface)
        self._lock.close()

    # -- what others ask and tell

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Every interface that matters to this member."""
        return interfaces(self.item)

    def report(self) -> dict[str, Any] | None:
        """Its item in the daemon's report; None when it is not running."""
        if self._runner is None:
            return None
        return self._reporter.build(self.item.config, self._runner.node.report(), self._facts())

    def _facts(self) -> Facts:
        mine = [v for g in self.item.core.groups if self.item.core.me in g.members for v in g.vips]
        return Facts(
            failed=[vip.text for vip in self._failed],
            unfound=[f"{v.address}/{v.prefix}" for v in mine if v.interface == UNFOUND],
        )

    def link_changed(self, name: str, link: Link | None) -> None:
        """An interface came, went, or changed."""
        if self._runner is None or name not in self.interfaces:
            return
        if name in self.item.config.interfaces and self._multicast.index(name) != (link.index if link else None):
            self._open_later()
        self._turn(LinkChanged(name, link is not None and link.up))

    def force(self, command: Force, group: str | None) -> list[str]:
        """Pass a person's wish on, for one group or for all that this node is a member of; which those are."""
        core = self.item.core
        names = [g.name for g in core.groups if core.me in g.members and group in (None, g.name)]
        for name in names:
            self._turn(Forced(command, name))
        return names if self._runner is not None else []

    def _turn(self, *events: Configured | Forced | Hinted | LinkChanged | Stopping | Held) -> None:
        if self._runner is not None:
            self._runner.turn(*events)

    def _held(self, held: Held) -> None:
        self._failed = {v: t for v, t in {**self._failed, **held.failed}.items() if v not in held.vips}
        self._turn(held)

    def _is_up(self, name: str) -> bool:
        link = self._tools.links.get(name)
        return link is not None and link.up

    # -- sockets

    def _listen(self, interface: str) -> None:
        self._loop.add_reader(self._multicast.fileno(interface), self._turn)

    def _mute(self, interface: str) -> None:
        fd = self._multicast.fileno(interface)
        if fd >= 0:
            self._loop.remove_reader(fd)

    def _drop(self, interface: str) -> None:
        self._mute(interface)
        sock = self._multicast.detach(interface)
        if sock is not None:
            self._tools.links.soon(sock.close)
        self._unopened.pop(interface, None)

    def _open_later(self) -> None:
        self._retry = None
        task = self._loop.create_task(self._open_sockets(), name=f"sockets of {self.item.config.cluster}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open_sockets(self) -> None:
        """One socket for each heartbeat interface that is there, bound to what it is now."""
        async with self._opening:
            there = [name for name in self.item.core.interfaces if self._tools.links.get(name) is not None]
            self._unopened = {name: text for name, text in self._unopened.items() if name in there}
            old = self._multicast
            new = old if old.endpoint == self.item.endpoint else Multicast(self.item.endpoint)
            for name in self.item.core.interfaces:
                link = self._tools.links.get(name)
                if new.index(name) == (link.index if link else None):
                    continue
                if new is old:
                    self._drop(name)
                if link is not None:
                    await self._open(new, name, link)
            if new is not old:
                for name in old.interfaces:
                    self._drop(name)
                self._multicast = new
                for name in new.interfaces:
                    self._listen(name)
            if self._unopened and self._retry is None:
                self._retry = self._loop.call_later(RETRY_S, self._open_later)

    async def _open(self, multicast: Multicast, name: str, link: Link) -> None:
        endpoint = multicast.endpoint
        opening = functools.partial(open_socket, endpoint, self.item.core.cluster_id, link.index)
        try:
            sock = await self._tools.links.run(opening)
        except OSError as error:
            self._cannot_open(name, error)
            return
        self._unopened.pop(name, None)
        multicast.attach(name, link.index, sock)
        if self._runner is not None and multicast is self._multicast:
            self._listen(name)
        logger.info("%s: heartbeats on %s (%s port %d)", self.item.config.cluster, name, endpoint.group, endpoint.port)

    def _cannot_open(self, name: str, error: OSError) -> None:
        text = error.strerror or str(error)
        if error.errno == errno.EACCES:
            text += f" (a port below 1024, such as {self.item.endpoint.port}, needs NET_BIND_SERVICE)"
        if self._unopened.get(name) != text:
            self._unopened[name] = text
            logger.warning("%s: no heartbeats on %s: %s; trying again", self.item.config.cluster, name, text)

    # -- ports of the runner

    def drain(self, at_ms: int) -> tuple[Frame, ...]:
        """Frames that have come."""
        return self._multicast.drain(at_ms)

    def send(self, datagrams: Mapping[str, tuple[bytes, ...]]) -> bool:
        """Multicast; whether it was accepted."""
        return self._multicast.send(datagrams)

    def hold(self, lifetimes_ms: Mapping[Vip, int], at_ms: int) -> None:
        """Have the kernel hold these addresses."""
        self._tools.keeper.hold(self._slot, lifetimes_ms, at_ms)

    def serve(self, running: Mapping[str, tuple[str, ...]]) -> None:
        """Nothing: `config.resolve` takes no units yet."""
        assert not running, running

    def announce(self, vips: tuple[Vip, ...]) -> None:
        """Tell the LAN."""
        self._tools.announcer.announce(vips)

    def persist(self, epochs: Mapping[str, int]) -> None:
        """Write the epochs to the disk, later."""
        self._tools.state.save_epochs(self.item.core.cluster_id, self.item.config.cluster, epochs)

    def decided(self, decision: Decided) -> None:
        """The one log line of a move."""
        d = decision
        facts = [d.reason.value, f"epoch {d.epoch}", *([d.peer] if d.peer else [])]
        moved = f"{STATE_NAMES[d.before]} -> {STATE_NAMES[d.after]}"
        logger.info("%s/%s: %s (%s)", self.item.config.cluster, d.group, moved, ", ".join(facts))

    def changed(self) -> None:
        """The report says something new."""
        self._on_change()

    def stopped(self, ending: Ending) -> None:
        """The node's life is over."""
        self._gone.set()

    def crashed(self, error: Exception) -> None:
        """A fault of ours: this cluster cannot go on."""
        self._on_crash(self, error)


def interfaces(item: Item) -> tuple[str, ...]:
    """Every interface that matters to a member: those with heartbeats, then those of its groups' addresses."""
    groups = [g for g in item.core.groups if item.core.me in g.members]
    return tuple(dict.fromkeys([*item.core.interfaces, *(v.interface for g in groups for v in g.vips)]))


def _scope(core: Config) -> frozenset[Vip]:
    return frozenset(vip for group in core.groups for vip in group.vips)


def _higher(*maps: Mapping[str, int]) -> dict[str, int]:
    return {name: max(m.get(name, 0) for m in maps) for m in maps for name in m}


def _lock(uid: str) -> socket.socket:
    """One agent per cluster and network namespace: the name is the kernel's, and dies with this process."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        sock.bind(f"\0vyos-cluster/{uid}")
    except OSError as error:
        with contextlib.closing(sock):
            if error.errno != errno.EADDRINUSE:
                raise
        raise Taken("another heartbeat daemon in this network namespace serves this cluster; stop it") from None
    return sock
