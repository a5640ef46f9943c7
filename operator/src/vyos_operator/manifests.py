"""Builders of the objects that the operator writes, and whether one that exists is as built. Pure."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from typing import Any

from vyos_api import names
from vyos_api.nodeconfig import KeySet, NodeConfig, key_set_to_json, node_config_to_json
from vyos_operator import kinds
from vyos_operator.world import Body

REPORTER = f"{names.GROUP}/operator"
"""reportingController of every Event."""
EVENT_NAMESPACE = "default"
"""Events on cluster-scoped objects are found by `kubectl describe` nowhere else."""
EVENT_NOTE_BYTES = 1024
"""Limit of the API server for a note (validation of events.k8s.io/v1)."""


def config_map(config: NodeConfig, namespace: str) -> Body:
    """The ConfigMap with one member's configuration."""
    labels = {names.LABEL_CLUSTER: config.cluster, names.LABEL_NODE: names.short(config.node)}
    meta = _child(names.config_map(config.cluster, config.node), namespace, config.cluster, config.uid, labels)
    meta["annotations"] = {names.ANNOTATION_NODE: config.node}
    data = {names.CONFIG_KEY: node_config_to_json(config)}
    return {"apiVersion": kinds.CONFIG_MAPS.api, "kind": kinds.CONFIG_MAPS.name, "metadata": meta, "data": data}


def key_secret(cluster: str, keys: KeySet, namespace: str) -> Body:
    """The Secret with a cluster's heartbeat keys."""
    meta = _child(names.key_secret(cluster), namespace, cluster, keys.uid, {names.LABEL_CLUSTER: cluster})
    data = {names.KEYS_KEY: base64.b64encode(key_set_to_json(keys).encode()).decode()}
    return {
        "apiVersion": kinds.SECRETS.api,
        "kind": kinds.SECRETS.name,
        "metadata": meta,
        "type": names.SECRET_TYPE,
        "data": data,
    }


def event(
    cluster: Body,
    identity: str,
    *,
    action: str,
    reason: str,
    note: str,
    warning: bool,
    now: datetime.datetime,
    instance: str,
) -> Body:
    """An Event about a cluster; the same `identity` gives the same name, so that it is never told twice."""
    meta = cluster["metadata"]
    cut = note.encode()[:EVENT_NOTE_BYTES].decode(errors="ignore")
    return {
        "apiVersion": kinds.EVENTS.api,
        "kind": kinds.EVENTS.name,
        "metadata": {"name": f"{meta['name']}.{identity}", "namespace": EVENT_NAMESPACE},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTER,
        "reportingInstance": instance,
        "regarding": {
            "apiVersion": kinds.CLUSTERS.api,
            "kind": kinds.CLUSTERS.name,
            "name": meta["name"],
            "uid": meta["uid"],
        },
        "type": "Warning" if warning else "Normal",
        "action": action,
        "reason": reason,
        "note": cut,
    }


def status(name: str, fields: Mapping[str, Any] | None) -> Body:
    """What to apply to a cluster's status; None gives up everything that the field manager had there."""
    body: dict[str, Any] = {
        "apiVersion": kinds.CLUSTERS.api,
        "kind": kinds.CLUSTERS.name,
        "metadata": {"name": name},
    }
    return body if fields is None else {**body, "status": fields}


def as_built(wanted: Any, found: Any) -> bool:
    """Whether everything wanted is found; what others added does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(key in found and as_built(wanted[key], found[key]) for key in wanted)
    if isinstance(wanted, list):  # only ownerReferences are a list here
        return isinstance(found, list) and all(any(as_built(w, f) for f in found) for w in wanted)
    return bool(wanted == found)


def _child(name: str, namespace: str, cluster: str, uid: str, labels: dict[str, str]) -> dict[str, Any]:
    owner = {
        "apiVersion": kinds.CLUSTERS.api,
        "kind": kinds.CLUSTERS.name,
        "name": cluster,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [owner]}
