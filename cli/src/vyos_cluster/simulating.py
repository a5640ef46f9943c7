"""`vyos-cluster simulate`: asks the daemon of this router, and prints the forecast."""

from __future__ import annotations

from typing import Annotated

import typer

from vyos_cluster import simulate
from vyos_cluster.asking import Socket, ask, refusals
from vyos_cluster.printing import Form, Output, show

LEFT_ALONE = 3
"""Exit code: a group would have no owner."""


def command(
    down: Annotated[str, typer.Option("--down", metavar="NODE", help="The node to think away.")],
    socket: Socket,
    output: Form = Output.TEXT,
) -> None:
    """Tell where every group would go if NODE were lost; nothing is moved.

    Ask on a router that would be left: it knows the groups that it is a member of. Exit codes: 0 every group would have
    an owner, 3 one would not, 1 the daemon cannot be asked or knows no such node, 2 wrong usage.
    """
    with refusals("simulate", simulate.UnknownNodeError):
        moves = simulate.without(ask(socket, "explain"), down)
    rows = [{"cluster": m.cluster, "group": m.group, "owner": m.owner, "then": m.then} for m in moves]
    show(output, "".join(f"{move.line()}\n" for move in moves), rows)
    if any(move.then is None for move in moves):
        raise typer.Exit(LEFT_ALONE)
