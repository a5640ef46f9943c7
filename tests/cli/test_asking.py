"""Commands that ask a member: what they ask, what they print, and how they end. The daemon is made up here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from cli.members import Daemon, daemon, explained, group, reported, row
from vyos_cluster.__main__ import app

GOLDEN = Path(__file__).parent / "status"
ONE = explained("R1", group("R1", row("R1", "Owner", monitors=1), row("R2", "Standby", monitors=0)), R2="Alive")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Daemon]:
    with daemon(tmp_path / "sock", explain=ONE, report=reported("R1")) as built:
        yield built


def run(desk: Daemon, *args: str) -> Result:
    result = CliRunner().invoke(app, [*args, "--socket", desk.path])
    assert "Traceback" not in result.output
    assert "\x1b" not in result.output
    return result


# -- show status


def test_the_report_of_one_group(desk: Daemon) -> None:
    result = run(desk, "show", "status")
    assert (result.exit_code, result.stdout) == (0, (GOLDEN / "peer-monitor-dead.txt").read_text())


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_the_report_for_machines(desk: Daemon, form: str, load: Any) -> None:
    desk.answers["report"] = reported("R1", {"kind": "Interface", "name": "eth1", "state": "Down", "sinceMs": 1})
    data = load(run(desk, "show", "status", "-o", form).stdout)
    assert data["node"] == "R1"
    assert [m["status"] for m in data["groups"][0]["members"]] == ["Active", "Down (at least 1 monitor not reachable)"]
    assert data["deviations"] == [{"cluster": "edge", "kind": "Interface", "name": "eth1", "state": "Down"}]
    assert data["refused"] == []


def test_what_vyos_has_no_line_for_stands_below(desk: Daemon) -> None:
    dead = {"kind": "Peer", "name": "R2", "state": "Dead", "sinceMs": 1}
    down = {"kind": "Interface", "name": "eth1", "state": "Down", "sinceMs": 1}
    refused = {"cluster": "edge", "generation": 4, "message": "ttl: must be at most 255, not 256"}
    desk.answers["report"] = reported("R1", dead, down, refused=(refused,))
    found = run(desk, "show", "status").stdout.removeprefix((GOLDEN / "peer-monitor-dead.txt").read_text())
    assert found == (
        "  Not as it should be:\n"
        "    edge: Interface eth1: Down\n"
        "\n"
        "  Refused, so that what ran before goes on:\n"
        "    edge, generation 4: ttl: must be at most 255, not 256\n"
        "\n"
    )


def test_a_group_without_an_owner_has_an_exit_code(desk: Daemon) -> None:
    desk.answers["explain"] = explained("R1", group(None, row("R1", "Standby"), row("R2", None)), R2="Dead")
    assert run(desk, "show", "status").exit_code == 3


def test_a_router_that_serves_nothing(desk: Daemon) -> None:
    desk.answers |= {"explain": {"ok": True, "node": "R1", "clusters": []}}
    desk.answers |= {"report": {"ok": True, "report": {"node": "R1", "clusters": [], "refused": []}}}
    result = run(desk, "show", "status")
    assert (result.exit_code, result.stdout) == (0, "Clustering is not configured\n")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"ok": False, "error": "at most 16 connections are served at once"}, "at most 16 connections"),
        ({"ok": True, "clusters": [{}]}, "the daemon is of another release: its answer has no 'node'"),
    ],
)
def test_a_daemon_that_does_not_answer_this(desk: Daemon, answer: dict[str, Any], said: str) -> None:
    desk.answers["explain"] = answer
    result = run(desk, "show", "status")
    assert (result.exit_code, said in result.stderr) == (1, True)


def test_no_daemon() -> None:
    result = CliRunner().invoke(app, ["show", "status", "--socket", "/nowhere"])
    assert (result.exit_code, result.stderr) == (1, "vyos-cluster show: /nowhere: No such file or directory\n")


# -- explain


def test_one_group_is_explained(desk: Daemon) -> None:
    result = run(desk, "explain", "cluster")
    assert result.exit_code == 0
    assert result.stdout.startswith("edge/cluster: R1 owns it (epoch 7).\n")
    assert result.stdout == run(desk, "explain").stdout == run(desk, "explain", "edge/cluster").stdout


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_an_explanation_for_machines(desk: Daemon, form: str, load: Any) -> None:
    (found,) = load(run(desk, "explain", "cluster", "-o", form).stdout)
    assert (found["owner"], found["monitors"]) == ("R1", 1)
    assert [(c["name"], c["place"], c["monitors"], c["links"]) for c in found["candidates"]] == [
        ("R1", 1, 1, []),
        ("R2", 2, 0, ["eth0"]),
    ]


@pytest.mark.parametrize("name", ["lan", "other/cluster"])
def test_a_group_that_is_not_here(desk: Daemon, name: str) -> None:
    result = run(desk, "explain", name)
    text = f"vyos-cluster explain: this router is a member of no group {name}; it is one of: edge/cluster\n"
    assert (result.exit_code, result.stderr) == (1, text)


def test_an_explanation_of_a_group_without_an_owner_has_an_exit_code(desk: Daemon) -> None:
    desk.answers["explain"] = explained("R1", group(None, row("R1", "Standby"), row("R2", None)), R2="Dead")
    assert run(desk, "explain").exit_code == 3


# -- force


def owned(owner: str | None, state: str, revision: int = 1) -> dict[str, Any]:
    groups = [{"name": "cluster", "owner": owner, "state": state}]
    report = {"node": "R1", "revision": revision, "clusters": [{"cluster": "edge", "groups": groups}]}
    return {"ok": True, "report": report}


FORCED = {"ok": True, "clusters": ["edge"]}


@pytest.mark.parametrize(
    ("command", "to", "said"),
    [
        ("active", "Active", "Requesting to take over cluster resources\n"),
        ("standby", "Standby", "Attempting to release cluster resources\n"),
    ],
)
@pytest.mark.parametrize(
    ("name", "cluster", "group"),
    [(None, None, None), ("cluster", None, "cluster"), ("edge/cluster", "edge", "cluster")],
)
def test_a_command_is_handed_on_in_vyos_words(
    desk: Daemon, command: str, to: str, said: str, name: str | None, cluster: str | None, group: str | None
) -> None:
    desk.answers |= {"report": owned("R2", "Standby"), "force": FORCED}
    result = run(desk, "force", command, *([name] if name else []))
    assert (result.exit_code, result.stdout) == (0, said)
    assert desk.asked[-1] == {"op": "force", "to": to, "cluster": cluster, "group": group}


def test_a_command_for_a_router_that_serves_nothing(desk: Daemon) -> None:
    desk.answers |= {"report": {"ok": True, "report": {"node": "R1", "clusters": []}}}
    result = run(desk, "force", "active")
    assert (result.exit_code, result.stderr) == (1, "vyos-cluster force: Clustering is not configured\n")
    assert [asked["op"] for asked in desk.asked] == ["report"]


def test_a_command_that_the_daemon_refuses(desk: Daemon) -> None:
    refused = "this node is a member of no group lan of any cluster here"
    desk.answers |= {"report": owned("R2", "Standby"), "force": {"ok": False, "error": refused}}
    result = run(desk, "force", "active", "lan")
    assert (result.exit_code, result.stdout) == (1, "")
    assert refused in result.stderr


@pytest.mark.parametrize("name", ["", "/cluster", "edge/"])
@pytest.mark.parametrize("command", [("force", "standby"), ("explain",)])
def test_an_empty_name_does_not_mean_all(desk: Daemon, command: tuple[str, ...], name: str) -> None:
    result = run(desk, *command, name)
    assert result.exit_code == 2
    assert "is neither GROUP nor CLUSTER/GROUP" in result.stderr
    assert "force" not in [asked["op"] for asked in desk.asked]


@pytest.mark.parametrize(
    ("command", "owner", "state", "code", "line"),
    [
        ("active", "R1", "Owner", 0, "edge/cluster: R2 -> R1"),
        ("active", "R2", "Standby", 3, "edge/cluster: stays at R2"),
        ("standby", "R2", "Standby", 0, "edge/cluster: stays at R2"),
        ("standby", "R2", "Yielding", 3, "edge/cluster: stays at R2"),
    ],
)
def test_what_came_of_a_command(
    desk: Daemon, command: str, owner: str, state: str, code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.answers |= {"report": owned("R2", "Standby"), "force": FORCED}
    answer = desk.answer

    def then(line: bytes) -> bytes:
        said = answer(line)
        if json.loads(line)["op"] == "force":
            desk.answers["report"] = owned(owner, state, 2)
        return said

    monkeypatch.setattr(desk, "answer", then)
    result = run(desk, "force", command, "--wait", "0.2")
    assert (result.exit_code, result.stdout.splitlines()[1:]) == (code, [line])
