"""What somebody may try at the API, as requests: the tables of test_fences.py.

Each is well-formed and aims at something that exists (or can be made), so that an administrator's dry run of it works:
who is refused is refused for want of a right, and for nothing else.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from chart.helm import AGENT, AGENT_NAMESPACE, RELEASE_NAMESPACE

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
SINCE = "2026-01-01T00:00:00Z"

CLUSTERS = "/apis/cluster.vyos.io/v1alpha1/vyosclusters"
CLUSTER = f"{CLUSTERS}/fenced"
STATUS = f"{CLUSTER}/status"
OPERATOR = "vyos-cluster-operator"
POLICY = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{AGENT}-status"
BINDING = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{AGENT}-status"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/vyosclusters.cluster.vyos.io"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
LABEL = {"metadata": {"labels": {"mine": "yes"}}}


def core(namespace: str, kind: str, name: str = "") -> str:
    """The path of a core resource's collection, or of one object."""
    return f"/api/v1/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")


@dataclasses.dataclass(frozen=True)
class Try:
    """One request."""

    title: str
    method: str
    path: str
    body: Any = None
    content: str = "application/json"


def patch(title: str, path: str, body: Any = LABEL, content: str = MERGE) -> Try:
    """A patch; without a body it only sets a label."""
    return Try(title, "PATCH", path, body, content)


def create(title: str, path: str, kind: str, **more: Any) -> Try:
    """Something new; `more` is the object beside its name."""
    return Try(title, "POST", path, {"apiVersion": "v1", "kind": kind, "metadata": {"name": "intruder"}} | more)


def delete(title: str, path: str) -> Try:
    """An end."""
    return Try(title, "DELETE", path)


def read(title: str, path: str) -> Try:
    """A look."""
    return Try(title, "GET", path)


def group(name: str, owner: str, epoch: int) -> dict[str, Any]:
    """An entry of status.groups."""
    return {"name": name, "owner": owner, "epoch": epoch, "since": SINCE}


def condition(status: str = "True") -> dict[str, str]:
    """An entry of status.conditions."""
    return {"type": "Accepted", "status": status, "reason": "Accepted", "message": "", "lastTransitionTime": SINCE}


def spec() -> dict[str, Any]:
    """node1 and node2 in g1, node2 and node3 in g2."""
    pairs = (("g1", "node1", "node2", 71), ("g2", "node2", "node3", 72))
    groups = [{"name": n, "primary": p, "secondaries": [s], "services": [f"10.9.9.{a}/24"]} for n, p, s, a in pairs]
    return {"interfaces": ["eth0"], "preSharedSecret": {"secretKeyRef": {"name": "psk", "key": "k"}}, "groups": groups}


def event(namespace: str) -> Try:
    """An Event about the cluster, such as the operator writes."""
    about = {"apiVersion": "cluster.vyos.io/v1alpha1", "kind": "VyosCluster", "name": "fenced"}
    if namespace != "default":  # elsewhere an Event must be about something there
        about = {"apiVersion": "v1", "kind": "Secret", "name": "x", "namespace": namespace}
    fields = {"action": "Takeover", "reason": "PeerDead", "type": "Normal", "note": "", "regarding": about}
    told = {"eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "x", "reportingInstance": "x"}
    path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
    return create(f"an Event in {namespace}", path, "Event", apiVersion="events.k8s.io/v1", **fields, **told)


def token_of(namespace: str, account: str) -> Try:
    """A token of an account: whoever gets one is that account."""
    path = f"{core(namespace, 'serviceaccounts', account)}/token"
    kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    return Try(f"a token of {account}", "POST", path, kind)


OTHERS_STATUS = (
    patch("owners", STATUS, {"status": {"owners": "g1=me"}}),
    patch("members", STATUS, {"status": {"members": "9/9"}}),
    patch("observedGeneration", STATUS, {"status": {"observedGeneration": 99}}),
    patch("conditions", STATUS, {"status": {"conditions": [condition("False")]}}),
    patch("no conditions", STATUS, {"status": {"conditions": None}}),
    patch("another's entry", STATUS, [{"op": "replace", "path": "/status/nodes/1/peers", "value": "0/9"}], JSON_PATCH),
    patch("another's entry away", STATUS, [{"op": "remove", "path": "/status/nodes/1"}], JSON_PATCH),
    patch("another's name on one's own", STATUS, {"status": {"nodes": [{"name": "node2"}]}}),
    patch("a group for another", STATUS, {"status": {"groups": [group("g1", "node2", 8), group("g2", "node2", 1)]}}),
    patch("a group of others", STATUS, {"status": {"groups": [group("g1", "node1", 7), group("g2", "node1", 2)]}}),
    patch(
        "by apply",
        f"{STATUS}?fieldManager=vyos-cluster-operator&force=true",
        {
            "apiVersion": "cluster.vyos.io/v1alpha1",
            "kind": "VyosCluster",
            "metadata": {"name": "fenced"},
            "status": {"owners": "g1=me"},
        },
        APPLY,
    ),
)
"""Writes to a status that no agent may do, and least of all node1's; the operator may (that is its work)."""

CLUSTER_ITSELF = (
    patch("the spec", CLUSTER, {"spec": {"interfaces": ["eth9"]}}),
    patch("a label", CLUSTER),
    patch("a finalizer", CLUSTER, {"metadata": {"finalizers": ["example.com/wedge"]}}),
    create("a cluster", CLUSTERS, "VyosCluster", apiVersion="cluster.vyos.io/v1alpha1", spec=spec()),
    delete("the cluster away", CLUSTER),
    delete("all clusters away", CLUSTERS),
)
"""Of the clusters only whoever a person gave the right may write more than the status."""

CHILDREN = (
    patch("one's own ConfigMap", core(AGENT_NAMESPACE, "configmaps", "fenced.node1")),
    patch("another's ConfigMap", core(AGENT_NAMESPACE, "configmaps", "fenced.node2"), {"data": {"config.json": "{}"}}),
    create("a ConfigMap", core(AGENT_NAMESPACE, "configmaps"), "ConfigMap"),
    delete("a ConfigMap away", core(AGENT_NAMESPACE, "configmaps", "fenced.node2")),
    patch("the key", core(AGENT_NAMESPACE, "secrets", "fenced"), {"data": {"1": "AAAA"}}),
    patch("another cluster's key", core(AGENT_NAMESPACE, "secrets", "other"), {"data": {"1": "AAAA"}}),
    create("a Secret", core(AGENT_NAMESPACE, "secrets"), "Secret"),
    delete("a key away", core(AGENT_NAMESPACE, "secrets", "other")),
)
"""What the operator writes for the agents."""

EVERYTHING_ELSE = (
    delete("all ConfigMaps away", core(AGENT_NAMESPACE, "configmaps")),
    delete("all keys away", core(AGENT_NAMESPACE, "secrets")),
    patch("a pre-shared secret", core(RELEASE_NAMESPACE, "secrets", "psk"), {"data": {"k": "AAAA"}}),
    create("a pre-shared secret of one's own", core(RELEASE_NAMESPACE, "secrets"), "Secret"),
    delete("a pre-shared secret away", core(RELEASE_NAMESPACE, "secrets", "psk")),
    create("a ConfigMap beside the operator", core(RELEASE_NAMESPACE, "configmaps"), "ConfigMap"),
    create("a ConfigMap of the system", core("kube-system", "configmaps"), "ConfigMap"),
    create("a Secret of the system", core("kube-system", "secrets"), "Secret"),
    read("Secrets of the system", core("kube-system", "secrets")),
    read("all Secrets", "/api/v1/secrets"),
    read("pods beside the operator", core(RELEASE_NAMESPACE, "pods")),
    read("all pods", "/api/v1/pods"),
    patch("a Node", "/api/v1/nodes/node1", {"spec": {"unschedulable": True}}),
    patch("a Node's status", "/api/v1/nodes/node2/status", {"status": {"phase": "Pending"}}),
    create("a Node", "/api/v1/nodes", "Node"),
    delete("a Node away", "/api/v1/nodes/node2"),
    create(
        "a pod",
        core(AGENT_NAMESPACE, "pods"),
        "Pod",
        spec={"serviceAccountName": AGENT, "containers": [{"name": "x", "image": "x"}]},
    ),
    patch("an agent's pod", core(AGENT_NAMESPACE, "pods", "agent-node2")),
    delete("an agent's pod away", core(AGENT_NAMESPACE, "pods", "agent-node2")),
    event(AGENT_NAMESPACE),
    event(RELEASE_NAMESPACE),
    create(
        "an Event of the old kind",
        core("default", "events"),
        "Event",
        involvedObject={"kind": "VyosCluster", "name": "fenced", "namespace": "default"},
    ),
    token_of(AGENT_NAMESPACE, AGENT),
    token_of(RELEASE_NAMESPACE, OPERATOR),
    create(
        "cluster-admin",
        f"{RBAC}/clusterrolebindings",
        "ClusterRoleBinding",
        apiVersion="rbac.authorization.k8s.io/v1",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        subjects=[{"kind": "ServiceAccount", "name": AGENT, "namespace": AGENT_NAMESPACE}],
    ),
    patch("more rights", f"{RBAC}/clusterroles/{AGENT}", {"rules": []}),
    delete("the policy away", POLICY),
    patch("the policy", POLICY, {"spec": {"failurePolicy": "Ignore"}}),
    delete("the policy's binding away", BINDING),
    patch("the CRD", CRD),
    delete("the CRD away", CRD),
    patch("a namespace", f"/api/v1/namespaces/{RELEASE_NAMESPACE}"),
    delete("a namespace away", f"/api/v1/namespaces/{AGENT_NAMESPACE}"),
)
"""What neither agent nor operator has any business with."""

AGENT_TRIES = (
    *OTHERS_STATUS,
    *CLUSTER_ITSELF,
    *CHILDREN,
    *EVERYTHING_ELSE,
    event("default"),
    read("agents' pods", core(AGENT_NAMESPACE, "pods")),
    read("a pre-shared secret read", core(RELEASE_NAMESPACE, "secrets", "psk")),
    read("Nodes", "/api/v1/nodes"),
)
OPERATOR_TRIES = (
    *CLUSTER_ITSELF,
    *EVERYTHING_ELSE,
    read("Events", "/apis/events.k8s.io/v1/namespaces/default/events"),
)
STRANGER_TRIES = (
    *AGENT_TRIES,
    read("clusters", CLUSTERS),
    read("a cluster", CLUSTER),
    read("configurations", core(AGENT_NAMESPACE, "configmaps")),
    read("keys", core(AGENT_NAMESPACE, "secrets")),
)
