"""`vyos-cluster explain`: asks the daemon of this router why a group is where it is, or a VyosCluster's status."""

from __future__ import annotations

import typer

from vyos_cluster import explanation, resource, resource_explanation
from vyos_cluster.asking import Target, ask, refusals, split
from vyos_cluster.kubectl import ApiError, Kubectl
from vyos_cluster.printing import Form, Output, show
from vyos_cluster.roads import AGENTS, Api, Context, Kubeconfig, Namespace, OptionalSocket, road
from vyos_cluster.showing import NOT_CONFIGURED, end_ownerless


class UnknownGroupError(ValueError):
    """There is no such group here."""


def command(
    ctx: typer.Context,
    target: Target = None,
    socket: OptionalSocket = None,
    api: Api = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = AGENTS,
    output: Form = Output.TEXT,
) -> None:
    """Tell why a group is where it is: its members by the criteria that decide, and what follows from them.

    A router knows most. Over Kubernetes the status is asked, which says less, and the answer says what it leaves out.

    Exit codes: 0 every group told of has an owner, 3 one has none, 1 the daemon or Kubernetes cannot be asked or there
    is no such group, 2 wrong usage.
    """
    where = road(ctx, socket, api, context, kubeconfig)
    cluster, group = split(target)
    with refusals("explain", ApiError, UnknownGroupError):
        if isinstance(where, Kubectl):
            views = resource.views(where.clusters(), None)
            everything = [resource_explanation.row(view) for view in views]
            missing = "no VyosCluster has"
        else:
            everything = explanation.rows(ask(where, "explain"), None, None)
            missing = "this router is a member of no"
        found = [
            r for r in everything if r["cluster"] == (cluster or r["cluster"]) and r["group"] == (group or r["group"])
        ]
        if target is not None and not found:
            known = ", ".join(f"{row['cluster']}/{row['group']}" for row in everything)
            what = "a group" if isinstance(where, Kubectl) else "group"
            raise UnknownGroupError(f"{missing} {what} {target}; it is one of: {known or 'none'}")
    text = resource_explanation.text if isinstance(where, Kubectl) else explanation.text
    show(output, "".join(map(text, found)) or NOT_CONFIGURED, found)
    end_ownerless(row["owner"] for row in found)
