"""`vyos-cluster watch`: what the daemon of this router sees, as it changes. Asks often, and moves nothing.

On a terminal one table is drawn over and over; into a pipe each change is printed, without colour.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vyos_agent import control
from vyos_cluster.asking import Socket, ask, refusals

INTERVAL_S = 0.2


def picture(report: Mapping[str, Any], explained: Mapping[str, Any]) -> RenderableType:
    """Groups, peers and deviations, from the answers to `report` and `explain`."""
    held = {(c["cluster"], g["name"]): g["addresses"] + g["services"] for c in report["clusters"] for g in c["groups"]}
    groups = _table(
        f"Groups, seen by {report['node']}", "group", "owner", "epoch", "why", "here", "holds", "best first"
    )
    peers = _table("Peers", "cluster", "peer", "state", "heard over")
    for cluster in explained["clusters"]:
        name = cluster["cluster"]
        for group in cluster["groups"]:
            ranked = " ".join(r["name"] for r in group["candidates"] if r["candidate"])
            owner = Text(group["owner"], "green") if group["owner"] else Text("nobody", "red")
            holds = " ".join(held.get((name, group["name"]), []))
            cells = [group["epoch"] or "", group["reason"] or "", group["state"], holds, ranked]
            groups.add_row(Text(f"{name}/{group['name']}"), owner, *(Text(str(cell)) for cell in cells))
        for peer in cluster["peers"]:
            state = Text(peer["state"], "green" if peer["state"] == "Alive" else "red")
            peers.add_row(Text(name), Text(peer["name"]), state, Text(" ".join(peer["links"])))
    wrong = [
        Text(f"{c['cluster']}: {d['kind']} {d['name']}: {d['state']}", "red")
        for c in report["clusters"]
        for d in c["deviations"]
    ]
    return Group(groups, peers, *wrong)


def command(
    socket: Socket,
    once: Annotated[bool, typer.Option("--once", help="Show the present state, and end.")] = False,
) -> None:
    """Show groups, owners, candidates, peers and what is wrong, live; Ctrl-C ends it.

    A daemon that goes away is waited for. Exit codes: 0 ended by Ctrl-C or shown once, 1 (with --once) the daemon could
    not be asked, 2 wrong usage.
    """
    console = Console()
    if once:
        with refusals("watch"):
            console.print(_look(socket))
        return
    try:
        _follow(console, socket)
    except KeyboardInterrupt:
        return


def _follow(console: Console, socket: Path) -> None:
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_look_or_wait(socket), refresh=True)
                time.sleep(INTERVAL_S)
    before = ""
    while True:
        with console.capture() as capture:
            console.print(_look_or_wait(socket))
        if capture.get() != before:
            before = capture.get()
            typer.echo(before)
        time.sleep(INTERVAL_S)


def _look_or_wait(socket: Path) -> RenderableType:
    try:
        return _look(socket)
    except control.ControlError as error:
        return Text(f"waiting for the daemon: {error}", "red")


def _look(socket: Path) -> RenderableType:
    return picture(ask(socket, "report")["report"], ask(socket, "explain"))


def _table(title: str, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # nothing of a name is lost on a narrow terminal
    return table
