"""Brings the daemon's report into the status: one loop that compares entries with what the API shows, and applies.

A request is made only when an entry changed or the API shows another one than it did after the last write. The
cluster's UID is compared before: a cluster that was deleted and made anew gets nothing of its predecessor.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
from collections.abc import Mapping
from typing import Any

from vyos_agent.sync import entries, report
from vyos_agent.sync.api import ApiProblem
from vyos_agent.sync.backoff import Backoff
from vyos_agent.sync.clusters import Clusters
from vyos_agent.sync.health import Beat
from vyos_agent.sync.world import Signal, World, now_ms
from vyos_api.nodeconfig import NodeConfig

logger = logging.getLogger(__name__)

IDLE_MS = 30_000
SETTLE_MS = 100
"""A takeover is several changes in the daemon within milliseconds; this makes one write of them."""
REFUSED_MAX_MS = 15_000
"""Longest wait before a refused entry is tried again. It starts short: a starting API server refuses for a moment."""
REFUSALS = frozenset({400, 403, 409, 413, 422})
"""Answers that are about the entry, not about the server. 403 is the admission policy, 422 the schema's rules."""

Key = tuple[str, str]
"""(cluster, field manager)"""


@dataclasses.dataclass(slots=True)
class _Written:
    """The last write of one entry."""

    wanted: Mapping[str, Any]
    shown: Mapping[str, Any] | None
    """What the API showed in answer to it: it may have pruned a field that its schema does not know."""


@dataclasses.dataclass(slots=True)
class _Refused:
    """An entry that the API server would not take."""

    wanted: Mapping[str, Any]
    backoff: Backoff
    until_ms: int


class Publisher:
    """The loop; its state is what was written, and what was refused."""

    def __init__(self, world: World, clusters: Clusters, node: str, review_s: int, beat: Beat) -> None:
        self._world = world
        self._clusters = clusters
        self._node = node
        self._review_ms = int(review_s * 1000 * random.uniform(0.8, 1.0))
        self._beat = beat
        self._written: dict[Key, _Written] = {}
        self._refused: dict[Key, _Refused] = {}
        self._failing = False
        self._done = -1
        self._progress = Signal()

    async def caught_up(self, version: int) -> None:
        """Return when the status shows what the world was at `version`, or later."""
        while self._done < version:
            await self._progress.wait(self._progress.version, IDLE_MS)

    async def run(self) -> None:
        """Publish until cancelled."""
        backoff = Backoff()
        while True:
            self._beat()
            seen = self._world.changed.version
            try:
                wait_ms = await self._once()
                self._worked(backoff)
                self._done = seen
                self._progress.notify()
            except ApiProblem as problem:
                wait_ms = backoff.failed()
                self._failed(problem)
                await asyncio.sleep(wait_ms / 1000)
                continue
            await self._world.changed.wait(seen, wait_ms)
            await asyncio.sleep(SETTLE_MS / 1000)

    async def _once(self) -> int:
        """Write whatever differs; returns how soon to look again with no change."""
        current = self._world.report
        if current is None or current.node != self._node:
            return self._review_ms
        clusters = (*current.clusters, *self._unserved(current))
        self._forget({c.cluster for c in clusters})
        soonest_ms = self._review_ms
        for cluster in clusters:
            soonest_ms = min(soonest_ms, await self._publish(current, cluster))
        return max(soonest_ms, 0)

    def _unserved(self, current: report.Report) -> list[report.ClusterReport]:
        """Clusters that the daemon does not serve at all since it refused them."""
        served = {c.cluster for c in current.clusters}
        configs = self._world.configs or {}
        refused = {r.cluster: configs.get(r.cluster) for r in current.refused if r.cluster not in served}
        return [report.ClusterReport.unserved(c, f.uid) for c, f in refused.items() if isinstance(f, NodeConfig)]

    async def _publish(self, current: report.Report, cluster: report.ClusterReport) -> int:
        name = cluster.cluster
        view = self._clusters.view(name, self._review_ms) or await self._clusters.read(name)
        if view is None or view.uid != cluster.uid:
            return self._review_ms  # gone or another one; the loop that configures finds out which
        soonest_ms = self._review_ms
        for entry in entries.entries(self._node, current, cluster, view):
            if not self._differs(name, entry, view):
                continue
            refused = self._refused.get((name, entry.manager))
            if refused is not None and refused.wanted == entry.value and refused.until_ms > now_ms():
                soonest_ms = min(soonest_ms, refused.until_ms - now_ms())
            else:
                soonest_ms = min(soonest_ms, await self._write(name, entry))
        return soonest_ms

    def _differs(self, cluster: str, entry: entries.Entry, view: entries.View) -> bool:
        shown = entry.shown(view)
        if shown == entry.value:
            return False
        written = self._written.get((cluster, entry.manager))
        return written is None or written.wanted != entry.value or written.shown != shown

    async def _write(self, cluster: str, entry: entries.Entry) -> int:
        key = (cluster, entry.manager)
        try:
            view = await self._clusters.apply(cluster, entry)
        except ApiProblem as problem:
            if problem.status is None or problem.status not in REFUSALS:
                raise
            return self._refuse(key, entry, problem)
        self._refused.pop(key, None)
        if view is not None:
            self._written[key] = _Written(entry.value, entry.shown(view))
        return 0  # look again: an epoch that was far ahead goes in steps

    def _refuse(self, key: Key, entry: entries.Entry, problem: ApiProblem) -> int:
        """Remember not to insist; what the API shows is read anew, and a higher epoch in it goes to the daemon."""
        self._clusters.outdate([key[0]])
        before = self._refused.get(key)
        if before is None or before.wanted != entry.value:
            logger.warning("cluster %s: the status entry of %s was refused: %s", *key, problem)
            before = _Refused(entry.value, Backoff(cap_ms=REFUSED_MAX_MS), 0)
            self._refused[key] = before
        wait_ms = before.backoff.failed()
        before.until_ms = now_ms() + wait_ms
        return wait_ms

    def _forget(self, present: set[str]) -> None:
        """Drop what is remembered of clusters that the daemon serves no more: they may come back as others."""
        self._written = {k: v for k, v in self._written.items() if k[0] in present}
        self._refused = {k: v for k, v in self._refused.items() if k[0] in present}

    def _worked(self, backoff: Backoff) -> None:
        if self._failing:
            logger.info("the API server answers again, the status is up to date")
        self._failing = False
        backoff.worked()

    def _failed(self, problem: ApiProblem) -> None:
        level = logging.DEBUG if self._failing else logging.WARNING
        logger.log(level, "the status cannot be written, it will be when the API server answers: %s", problem)
        self._failing = True
