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
