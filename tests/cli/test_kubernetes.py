"""The commands over a real API server, by the real kubectl: what they tell, and how they end when they cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from api.client import Client
from cli.clusters import condition, entry, manifest, record, spec
from cli.test_resource import two
from ground.apiserver import ApiServer
from ground.bins import bins
from vyos_cluster import status
from vyos_cluster.__main__ import app
from vyos_cluster.resource import views

pytestmark = pytest.mark.apiserver
PLUGIN = "kubectl-vyos_cluster"
STATUS = {
    "groups": [record("r1")],
    "nodes": [entry("r1", "Owner", "r1"), entry("r2", "Standby", "r1")],
    "conditions": [condition("Degraded", "True", "MemberDown", "r9 is dead")],
}


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch, apiserver: ApiServer) -> None:
    monkeypatch.setenv("PATH", f"{bins()}:/usr/bin:/bin")
    monkeypatch.setenv("KUBECONFIG", str(apiserver.kubeconfig))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("VYOS_CLUSTER_SOCKET", raising=False)


@pytest.fixture
def edge(client: Client) -> Iterator[str]:
    """A cluster that is well but for one condition."""
    yield from _stored(client, [spec("r1", "r2")], **STATUS)


def _stored(client: Client, wanted: list[dict[str, Any]], /, **status_: Any) -> Iterator[str]:
    made = manifest(wanted)
    del made["status"]
    client.create(made)
    client.replace_status(client.get("edge") | {"status": status_})
    yield "edge"
    client.delete("edge")


def run(*args: str, name: str = PLUGIN) -> Result:
    result = CliRunner().invoke(app, args, prog_name=name)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result


# -- show status and explain


@pytest.mark.parametrize("args", [(), ("edge",), ("-n", "anywhere")])
def test_the_report_of_a_cluster(edge: str, args: tuple[str, ...]) -> None:
    found = run("show", "status", *args)
    wanted = status.text([view.group() for view in views([two("r1", "Owner", "Standby")], None)])
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout == wanted + ("  Not as it should be:\n    edge: Degraded is True: MemberDown: r9 is dead\n\n")


def test_as_a_member_sees_it(edge: str) -> None:
    assert run("show", "status", "--node", "r2").stdout.startswith("=== Status report on secondary node r2 ===\n")
    stranger = run("show", "status", "--node", "r9")
    text = "vyos-cluster show: Error: this node (r9) is neither primary (r1) nor secondary (r2)\n"
    assert (stranger.exit_code, stranger.stdout, stranger.stderr) == (1, "", text)


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_for_machines(edge: str, form: str, load: Any) -> None:
    data = load(run("show", "status", "-o", form).stdout)
    assert (data["node"], data["groups"][0]["owner"]) == (None, "r1")
    assert [c["reason"] for c in data["conditions"]] == ["MemberDown"]
    (row,) = load(run("explain", "cluster", "-o", form).stdout)
    assert (row["owner"], row["epoch"], row["reason"]) == ("r1", 7, "PeerDead")


def test_the_secret_that_stands_in_a_spec_is_not_printed(edge: str) -> None:
    for form in ("text", "json", "yaml"):
        for command in (("show", "status"), ("explain",)):
            assert "S3cr#t" not in run(*command, "-o", form).output


def test_a_group_is_explained(edge: str) -> None:
    found = run("explain", "edge/cluster")
    assert found.exit_code == 0
    assert found.stdout.startswith("edge/cluster: r1 owns it (epoch 7, since ")
    unknown = run("explain", "lan")
    text = "vyos-cluster explain: no VyosCluster has a group lan; it is one of: edge/cluster\n"
    assert (unknown.exit_code, unknown.stderr) == (1, text)


def test_a_group_without_an_owner_has_an_exit_code(client: Client) -> None:
    for _ in _stored(client, [spec("r1", "r2")]):
        assert run("show", "status").exit_code == 3
        assert run("explain").exit_code == 3


def test_nothing_is_configured(client: Client) -> None:
    for command in (("show", "status"), ("explain",)):
        assert (run(*command).exit_code, run(*command).stdout) == (0, "Clustering is not configured\n")


def test_the_picture_of_all_clusters(edge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    found = run("watch", "--once")
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout.startswith("edge: Degraded is True: MemberDown: r9 is dead\n")
    (row,) = [line.split() for line in found.stdout.splitlines() if line.startswith("edge/cluster")]
    assert row[:4] == ["edge/cluster", "r1", "7", "PeerDead"]
    assert "S3cr#t" not in found.output


# -- whom it asks


@pytest.mark.parametrize("option", ["--api", "--kubeconfig", "--context"])
def test_the_program_asks_kubernetes_when_it_is_told_to(edge: str, apiserver: ApiServer, option: str) -> None:
    context = yaml.safe_load(apiserver.kubeconfig.read_text())["current-context"]
    values = {"--api": (), "--kubeconfig": (str(apiserver.kubeconfig),), "--context": (context,)}
    found = run("show", "status", option, *values[option], name="vyos-cluster")
    assert (found.exit_code, found.stdout[:21]) == (0, "=== Status report ===")


def test_a_variable_does_not_turn_the_plugin_to_a_socket(edge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VYOS_CLUSTER_SOCKET", "/nowhere")
    assert run("show", "status").exit_code == 0
    assert "/nowhere: No such file" in run("show", "status", name="vyos-cluster").stderr
    assert "/nowhere: No such file" in run("show", "status", "--socket", "/nowhere").stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("show", "status", "--socket", "/a", "--api"), "--socket asks this router, --api asks Kubernetes"),
        (("explain", "--socket", "/a", "--context", "b"), "--socket asks this router, --context asks Kubernetes"),
        (("show", "status", "--context", ""), "--context is empty"),
        (("show", "status", "--socket", "/a", "--node", "r1"), "--node is for Kubernetes"),
        (("show", "status", "--all-namespaces"), "No such option"),
        (("show", "status", "-o", "xml"), "is not one of"),
        (("show", "status", "--", "--all"), "'--all' is no name"),
        (("show", "status", ""), "'' is no name"),
        (("show", "status", "a/b"), "'a/b' is no name"),
        (("show", "status", "--node", ""), "'' is no name"),
        (("explain", "a/"), "is neither GROUP nor CLUSTER/GROUP"),
    ],
)
def test_wrong_usage(args: tuple[str, ...], said: str) -> None:
    found = run(*args)
    assert found.exit_code == 2
    assert said in " ".join(found.stderr.replace("│", " ").split())


def test_nobody_is_asked_by_default() -> None:
    found = run("show", "status", name="vyos-cluster")
    assert found.exit_code == 2
    assert "--socket (or VYOS_CLUSTER_SOCKET) on a router" in " ".join(found.stderr.replace("│", " ").split())


# -- when Kubernetes cannot be asked


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("show", "status", "nix"), 'vyosclusters.cluster.vyos.io "nix" not found'),
        (("show", "status", "--context", "nix"), "nix"),
        (("explain", "--kubeconfig", "/nowhere"), "/nowhere"),
    ],
)
def test_a_refusal_is_kubectls_word(client: Client, args: tuple[str, ...], said: str) -> None:
    found = run(*args)
    assert (found.exit_code, found.stdout) == (1, "")
    assert said in found.stderr
    assert found.stderr.count("\n") == 1


def test_nobody_listens(tmp_path: Path, apiserver: ApiServer) -> None:
    path = tmp_path / "config"
    found = yaml.safe_load(apiserver.kubeconfig.read_text())
    user, served = found["users"][0]["user"], found["clusters"][0]["cluster"]
    for thing in (user, served):
        thing.update(
            {k: str(apiserver.kubeconfig.parent / v) for k, v in thing.items() if v.endswith((".crt", ".key"))}
        )
    served["server"] = "https://127.0.0.1:1"
    path.write_text(yaml.safe_dump(found))
    answer = run("show", "status", "--kubeconfig", str(path))
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "127.0.0.1:1" in answer.stderr


def test_somebody_without_rights(client: Client, apiserver: ApiServer) -> None:
    stranger = apiserver.kubeconfig_as("stranger")
    answer = run("show", "status", "--kubeconfig", str(stranger))
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert 'User "stranger" cannot list resource "vyosclusters"' in answer.stderr


def test_no_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    answer = run("show", "status")
    assert (answer.exit_code, answer.stderr) == (
        1,
        "vyos-cluster show: there is no kubectl in PATH, by which Kubernetes is asked\n",
    )
