"""The dashboard: off by default, taken as it is, and asking only for what the processes export.

What Prometheus makes of its queries is the matter of tests/chart/test_prometheus.py. No Grafana is at hand: that the
file is one of its dashboards is checked as far as its documented shape goes.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from prometheus_client import exposition

from chart import board
from chart.board import Query
from chart.helm import RELEASE_NAMESPACE, ROOT, one, render
from sync.fakes import documented_metrics
from vyos_agent.sync import metrics
from vyos_agent.sync.api import Counts
from vyos_agent.sync.world import World
from vyos_operator import metrics as operators

SHOWN = {
    "vyos_cluster_group_owning",
    metrics.MOVES.name,
    metrics.DROPS.name,
    f"{metrics.GAPS.name}_bucket",
    metrics.LAG.name,
    f"{operators.SECONDS}_bucket",
    operators.ERRORS,
    metrics.API_ERRORS.name,
}
WIDTH = 24
"""Columns of Grafana's grid."""


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return board.load()


@pytest.fixture(scope="module")
def exported() -> board.Exported:
    """Of an agent whose daemon answers as its contract shows it, and of an operator."""
    counts = Counts(writes=1, success_s=1.0)
    counts.errors.update(["409"])
    own = metrics.Metrics("", World(), counts)._own()
    families = [*metrics._families(documented_metrics()["metrics"]), *own]
    agent = exposition.generate_latest(metrics._Found(families)).decode()
    return board.exported(agent, operators.Metrics(lambda: ()).page().decode())


def test_every_query_asks_for_metrics_and_labels_that_exist(
    dashboard: dict[str, Any], exported: board.Exported
) -> None:
    found = list(board.queries(dashboard))
    assert [problem for query in found for problem in query.unknown(exported)] == []
    assert set().union(*(query.metrics for query in found)) == SHOWN


@pytest.mark.parametrize(
    ("expr", "legend"),
    [
        ("vyos_cluster_group_owns", ""),
        ('vyos_cluster_group_owning{node="a"}', ""),
        ("sum by (cluster, peer) (vyos_cluster_group_owning)", ""),
        ("sum by (cluster) (vyos_cluster_group_owning)", "{{group}}"),
        ("vyos_cluster_group_owning", "{{reason}}"),
        ("vyos_cluster_heartbeat_gap_seconds", ""),
    ],
)
def test_a_query_for_something_else_is_noticed(expr: str, legend: str, exported: board.Exported) -> None:
    assert len(Query("p", expr, legend).unknown(exported)) == 1


def test_variables_are_known_and_used(dashboard: dict[str, Any], exported: board.Exported) -> None:
    variables = {v["name"]: v for v in dashboard["templating"]["list"]}
    assert variables.keys() == {"datasource", "cluster"}
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables["cluster"]["query"])
    assert asked is not None
    assert asked[2] in exported[asked[1]]
    assert variables["cluster"]["allValue"] == ".*", "all clusters are asked for with =~"
    for query in board.queries(dashboard):
        assert set(re.findall(r"\$(\w+)", query.expr)) <= {"cluster", "__rate_interval"}, query
        clustered = all("cluster" in exported[name] for name in query.metrics)
        assert (query.expr.count('{cluster=~"$cluster"}') > 0) == clustered, query


def test_panels_lie_side_by_side_and_say_what_they_are(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == source
        assert panel["type"] in ("timeseries", "state-timeline", "heatmap")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])
    cells = [
        {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        for g in (p["gridPos"] for p in panels)
    ]
    assert all(0 <= x < WIDTH for cell in cells for x, _ in cell)
    assert not any(one & other for one, other in itertools.combinations(cells, 2))


def test_is_documented(dashboard: dict[str, Any]) -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    for panel in dashboard["panels"]:
        assert f"| {panel['title']} |" in text


@pytest.mark.apiserver
def test_the_object_holds_the_file_and_is_off_by_default() -> None:
    assert not [o for o in render() if o["kind"] == "ConfigMap"]
    found = one(render("--set=metrics.dashboard.enabled=true"), "ConfigMap")
    assert found["metadata"]["namespace"] == RELEASE_NAMESPACE
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {name: json.loads(text) for name, text in found["data"].items()} == {"vyos-cluster.json": board.load()}
