"""What a dashboard asks for, and whether the pages of the processes have it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from chart.helm import CHART

FILE = CHART / "dashboard.json"
SCRAPED = frozenset({"instance"})
"""Labels that Prometheus adds to every series itself."""
_METRIC = re.compile(r"(vyos_cluster_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')

Exported = dict[str, frozenset[str]]
"""Label names by the name of a sample, such as x_bucket."""


@dataclasses.dataclass(frozen=True)
class Query:
    """One target of one panel."""

    panel: str
    expr: str
    legend: str

    def __str__(self) -> str:
        return f"{self.panel}: {self.expr}"

    @property
    def metrics(self) -> set[str]:
        return {name for name, _ in _METRIC.findall(self.expr)}

    def filled(self, window: str) -> str:
        """As Grafana would ask it: all clusters, and this for $__rate_interval."""
        return self.expr.replace("$__rate_interval", window).replace("$cluster", ".*")

    def unknown(self, exported: Exported) -> list[str]:
        """What it names and nobody exports."""
        found = []
        kept = set(SCRAPED)
        for name, matchers in _METRIC.findall(self.expr):
            labels = exported.get(name)
            if labels is None:
                return [f"{self}: there is no {name}"]
            kept |= labels
            found += [f"{self}: {name} has no {label}" for label in set(_MATCHER.findall(matchers)) - labels]
        grouped = [set(re.split(r"\s*,\s*", by)) for by in re.findall(r"\bby\s*\(([^)]*)\)", self.expr)]
        for by in grouped:
            found += [f"{self}: nothing to sum by {label}" for label in by - kept]
            kept &= by
        shown = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", self.legend))
        return found + [f"{self}: its legend shows {label}, which is not left" for label in shown - kept]


def load() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def queries(board: Mapping[str, Any]) -> Iterator[Query]:
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield Query(panel["title"], target["expr"], target["legendFormat"])


def exported(*pages: str) -> Exported:
    """Of pages in Prometheus' text format."""
    found: dict[str, frozenset[str]] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, frozenset()) | sample.labels.keys()
    return found
