"""`vyos-cluster explain`: asks the daemon of this router why a group is where it is, and prints the answer."""

from __future__ import annotations

from vyos_cluster import explanation
from vyos_cluster.asking import Socket, Target, ask, refusals, split
from vyos_cluster.printing import Form, Output, show
from vyos_cluster.showing import NOT_CONFIGURED, end_ownerless


class UnknownGroupError(ValueError):
    """This router is a member of no such group."""


def command(socket: Socket, target: Target = None, output: Form = Output.TEXT) -> None:
    """Tell why a group is where it is: its members by the criteria that decide, and what follows from them.

    Exit codes: 0 every group told of has an owner, 3 one has none, 1 the daemon cannot be asked or the router is a
    member of no such group, 2 wrong usage.
    """
    with refusals("explain", UnknownGroupError):
        answer = ask(socket, "explain")
        found = explanation.rows(answer, *split(target))
        if target is not None and not found:
            known = ", ".join(f"{row['cluster']}/{row['group']}" for row in explanation.rows(answer, None, None))
            raise UnknownGroupError(f"this router is a member of no group {target}; it is one of: {known or 'none'}")
    show(output, "".join(map(explanation.text, found)) or NOT_CONFIGURED, found)
    end_ownerless(row["owner"] for row in found)
