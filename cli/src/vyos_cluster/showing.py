"""`vyos-cluster show …`: what is, as this router sees it. Asks, and moves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import typer

from vyos_cluster import seen
from vyos_cluster import status as words
from vyos_cluster.asking import Socket, ask, refusals
from vyos_cluster.printing import Form, Output, show

OWNERLESS = 3
"""Exit code: shown, and a group has no owner."""
NOT_CONFIGURED = "Clustering is not configured\n"
"""VyOS's text."""
LINES = frozenset({"Peer", "Monitor"})
"""Kinds of deviations that the report has lines for."""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _about() -> None:
    """Show what is, as this router sees it."""


@app.command()
def status(socket: Socket, output: Form = Output.TEXT) -> None:
    """Show the report of VyOS's `show cluster status`: members, monitors and resources of every group.

    Exit codes: 0 every group has an owner, or clustering is not configured; 3 a group has none; 1 the daemon cannot be
    asked; 2 wrong usage.
    """
    with refusals("show"):
        groups, report = seen.groups(ask(socket, "explain")), ask(socket, "report")["report"]
        data = {"node": report["node"], "groups": words.rows(groups), **_wrong(report)}
        text = words.text(groups) + _blocks(data)
    show(output, text or NOT_CONFIGURED, data)
    end_ownerless(group.owner for group in groups)


def end_ownerless(owners: Iterable[str | None]) -> None:
    """End with the exit code for a group without an owner, if there is one."""
    if None in owners:
        raise typer.Exit(OWNERLESS)


def _wrong(report: Mapping[str, Any]) -> dict[str, Any]:
    """What VyOS's report has no line for."""
    found = [(c["cluster"], d) for c in report["clusters"] for d in c["deviations"] if d["kind"] not in LINES]
    return {
        "deviations": [{"cluster": c, "kind": d["kind"], "name": d["name"], "state": d["state"]} for c, d in found],
        "refused": report["refused"],
    }


def _blocks(data: Mapping[str, Any]) -> str:
    wrong = [f"{d['cluster']}: {d['kind']} {d['name']}: {d['state']}" for d in data["deviations"]]
    refused = [f"{r['cluster']}, generation {r['generation']}: {r['message']}" for r in data["refused"]]
    return _block("Not as it should be", wrong) + _block("Refused, so that what ran before goes on", refused)


def _block(title: str, lines: list[str]) -> str:
    return "\n".join([f"  {title}:", *(f"    {line}" for line in lines), "", ""]) if lines else ""
