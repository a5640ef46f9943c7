"""The live view: its picture from answers of the control socket, and its behaviour where there is no daemon."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from typer.testing import CliRunner

from vyos_cluster import watching
from vyos_cluster.__main__ import app


def shown(owner: str | None, peer: str, *deviations: dict[str, Any], width: int = 140, colour: bool = False) -> str:
    row = {"name": "r1", "state": "Owner", "rank": 0, "candidate": True, "ready": True, "monitors": 0}
    silent = row | {"name": "r2", "state": None, "candidate": False}
    group = {
        "name": "g",
        "state": "Owner",
        "owner": owner,
        "epoch": 7,
        "reason": "PeerDead",
        "candidates": [row, silent],
    }
    explained = {
        "clusters": [
            {"cluster": "edge", "groups": [group], "peers": [{"name": "r2", "state": peer, "links": ["eth0", "eth1"]}]}
        ]
    }
    held = {"name": "g", "addresses": ["192.168.0.123/24/eth0"], "services": ["ssh.service"]}
    report = {"node": "r1", "clusters": [{"cluster": "edge", "groups": [held], "deviations": list(deviations)}]}
    console = Console(width=width, force_terminal=colour, color_system="standard" if colour else None)
    with console.capture() as capture:
        console.print(watching.picture(report, explained))
    return capture.get()


def line(text: str, word: str) -> list[str]:
    return next(found.split() for found in text.splitlines() if found.startswith(word))


def test_a_group_and_its_candidates() -> None:
    text = shown("r1", "Alive")
    holds = ["192.168.0.123/24/eth0", "ssh.service"]
    assert line(text, "edge/g") == ["edge/g", "r1", "7", "PeerDead", "Owner", *holds, "r1"]
    assert line(text, "edge ") == ["edge", "r2", "Alive", "eth0", "eth1"]


def test_nobody_owns_it() -> None:
    assert line(shown(None, "Dead"), "edge/g")[1] == "nobody"


def test_what_deviates_is_named() -> None:
    text = shown("r1", "Dead", {"kind": "Monitor", "name": "192.0.2.1", "state": "Unreachable"})
    assert "edge: Monitor 192.0.2.1: Unreachable" in text


def test_a_narrow_terminal_loses_nothing() -> None:
    text = "".join(shown("r1", "Alive", width=50).split())
    assert "…" not in text


def test_colour_is_for_terminals() -> None:
    assert "\x1b[" in shown("r1", "Dead", colour=True)
    assert "\x1b[" not in shown("r1", "Dead")


def test_names_are_no_markup() -> None:
    assert "edge: Service [red]x: Failed" in shown(
        "r1", "Alive", {"kind": "Service", "name": "[red]x", "state": "Failed"}
    )


def test_once_without_a_daemon_says_which_socket() -> None:
    result = CliRunner().invoke(app, ["watch", "--once", "--socket", "/nowhere"])
    assert (result.exit_code, "/nowhere: No such file or directory" in result.output) == (1, True)
