"""Puts kube-sync together: which loops there are, what they share, and how they end.

A loop that ends ends the process, and the kubelet starts it anew; the daemon does not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import typing
from collections.abc import Mapping

from vyos_agent.sync import daemon, desired
from vyos_agent.sync.api import Api, Kind, Object
from vyos_agent.sync.clusters import Clusters
from vyos_agent.sync.configure import Configurer
from vyos_agent.sync.health import Answer, Beats, Server, probes
from vyos_agent.sync.publish import Publisher
from vyos_agent.sync.settings import Settings
from vyos_agent.sync.watch import Follower
from vyos_agent.sync.world import World, now_ms
from vyos_api import names
from vyos_api.nodeconfig import KeySet

if typing.TYPE_CHECKING:
    from vyos_agent.sync.metrics import Metrics

logger = logging.getLogger(__name__)

STUCK_MS = 120_000
"""A loop that was not seen for so long is stuck: each waits for 30 s at most, or for the time between two lists."""
STOP_MS = 10_000
"""On SIGTERM the daemon in the same pod lets its groups go; its last report still belongs in the status."""
LAST_WRITE_MS = 2_000
LISTEN_AGAIN_S = 30.0
"""An address for /metrics that is not there (yet) is no reason to end."""


class Agent:
    """One node's kube-sync."""

    def __init__(self, settings: Settings, api: Api) -> None:
        self._settings = settings
        self.world = World()
        self._clusters = Clusters(api, settings.node, self.world.changed)
        beats = Beats()
        idle_ms = max(STUCK_MS, 2 * settings.relist_s * 1000)
        socket, node = settings.control_socket, settings.node
        self._listener = daemon.Listener(self.world, socket, beats.add("report", STUCK_MS))
        self._configurer = Configurer(self.world, self._clusters, node, socket, beats.add("configure", STUCK_MS))
        self._publisher = Publisher(self.world, self._clusters, node, settings.relist_s, beats.add("publish", idle_ms))
        self._followers = {
            kind: Follower(api, kind, settings.relist_s, publish, beats.add(kind.value, idle_ms))
            for kind, publish in ((Kind.CONFIG_MAP, self._config_maps), (Kind.SECRET, self._secrets))
        }
        self._socket, self._api = socket, api
        self._metrics: Metrics | None = None
        self._read: dict[str, tuple[Object, KeySet | str]] = {}
        """The key Secrets as they were read: each event brings one cluster's and leaves the others as they were."""
        pages = {b"/metrics": self._page}
        self._health = Server(probes(beats, lambda: self.world.ready) | pages)
        self._open = Server(pages)  # its own, so that strangers on the LAN take no connection of the kubelet's

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and the daemon's end is told, or until a loop fails."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._listener.run(), name="report"),
                group.create_task(self._configurer.run(), name="configure"),
                group.create_task(self._publisher.run(), name="publish"),
                *(group.create_task(f.run(), name=kind.value) for kind, f in self._followers.items()),
            ]
            if self._settings.health_port:
                tasks.append(group.create_task(self._health.serve(self._settings.health_port), name="health"))
            if self._settings.metrics_address:
                tasks.append(group.create_task(self._serve_metrics(), name="metrics"))
            await stop.wait()
            await self._tell_the_end()
            for task in tasks:
                task.cancel()

    async def _page(self) -> Answer:
        # The library takes 2 MiB, which an agent that nobody scrapes need not hold
        from vyos_agent.sync.metrics import CONTENT_TYPE, Metrics

        self._metrics = self._metrics or Metrics(self._socket, self.world, self._api.counts)
        return 200, await self._metrics.page(), CONTENT_TYPE

    async def _serve_metrics(self) -> None:
        address, port = self._settings.metrics_address, self._settings.metrics_port
        while True:
            try:
                await self._open.serve(port, address)
            except OSError as error:
                logger.warning("METRICS_ADDRESS: no metrics on %s port %d: %s; trying again", address, port, error)
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def _tell_the_end(self) -> None:
        """Stay for the daemon's last words, and until the status has them; neither for long."""
        logger.info("stopping")
        end_ms = now_ms() + STOP_MS
        while self.world.connected and now_ms() < end_ms:
            await self.world.changed.wait(self.world.changed.version, end_ms - now_ms())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITE_MS / 1000):
                await self._publisher.caught_up(self.world.changed.version)

    def _config_maps(self, objects: Mapping[str, Object]) -> None:
        node = self._settings.node
        configs = {
            cluster: desired.config_of(o.labels, o.data, node)
            for o in objects.values()
            if (cluster := o.labels.get(names.LABEL_CLUSTER)) and o.name == names.config_map(cluster, node)
        }
        before = self.world.configs or {}
        if self.world.configs is None or configs != before:
            self._clusters.outdate(c for c in {*before, *configs} if before.get(c) != configs.get(c))
            self.world.configs = configs
            self.world.changed.notify()

    def _secrets(self, objects: Mapping[str, Object]) -> None:
        read = {
            cluster: self._read[cluster]
            if cluster in self._read and self._read[cluster][0] is o
            else (o, desired.keys_of(o.kind, o.data))
            for o in objects.values()
            if (cluster := o.labels.get(names.LABEL_CLUSTER)) and o.name == names.key_secret(cluster)
        }
        self._read = read
        keys = {cluster: found for cluster, (_, found) in read.items()}
        if keys != self.world.keys:
            self.world.keys = keys
            self.world.changed.notify()
