"""From the daemon's report to status entries: pure, and on change only.

This node's entry in status.nodes is written whole under a manager of its own. A group's entry is written by whoever
owns the group, under the group's manager that all agents share; a node that lost a group writes nothing about it. What
would be refused (an epoch that is not ahead of another owner's) is not sent: the daemon gets that claim instead, and
decides whether it goes above it (docs/protocol.md [EPOCH-4]).
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from vyos_agent.sync.report import ClusterReport, Deviation, GroupReport, Refusal, Report
from vyos_api import limits, names

OWNING = frozenset({"Owner", "Asking", "Giving", "Suspended"})
"""States of a member that are a claim to the group."""
EPOCH_STEP_MAX = 1000
"""The most that an entry's epoch may rise in one write (the chart's ValidatingAdmissionPolicy)."""


@dataclasses.dataclass(frozen=True, slots=True)
class StatusClaim:
    """The owner of a group and its epoch, as the status has them."""

    epoch: int
    owner: str


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """What a VyosCluster in the API shows that matters here."""

    uid: str
    deleting: bool
    """Whether its deletion has begun, which nothing can take back."""
    members: frozenset[str]
    groups: Mapping[str, Mapping[str, Any]]
    """status.groups by name."""
    node: Mapping[str, Any] | None
    """This node's entry in status.nodes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry to apply: the whole of what `manager` says in the status."""

    manager: str
    field: str
    value: Mapping[str, Any]

    def document(self, cluster: str) -> dict[str, Any]:
        """The body of the server-side apply."""
        return {
            "apiVersion": f"{names.GROUP}/{names.VERSION}",
            "kind": names.KIND,
            "metadata": {"name": cluster},
            "status": {self.field: [self.value]},
        }

    def shown(self, view: View) -> Mapping[str, Any] | None:
        """What the API shows in this entry's place."""
        return view.node if self.field == "nodes" else view.groups.get(self.value["name"])


def view(cluster: Mapping[str, Any], node: str) -> View:
    """Take from a VyosCluster what matters to `node`."""
    status = cluster.get("status") or {}
    groups = (cluster.get("spec") or {}).get("groups") or []
    return View(
        uid=cluster["metadata"]["uid"],
        deleting="deletionTimestamp" in cluster["metadata"],
        members=frozenset(m for g in groups for m in (g["primary"], *g.get("secondaries", ()))),
        groups={g["name"]: g for g in status.get("groups") or []},
        node=next((n for n in status.get("nodes") or [] if n["name"] == node), None),
    )


def entries(node: str, whole: Report, cluster: ClusterReport, shown: View) -> tuple[Entry, ...]:
    """Every entry of a cluster that this node has a say in now: the groups that it owns, then its own."""
    groups = (_group_entry(node, g, shown.groups.get(g.name)) for g in cluster.groups)
    return (*(g for g in groups if g is not None), _node_entry(node, whole, cluster))


def unknown_claims(node: str, report: ClusterReport | None, shown: View) -> dict[str, StatusClaim]:
    """The claims in the status that the daemon does not know yet, by group."""
    known = {g.name: g for g in report.groups} if report is not None else {}
    claims: dict[str, StatusClaim] = {}
    for name, entry in shown.groups.items():
        claim = StatusClaim(min(int(entry["epoch"]), limits.EPOCH), str(entry["owner"]))
        group = known.get(name)
        ahead = group is None or group.epoch is None or claim.epoch > group.epoch
        # Two owners claimed the same epoch, and the other one wrote first.
        equal = group is not None and _owns(node, group) and claim.epoch == group.epoch and claim.owner != node
        if ahead or equal:
            claims[name] = claim
    return claims


def timestamp(epoch_ms: int) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times."""
    return datetime.datetime.fromtimestamp(epoch_ms // 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _owns(node: str, group: GroupReport) -> bool:
    return group.owner == node and group.epoch is not None and group.state in OWNING


def _group_entry(node: str, group: GroupReport, shown: Mapping[str, Any] | None) -> Entry | None:
    if not _owns(node, group) or group.epoch is None:
        return None
    epoch = group.epoch
    if shown is not None:
        behind = shown["epoch"] > epoch or (shown["epoch"] == epoch and shown["owner"] != node)
        if behind:
            return None
    epoch = min(epoch, (shown["epoch"] if shown is not None else 0) + EPOCH_STEP_MAX)
    value: dict[str, Any] = {"name": group.name, "owner": node, "epoch": epoch, "since": timestamp(group.since_ms)}
    if group.reason is not None:
        value["reason"] = group.reason[: limits.REASON_TEXT]
    value["addresses"] = list(group.addresses)
    value["services"] = list(group.services)
    return Entry(names.group_manager(group.name), "groups", value)


def _node_entry(node: str, whole: Report, cluster: ClusterReport) -> Entry:
    refused = [_refusal(r) for r in whole.refused if r.cluster == cluster.cluster]
    deviations = [*refused, *(_deviation(d) for d in cluster.deviations)]
    value: dict[str, Any] = {
        "name": node,
        "agentVersion": whole.agent_version[: limits.VERSION_TEXT],
        "groups": [_membership(g) for g in cluster.groups],
        "peers": cluster.peers.text,
        "monitors": cluster.monitors.text,
        "interfaces": cluster.interfaces.text,
        "deviations": deviations[: limits.DEVIATIONS],
    }
    if cluster.generation:
        value["configGeneration"] = cluster.generation
    if cluster.send_key is not None:
        value["sendKey"] = cluster.send_key
        value["acceptKeys"] = list(cluster.accept_keys)
    return Entry(names.node_manager(node), "nodes", value)


def _membership(group: GroupReport) -> dict[str, str]:
    value = {"name": group.name, "state": group.state[: limits.STATE_TEXT]}
    if group.owner is not None:
        value["owner"] = group.owner
    return value


def _deviation(deviation: Deviation) -> dict[str, str]:
    return {
        "kind": deviation.kind[: limits.STATE_TEXT],
        "name": deviation.name[: limits.NODE_NAME],
        "state": deviation.state[: limits.STATE_TEXT],
        "since": timestamp(deviation.since_ms),
    }


def _refusal(refusal: Refusal) -> dict[str, str]:
    text = f"generation {refusal.generation}: {refusal.message}"
    return {"kind": "Configuration", "name": text[: limits.NODE_NAME], "state": "Refused"}
