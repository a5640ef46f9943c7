"""A real Prometheus over real processes: it takes their pages, the alert rules, and every query of the dashboard."""

from __future__ import annotations

import math
import os
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from chart import board, stack
from chart.helm import CHART, ROOT
from chart.stack import DEAD_S, KEEPALIVE_S, Prometheus, Stack
from edge import netns
from edge.waiting import wait
from ground.apiserver import ApiServer
from vyos_agent import config
from vyos_agent.core import wire
from vyos_agent.core.model import Keyring
from vyos_agent.sync import metrics

pytestmark = [
    pytest.mark.apiserver,
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]
WINDOW = "20s"
"""For $__rate_interval, which Grafana makes of the time that is shown."""
FORGED = 40
SILENT = {"Errors": f"{metrics.API_ERRORS.name}"}
"""Panel: the metric whose query may have no answer, as nothing failed."""


@pytest.fixture(scope="module")
def running(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack.stack(apiserver, tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture(scope="module")
def prometheus(running: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with stack.prometheus(running, CHART / "rules.yaml", tmp_path_factory.mktemp("prometheus")) as found:
        wait(lambda: len(found.query("up == 1")) == 3, "all three pages to be scraped", stack.START_S)
        yield found


def test_pages_have_what_is_documented_and_what_the_dashboard_asks_for(running: Stack) -> None:
    exported = board.exported(*running.pages())
    problems = [problem for query in board.queries(board.load()) for problem in query.unknown(exported)]
    assert [p for p in problems if f"no {metrics.API_ERRORS.name}" not in p] == []
    rows = re.findall(r"^\| `(vyos_cluster_\w+)` \| ([^|]*) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    unused = {metrics.MONITOR.name, metrics.UNSENT.name, metrics.API_ERRORS.name}  # no monitor, and no failure
    for name, labels in documented.items():
        sample = next((s for s in (name, f"{name}_count") if s in exported), None)
        assert name in unused or sample is not None, name
        assert sample is None or exported[sample] == labels, name
    plain = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in exported}
    assert {re.sub("_total$", "", name) for name in plain} <= {re.sub("_total$", "", name) for name in documented}


def test_every_query_of_the_dashboard_is_answered(apiserver: ApiServer, running: Stack, prometheus: Prometheus) -> None:
    _forge(running)
    apiserver.kubectl("annotate", "vyoscluster", stack.NAME, "look=again")  # a quiet operator has no times to tell
    wanting = {str(q): q for q in board.queries(board.load()) if SILENT.get(q.panel) not in q.metrics}
    assert wanting

    def answered() -> bool:
        for text, query in list(wanting.items()):
            if _numbers(prometheus.query(query.filled(WINDOW))):
                del wanting[text]
        return not wanting

    try:
        wait(answered, "answers", 30.0)
    except AssertionError:
        pytest.fail(f"no answer to {[*wanting]}")
    for query in board.queries(board.load()):
        prometheus.query(query.filled(WINDOW))  # (an error raises, whatever there is to tell)


def test_what_the_dashboard_shows_is_so(running: Stack, prometheus: Prometheus) -> None:
    asked = {query.panel: query for query in board.queries(board.load()) if query.panel != "Reconcile time"}

    def shown(panel: str) -> list[dict[str, Any]]:
        return prometheus.query(asked[panel].filled(WINDOW))

    owners = {f["metric"]["instance"]: f["value"][1] for f in shown("Owners")}  # (scraped already: see the fixture)
    assert owners == {f"127.0.0.1:{running.agents['r1']}": "1", f"127.0.0.1:{running.agents['r2']}": "0"}

    def gaps() -> dict[tuple[str, str], float]:
        found = shown("Longest gaps (99 of 100 are shorter)")
        read = {(f["metric"]["cluster"], f["metric"]["peer"]): float(f["value"][1]) for f in found}
        return {key: value for key, value in read.items() if not math.isnan(value)}

    wait(lambda: gaps().keys() == {(stack.NAME, "r1"), (stack.NAME, "r2")}, "both to hear each other twice")
    assert all(KEEPALIVE_S / 2 < value < DEAD_S for value in gaps().values())
    (mean,) = prometheus.query(f"sum({metrics.GAPS.name}_sum) / sum({metrics.GAPS.name}_count)")
    assert KEEPALIVE_S / 2 < float(mean["value"][1]) < 2 * KEEPALIVE_S


def test_alert_rules_are_loaded_and_none_is_wrong_about_a_quiet_cluster(running: Stack, prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    wait(lambda: all(rule["health"] != "unknown" for rule in rules()), "every rule to be judged once")
    assert {rule["name"]: rule.get("lastError", "") for rule in rules() if rule["health"] != "ok"} == {}
    assert len(rules()) == 9
    assert {rule["name"] for rule in rules() if rule["state"] == "firing"} <= {"VyosClusterBadTag"}
    _forge(running)
    wait(lambda: "VyosClusterBadTag" in _firing(prometheus), "forged frames to be told", 30.0)
    (alert,) = (a for a in prometheus.ask("alerts")["alerts"] if a["labels"]["alertname"] == "VyosClusterBadTag")
    assert alert["labels"]["instance"] == f"127.0.0.1:{running.agents['r1']}"
    assert stack.NAME in alert["annotations"]["summary"]


def test_a_takeover_is_shown_with_its_reason(running: Stack, prometheus: Prometheus) -> None:
    """Last, for it ends one of the two. A reason that never was before is a new series: that, too, is a move."""
    running.lan["r1"].end(signal.SIGKILL)
    (query,) = (query for query in board.queries(board.load()) if query.panel == "Transitions")

    def moves() -> dict[tuple[str, str], float]:
        found = prometheus.query(query.filled("5s"))
        return {(f["metric"]["state"], f["metric"]["reason"]): float(f["value"][1]) for f in found}

    wait(lambda: moves().get(("Owner", "PeerDead"), 0) >= 1, "the move and its reason", 30.0)
    down = f'vyos_cluster_agent_up{{instance="127.0.0.1:{running.agents["r1"]}"}} == 0'
    wait(lambda: prometheus.query(down), "the daemon to be told as gone")


def _firing(prometheus: Prometheus) -> set[str]:
    return {a["labels"]["alertname"] for a in prometheus.ask("alerts")["alerts"] if a["state"] == "firing"}


def _numbers(found: list[dict[str, Any]]) -> list[float]:
    return [value for value in (float(f["value"][1]) for f in found) if not math.isnan(value)]


def _forge(running: Stack) -> None:
    """Frames for the cluster that are sealed with another key, sent where r2 is, so that r1 hears them."""
    (uid,) = (c["uid"] for c in _clusters(running))
    beat = wire.Beat(1, 1, 1, 3000, 200, 1, False, False, 0, (), ())
    data = wire.seal(beat, config.cluster_id(uid), Keyring(1, {1: bytes(32)}))
    place = running.lan["r2"].place
    with netns.within(place, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
        stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.168.0.12"))
        for _ in range(FORGED):
            stranger.sendto(data, ("239.251.252.253", 694))


def _clusters(running: Stack) -> list[dict[str, Any]]:
    answer = running.lan["r1"].ask("report")
    assert answer is not None
    found: list[dict[str, Any]] = answer["report"]["clusters"]
    return found
