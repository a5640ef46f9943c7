"""The live view: its picture from answers of the control socket, and its behaviour where there is no daemon."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from typer.testing import CliRunner

from cli.clusters import cluster, condition, entry, record, spec
from cli.test_resource import two
from vyos_cluster import resource_picture, watching
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
        "monitors": {"192.0.2.1": True, "192.0.2.2": False, "192.0.2.3": None},
        "candidates": [row, silent],
    }
    explained = {
        "clusters": [
            {"cluster": "edge", "groups": [group], "peers": [{"name": "r2", "state": peer, "links": ["eth0", "eth1"]}]}
        ]
    }
    held = {"name": "g", "addresses": ["192.168.0.123/24/eth0"], "services": ["ssh.service"]}
    report = {"node": "r1", "clusters": [{"cluster": "edge", "groups": [held], "deviations": list(deviations)}]}
    metrics = {"clusters": [{"cluster": "edge", "interfaces": {"eth0": True, "eth1": False}}]}
    console = Console(width=width, force_terminal=colour, color_system="standard" if colour else None)
    with console.capture() as capture:
        console.print(watching.picture(report, explained, metrics))
    return capture.get()


def line(text: str, word: str) -> list[str]:
    return next(found.split() for found in text.splitlines() if found.startswith(word))


def test_a_group_and_its_candidates() -> None:
    text = shown("r1", "Alive")
    holds = ["192.168.0.123/24/eth0", "ssh.service"]
    assert line(text, "edge/g") == ["edge/g", "r1", "7", "PeerDead", "Owner", *holds, "r1"]
    assert line(text, "edge ") == ["edge", "r2", "Alive", "eth0", "eth1"]


def test_links_and_monitors() -> None:
    text = shown("r1", "Alive")
    assert [text.count(row) for row in ("edge     eth0  Up", "edge     eth1  Down")] == [1, 1]
    rows = [found.split()[1:] for found in text.splitlines() if found.startswith("edge/g") and "192.0.2." in found]
    assert rows == [["192.0.2.1", "Reachable"], ["192.0.2.2", "Unreachable"], ["192.0.2.3", "Undecided"]]


def test_nobody_owns_it() -> None:
    assert line(shown(None, "Dead"), "edge/g")[1] == "nobody"


def test_what_deviates_is_named() -> None:
    text = shown("r1", "Dead", {"kind": "Monitor", "name": "192.0.2.1", "state": "Unreachable"})
    assert text.startswith("edge: Monitor 192.0.2.1: Unreachable\n"), "a short terminal shows the top"


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


def test_kubernetes_has_it() -> None:
    found = two("r1", "Owner", "Standby")
    console = Console(width=160)
    with console.capture() as capture:
        console.print(resource_picture.picture([found]))
    text = capture.get()
    assert line(text, "edge/cluster")[:4] == ["edge/cluster", "r1", "7", "PeerDead"]
    assert line(text, "edge     r1")[2:4] == ["Alive", "cluster:Owner"]
    assert line(text, "edge     r2")[2:4] == ["Alive", "cluster:Standby"]


def test_what_kubernetes_knows_to_be_wrong_stands_first() -> None:
    broken = condition("Degraded", "True", "MemberDown", "r9 is \x1b[31mdead")
    found = cluster([spec("r1", "r2")], groups=[record("r1")], nodes=[entry("r1", "Owner", "r1")], conditions=[broken])
    console = Console(width=160)
    with console.capture() as capture:
        console.print(resource_picture.picture([found]))
    assert capture.get().startswith("edge: Degraded is True: MemberDown: r9 is")
    assert "\x1b" not in capture.get()
