"""/metrics: what the daemon's `metrics` op says, and what this process knows of itself, in Prometheus' text format.

Nothing is remembered here: each scrape asks anew, so a cluster that is gone has no series any more. docs/metrics.md
lists them all.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from vyos_agent.sync import control
from vyos_agent.sync.api import Counts
from vyos_agent.sync.world import World

logger = logging.getLogger(__name__)

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4
ASK_S = 2.0
"""Below the time that an HTTP request may take here: a daemon that hangs is told as one that is down."""

Said = Mapping[str, Any]
Sample = tuple[tuple[str, ...], float]
"""(label values, value)"""


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """One metric. A counter's name ends in _total."""

    name: str
    text: str
    labels: tuple[str, ...] = ()

    def of(self, samples: Iterable[Sample]) -> Metric:
        """With these samples."""
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        family = kind(self.name, self.text, labels=self.labels)
        for labels, value in samples:
            family.add_metric(labels, value)
        return family

    def spread(self, clusters: Iterable[Said]) -> Metric:
        """As a histogram of each peer's gaps; the daemon counts each gap once, Prometheus in every bucket above it."""
        family = HistogramMetricFamily(self.name, self.text, labels=self.labels)
        for cluster in clusters:
            bounds = [*(str(ms / 1000) for ms in cluster["gaps"]["boundsMs"]), "+Inf"]
            for peer, said in cluster["gaps"]["peers"].items():
                buckets = list(zip(bounds, itertools.accumulate(said["counts"]), strict=True))
                family.add_metric((cluster["cluster"], peer), buckets, said["sumMs"] / 1000)
        return family


_GROUP = ("cluster", "group")
UP = Series("vyos_cluster_agent_up", "Whether the heartbeat daemon answers.")
INFO = Series("vyos_cluster_agent_info", "1; the label tells the daemon's version.", ("version",))
REFUSED = Series("vyos_cluster_agent_refused_configurations", "Configurations that the daemon could not take.")
LOCKED = Series("vyos_cluster_agent_memory_locked", "Whether the daemon's memory is locked.")
REAL_TIME = Series("vyos_cluster_agent_real_time", "Whether the daemon's scheduling is real-time.")
LAG = Series("vyos_cluster_agent_loop_lag_seconds", "How late the daemon's loop was at worst in the last minute.")
LATE = Series("vyos_cluster_agent_loop_late_total", "How often the daemon's loop was 20 ms late or more.")
COLLECT = Series("vyos_cluster_agent_collection_max_seconds", "The daemon's longest collection of garbage.")
GENERATION = Series("vyos_cluster_generation", "Generation of the configuration in force.", ("cluster",))
STATE = Series(
    "vyos_cluster_group_state", "1 for this member's state; its other states have no series.", (*_GROUP, "state")
)
OWNING = Series("vyos_cluster_group_owning", "Whether this member claims the group.", _GROUP)
EPOCH = Series("vyos_cluster_group_epoch", "Epoch of the group as this member knows it.", _GROUP)
ADDRESSES = Series("vyos_cluster_group_addresses", "Shared addresses that this node's kernel holds.", _GROUP)
PEER = Series("vyos_cluster_peer_state", "1 for the state of a peer as seen here.", ("cluster", "peer", "state"))
INTERFACE = Series("vyos_cluster_interface_up", "Whether an interface is there and up.", ("cluster", "interface"))
MONITOR = Series(
    "vyos_cluster_monitor_reachable", "Whether a monitor answers; none while undecided.", ("cluster", "monitor")
)
MOVES = Series("vyos_cluster_transitions_total", "Changes of this member's state.", (*_GROUP, "state", "reason"))
DROPS = Series(
    "vyos_cluster_frames_dropped_total", "Frames that were refused; every reason from 0 on.", ("cluster", "reason")
)
UNSENT = Series("vyos_cluster_send_errors_total", "Datagrams that could not be sent.", ("cluster", "way", "error"))
GAPS = Series("vyos_cluster_heartbeat_gap_seconds", "From one heartbeat of a peer to its next.", ("cluster", "peer"))
CONNECTED = Series("vyos_cluster_sync_connected", "Whether kube-sync hears the daemon's reports.")
API_ERRORS = Series("vyos_cluster_sync_api_errors_total", "Requests to the API server that failed.", ("code",))
WRITES = Series("vyos_cluster_sync_status_writes_total", "Status entries that the API server took.")
SUCCESS = Series("vyos_cluster_sync_api_success_timestamp_seconds", "When the API server last answered well.")


class Metrics:
    """One node's page."""

    def __init__(self, socket: str, world: World, counts: Counts) -> None:
        self._socket = socket
        self._world = world
        self._counts = counts
        self._asking = asyncio.Lock()

    async def page(self) -> bytes:
        """Ask the daemon and render. One at a time: the daemon has few connections to give."""
        async with self._asking:
            found = [*await self._daemon(), *self._own()]
        return exposition.generate_latest(_Found(found))

    async def _daemon(self) -> list[Metric]:
        try:
            async with asyncio.timeout(ASK_S), control.Connection(self._socket) as connection:
                answer = await connection.request({"op": "metrics"}, ASK_S)
            return [UP.of([((), 1)]), *_families(answer["metrics"])]
        except (control.ControlError, OSError, TimeoutError) as error:
            logger.debug("no metrics of the daemon: %s", str(error) or type(error).__name__)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            logger.warning("the daemon's metrics are not what they should be: %s: %s", type(error).__name__, error)
        return [UP.of([((), 0)])]

    def _own(self) -> Iterator[Metric]:
        counts = self._counts
        yield CONNECTED.of([((), self._world.connected)])
        yield API_ERRORS.of(((code,), n) for code, n in sorted(counts.errors.items()))
        yield WRITES.of([((), counts.writes)])
        if counts.success_s:
            yield SUCCESS.of([((), counts.success_s)])


class _Found(Collector):
    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def _families(said: Said) -> list[Metric]:
    process, clusters = said["process"], said["clusters"]
    return [
        INFO.of([((said["agentVersion"],), 1)]),
        REFUSED.of([((), said["refused"])]),
        LOCKED.of([((), process["memoryLocked"])]),
        REAL_TIME.of([((), process["realTime"])]),
        LAG.of([((), process["loopLagMs"] / 1000)]),
        LATE.of([((), process["loopLate"])]),
        COLLECT.of([((), process["collectMs"] / 1000)]),
        GENERATION.of(((c["cluster"],), c["generation"]) for c in clusters),
        STATE.of(((*key, g["state"]), 1) for key, g in _groups(clusters)),
        OWNING.of((key, g["owning"]) for key, g in _groups(clusters)),
        EPOCH.of((key, g["epoch"]) for key, g in _groups(clusters)),
        ADDRESSES.of((key, g["addresses"]) for key, g in _groups(clusters)),
        PEER.of(((c["cluster"], name, state), 1) for c in clusters for name, state in c["peers"].items()),
        INTERFACE.of(_levels(clusters, "interfaces")),
        MONITOR.of(_levels(clusters, "monitors")),
        MOVES.of(
            ((c["cluster"], m["group"], m["state"], m["reason"]), m["count"])
            for c in clusters
            for m in c["transitions"]
        ),
        DROPS.of(((c["cluster"], reason), n) for c in clusters for reason, n in c["drops"].items()),
        UNSENT.of(
            ((c["cluster"], way, error), n)
            for c in clusters
            for way, errors in c["sendErrors"].items()
            for error, n in errors.items()
        ),
        GAPS.spread(clusters),
    ]


def _groups(clusters: Iterable[Said]) -> Iterator[tuple[tuple[str, str], Said]]:
    for cluster in clusters:
        for group in cluster["groups"]:
            yield (cluster["cluster"], group["name"]), group


def _levels(clusters: Iterable[Said], field: str) -> Iterator[Sample]:
    for cluster in clusters:
        for name, level in cluster[field].items():
            if level is not None:
                yield (cluster["cluster"], name), level
