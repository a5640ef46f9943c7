"""The set of clusters that this node serves: brought to what was ordered, and reported as one.

`configure` is a level: what is missing is stopped, what is new is started, what is the same is left alone. An item that
cannot be taken leaves its cluster as it runs. What cannot be started now (another process still serves it, a fault of
ours) stays among the refused and is tried again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import uuid
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from vyos_agent.core.model import Ending, Force
from vyos_agent.edge import orders
from vyos_agent.edge.addresses import AddressKeeper
from vyos_agent.edge.arp import Announcer
from vyos_agent.edge.bulletin import Bulletin
from vyos_agent.edge.carriers import interfaces
from vyos_agent.edge.cluster import Cluster
from vyos_agent.edge.finding import Finder
from vyos_agent.edge.hooks import Direct, Hooks
from vyos_agent.edge.kernel import Link
from vyos_agent.edge.links import Links
from vyos_agent.edge.manners import Manners
from vyos_agent.edge.monitors import Monitors
from vyos_agent.edge.node_addresses import NodeAddresses
from vyos_agent.edge.orders import Item, Orders, Refusal
from vyos_agent.edge.probing import Prober
from vyos_agent.edge.services import HostServices
from vyos_agent.edge.single import Taken
from vyos_agent.edge.state import State
from vyos_agent.edge.tools import Tools
from vyos_agent.edge.unicast import Unicast
from vyos_api import __version__
from vyos_api.nodeconfig import ConfigError

logger = logging.getLogger(__name__)

RETRY_S = 1.0
RETRY_MAX_S = 60.0
"""What could not be started is tried again after so long, twice as long each time."""
SETTLE_S = 0.1
"""An interface that comes up gets its addresses one by one: one look for all of them."""


@dataclasses.dataclass(slots=True)
class Pending:
    """A cluster that should run and does not."""

    item: Item
    message: str
    wait_s: float = RETRY_S
    timer: asyncio.TimerHandle | None = None


class Daemon:
    """One per process. `start` once, `configure` often, `stop` once."""

    def __init__(
        self,
        node: str,
        state: State,
        *,
        keep_configs: bool = True,
        services: HostServices | None = None,
        hooks: Path | None = None,
    ) -> None:
        """`keep_configs`: whether the state directory is where configurations come from at the next start.

        `services`: what clusters may start and stop, and by which systemd. `hooks`: their directory.
        """
        self.node = node
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done with the error when the process cannot go on."""
        self.manners = Manners()
        self._state = state
        self._keep_configs = keep_configs
        self.instance = str(uuid.uuid4())
        """Names this life of the daemon."""
        self._clusters: dict[bytes, Cluster] = {}
        self._pending: dict[bytes, Pending] = {}
        self._refused: tuple[Refusal, ...] = ()
        self._turns = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._links = Links(on_link=self._link, on_address=self._address_moved)
        self._keeper = AddressKeeper(asyncio.get_running_loop(), on_crash=self._break)
        services = services or HostServices()
        executor = services if keep_configs else Direct()  # a router's own daemon is in no container
        self._tools = Tools(
            keeper=self._keeper,
            links=self._links,
            addresses=NodeAddresses(self._links),
            announcer=Announcer(self._links.get),
            state=state,
            monitors=Monitors(),
            services=services,
            unicast=Unicast(),
            prober=Prober(self._links.get),
            hooks=Hooks(hooks, executor),
            executor=executor,
        )
        self._finder = Finder()
        self._seeking: asyncio.TimerHandle | None = None
        self._bulletin = Bulletin(self._shown)

    # -- life

    def start(self) -> None:
        """Begin to watch the machine. Raises OSError."""
        self._state.start()
        self._links.start()
        self._keeper.start()

    async def resume(self) -> None:
        """Serve what the disk says, until somebody says more."""
        items = []
        for saved in self._state.clusters():
            try:
                items.append(orders.item(saved.config, saved.keys, {}, self.node))
            except ConfigError as error:
                logger.error("state: cluster %s is ignored: %s", saved.config.cluster, error)
        await self._serve(Orders(tuple(items), ()), fresh=False)

    async def configure(self, ordered: Orders) -> tuple[Refusal, ...]:
        """Serve exactly these clusters; those that cannot be taken now."""
        return await self._serve(ordered, fresh=True)

    async def stop(self) -> None:
        """Leave all clusters, and end every thread. Bounded."""
        async with self._turns:
            for pending in self._pending.values():
                if pending.timer is not None:
                    pending.timer.cancel()
            self._pending.clear()
            if self._seeking is not None:
                self._seeking.cancel()
            await asyncio.gather(*(_stopped(c) for c in self._clusters.values()))
            self._clusters.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tools.monitors.close()
        self._tools.unicast.close()
        self._tools.prober.close()
        await self._tools.hooks.close()
        await self._tools.services.close()
        await self._tools.addresses.close()
        await self._links.close()
        await asyncio.to_thread(self._keeper.stop)
        await asyncio.to_thread(self._state.stop)
        self._tools.announcer.close()
        self.broken.cancel()

    # -- the set

    async def _serve(self, ordered: Orders, *, fresh: bool) -> tuple[Refusal, ...]:
        async with self._turns:
            self._finder.keep({item.uid for item in ordered.items} | {c.item.uid for c in self._clusters.values()})
            ids = {item.core.cluster_id: item for item in await self._located(ordered.items)}
            spared = {i for i, c in self._clusters.items() if i not in ids and _names(ordered.refused, c)}
            self._forget_pending()
            await self._end([i for i in self._clusters if i not in ids and i not in spared])
            await self._links.want(self._interfaces([*ids.values(), *(self._clusters[i].item for i in spared)]))
            refused = list(ordered.refused)
            for cluster_id, item in ids.items():
                message = await self._bring(cluster_id, item, [self._clusters[i].item for i in spared], fresh=fresh)
                if message is not None:
                    refused.append(orders.refusal(item, message))
            self._refused = tuple(refused)
            for refusal in refused:
                logger.error("cluster %s: not taken: %s", refusal.cluster or "?", refusal.message)
            self._bulletin.look_soon()
            return self._refused

    async def _bring(self, cluster_id: bytes, item: Item, spared: Iterable[Item], *, fresh: bool) -> str | None:
        """Start or update one cluster; why that is not possible now."""
        try:
            for other in spared:
                orders.apart(item, other)
        except ConfigError as error:
            return str(error)
        running = self._clusters.get(cluster_id)
        same = running is not None and (running.item.config, running.item.keys) == (item.config, item.keys)
        if running is not None:
            await running.update(item)
        else:
            message = await self._begin(cluster_id, item)
            if message is not None:
                self._try_again(cluster_id, Pending(item, message))
                return message
        if fresh and self._keep_configs and not same:
            self._state.save(cluster_id, item.config, item.keys)
        return None

    async def _begin(self, cluster_id: bytes, item: Item) -> str | None:
        try:
            cluster = Cluster(
                item, self._tools, on_change=self._bulletin.look_soon, on_crash=self._crashed, on_end=self._ended_itself
            )
        except Taken as error:
            return str(error)
        self._clusters[cluster_id] = cluster
        try:
            await cluster.start()
        except Exception:
            logger.exception("%s: cannot be started", item.config.cluster)
            del self._clusters[cluster_id]
            await cluster.close()
            return "the agent failed to start it and tries again; its log has the details"
        logger.info("%s: serving generation %d as %s", item.config.cluster, item.config.generation, self.node)
        return None

    async def _end(self, ids: list[bytes]) -> None:
        await asyncio.gather(*(_stopped(self._clusters[i]) for i in ids))
        for cluster_id in ids:
            name = self._clusters.pop(cluster_id).item.config.cluster
            self._state.forget(cluster_id)
            logger.info("%s: served here no more", name)

    def _interfaces(self, items: Iterable[Item]) -> set[str]:
        found = list(items)
        ways = (way for item in found for way in self._state.ways(item.core.cluster_id))
        return {name for item in found for name in interfaces(item)}.union(*(way.interfaces for way in ways))

    # -- addresses that name no interface

    async def _located(self, items: Sequence[Item]) -> list[Item]:
        if not any(item.sought for item in items):
            return list(items)
        try:
            subnets = await self._links.subnets()
        except OSError as error:
            logger.error("the kernel refuses to tell about addresses: %s", error)
            subnets = []
        return [self._finder.locate(item, subnets) for item in items]

    def _seek(self) -> None:
        self._seeking = None
        self._run(self._locate_again())

    async def _locate_again(self) -> None:
        """An address of the node's own came or went: some shared addresses may belong elsewhere now."""
        async with self._turns:
            running = list(self._clusters.values())
            items = await self._located([cluster.item for cluster in running])
            await self._links.want(self._interfaces([*items, *(p.item for p in self._pending.values())]))
            for cluster, item in zip(running, items, strict=True):
                if item.core != cluster.item.core:
                    await cluster.update(item)

    # -- trying again

    def _forget_pending(self) -> None:
        for pending in self._pending.values():
            if pending.timer is not None:
                pending.timer.cancel()
        self._pending.clear()

    def _try_again(self, cluster_id: bytes, pending: Pending) -> None:
        self._pending[cluster_id] = pending
        loop = asyncio.get_running_loop()
        # The coroutine is made when its time has come: a timer that is cancelled would leave it unawaited.
        pending.timer = loop.call_later(pending.wait_s, lambda: self._run(self._again(cluster_id, pending)))
        pending.wait_s = min(RETRY_MAX_S, 2 * pending.wait_s)

    async def _again(self, cluster_id: bytes, pending: Pending) -> None:
        async with self._turns:
            if self._pending.get(cluster_id) is not pending:
                return
            (pending.item,) = await self._located([pending.item])
            message = await self._begin(cluster_id, pending.item)
            if message is not None:
                self._try_again(cluster_id, pending)
                return
            del self._pending[cluster_id]
            self._refused = tuple(r for r in self._refused if r.uid != pending.item.uid)
            if self._keep_configs:
                self._state.save(cluster_id, pending.item.config, pending.item.keys)
            self._bulletin.look_soon()

    def _crashed(self, cluster: Cluster, error: Exception) -> None:
        """Drop the cluster and begin it anew, as a new life: its peers judge it by its frames, as ever."""
        logger.critical("%s: a fault of ours ended it", cluster.item.config.cluster, exc_info=error)
        self._run(self._replace(cluster, "the agent failed while serving it and begins anew; its log has the details"))

    def _ended_itself(self, cluster: Cluster, ending: Ending) -> None:
        name = cluster.item.config.cluster
        if ending is Ending.ROLLED_BACK:
            logger.warning("%s: this node was rolled back or cloned: it begins anew as another life", name)
            self._run(self._replace(cluster, "this node was rolled back or cloned; it begins anew"))
        else:
            message = f"another node calls itself {self.node}; one of the two must get another name"
            logger.critical("%s: %s", name, message)
            self._run(self._replace(cluster, message, again=False))

    async def _replace(self, cluster: Cluster, message: str, *, again: bool = True) -> None:
        async with self._turns:
            cluster_id = cluster.item.core.cluster_id
            if self._clusters.get(cluster_id) is not cluster:
                return
            del self._clusters[cluster_id]
            await cluster.close()
            self._refused = (*self._refused, orders.refusal(cluster.item, message))
            if again:
                self._try_again(cluster_id, Pending(cluster.item, message))
            self._bulletin.look_soon()

    # -- what the machine tells

    def _link(self, name: str, link: Link | None) -> None:
        for cluster in self._clusters.values():
            cluster.link_changed(name, link)
        self._bulletin.look_soon()

    def _address_moved(self, index: int | None, port: int, removed: bool) -> None:
        if port and port == self._keeper.port:
            return
        self._tools.addresses.moved()
        if removed:
            self._keeper.check(index)
        if self._seeking is None and any(cluster.item.sought for cluster in self._clusters.values()):
            self._seeking = asyncio.get_running_loop().call_later(SETTLE_S, self._seek)

    def _break(self, error: Exception) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._break(error)

    # -- what is told of it all

    async def report(self, after: int | None, timeout_s: float) -> dict[str, Any]:
        """The report, at once or when its revision is not `after` any more or the time is over."""
        await self._bulletin.wait(after, timeout_s)
        return {
            "revision": self._bulletin.revision,
            "node": self.node,
            "agentVersion": __version__,
            "instance": self.instance,
            "process": self.manners.as_json(),
            "clusters": self._reports(),
            "refused": [refusal.as_json() for refusal in self._refused],
        }

    def _shown(self) -> object:
        """All that belongs into the status: counters do not."""
        clusters = [{k: v for k, v in report.items() if k != "drops"} for report in self._reports()]
        return clusters, self._refused

    def explain(self, cluster: str | None) -> list[dict[str, Any]]:
        """Why the owners own what they own, by cluster."""
        return [found for c in self._named(cluster) if (found := c.explain()) is not None]

    def history(self, cluster: str | None) -> list[dict[str, Any]]:
        """The moves that this node made, by cluster."""
        return [c.history() for c in self._named(cluster)]

    def metrics(self) -> dict[str, Any]:
        """Counters and levels for a monitoring system; asking changes nothing and waits for nothing."""
        return {
            "node": self.node,
            "agentVersion": __version__,
            "process": self.manners.as_json(),
            "clusters": [found for c in self._named(None) if (found := c.metrics()) is not None],
            "refused": len(self._refused),
        }

    def force(self, command: Force, cluster: str | None, group: str | None) -> list[str]:
        """A person's command; the clusters that it concerns. What comes of it the report tells."""
        return [c.item.config.cluster for c in self._named(cluster) if c.force(command, group)]

    def _named(self, name: str | None) -> list[Cluster]:
        found = [c for c in self._clusters.values() if name in (None, c.item.config.cluster)]
        return sorted(found, key=lambda c: c.item.config.cluster)

    def _reports(self) -> list[dict[str, Any]]:
        found = [cluster.report() for cluster in self._clusters.values()]
        return sorted((r for r in found if r is not None), key=lambda r: str(r["cluster"]))


def _names(refused: Iterable[Refusal], cluster: Cluster) -> bool:
    """Whether one of the refused items is, or may be, this cluster's: then it goes on as it is."""
    config = cluster.item.config
    return any(r.uid == config.uid or r.cluster == config.cluster or not (r.uid or r.cluster) for r in refused)


async def _stopped(cluster: Cluster) -> None:
    """Stop it. A fault of ours in one cluster must not keep the others from handing over."""
    try:
        await cluster.stop()
    except Exception:
        logger.exception("%s: cannot be stopped in order; ending it", cluster.item.config.cluster)
        try:
            await cluster.close()
        except Exception:
            logger.exception("%s: cannot be ended; its addresses go with their lifetimes", cluster.item.config.cluster)
