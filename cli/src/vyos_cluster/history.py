"""`vyos-cluster history`: the last moves that one router's daemon made, each with its reason and its times."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from vyos_cluster import agents
from vyos_cluster.asking import Target, ask, refusals, split
from vyos_cluster.kubectl import ApiError, Kubectl
from vyos_cluster.printing import Form, Output, columns, show
from vyos_cluster.reasons import REASONS
from vyos_cluster.roads import AGENTS, Api, Context, Kubeconfig, Namespace, OptionalSocket, only_kubernetes, road
from vyos_cluster.showing import NOT_CONFIGURED, named

HEAD = ("decided", "group", "move", "reason", "epoch", "ms from the decision")
STEPS = {
    "lastBeat": "last beat",
    "addresses": "addresses up",
    "announced": "announced",
    "ready": "ready",
    "kept": "kept",
    "letGo": "let go",
    "removed": "removed",
    "verified": "verified",
}
"""By the names of docs/control-socket.md."""
WITH = {"Taken": "taken from {}", "Given": "given to {}", "Kept": "not given to {}", "Released": "let go, {} has it"}
ALONE = {"Taken": "taken", "Adopted": "adopted", "Released": "let go"}
"""By the kinds of moves there: where another member is named, and where none is."""

Row = dict[str, Any]


def command(
    ctx: typer.Context,
    target: Target = None,
    socket: OptionalSocket = None,
    api: Api = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = AGENTS,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NODE", help="Over Kubernetes: the router that is asked; GROUP's owner."),
    ] = None,
    output: Form = Output.TEXT,
) -> None:
    """Tell the last moves that one router made, newest first: why, and how long each step took.

    Times are milliseconds from the decision; what came before it is negative. A step that the daemon does not know is
    left out. A move between two other routers is not told: ask one of them.

    Exit codes: 0 told, also when there are no moves; 1 the daemon or Kubernetes cannot be asked, or it is a member of
    no such group; 2 wrong usage.
    """
    where = road(ctx, socket, api, context, kubeconfig)
    only_kubernetes(where, node=node)
    cluster, group = split(target)
    place, name = str(named(namespace, "--namespace")), named(node, "--node")
    if isinstance(where, Kubectl) and (target, name) == (None, None):
        raise typer.BadParameter("whose moves? Name a router with --node, or GROUP, whose owner is asked then")
    with refusals("history", ApiError):
        whom, cluster = agents.chosen(where, place, name, cluster, group)
        answer = ask(whom, "history", cluster=cluster, group=group)
        found = rows(answer)
        said = text(answer, found)
    show(output, said, found)


def rows(answer: Mapping[str, Any]) -> list[Row]:
    """Each move, for machines."""
    return [
        {"cluster": c["cluster"], "group": m["group"], "node": answer["node"], **m}
        for c in answer["clusters"]
        for m in c["moves"]
    ]


def text(answer: Mapping[str, Any], found: Sequence[Row]) -> str:
    """The same for people: a table for each cluster, and what its words mean."""
    node, parts = answer["node"], []
    for cluster in answer["clusters"]:
        moves = [row for row in found if row["cluster"] == cluster["cluster"]]
        since = f"since {_time(cluster['sinceMs'])}"
        if moves:
            head = f"{cluster['cluster']}: the last moves of {node} {since}, newest first\n\n"
            parts.append(f"{head}{columns([HEAD, *map(_cells, moves)])}\n{_words(moves)}\n")
        else:
            parts.append(f"{cluster['cluster']}: {node} made no move {since}.\n")
    return "".join(parts) or NOT_CONFIGURED


def _cells(row: Row) -> list[str]:
    steps = ", ".join(f"{STEPS.get(name, name)} {ms}" for name, ms in row["stepsMs"].items())
    return [_time(row["atMs"]), row["group"], _move(row), ", ".join(_reasons(row)), str(row["epoch"]), steps]


def _move(row: Row) -> str:
    kind: str = row["kind"]
    peer: str | None = row["peer"]
    if kind == "Released" and row["outcome"] is not None:
        return f"let go, not given to {peer}"
    if kind == "Given" and row["outcome"] is None:
        return f"is being given to {peer}"
    if kind == "Taken" and peer == row["node"]:
        return "taken again"
    if peer is None:
        return ALONE.get(kind, kind)
    return WITH.get(kind, kind + ", {}").format(peer)


def _reasons(row: Row) -> list[str]:
    """Why, and how a handover ended where that is not as it was meant."""
    return [row["reason"], *([row["outcome"]] if row["outcome"] not in (None, "HandedOver") else [])]


def _words(moves: Sequence[Row]) -> str:
    """What the reasons of a table mean, each once."""
    said = dict.fromkeys(word for row in moves for word in _reasons(row))
    return "".join(f"{word}: {REASONS.get(word, 'a word of another release.')}\n" for word in said)


def _time(wall_ms: int) -> str:
    """UTC, as logs of several routers are compared by it."""
    at = datetime.datetime.fromtimestamp(wall_ms / 1000, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
