"""`vyos-cluster show …`: what is, as this router or a VyosCluster's status has it. Asks, and moves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vyos_api.v1alpha1 import VyosCluster
from vyos_cluster import resource, seen
from vyos_cluster import status as words
from vyos_cluster.asking import ask, refusals
from vyos_cluster.kubectl import ApiError, Kubectl
from vyos_cluster.printing import Form, Output, show
from vyos_cluster.refusal import printable
from vyos_cluster.roads import AGENTS, Api, Context, Kubeconfig, Namespace, OptionalSocket, only_kubernetes, road

OWNERLESS = 3
"""Exit code: shown, and a group has no owner."""
NOT_CONFIGURED = "Clustering is not configured\n"
"""VyOS's text."""
LINES = frozenset({"Peer", "Monitor"})
"""Kinds of deviations that the report has lines for."""

Node = Annotated[
    str | None,
    typer.Option("--node", metavar="NODE", help="Over Kubernetes: as this member sees it, by its own report."),
]
app = typer.Typer(no_args_is_help=True)


class UnknownClusterError(ValueError):
    """This router serves no such cluster."""


@app.callback()
def _about() -> None:
    """Show what is, as this router sees it or as Kubernetes has it."""


@app.command()
def status(
    ctx: typer.Context,
    cluster: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A cluster; all clusters if none is named.")
    ] = None,
    socket: OptionalSocket = None,
    api: Api = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = AGENTS,
    node: Node = None,
    output: Form = Output.TEXT,
) -> None:
    """Show the report of VyOS's `show cluster status`: members, monitors and resources of every group.

    Exit codes: 0 every group has an owner, or clustering is not configured; 3 a group has none; 1 the daemon or
    Kubernetes cannot be asked, there is no such cluster, or NODE has no part in it; 2 wrong usage.
    """
    where = road(ctx, socket, api, context, kubeconfig)
    only_kubernetes(where, node=node)
    with refusals("show", ApiError, UnknownClusterError, words.NotAMemberError):
        if isinstance(where, Kubectl):
            groups, data = _from_kubernetes(where.clusters(named(cluster, "NAME")), named(node, "--node"))
        else:
            groups, data = _from_daemon(where, named(cluster, "NAME"))
        text = words.text(groups) + _blocks(data)
    show(output, text or NOT_CONFIGURED, data)
    end_ownerless(group.owner for group in groups)


def end_ownerless(owners: Iterable[str | None]) -> None:
    """End with the exit code for a group without an owner, if there is one."""
    if None in owners:
        raise typer.Exit(OWNERLESS)


def named(name: str | None, what: str) -> str | None:
    """A name as it was given: an empty one is a mistake, and one that begins with '-' an option for another program."""
    if name is not None and (not name or name.startswith("-") or "/" in name or "," in name):
        raise typer.BadParameter(f"{what}: {name!r} is no name")
    return name


def _from_daemon(socket: Path, cluster: str | None) -> tuple[list[words.Group], dict[str, Any]]:
    groups, report = seen.groups(ask(socket, "explain")), ask(socket, "report")["report"]
    if cluster is not None:
        served = sorted({c["cluster"] for c in report["clusters"]})
        if cluster not in served:
            raise UnknownClusterError(
                f"this router serves no cluster {cluster}; it serves: {', '.join(served) or 'none'}"
            )
        groups = [group for group in groups if group.cluster == cluster]
    return groups, {"node": report["node"], "groups": words.rows(groups), **_wrong(report, cluster)}


def _wrong(report: Mapping[str, Any], cluster: str | None) -> dict[str, Any]:
    """What VyOS's report has no line for."""
    clusters = [c for c in report["clusters"] if cluster in (None, c["cluster"])]
    found = [(c["cluster"], d) for c in clusters for d in c["deviations"] if d["kind"] not in LINES]
    return {
        "deviations": [{"cluster": c, "kind": d["kind"], "name": d["name"], "state": d["state"]} for c, d in found],
        "refused": [r for r in report["refused"] if cluster in (None, r["cluster"])],
    }


def _from_kubernetes(clusters: Sequence[VyosCluster], node: str | None) -> tuple[list[words.Group], dict[str, Any]]:
    groups = [view.group() for view in resource.views(clusters, node)]
    rows = words.rows(groups)  # first of all, since it finds out whether NODE is a member
    concerned = {group.cluster for group in groups}
    told = [
        {"cluster": c.metadata.name, "node": n.name, "kind": d.kind, "name": d.name, "state": d.state}
        for c in clusters
        if c.metadata.name in concerned
        for n in c.status.nodes
        if node in (None, n.name)
        for d in n.deviations or ()
    ]
    conditions = [
        {"cluster": c.metadata.name, "type": k.type, "status": k.status, "reason": k.reason, "message": k.message}
        for c in clusters
        if c.metadata.name in concerned
        for k in resource.unwell(c)
    ]
    return groups, {"node": node, "groups": rows, "deviations": told, "conditions": conditions}


def _blocks(data: Mapping[str, Any]) -> str:
    if "conditions" in data:  # they have the deviations of all nodes, and what the operator knows beside them
        said = [
            f"{c['cluster']}: {c['type']} is {c['status']}: {c['reason']}: {c['message']}" for c in data["conditions"]
        ]
        return _block("Not as it should be", list(map(printable, said)))
    wrong = [f"{d['cluster']}: {d['kind']} {d['name']}: {d['state']}" for d in data["deviations"]]
    refused = [f"{r['cluster']}, generation {r['generation']}: {r['message']}" for r in data["refused"]]
    return _block("Not as it should be", wrong) + _block("Refused, so that what ran before goes on", refused)


def _block(title: str, lines: list[str]) -> str:
    return "\n".join([f"  {title}:", *(f"    {line}" for line in lines), "", ""]) if lines else ""
