"""Whom a command asks: the daemon of this router, by its control socket, or Kubernetes, by its API.

The rule: `kubectl vyos-cluster` asks Kubernetes unless --socket is given; `vyos-cluster` asks the daemon unless --api,
--context or --kubeconfig is given. What stands on the command line decides over VYOS_CLUSTER_SOCKET.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vyos_cluster.kubectl import Kubectl

PLUGIN = "kubectl-"
"""How the names of kubectl's plugins begin."""
AGENTS = "vyos-cluster-agents"
"""The chart's own name for the agents' namespace."""

OptionalSocket = Annotated[
    Path | None,
    typer.Option(
        "--socket", envvar="VYOS_CLUSTER_SOCKET", help="Ask the daemon of this router, whose control socket this is."
    ),
]
Api = Annotated[
    bool, typer.Option("--api", help="Ask Kubernetes; kubectl vyos-cluster does so anyway, unless --socket is given.")
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="CONTEXT", help="Ask Kubernetes, by this context of the kubeconfig.")
]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", metavar="FILE", help="Ask Kubernetes, by this kubeconfig.")
]
Namespace = Annotated[
    str,
    typer.Option(
        "-n", "--namespace", metavar="NAMESPACE", help="Where the agents are; a VyosCluster is in no namespace."
    ),
]


def road(
    ctx: typer.Context, socket: Path | None, api: bool, context: str | None, kubeconfig: Path | None
) -> Path | Kubectl:
    """The socket to ask, or the way to Kubernetes. Raises typer.BadParameter."""
    given = [o for o, is_set in (("--api", api), ("--context", context), ("--kubeconfig", kubeconfig)) if is_set]
    empty = [o for o, value in (("--context", context), ("--kubeconfig", kubeconfig)) if value in ("", Path())]
    if empty:
        raise typer.BadParameter(f"{empty[0]} is empty: name one, or leave the option out")
    source = ctx.get_parameter_source("socket")
    by_hand = source is not None and source.name == "COMMANDLINE"
    if given and by_hand:
        raise typer.BadParameter(f"--socket asks this router, {given[0]} asks Kubernetes: give one of them")
    if given or (not by_hand and (ctx.find_root().info_name or "").startswith(PLUGIN)):
        return Kubectl(context, kubeconfig)
    if socket is None:
        raise typer.BadParameter(
            "whom to ask? Give --socket (or VYOS_CLUSTER_SOCKET) on a router, or --api, --context or --kubeconfig"
        )
    return socket


def only_kubernetes(where: Path | Kubectl, **options: object) -> None:
    """Refuse options that mean something over Kubernetes only. Raises typer.BadParameter."""
    if isinstance(where, Path):
        for name, value in options.items():
            if value is not None:
                raise typer.BadParameter(f"--{name} is for Kubernetes; by the socket, this router itself is asked")
