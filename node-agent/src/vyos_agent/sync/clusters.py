"""The VyosClusters as the API last showed them to this agent, and whether one that runs here is gone.

Not watched: every agent's every status write would be sent whole to every agent. They are read when something has to
be written or asked, and every now and then.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from vyos_agent.sync import entries
from vyos_agent.sync.api import Api, NoSuchCluster, NoSuchType
from vyos_agent.sync.world import Signal, now_ms

NO_TYPE_MS = 10_000
"""So long the API server must go on saying that it knows no VyosClusters before that means that all were deleted. It
says so in the moment in which the CustomResourceDefinition is replaced, too."""


class Verdict(enum.Enum):
    """What becomes of a cluster that runs here without a ConfigMap."""

    GONE = "gone"
    STAYS = "stays"
    UNSURE = "unsure"


class Clusters:
    """What is known of clusters in the API."""

    def __init__(self, api: Api, node: str, changed: Signal) -> None:
        self._api = api
        self._node = node
        self._changed = changed
        self._views: dict[str, tuple[entries.View, int]] = {}
        self._no_type_since_ms: int | None = None

    def view(self, cluster: str, age_ms_max: int) -> entries.View | None:
        """What was last read, if that is not too old."""
        found = self._views.get(cluster)
        return found[0] if found is not None and now_ms() - found[1] <= age_ms_max else None

    def last(self, cluster: str) -> entries.View | None:
        """What was last read, however old."""
        found = self._views.get(cluster)
        return found[0] if found is not None else None

    def outdate(self, clusters: Iterable[str]) -> None:
        """Something happened to these clusters: nothing may be written before they were read again."""
        for cluster in clusters:
            if cluster in self._views:
                self._views[cluster] = (self._views[cluster][0], -(1 << 62))

    async def read(self, cluster: str) -> entries.View | None:
        """Ask the API; None when it has no such cluster. Raises ApiProblem."""
        try:
            return self._keep(cluster, await self._api.cluster(cluster))
        except (NoSuchCluster, NoSuchType):
            self._views.pop(cluster, None)
            return None

    async def apply(self, cluster: str, entry: entries.Entry) -> entries.View | None:
        """Write an entry and return what the API shows then; None when there is no such cluster. Raises ApiProblem."""
        try:
            document = entry.document(cluster)
            return self._keep(cluster, await self._api.apply_status(cluster, entry.manager, document))
        except (NoSuchCluster, NoSuchType):
            self._views.pop(cluster, None)
            return None

    async def judge(self, cluster: str, uid: str) -> Verdict:
        """Ask whether the cluster of that uid exists and has this node as a member. Raises ApiProblem."""
        try:
            view = self._keep(cluster, await self._api.cluster(cluster))
        except NoSuchCluster:
            self._no_type_since_ms = None
            return Verdict.GONE
        except NoSuchType:
            if self._no_type_since_ms is None:
                self._no_type_since_ms = now_ms()
            return Verdict.GONE if now_ms() - self._no_type_since_ms >= NO_TYPE_MS else Verdict.UNSURE
        self._no_type_since_ms = None
        stays = view.uid == uid and not view.deleting and self._node in view.members
        return Verdict.STAYS if stays else Verdict.GONE

    def _keep(self, cluster: str, found: Mapping[str, Any]) -> entries.View:
        view = entries.view(found, self._node)
        before = self._views.get(cluster)
        self._views[cluster] = (view, now_ms())
        if before is None or before[0] != view:
            self._changed.notify()
        return view
