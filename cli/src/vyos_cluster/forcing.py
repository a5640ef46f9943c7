"""`vyos-cluster force …`: hands a person's command to the daemon of this router, in VyOS's words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from vyos_agent import control
from vyos_cluster.asking import Socket, Target, ask, refusals, split
from vyos_cluster.showing import NOT_CONFIGURED
from vyos_cluster.simulate import Move

NOT_MOVED = 3
"""Exit code: the time is over, and a group is not where it was to go."""
SAID = {"Active": "Requesting to take over cluster resources", "Standby": "Attempting to release cluster resources"}
"""VyOS's words for `force cluster active` and `force cluster standby`."""
MOVING = frozenset({"Giving", "Yielding"})
"""States of a member that has not let go yet (docs/protocol.md)."""

Wait = Annotated[
    float | None, typer.Option("--wait", min=0, max=3600, metavar="SECONDS", help="Wait for the moves, and tell them.")
]
app = typer.Typer(no_args_is_help=True)


@app.callback()
def _about() -> None:
    """Move groups by hand, with no interruption: the one that has a group gives it when the other is ready.

    Exit codes: 0 the daemon has the command (with --wait: and the groups are where they were to go); 3 (with --wait)
    the time is over; 1 the daemon cannot be asked or is a member of no such group; 2 wrong usage.
    """


@app.command()
def active(socket: Socket, target: Target = None, wait: Wait = None) -> None:
    """Take a group, or all groups, from whoever owns it: VyOS's `force cluster active`."""
    _force("Active", socket, target, wait)


@app.command()
def standby(socket: Socket, target: Target = None, wait: Wait = None) -> None:
    """Give a group, or all groups, to the best other member: VyOS's `force cluster standby`.

    Where no other member can take it, it stays.
    """
    _force("Standby", socket, target, wait)


def _force(to: str, socket: Path, target: str | None, wait_s: float | None) -> None:
    cluster, group = split(target)
    with refusals("force"):
        before = _asked(ask(socket, "report")["report"], cluster, group)
        if target is None and not before:
            raise control.ControlError(NOT_CONFIGURED.strip())
        ask(socket, "force", to=to, cluster=cluster, group=group)
        typer.echo(SAID[to])
        moved = wait_s is None or _followed(to, socket, target, before, wait_s)
    if not moved:
        raise typer.Exit(NOT_MOVED)


def _followed(to: str, socket: Path, target: str | None, before: dict[tuple[str, str], Any], wait_s: float) -> bool:
    """Wait for the groups to be where they were to go, and tell where each is; whether all are there."""
    end_s = time.monotonic() + wait_s
    revision: int | None = None
    while True:
        left_ms = max(0, min(30_000, int(1000 * (end_s - time.monotonic()))))
        report = ask(socket, "report", after=revision, timeoutMs=left_ms)["report"]
        revision, now = report["revision"], _asked(report, *split(target))
        there = all(_there(to, report["node"], group) for group in now.values())
        if there or time.monotonic() >= end_s:
            break
    for key, group in now.items():
        owner = before[key]["owner"] if key in before else None
        typer.echo(Move(*key, owner, group["owner"]).line())
    return there


def _there(to: str, node: str, group: Mapping[str, Any]) -> bool:
    owner, state = group["owner"], str(group["state"])
    if to == "Active":
        return owner == node and state == "Owner"
    return owner not in (None, node) and state not in MOVING


def _asked(report: dict[str, Any], cluster: str | None, group: str | None) -> dict[tuple[str, str], Any]:
    return {
        (c["cluster"], g["name"]): g
        for c in report["clusters"]
        for g in c["groups"]
        if c["cluster"] == (cluster or c["cluster"]) and g["name"] == (group or g["name"])
    }
