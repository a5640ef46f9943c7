"""`vyos-cluster simulate`: asks the daemon of this router, and prints the forecast."""

from __future__ import annotations

from typing import Annotated

import typer

from vyos_agent import control
from vyos_cluster import simulate
from vyos_cluster.asking import Socket, ask
from vyos_cluster.forms import Form, Output, say

LEFT_ALONE = 3
"""Exit code: a group would have no owner."""


def command(
    down: Annotated[str, typer.Option("--down", metavar="NODE", help="The node to think away.")],
    socket: Socket,
    output: Output = Form.TEXT,
) -> None:
    """Tell where every group would go if NODE were lost; nothing is moved.

    Ask on a router that would be left: it knows the groups that it is a member of. Exit codes: 0 every group would have
    an owner, 3 one would not, 1 the daemon cannot be asked or knows no such node, 2 wrong usage.
    """
    try:
        moves = simulate.without(ask(socket, "explain"), down)
    except (control.ControlError, simulate.UnknownNodeError) as error:
        typer.echo(f"vyos-cluster simulate: {error}", err=True)
        raise typer.Exit(1) from None
    rows = [{"cluster": m.cluster, "group": m.group, "owner": m.owner, "then": m.then} for m in moves]
    say(output, rows, "\n".join(move.line() for move in moves))
    if any(move.then is None for move in moves):
        raise typer.Exit(LEFT_ALONE)
