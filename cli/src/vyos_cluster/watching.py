"""`vyos-cluster watch`: what the daemon of this router sees, or what Kubernetes has, as it changes. Moves nothing.

On a terminal one table is drawn over and over; into a pipe each change is printed, without colour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from vyos_agent import control
from vyos_cluster import resource_picture
from vyos_cluster.asking import ask, refusals
from vyos_cluster.kubectl import ApiError
from vyos_cluster.printing import table
from vyos_cluster.roads import AGENTS, Api, Context, Kubeconfig, Namespace, OptionalSocket, road

INTERVAL_S, API_INTERVAL_S = 0.2, 1.0
"""Between two looks, at least. Each look at Kubernetes is a list of all VyosClusters, so these are fewer."""
POLL_MS = 1000
"""How long the daemon keeps the question for its report while nothing changes: at rest, one look in so long."""
REACHED = {True: ("Reachable", "green"), False: ("Unreachable", "red"), None: ("Undecided", "")}


def picture(report: Mapping[str, Any], explained: Mapping[str, Any], metrics: Mapping[str, Any]) -> RenderableType:
    """Groups, peers, links, monitors and deviations, from the answers to `report`, `explain` and `metrics`."""
    held = {(c["cluster"], g["name"]): g["addresses"] + g["services"] for c in report["clusters"] for g in c["groups"]}
    groups = table(f"Groups, seen by {report['node']}", "group", "owner", "epoch", "why", "here", "holds", "best first")
    peers = table("Peers", "cluster", "peer", "state", "heard over")
    links, monitors = table("Links", "cluster", "link", "state"), table("Monitors", "group", "monitor", "state")
    for cluster in metrics["clusters"]:
        for link, up in cluster["interfaces"].items():
            links.add_row(Text(cluster["cluster"]), Text(link), Text("Up", "green") if up else Text("Down", "red"))
    for cluster in explained["clusters"]:
        name = cluster["cluster"]
        for group in cluster["groups"]:
            ranked = " ".join(r["name"] for r in group["candidates"] if r["candidate"])
            owner = Text(group["owner"], "green") if group["owner"] else Text("nobody", "red")
            holds = " ".join(held.get((name, group["name"]), []))
            cells = [group["epoch"] or "", group["reason"] or "", group["state"], holds, ranked]
            groups.add_row(Text(f"{name}/{group['name']}"), owner, *(Text(str(cell)) for cell in cells))
            for monitor, reached in group["monitors"].items():
                monitors.add_row(Text(f"{name}/{group['name']}"), Text(monitor), Text(*REACHED[reached]))
        for peer in cluster["peers"]:
            state = Text(peer["state"], "green" if peer["state"] == "Alive" else "red")
            peers.add_row(Text(name), Text(peer["name"]), state, Text(" ".join(peer["links"])))
    wrong = [
        Text(f"{c['cluster']}: {d['kind']} {d['name']}: {d['state']}", "red")
        for c in report["clusters"]
        for d in c["deviations"]
    ]
    # what is wrong first: a terminal that is too short shows the top
    return Group(*wrong, groups, peers, *(found for found in (links, monitors) if found.row_count))


def command(
    ctx: typer.Context,
    socket: OptionalSocket = None,
    api: Api = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = AGENTS,
    once: Annotated[bool, typer.Option("--once", help="Show the present state, and end.")] = False,
) -> None:
    """Show groups, owners, peers, links, monitors and what is wrong, live; Ctrl-C ends it.

    As this router sees them, or over Kubernetes as the status of every VyosCluster has them. Who does not answer is
    waited for. Exit codes: 0 ended by Ctrl-C or shown once, 1 (with --once) the daemon or Kubernetes could not be
    asked, 2 wrong usage.
    """
    where = road(ctx, socket, api, context, kubeconfig)
    console = Console()
    look = _Router(where).look if isinstance(where, Path) else lambda: resource_picture.picture(where.clusters())
    if once:
        with refusals("watch", ApiError):
            console.print(look())
        return
    try:
        _follow(console, look, INTERVAL_S if isinstance(where, Path) else API_INTERVAL_S)
    except KeyboardInterrupt:
        return


def _follow(console: Console, look: Callable[[], RenderableType], interval_s: float) -> None:
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_look_or_wait(look), refresh=True)
                time.sleep(interval_s)
    before = ""
    while True:
        with console.capture() as capture:
            console.print(_look_or_wait(look))
        if capture.get() != before:
            before = capture.get()
            typer.echo(before)
        time.sleep(interval_s)


def _look_or_wait(look: Callable[[], RenderableType]) -> RenderableType:
    try:
        return look()
    except control.ControlError as error:
        return Text(f"waiting for the daemon: {error}", "red")
    except ApiError as error:
        return Text(f"waiting for Kubernetes: {error}", "red")
    except KeyError as error:
        return Text(f"the daemon is of another release: its answer has no {error}", "red")


class _Router:
    """This router's daemon, asked over one connection, and at rest once in POLL_MS: its loop has better work."""

    def __init__(self, socket: Path) -> None:
        self._session = control.Session(socket)
        self._revision: int | None = None

    def look(self) -> RenderableType:
        """The present picture; after the first as soon as the report is another one, or POLL_MS are over."""
        after = {} if self._revision is None else {"after": self._revision, "timeoutMs": POLL_MS}
        self._revision = None
        report = ask(self._session, "report", **after)["report"]
        found = picture(report, ask(self._session, "explain"), ask(self._session, "metrics")["metrics"])
        self._revision = report.get("revision")
        return found
