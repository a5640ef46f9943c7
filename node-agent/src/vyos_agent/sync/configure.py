"""Keeps the daemon told: one loop that compares what the API wants with what the daemon was told.

It also asks the API about clusters whose ConfigMap is gone, and passes on claims in the status that the daemon does
not know.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from vyos_agent.sync import control, desired, entries, report
from vyos_agent.sync.api import ApiProblem
from vyos_agent.sync.backoff import Backoff
from vyos_agent.sync.clusters import Clusters, Verdict
from vyos_agent.sync.health import Beat
from vyos_agent.sync.world import World, now_ms

logger = logging.getLogger(__name__)

IDLE_MS = 30_000
ASK_AGAIN_MS = 5_000
"""How soon a cluster that stays, though its ConfigMap is gone, is asked for again."""
ANSWER_S = 15.0
"""The daemon writes what it is told to the disk before it answers."""

Claims = Mapping[str, Mapping[str, entries.StatusClaim]]
"""Of each cluster, by group."""


class Configurer:
    """The loop; its state is what the daemon was told in its present life."""

    def __init__(self, world: World, clusters: Clusters, node: str, socket: str, beat: Beat) -> None:
        self._world = world
        self._clusters = clusters
        self._node = node
        self._socket = socket
        self._beat = beat
        self._instance: str | None = None
        self._told: dict[str, desired.Item] = {}
        self._passed_on: Claims = {}
        self._gone: set[tuple[str, str]] = set()
        self._stays: dict[tuple[str, str], int] = {}
        self._problems: Mapping[str, str] = {}
        self._failing = False
        self._refused: tuple[report.Refusal, ...] = ()

    async def run(self) -> None:
        """Keep the daemon told until cancelled."""
        backoff = Backoff()
        while True:
            self._beat()
            seen = self._world.changed.version
            try:
                wait_ms = await self._once()
                backoff.worked()
                self._failing = False
            except ApiProblem as problem:
                logger.debug("a cluster whose ConfigMap is gone cannot be asked for, it runs on: %s", problem)
                wait_ms = backoff.failed()
            except (control.ControlError, report.ReportError, OSError, TimeoutError) as error:
                level = logging.DEBUG if self._failing else logging.WARNING
                logger.log(level, "the daemon did not take its clusters: %s", str(error) or type(error).__name__)
                self._failing = True
                wait_ms = backoff.failed()
            await self._world.changed.wait(seen, wait_ms)

    async def _once(self) -> int:
        """Tell what is to be told, then ask what is to be asked; returns how soon to look again with no change."""
        world = self._world
        if world.configs is None or world.keys is None or world.report is None or not world.connected:
            return IDLE_MS
        if world.report.node != self._node:
            self._show_problems({"": f"the daemon on the socket is node {world.report.node!r}, not {self._node!r}"})
            return IDLE_MS
        self._forget_returned(world.configs)
        want = desired.desired(world.configs, world.keys, self._known(world.report), self._gone)
        self._show_problems(want.problems)
        if not want.held:
            await self._tell(want.items, world.report)
        return await self._ask(want.ask)

    def _known(self, current: report.Report) -> dict[str, desired.Known]:
        known = {c.cluster: desired.Known(c.uid, None) for c in current.clusters}
        for cluster, item in self._told.items():
            # Before the first report of a new life, what the former one was told stands for what it kept on the disk.
            known[cluster] = desired.Known(item.config.uid, item)
        return known

    async def _tell(self, items: tuple[desired.Item, ...], current: report.Report) -> None:
        told = {item.config.cluster: item for item in items}
        claims = self._claims(told, current)
        same = current.instance == self._instance and told == self._told
        if same and all(
            self._passed_on.get(c, {}).get(g) == claim for c, gs in claims.items() for g, claim in gs.items()
        ):
            return
        async with control.Connection(self._socket) as connection:
            answer = await connection.request(desired.request(items, claims), ANSWER_S)
        self._instance, self._told, self._passed_on = current.instance, told, claims
        self._show_refused(report.refusals(answer.get("refused", []), "answer"))
        if not same:
            text = ", ".join(f"{c} (generation {i.config.generation})" for c, i in told.items())
            logger.info("the daemon was told its clusters: %s", text or "none")

    def _claims(self, told: Mapping[str, desired.Item], current: report.Report) -> Claims:
        """Claims in the status that the daemon does not know, of the clusters that it serves."""
        reports = {c.cluster: c for c in current.clusters}
        claims: dict[str, dict[str, entries.StatusClaim]] = {}
        for cluster, item in told.items():
            view = self._clusters.last(cluster)
            if view is None or view.uid != item.config.uid:
                continue
            mine = {g.name for g in item.config.groups if self._node in g.members}
            found = entries.unknown_claims(self._node, reports.get(cluster), view)
            claims[cluster] = {group: claim for group, claim in found.items() if group in mine}
        return claims

    async def _ask(self, questions: frozenset[tuple[str, str]]) -> int:
        self._stays = {q: until_ms for q, until_ms in self._stays.items() if q in questions}
        for question in sorted(questions):
            if self._stays.get(question, 0) > now_ms():
                continue
            match await self._clusters.judge(*question):
                case Verdict.GONE:
                    logger.info("cluster %s: is gone, or this node left it: it will be released", question[0])
                    self._gone.add(question)
                    return 0
                case Verdict.STAYS:
                    self._stays[question] = now_ms() + ASK_AGAIN_MS
                case Verdict.UNSURE:
                    raise ApiProblem("VyosClusters are not served", 404)
        return ASK_AGAIN_MS if questions else IDLE_MS

    def _forget_returned(self, configs: Mapping[str, object]) -> None:
        """A cluster with a ConfigMap is not gone (any more); should that vanish, ask anew."""
        self._gone = {(c, u) for c, u in self._gone if getattr(configs.get(c), "uid", None) != u}

    def _show_problems(self, problems: Mapping[str, str]) -> None:
        for cluster, problem in problems.items():
            if self._problems.get(cluster) != problem:
                logger.warning("%s%s; what runs, runs on", f"cluster {cluster}: " if cluster else "", problem)
        self._problems = dict(problems)

    def _show_refused(self, refused: tuple[report.Refusal, ...]) -> None:
        for item in refused:
            if item not in self._refused:
                logger.error(
                    "cluster %s: the daemon refused generation %d: %s", item.cluster, item.generation, item.message
                )
        self._refused = refused
