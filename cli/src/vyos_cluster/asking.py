"""How commands ask a daemon: the option that says where its socket is, one question, the end of a refusal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from vyos_agent import control
from vyos_cluster.agents import Agent

Socket = Annotated[
    Path, typer.Option("--socket", envvar="VYOS_CLUSTER_SOCKET", help="The heartbeat daemon's control socket.")
]
Target = Annotated[
    str | None,
    typer.Argument(metavar="GROUP", help="A group, or CLUSTER/GROUP; all groups of this router if none is named."),
]


def split(target: str | None) -> tuple[str | None, str | None]:
    """Cluster and group, None for any; no name of either has a '/'. An empty name is a mistake, and not all of them."""
    if target is None:
        return None, None
    cluster, slash, group = target.rpartition("/")
    if not group or (slash and not cluster):
        raise typer.BadParameter(f"{target!r} is neither GROUP nor CLUSTER/GROUP")
    return cluster or None, group


def ask(where: Path | control.Session | Agent, op: str, **fields: Any) -> dict[str, Any]:
    """The answer to an op, of this router's daemon or of an agent's.

    Raises control.ControlError, also when the daemon refuses, and kubectl.ApiError.
    """
    answer = control.request(where, op, fields) if isinstance(where, Path) else where.request(op, fields)
    if not answer.get("ok"):
        raise control.ControlError(f"{where}: {answer.get('error', 'no reason given')}")
    return answer


@contextlib.contextmanager
def refusals(command: str, *errors: type[Exception]) -> Iterator[None]:
    """End the command with 1 and the reason on stderr: the daemon cannot be asked, or one of these errors."""
    known: tuple[type[Exception], ...] = (control.ControlError, *errors)
    try:
        yield
        return
    except known as error:
        reason = str(error)
    except KeyError as error:
        reason = f"the daemon is of another release: its answer has no {error}"
    typer.echo(f"vyos-cluster {command}: {reason}", err=True)
    raise typer.Exit(1)
