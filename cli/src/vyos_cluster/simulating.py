"""`vyos-cluster simulate`: asks the daemon of this router, and prints the forecast."""

from __future__ import annotations

import enum
import json
from typing import Annotated, assert_never

import typer
import yaml

from vyos_agent import control
from vyos_cluster import simulate
from vyos_cluster.asking import Socket, ask

LEFT_ALONE = 3
"""Exit code: a group would have no owner."""


class Output(enum.StrEnum):
    """The forms of an answer."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def command(
    down: Annotated[str, typer.Option("--down", metavar="NODE", help="The node to think away.")],
    socket: Socket,
    output: Annotated[Output, typer.Option("-o", "--output", help="The form of the answer.")] = Output.TEXT,
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
    match output:
        case Output.TEXT:
            typer.echo("\n".join(move.line() for move in moves))
        case Output.JSON:
            typer.echo(json.dumps(rows, indent=2))
        case Output.YAML:
            typer.echo(yaml.safe_dump(rows, sort_keys=False), nl=False)
        case _:
            assert_never(output)
    if any(move.then is None for move in moves):
        raise typer.Exit(LEFT_ALONE)
