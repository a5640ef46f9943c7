"""`vyos-cluster restart`: has a daemon leave in order and begin anew, in VyOS's words for `restart cluster`.

The daemon does it within its own process, so whoever watches over that (systemd, a kubelet, the lab) sees nothing end.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from vyos_agent import control
from vyos_cluster import agents
from vyos_cluster.agents import Agent
from vyos_cluster.asking import ask, refusals
from vyos_cluster.kubectl import ApiError
from vyos_cluster.roads import AGENTS, Api, Context, Kubeconfig, Namespace, OptionalSocket, only_kubernetes, road
from vyos_cluster.showing import named

BACK_S = 60.0
"""A handover, the stop of the host's services and the start of Python take seconds; services may take their timeout."""
POLL_S = 0.2


def command(
    ctx: typer.Context,
    socket: OptionalSocket = None,
    api: Api = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = AGENTS,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Over Kubernetes: the router whose daemon it is.")
    ] = None,
) -> None:
    """Have the daemon leave all clusters in order and begin anew: VyOS's `restart cluster`.

    What it owns it hands over first, where somebody is ready to take it.

    Exit codes: 0 it is back; 1 it cannot be asked, or is not back after a minute; 2 wrong usage.
    """
    where = road(ctx, socket, api, context, kubeconfig)
    only_kubernetes(where, node=node)
    place, name = str(named(namespace, "--namespace")), named(node, "--node")
    if not isinstance(where, Path) and name is None:
        raise typer.BadParameter("whose daemon? Name its router with --node")
    with refusals("restart", ApiError):
        found, _ = agents.chosen(where, place, name)
        served = _served(ask(found, "report")["report"])
        before = ask(found, "restart")["instance"]
        typer.echo("Restarting cluster node...", nl=False)
        _await(found, before, served)
    typer.echo("Success!")


def _await(where: Path | Agent, before: str, served: set[str]) -> None:
    """Until a daemon answers that is not the one from before, and serves the same clusters. Raises ControlError."""
    end_s = time.monotonic() + BACK_S
    while True:
        try:
            report = ask(where, "report")["report"]
            missing = served - _served(report)
            if report["instance"] != before and not missing:
                return
            problem = f"it does not serve {', '.join(sorted(missing))} yet" if missing else "it has not left yet"
        except (control.ControlError, ApiError) as error:
            problem = str(error)
        if time.monotonic() > end_s:
            typer.echo()
            raise control.ControlError(f"not back after {BACK_S:.0f} s: {problem}")
        time.sleep(POLL_S)


def _served(report: dict[str, Any]) -> set[str]:
    return {cluster["cluster"] for cluster in report["clusters"]}
