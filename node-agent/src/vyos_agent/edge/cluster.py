"""One cluster on this node: its Node and runner, and what these drive: frames, addresses, services, monitors, files.

Wires the parts together and decides nothing. Everything here runs in the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from vyos_agent.config import NFTABLES, UNFOUND
from vyos_agent.core.effects import Decided
from vyos_agent.core.events import (
    Configured,
    Event,
    Forced,
    Frame,
    Held,
    Hinted,
    Monitored,
    Occupied,
    Served,
    Stopping,
)
from vyos_agent.core.farewell import RELEASE_LIMIT_MS, STOP_LIMIT_MS
from vyos_agent.core.model import Config, Ending, Force, Reason, Vip
from vyos_agent.core.node import Node
from vyos_agent.edge import explain, metrics, single
from vyos_agent.edge.addresses import Slot
from vyos_agent.edge.carriers import Carriers, interfaces
from vyos_agent.edge.clock import now, wall_ms
from vyos_agent.edge.fence import Fence
from vyos_agent.edge.gaps import Gaps
from vyos_agent.edge.grants import Grant, granted
from vyos_agent.edge.history import History, Scene
from vyos_agent.edge.kernel import Link
from vyos_agent.edge.moves import Moves
from vyos_agent.edge.orders import Item
from vyos_agent.edge.ownership import Ownership
from vyos_agent.edge.report import STATE_NAMES, ClusterReporter, Facts
from vyos_agent.edge.runner import Runner
from vyos_agent.edge.tools import Tools
from vyos_agent.edge.ways import Ways

logger = logging.getLogger(__name__)

STOP_S = (STOP_LIMIT_MS + RELEASE_LIMIT_MS) / 1000 + 1
"""How long a cluster may take to leave; the core's own limit is shorter (core.farewell)."""


class Cluster:
    """See the module's text. `start` once, then `update` and `link_changed`, then `stop`."""

    def __init__(
        self,
        item: Item,
        tools: Tools,
        *,
        on_change: Callable[[], None],
        on_crash: Callable[[Cluster, Exception], None],
        on_end: Callable[[Cluster, Ending], None],
    ) -> None:
        """`on_end`: the node's life is over, and nobody had asked it to stop."""
        self.item = item
        self._tools = tools
        self._on_change = on_change
        self._on_crash = on_crash
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._lock = single.lock(item.uid)
        self._reporter = ClusterReporter(lambda name: tools.links.get(name) is not None, now)
        self._heartbeats = Ways(item, tools.links, tools.unicast, self._turn)
        self._carriers = Carriers(tools.links, tools.addresses, self._heartbeats, self._turn)
        self._occupied: dict[Vip, str] = {}
        """Its addresses that this node has for good, and not from here, with the interface that has each."""
        tools.addresses.listeners.add(self.addresses_changed)
        self._watch = tools.monitors.open(item.config.cluster, self._monitored)
        self._ownership = Ownership(
            tools.prober,
            tools.announcer,
            item.config.cluster,
            beacon=self._heartbeats.source,
            on_change=on_change,
            on_conflict=self._conflict,
            on_verified=self._verified,
        )
        self._moves = Moves(tools.hooks, item.config.cluster, self._hold_again)
        self._fence = Fence(item.uid, item.config.cluster, tools.executor, tools.links.get, on_change)
        self._grants: dict[Vip, Grant] = {}
        """All that the newest Hold names, with what may still be added of it."""
        self._services = tools.services.open(item.config.cluster, item.uid, self._served, self.crashed, on_change)
        self._failed: dict[Vip, str] = {}
        self._tally = metrics.Tally()
        self._gaps = Gaps()
        self._history = History()
        self._since_wall_ms = wall_ms()
        self._gone = asyncio.Event()
        self._slot: Slot | None = None
        self._runner: Runner | None = None

    # -- life

    async def start(self) -> None:
        """Open the sockets, and begin to listen. Interfaces that are missing are joined when they come."""
        item, core = self.item, self.item.core
        # A disk may take seconds, and this thread sends the heartbeats of other clusters.
        epochs = await asyncio.to_thread(self._tools.state.epochs, core.cluster_id)
        await self._heartbeats.begin(item, self._tools.state.ways(core.cluster_id))
        self._save_ways()
        await self._tools.addresses.look()
        node = Node(self._heartbeats.core, incarnation=secrets.randbits(64) or 1, epochs=epochs, now=now())
        self._slot = self._tools.keeper.open(item.config.cluster, _places(core), node.may_hold, self._held)
        self._services.configure(core)
        self._configure_fence()
        self._gaps.configure(_others(core))
        self._runner = Runner(node, self)
        self._heartbeats.listen()
        self._runner.turn(Hinted(item.claims), *self._carriers.events(item), self._look_at_addresses())
        self._watch_monitors()

    async def update(self, item: Item) -> None:
        """A new configuration, or only new claims in the status, of the same cluster."""
        before, self.item = self.item, item
        if item.claims:
            self._turn(Hinted(item.claims))
        if (item.core, item.endpoint, item.config) == (before.core, before.endpoint, before.config):
            return
        await self._tools.addresses.look()
        await self._heartbeats.apply(item)  # before the core speaks on them, and the old ones are closed after
        self._save_ways()
        self._failed = {}
        assert self._slot is not None
        self._tools.keeper.rescope(self._slot, _places(item.core))
        self._services.configure(item.core)
        self._configure_fence()
        self._gaps.configure(_others(item.core))
        self._turn(*self._carriers.events(item), self._look_at_addresses(), Configured(self._heartbeats.core))
        self._watch_monitors()
        self._heartbeats.settle()
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
        """End at once; whatever is held still is removed, and whatever runs is stopped."""
        if self._runner is not None:
            self._runner.end()
            self._runner = None
        if self._slot is not None:
            self._tools.keeper.close(self._slot)
            self._slot = None
        try:
            self._tools.addresses.listeners.discard(self.addresses_changed)
            self._watch.close()
            self._ownership.close()
            self._carriers.close()
            await self._heartbeats.close()
            await self._services.close()
            await self._fence.close()
        finally:
            self._lock.close()

    # -- what others ask and tell

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Every interface that matters to this member."""
        return (*interfaces(self.item), *self._heartbeats.labels.values())

    def report(self) -> dict[str, Any] | None:
        """Its item in the daemon's report; None when it is not running."""
        if self._runner is None:
            return None
        return self._reporter.build(self.item.config, self.item.core.keyring, self._runner.node.report(), self._facts())

    def _facts(self) -> Facts:
        mine = [v for g in self.item.core.groups if self.item.core.me in g.members for v in g.vips]
        return Facts(
            failed=[vip.text for vip in self._failed],
            fence=self._fence.problem,
            answers=self._ownership.answers,
            troubles=self._carriers.troubles(),
            occupied=[
                f"{vip.text}: {name} has it for good: remove it there, or take it out of the cluster"
                for vip, name in self._occupied.items()
            ],
            refused_units=self._services.refused,
            unfound=[f"{v.address}/{v.prefix}" for v in mine if v.interface == UNFOUND],
        )

    def metrics(self) -> dict[str, Any] | None:
        """Its item in the daemon's metrics; None when it is not running."""
        if self._runner is None:
            return None
        report, errors = self._runner.node.report(), self._heartbeats.errors
        return metrics.cluster(self.item.config, report, self._tally, errors, self._gaps)

    def explain(self) -> dict[str, Any] | None:
        """Why the owners own what they own; None when it is not running."""
        if self._runner is None:
            return None
        return explain.cluster(self.item.config, self._runner.node.report(), self._carriers.troubles())

    def history(self) -> dict[str, Any]:
        """The moves that this member made since the cluster was started here."""
        mine = {g.name for g in self.item.core.groups if self.item.core.me in g.members}
        return {
            "cluster": self.item.config.cluster,
            "sinceMs": self._since_wall_ms,
            "groups": sorted(mine | self._history.groups),
            "moves": self._history.as_json(),
        }

    def force(self, command: Force, group: str | None) -> bool:
        """A person's command; whether this member has such a group."""
        mine = [g.name for g in self.item.core.groups if self.item.core.me in g.members]
        if not mine or group not in (None, *mine):
            return False
        logger.info("%s/%s: %s is asked for", self.item.config.cluster, group or "*", command.value)
        self._turn(Forced(command, group))
        return True

    def link_changed(self, name: str, link: Link | None) -> None:
        """An interface came, went, or changed."""
        if self._runner is None or name not in self.interfaces:
            return
        self._heartbeats.link_changed(name, link)
        self._carriers.link_changed(name)
        self._configure_fence()

    def addresses_changed(self) -> None:
        """An address of the node's own came or went."""
        self._carriers.review()
        before, event = self._occupied, self._look_at_addresses()
        if before != self._occupied:
            self._turn(event)

    def _look_at_addresses(self) -> Occupied:
        places = sorted(_places(self.item.core))
        self._occupied = {v: name for v in places if (name := self._tools.addresses.for_good(v.address)) is not None}
        return Occupied(frozenset(v.address for v in self._occupied))

    def _forget_former(self) -> None:
        """Every member has the new configuration, or is waited for no more."""
        if self._runner is None or not (self._heartbeats.changing and self._runner.node.staging.over):
            return
        self._heartbeats.forget()
        self._save_ways()
        self._turn(Configured(self._heartbeats.core))

    def _save_ways(self) -> None:
        self._tools.state.save_ways(self.item.core.cluster_id, self._heartbeats.ways)

    def _turn(self, *events: Event) -> None:
        if self._runner is not None:
            self._runner.turn(*events)

    def _held(self, held: Held) -> None:
        self._history.held(held.vips, now())
        self._failed = {v: t for v, t in {**self._failed, **held.failed}.items() if v not in held.vips}
        self._turn(held)

    def _monitored(self, verdicts: Mapping[str, bool]) -> None:
        self._turn(Monitored(verdicts))

    def _served(self, served: Served) -> None:
        self._turn(served)

    def _configure_fence(self) -> None:
        self._fence.configure(self.item.core, wanted=self.item.config.fence == NFTABLES)

    def _hold_again(self, vips: frozenset[Vip]) -> None:
        """Add what has waited, with what is left of its life; a Hold is a level, so the others are named in it, too."""
        if self._runner is None or self._runner.over or self._slot is None:
            return
        waited = {vip: self._grants[vip] for vip in vips & self._grants.keys()}
        for at_ms in sorted({grant.issued_ms for grant in waited.values()}):
            due = {vip: grant.life_ms for vip, grant in waited.items() if grant.issued_ms == at_ms}
            level = dict.fromkeys(self._grants, 0) | due
            self._tools.keeper.hold(self._slot, self._moves.ready(level), at_ms)

    def _conflict(self, vip: Vip, mac: bytes) -> None:
        self._moves.conflict(self.item.core, vip, mac)

    def _verified(self, vip: Vip, owner: str) -> None:
        self._history.verified(vip, owner, now())

    def _watch_monitors(self) -> None:
        config = self.item.config
        self._watch.set(
            self.item.core.monitors,
            interval_ms=config.keepalive_ms,
            dead_ms=config.monitor_dead_ms,
            scope=self._carriers.scope,
        )

    # -- ports of the runner

    def drain(self, at_ms: int) -> tuple[Frame, ...]:
        """Frames that have come."""
        return self._heartbeats.drain(at_ms)

    def heard(self, frames: tuple[Frame, ...]) -> None:
        """Measure what the node took of them."""
        if self._runner is None:
            return
        if self._heartbeats.changing and self._runner.node.staging.over:
            self._loop.call_soon(self._forget_former)
        if frames:
            self._gaps.heard(frames, self._runner.node.newest_frame)

    def send(self, datagrams: Mapping[str, tuple[bytes, ...]]) -> bool:
        """Send; whether it was accepted."""
        accepted = self._heartbeats.send(datagrams)
        self._carriers.review()
        if accepted or (self._runner is not None and self._runner.node.alone):
            self._services.renew()
        return accepted

    def hold(self, lifetimes_ms: Mapping[Vip, int], at_ms: int) -> None:
        """Have the kernel hold these addresses."""
        assert self._slot is not None
        self._grants = {vip: granted(self._grants.get(vip), life_ms, at_ms) for vip, life_ms in lifetimes_ms.items()}
        self._fence.renew(vip for vip, life_ms in lifetimes_ms.items() if life_ms)  # also what waits: it comes soon
        self._tools.keeper.hold(self._slot, self._moves.ready(lifetimes_ms), at_ms)

    def serve(self, running: Mapping[str, tuple[str, ...]]) -> None:
        """Have these host services run."""
        self._services.serve(running)

    def announce(self, vips: tuple[Vip, ...]) -> None:
        """Tell the LAN."""
        sent = [vip for vip in vips if self._tools.announcer.announce((vip,))]
        self._history.announced(sent, now())

    def persist(self, epochs: Mapping[str, int]) -> None:
        """Write the epochs to the disk, later."""
        self._tools.state.save_epochs(self.item.core.cluster_id, self.item.config.cluster, epochs)

    def decided(self, decision: Decided) -> None:
        """The one log line of a move."""
        d = decision
        self._moves.decided(d, self.item.core)  # first: an address may wait for a hook, whatever becomes of the rest
        facts = [d.reason.value, f"epoch {d.epoch}", *([d.peer] if d.peer else [])]
        moved = f"{STATE_NAMES[d.before]} -> {STATE_NAMES[d.after]}"
        logger.info("%s/%s: %s (%s)", self.item.config.cluster, d.group, moved, ", ".join(facts))
        self._tally.decided(d)
        vips = [v for group in self.item.core.groups if group.name == d.group for v in group.vips]
        self._history.decided(d, Scene(now(), wall_ms(), vips, self._last_beat_ms(d.peer)))
        if d.reason is Reason.FIRST_CLAIM:
            self._ownership.first_claim(vips)

    def _last_beat_ms(self, peer: str | None) -> int | None:
        """When the newest frame of a peer came that the core took; None: there is none."""
        if peer is None or self._runner is None:
            return None
        return self._runner.node.last_heard_ms(peer)

    def changed(self) -> None:
        """The report says something new."""
        if self._runner is not None:
            self._ownership.see(self.item.core, self._runner.node)
        self._on_change()

    def stopped(self, ending: Ending) -> None:
        """The node's life is over."""
        self._gone.set()
        if ending is not Ending.LEFT:
            self._on_end(self, ending)

    def crashed(self, error: Exception) -> None:
        """A fault of ours: this cluster cannot go on."""
        self._on_crash(self, error)


def _others(core: Config) -> list[str]:
    return [name for name in core.members if name != core.me]


def _places(core: Config) -> frozenset[Vip]:
    return frozenset(vip for group in core.groups for vip in group.vips)
