"""How commands ask the daemon of this router: the option that says where it is, and one question."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vyos_agent import control

Socket = Annotated[
    Path, typer.Option("--socket", envvar="VYOS_CLUSTER_SOCKET", help="The heartbeat daemon's control socket.")
]


def ask(socket: Path, op: str) -> dict[str, Any]:
    """The answer to an op without fields. Raises control.ControlError, also when the daemon refuses."""
    answer = control.request(socket, op)
    if not answer.get("ok"):
        raise control.ControlError(f"{socket}: {answer.get('error', 'no reason given')}")
    return answer
