"""PodMonitors and alert rules: off by default, over metrics that exist, and firing when they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.helm import AGENT_NAMESPACE, CHART, RELEASE_NAMESPACE, ROOT, one, render
from vyos_agent.sync import metrics
from vyos_operator import metrics as operators

RULES = CHART / "rules.yaml"
MONITORED = "--set=metrics.podMonitor.enabled=true"


def alerts() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_every_alert_asks_for_metrics_and_labels_that_exist() -> None:
    known = {s.name: set(s.labels) for s in vars(metrics).values() if isinstance(s, metrics.Series)}
    known |= {operators.ERRORS: set(), operators.CLUSTERS: {"condition", "status"}}
    for name, rule in alerts().items():
        asked = re.findall(r"vyos_cluster_\w+", rule["expr"])
        assert asked, name
        assert set(asked) <= set(known), name
        labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert labels <= {"instance"}.union(*(known[metric] for metric in asked)), name


def test_every_alert_is_documented() -> None:
    told = re.findall(r"^\| `(VyosCluster\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert told == list(alerts())


@pytest.mark.apiserver
def test_off_by_default() -> None:
    assert not [o for o in render() if o["apiVersion"].startswith("monitoring.coreos.com")]
    assert "METRICS_ADDRESS" not in str(render())


@pytest.mark.apiserver
def test_monitors_find_the_pods_and_their_ports() -> None:
    objects = render(MONITORED)
    for kind, monitor, namespace in (
        ("DaemonSet", "vyos-cluster-agent", AGENT_NAMESPACE),
        ("Deployment", "vyos-cluster-operator", RELEASE_NAMESPACE),
    ):
        found, pod = one(objects, "PodMonitor", monitor), one(objects, kind)["spec"]["template"]
        assert found["metadata"]["namespace"] == namespace
        assert found["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (endpoint,) = found["spec"]["podMetricsEndpoints"]
        ports = {p["name"] for c in pod["spec"]["containers"] for p in c.get("ports", ())}
        assert endpoint["port"] in ports


@pytest.mark.apiserver
def test_the_rule_object_holds_the_rules() -> None:
    rendered = one(render("--set=metrics.rules.enabled=true"), "PrometheusRule")
    assert rendered["spec"] == yaml.safe_load(RULES.read_text())


CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "VyosClusterNoOwner": (
        {'vyos_cluster_group_owning{cluster="c",group="g",instance="a"}': "0x40"},
        {'vyos_cluster_group_owning{cluster="c",group="g",instance="a"}': "1x40"},
    ),
    "VyosClusterSplitBrain": (
        {f'vyos_cluster_group_addresses{{cluster="c",group="g",instance="{i}"}}': "1x40" for i in "ab"},
        {f'vyos_cluster_group_addresses{{cluster="c",group="g",instance="{i}"}}': f"{n}x40" for i, n in ("a1", "b0")},
    ),
    "VyosClusterAgentSilent": (
        {'vyos_cluster_agent_up{instance="a"}': "0x40"},
        {'vyos_cluster_agent_up{instance="a"}': "1x40"},
    ),
    "VyosClusterPeerDead": (
        {'vyos_cluster_peer_state{cluster="c",peer="p",state="Dead",instance="a"}': "1x40"},
        {'vyos_cluster_peer_state{cluster="c",peer="p",state="Left",instance="a"}': "1x40"},
    ),
    "VyosClusterBadTag": (
        {'vyos_cluster_frames_dropped_total{cluster="c",reason="BadTag",instance="a"}': "0+5x40"},
        {'vyos_cluster_frames_dropped_total{cluster="c",reason="Old",instance="a"}': "0+5x40"},
    ),
    "VyosClusterFlapping": (
        {'vyos_cluster_transitions_total{cluster="c",group="g",state="Owner",reason="PeerDead"}': "0+1x40"},
        {'vyos_cluster_transitions_total{cluster="c",group="g",state="Owner",reason="PeerDead"}': "1x40"},
    ),
    "VyosClusterLoopLag": (
        {'vyos_cluster_agent_loop_lag_seconds{instance="a"}': "0.2x40"},
        {'vyos_cluster_agent_loop_lag_seconds{instance="a"}': "0.02x40"},
    ),
    "VyosClusterUnavailable": (
        {
            'vyos_cluster_operator_clusters{condition="Available",status="True",instance="a"}': "3x40",
            'vyos_cluster_operator_clusters{condition="Available",status="False",instance="a"}': "0x40",
            'vyos_cluster_operator_clusters{condition="Available",status="Unknown",instance="a"}': "1x40",
        },
        {
            'vyos_cluster_operator_clusters{condition="Available",status="True",instance="a"}': "3x40",
            'vyos_cluster_operator_clusters{condition="Available",status="False",instance="a"}': "0x40",
            'vyos_cluster_operator_clusters{condition="Available",status="Unknown",instance="a"}': "0x40",
            'vyos_cluster_operator_clusters{condition="Verified",status="False",instance="a"}': "3x40",
        },
    ),
    "VyosClusterOperatorErrors": (
        {'vyos_cluster_operator_reconcile_errors_total{instance="a"}': "0+2x40"},
        {'vyos_cluster_operator_reconcile_errors_total{instance="a"}': "2x40"},
    ),
}


def test_every_alert_has_a_case() -> None:
    assert list(CASES) == list(alerts())


@pytest.mark.apiserver  # promtool is installed for the ground
def test_one_cluster_that_is_not_available_is_enough(tmp_path: Path) -> None:
    """False or Unknown, and not before two minutes; a cluster that is made is False at first."""
    series = 'vyos_cluster_operator_clusters{{condition="Available",status="{}"}}'
    for status in ("False", "Unknown"):
        given = {series.format("True"): "9x40", series.format(status): "0x9 1x10 0x20"}
        judge("VyosClusterUnavailable", [(given, at, at == "13m") for at in ("9m", "11m", "13m", "21m")], tmp_path)


@pytest.mark.apiserver
@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_only_then(name: str, tmp_path: Path) -> None:
    fires, rests = CASES[name]
    judge(name, [(fires, "30m", True), (rests, "30m", False)], tmp_path)


def first_moves(instances: str, minutes: str) -> dict[str, str]:
    """Each move the first for its reason at its member: a counter that appears with 1, where there was none before."""
    reasons = ("PeerDead", "PeerLeft", "Failback")
    found = {f'vyos_cluster_agent_up{{instance="{i}"}}': minutes.format(gone=0) for i in instances}
    moves = [(i, reason) for reason in reasons for i in instances]
    for number, (instance, reason) in enumerate(moves[:5]):
        labels = f'cluster="c",group="g",state="Owner",reason="{reason}",instance="{instance}"'
        found[f"vyos_cluster_transitions_total{{{labels}}}"] = minutes.format(gone=16 + 2 * number)
    return found


@pytest.mark.apiserver
def test_flapping_counts_the_first_move_for_each_reason(tmp_path: Path) -> None:
    moves = first_moves("ab", "_x{gone} 1x60")
    four = dict(list(moves.items())[:-1])
    name = "VyosClusterFlapping"
    judge(name, [(moves, "27m", True), (moves, "50m", False), (four, "27m", False)], tmp_path)


@pytest.mark.apiserver
def test_flapping_does_not_count_what_was_before_prometheus(tmp_path: Path) -> None:
    """A Prometheus that has just begun sees each counter for the first time, and knows not how old its moves are."""
    moves = {series: "1x60" for series in first_moves("ab", "")}
    judge("VyosClusterFlapping", [(moves, at, False) for at in ("2m", "10m", "15m", "30m")], tmp_path)


def judge(name: str, cases: list[tuple[dict[str, str], str, bool]], tmp_path: Path) -> None:
    """Let promtool say whether an alert fires: (series, time, whether it does)."""
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is not installed; `tests/ground/ground deps` installs it"
    # count(ALERTS) rather than exp_alerts: whether it fires is the question, its words are compared nowhere
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": series, "values": re.sub(r"(^| )([\d.]+)x", r"\1\2+0x", values)}
                for series, values in given.items()
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > bool 0',
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": 1}] if firing else [],
                }
            ],
        }
        for given, at, firing in cases
    ]
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
