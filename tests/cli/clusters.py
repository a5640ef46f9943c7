"""VyosClusters with a status, made up for a test as agents and operator would write them."""

from __future__ import annotations

from typing import Any

from vyos_api import v1alpha1
from vyos_api.v1alpha1 import VyosCluster

MONITOR = "192.0.2.254"
SINCE = "2026-01-02T03:04:05Z"


def spec(*members: str, name: str = "cluster", **more: Any) -> dict[str, Any]:
    """One group of a spec."""
    built = {
        "name": name,
        "primary": members[0],
        "secondaries": list(members[1:]),
        "monitors": [MONITOR],
        "services": ["192.168.0.123/24/eth0", "ipsec"],
    }
    return built | more


def entry(name: str, state: str | None, owner: str | None, *deviations: dict[str, str], **more: Any) -> dict[str, Any]:
    """A node's entry, which says one thing of one group."""
    seen = {"owner": owner} if owner else {}
    groups = [] if state is None else [{"name": "cluster", "state": state, **seen}]
    lost = sum(d["kind"] == "Monitor" for d in deviations)
    return {"name": name, "groups": groups, "monitors": f"{1 - lost}/1", "deviations": list(deviations), **more}


def deviation(kind: str, name: str, state: str) -> dict[str, str]:
    """Something that is not as it should be."""
    return {"kind": kind, "name": name, "state": state, "since": SINCE}


def record(owner: str, **more: Any) -> dict[str, Any]:
    """A group's entry."""
    return {"name": "cluster", "owner": owner, "epoch": 7, "since": SINCE, "reason": "PeerDead", **more}


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    """One condition."""
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}


def manifest(wanted: list[dict[str, Any]], /, name: str = "edge", **status: Any) -> dict[str, Any]:
    """A resource as the API has it."""
    return {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "metadata": {"name": name},
        "spec": {"interfaces": ["eth0"], "preSharedSecret": {"value": "S3cr#t-S3cr#t"}, "groups": wanted},
        "status": status,
    }


def cluster(wanted: list[dict[str, Any]], /, **status: Any) -> VyosCluster:
    """The same, as commands have it."""
    return v1alpha1.parse(manifest(wanted, **status))
