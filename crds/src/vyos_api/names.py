"""Every name that two parts must spell alike: labels, objects, field managers.

Standard library only, and no API access: names are computed, never looked up.
"""

from __future__ import annotations

import hashlib

GROUP = "cluster.vyos.io"
VERSION = "v1alpha1"
KIND = "VyosCluster"
PLURAL = "vyosclusters"

LABEL_CLUSTER = f"{GROUP}/cluster"
"""On every child object: the name of its VyosCluster."""
LABEL_NODE = f"{GROUP}/node"
"""On a ConfigMap: the short name of the member it is for (`short`)."""
ANNOTATION_NODE = f"{GROUP}/node-name"
"""On a ConfigMap: the full name of the member it is for."""

CONFIG_KEY = "config.json"
"""Key in a member's ConfigMap that holds the NodeConfig."""
KEYS_KEY = "keys.json"
"""Key in a cluster's Secret that holds the KeySet."""
SECRET_TYPE = f"{GROUP}/heartbeat-key"

OPERATOR_MANAGER = "vyos-cluster-operator"
"""Field manager of the operator, on child objects and on its part of the status."""

LABEL_VALUE_MAX = 63
"""Longest label value that Kubernetes takes (a DNS label, RFC 1123)."""
SHORT_HEAD = 52
SHORT_HASH = 10
"""52 + '-' + 10 hex digits = 63, see LABEL_VALUE_MAX."""


def short(node: str) -> str:
    """The node's name where 63 characters are the limit: itself, or a head and a hash."""
    if len(node) <= LABEL_VALUE_MAX:
        return node
    digest = hashlib.sha256(node.encode()).hexdigest()[:SHORT_HASH]
    return f"{node[:SHORT_HEAD].rstrip('.-')}-{digest}"


def config_map(cluster: str, node: str) -> str:
    """Name of the ConfigMap with the NodeConfig of `node`; unambiguous, as a cluster's name has no dot."""
    return f"{cluster}.{short(node)}"


def key_secret(cluster: str) -> str:
    """Name of the Secret with the heartbeat keys of a cluster, in the agents' namespace."""
    return cluster


def node_manager(node: str) -> str:
    """Field manager of an agent for its own entry in status.nodes."""
    return f"vyos-cluster-node-{short(node)}"


def group_manager(group: str) -> str:
    """Field manager of a group's entry in status.groups: shared by all agents, so ownership moves without conflict."""
    return f"vyos-cluster-group-{group}"
