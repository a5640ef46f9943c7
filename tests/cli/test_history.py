"""`vyos-cluster history`: what it asks, its text to the letter, and how it ends. The daemon is made up here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from cli.members import Daemon, daemon
from vyos_agent.edge.history import Kind, Step
from vyos_cluster import history
from vyos_cluster.__main__ import app

AT_MS = 1_790_000_000_000


def move(kind: str, reason: str, peer: str | None, at_ms: int = 0, **more: Any) -> dict[str, Any]:
    steps = more.pop("steps", {})
    built = {"group": "cluster", "kind": kind, "reason": reason, "outcome": None, "peer": peer, "epoch": 7}
    return built | {"atMs": AT_MS + at_ms, "stepsMs": steps} | more


def answer(*moves: dict[str, Any], cluster: str = "edge") -> dict[str, Any]:
    """An answer to `history`, with the moves of one cluster."""
    item = {"cluster": cluster, "sinceMs": AT_MS - 60_000, "groups": ["cluster", "lan"], "moves": list(moves)}
    return {"ok": True, "node": "r2", "clusters": [item]}


TAKEN = move("Taken", "PeerDead", "r1", 90_123, epoch=8, steps={"lastBeat": -1004, "addresses": 3, "announced": 4})
GIVEN = move(
    "Given",
    "HandoverRequested",
    "r1",
    outcome="HandedOver",
    steps={"ready": 12, "letGo": 71, "removed": 73, "verified": 3410},
)
BOTH = answer(TAKEN, GIVEN)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Daemon]:
    with daemon(tmp_path / "sock", history=BOTH) as built:
        yield built


def run(desk: Daemon, *args: str) -> Result:
    result = CliRunner().invoke(app, ["history", *args, "--socket", desk.path])
    assert "Traceback" not in result.output
    assert "\x1b" not in result.output
    return result


def test_the_whole_text(desk: Daemon) -> None:
    result = run(desk)
    assert (result.exit_code, result.stdout) == (
        0,
        "edge: the last moves of r2 since 2026-09-21T14:12:20.000Z, newest first\n"
        "\n"
        "decided                   group    move           reason             epoch  ms from the decision\n"
        "2026-09-21T14:14:50.123Z  cluster  taken from r1  PeerDead           8      "
        "last beat -1004, addresses up 3, announced 4\n"
        "2026-09-21T14:13:20.000Z  cluster  given to r1    HandoverRequested  7      "
        "ready 12, let go 71, removed 73, verified 3410\n"
        "\n"
        "PeerDead: The owner was not heard for its dead interval.\n"
        "HandoverRequested: A person asked for the move (`force active`, `force standby`).\n"
        "\n",
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (move("Taken", "FirstClaim", None), "taken FirstClaim"),
        (move("Taken", "PeerReleased", "r2"), "taken again PeerReleased"),
        (move("Adopted", "Adopted", None, steps={"addresses": -400}), "adopted Adopted 7 addresses up -400"),
        (move("Given", "Failback", "r1"), "is being given to r1 Failback"),
        (move("Kept", "Failback", "r1", outcome="TakenBack"), "not given to r1 Failback, TakenBack"),
        (move("Released", "LinkLost", None), "let go LinkLost"),
        (move("Released", "Settled", "r1"), "let go, r1 has it Settled"),
        (move("Released", "Failback", "r1", outcome="LinkLost"), "let go, not given to r1 Failback, LinkLost"),
        (move("Lent", "Boredom", "r1", steps={"signed": 5}), "Lent, r1 Boredom 7 signed 5"),
    ],
)
def test_the_words_of_a_move(desk: Daemon, found: dict[str, Any], said: str) -> None:
    desk.answers["history"] = answer(found)
    line = run(desk).stdout.splitlines()[3]
    assert said in " ".join(line.split())


def test_every_step_and_kind_of_the_daemon_has_a_word() -> None:
    assert list(history.STEPS) == [step.value for step in Step]
    assert history.WITH.keys() | history.ALONE.keys() == {kind.value for kind in Kind}


def test_a_word_of_another_release(desk: Daemon) -> None:
    desk.answers["history"] = answer(move("Taken", "Boredom", "r1"))
    assert "\nBoredom: a word of another release.\n" in run(desk).stdout


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_for_machines(desk: Daemon, form: str, load: Any) -> None:
    found = load(run(desk, "-o", form).stdout)
    assert found == [{"cluster": "edge", "node": "r2", **m} for m in (TAKEN, GIVEN)]


@pytest.mark.parametrize(
    ("args", "cluster", "group"),
    [((), None, None), (("cluster",), None, "cluster"), (("edge/cluster",), "edge", "cluster")],
)
def test_what_the_daemon_is_asked(desk: Daemon, args: tuple[str, ...], cluster: str | None, group: str | None) -> None:
    run(desk, *args)
    assert desk.asked == [{"op": "history", "cluster": cluster, "group": group}]


def test_no_moves(desk: Daemon) -> None:
    desk.answers["history"] = answer()
    result = run(desk)
    assert (result.exit_code, result.stdout) == (0, "edge: r2 made no move since 2026-09-21T14:12:20.000Z.\n")
    assert json.loads(run(desk, "-o", "json").stdout) == []


def test_a_router_that_serves_nothing(desk: Daemon) -> None:
    desk.answers["history"] = {"ok": True, "node": "r2", "clusters": []}
    result = run(desk)
    assert (result.exit_code, result.stdout) == (0, "Clustering is not configured\n")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            {
                "ok": False,
                "error": "this node is a member of no group x of any cluster here; it is one of: edge/cluster",
            },
            "this node is a member of no group x of any cluster here; it is one of: edge/cluster",
        ),
        ({"ok": False, "error": "unknown op; known are: configure"}, "unknown op; known are: configure"),
        ({"ok": True, "clusters": []}, "the daemon is of another release: its answer has no 'node'"),
        (answer({"group": "cluster"}), "the daemon is of another release: its answer has no 'stepsMs'"),
    ],
)
def test_a_daemon_that_does_not_answer_this(desk: Daemon, said: dict[str, Any], shown: str) -> None:
    desk.answers["history"] = said
    result = run(desk, "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("vyos-cluster history: ")
    assert shown in result.stderr


def test_wrong_usage(desk: Daemon) -> None:
    assert run(desk, "edge/").exit_code == 2
    assert CliRunner().invoke(app, ["history"]).exit_code == 2
    assert desk.asked == []
