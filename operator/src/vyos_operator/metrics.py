"""/metrics of the operator: how its looks at clusters fare, and how many clusters are in which condition.

No series for a cluster or an error's text: their number is not bounded, and the status of the resource tells them.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Awaitable, Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, exposition
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vyos_api.reasons import ConditionType

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4
BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""A look that finds nothing to do takes well below 1 ms of work; a write waits for the API server, 30 s at most."""
SECONDS = "vyos_cluster_operator_reconcile_seconds"
ERRORS = "vyos_cluster_operator_reconcile_errors_total"
CLUSTERS = "vyos_cluster_operator_clusters"
STATUSES = ("True", "False", "Unknown")

Condition = tuple[str, str]
"""(type, status)"""


class Metrics:
    """Of one process."""

    def __init__(self, conditions: Callable[[], Iterable[Condition]]) -> None:
        """`conditions()`: those of all clusters, asked at each scrape."""
        self._registry = CollectorRegistry()
        self._seconds = Histogram(SECONDS, "Looks at one cluster.", registry=self._registry, buckets=BUCKETS_S)
        self._errors = Counter(ERRORS, "Looks that failed and are tried again.", registry=self._registry)
        self._registry.register(_Conditions(conditions))

    async def timed(self, work: Awaitable[None]) -> None:
        """Await one look, and count it."""
        before = time.monotonic()
        try:
            await work
        except Exception:
            self._errors.inc()
            raise
        finally:
            self._seconds.observe(time.monotonic() - before)

    def page(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return exposition.generate_latest(self._registry)


class _Conditions(Collector):
    def __init__(self, conditions: Callable[[], Iterable[Condition]]) -> None:
        self._conditions = conditions

    def collect(self) -> Iterable[Metric]:
        """Every known condition and status has a series, so that none vanishes at zero."""
        counted = collections.Counter(self._conditions())
        family = GaugeMetricFamily(CLUSTERS, "Clusters by condition.", labels=("condition", "status"))
        for kind in ConditionType:
            for status in STATUSES:
                family.add_metric((kind.value, status), counted[kind.value, status])
        return [family]
