"""The operator as a real process against a real API server, and agents that only write their reports."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ground.apiserver import ApiServer
from vyos_api import names

T = TypeVar("T")
Json = dict[str, Any]
OPERATOR_NS = "op-release"
AGENT_NS = "op-agents"
ACCOUNT = "op-operator"
AGENT = "op-agent"
CLUSTERS = "/apis/cluster.vyos.io/v1alpha1/vyosclusters"
SECRET = "S3cr#t-nobody-may-see"
NODES = ("node1", "node2", "node3")
WAIT_S = 20.0

RBAC = f"""
apiVersion: v1
kind: List
items:
- {{apiVersion: v1, kind: Namespace, metadata: {{name: {OPERATOR_NS}}}}}
- {{apiVersion: v1, kind: Namespace, metadata: {{name: {AGENT_NS}}}}}
- {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {ACCOUNT}, namespace: {OPERATOR_NS}}}}}
- {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {AGENT}, namespace: {AGENT_NS}}}}}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {{name: {ACCOUNT}}}
  rules:
  - {{apiGroups: [cluster.vyos.io], resources: [vyosclusters], verbs: [get, list, watch]}}
  - {{apiGroups: [cluster.vyos.io], resources: [vyosclusters/status], verbs: [patch]}}
  - {{apiGroups: [""], resources: [nodes], verbs: [get, list, watch]}}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {{name: {ACCOUNT}}}
  roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {ACCOUNT}}}
  subjects: &who [{{kind: ServiceAccount, name: {ACCOUNT}, namespace: {OPERATOR_NS}}}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {{name: {ACCOUNT}, namespace: {AGENT_NS}}}
  rules:
  - {{apiGroups: [""], resources: [configmaps, secrets], verbs: [get, list, watch, create, patch, delete]}}
  - {{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {{name: {ACCOUNT}, namespace: {AGENT_NS}}}
  roleRef: &role {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {ACCOUNT}}}
  subjects: *who
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {{name: {ACCOUNT}, namespace: {OPERATOR_NS}}}
  rules:
  - {{apiGroups: [""], resources: [secrets], verbs: [get, list, watch]}}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {{name: {ACCOUNT}, namespace: {OPERATOR_NS}}}
  roleRef: *role
  subjects: *who
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {{name: {ACCOUNT}-events, namespace: default}}
  rules:
  - {{apiGroups: [events.k8s.io], resources: [events], verbs: [create]}}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {{name: {ACCOUNT}-events, namespace: default}}
  roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {ACCOUNT}-events}}
  subjects: *who
"""
"""Exactly the rights that cluster.py names, and that the chart gives."""


class Refused(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Api:
    """The API server as the admin sees it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._tls = ssl.create_default_context(cafile=str(server.ca_file))
        folder = server.kubeconfig.parent
        self._tls.load_cert_chain(folder / "admin.crt", folder / "admin.key")

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Json:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server.url + path, data, {"Content-Type": content_type}, method=method)
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=30) as answer:
                found: Json = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode()) from None

    def get(self, path: str) -> Json | None:
        try:
            return self.request("GET", path)
        except Refused as error:
            if error.code in (404, 429):  # 429: a CRD that is new still initializes its storage
                return None
            raise

    def apply(self, path: str, body: Json, manager: str = "test") -> Json:
        query = f"?fieldManager={manager}&force=true"
        return self.request("PATCH", path + query, body, "application/apply-patch+yaml")

    def cluster(self, name: str) -> Json:
        return self.request("GET", f"{CLUSTERS}/{name}")

    def condition(self, name: str, kind: str) -> Json:
        conditions = self.cluster(name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def says(self, name: str, kind: str, status: str, reason: str) -> str:
        """Wait for a condition, for the generation that is now; its message."""
        found: Json = {}

        def there() -> bool:
            nonlocal found
            body = self.cluster(name)
            found = next((c for c in body.get("status", {}).get("conditions", []) if c["type"] == kind), {})
            return (found.get("status"), found.get("reason")) == (status, reason) and found[
                "observedGeneration"
            ] == body["metadata"]["generation"]

        try:
            until(there, f"{name}: {kind} {status} {reason}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {found}") from None
        return str(found["message"])

    def config_map(self, cluster: str, node: str) -> Json | None:
        name = names.config_map(cluster, node)
        return self.get(f"/api/v1/namespaces/{AGENT_NS}/configmaps/{name}")

    def config(self, cluster: str, node: str) -> Json:
        body = self.config_map(cluster, node)
        assert body is not None
        found: Json = json.loads(body["data"]["config.json"])
        return found

    def key_secret(self, cluster: str) -> Json | None:
        return self.get(f"/api/v1/namespaces/{AGENT_NS}/secrets/{names.key_secret(cluster)}")

    def key_numbers(self, cluster: str) -> dict[int, str]:
        """The use of each key of a cluster, by its number."""
        data = (self.key_secret(cluster) or {}).get("data", {}).get(names.KEYS_KEY, "")
        return {key["id"]: key["use"] for key in json.loads(base64.b64decode(data) or '{"keys": []}')["keys"]}

    def psk(self, name: str, **keys: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()},
        }
        self.apply(f"/api/v1/namespaces/{OPERATOR_NS}/secrets/{name}", body)

    def collect(self, cluster: str) -> None:
        """Delete the children, as the garbage collector does: it looks for new kinds only every half minute."""
        path = f"/api/v1/namespaces/{AGENT_NS}"
        for kind in ("configmaps", "secrets"):
            self.request("DELETE", f"{path}/{kind}?labelSelector={names.LABEL_CLUSTER}%3D{cluster}")

    def events(self, cluster: str) -> list[Json]:
        found = self.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events")["items"]
        return [e for e in found if e["regarding"]["name"] == cluster and e["regarding"]["kind"] == "VyosCluster"]

    def agent(self, node: str, **containers: Json) -> None:
        """Give a Node the pod of its agent, with the states of its containers; both run where nothing else is said."""
        path = f"/api/v1/namespaces/{AGENT_NS}/pods/agent-{node}"
        found = agent(node, **containers)
        self.apply(path, {key: value for key, value in found.items() if key != "status"})
        self.request("PATCH", f"{path}/status", {"status": found["status"]}, "application/merge-patch+json")

    def ready(self, node: str, status: str) -> None:
        """Have a Node's kubelet say that (Unknown: the node controller says it of a silent one)."""
        told = {"type": "Ready", "status": status, "reason": "Test", "message": ""}
        patch = {"status": {"conditions": [told]}}
        self.request("PATCH", f"/api/v1/nodes/{node}/status", patch, "application/strategic-merge-patch+json")

    def no_agent(self, node: str) -> None:
        """Take that pod away."""
        path = f"/api/v1/namespaces/{AGENT_NS}/pods/agent-{node}?gracePeriodSeconds=0"
        self.request("DELETE", path)

    def versions(self) -> dict[str, str]:
        """resourceVersion of everything that the operator could write."""
        paths = (
            CLUSTERS,
            f"/api/v1/namespaces/{AGENT_NS}/configmaps",
            f"/api/v1/namespaces/{AGENT_NS}/secrets",
            "/apis/events.k8s.io/v1/namespaces/default/events",
        )
        return {
            f"{path}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for path in paths
            for item in self.request("GET", path)["items"]
        }


def spec(*, nodes: tuple[str, ...] = ("node1", "node2"), address: str = "192.168.0.123/24/eth0", **more: Any) -> Json:
    group = {"name": "cluster", "primary": nodes[0], "secondaries": list(nodes[1:]), "services": [address]}
    return {
        "interfaces": ["eth0"],
        "keepaliveInterval": "1s",
        "deadInterval": "5s",
        "preSharedSecret": {"secretKeyRef": {"name": "psk", "key": "secret"}},
        "groups": [group],
    } | more


def cluster(name: str, found: Json) -> Json:
    return {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "metadata": {"name": name},
        "spec": found,
    }


def agent(node: str, **containers: Json) -> Json:
    """An agent's pod, as the chart's DaemonSet makes it and a kubelet tells of it."""
    states = {name: {"running": {}} for name in ("heartbeat", "kube-sync")} | containers
    statuses = [
        {"name": name, "state": state, "ready": True, "restartCount": 0, "image": "x", "imageID": "x"}
        for name, state in states.items()
    ]
    labels = {"app.kubernetes.io/part-of": "vyos-cluster", "app.kubernetes.io/component": "agent"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"agent-{node}", "namespace": AGENT_NS, "labels": labels},
        "spec": {
            "nodeName": node,
            "serviceAccountName": AGENT,
            "automountServiceAccountToken": False,
            "containers": [{"name": name, "image": "x"} for name in states],
        },
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


class Agents:
    """What kube-sync of every member would write, by hand."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.name = name
        self.keys: tuple[int, tuple[int, ...]] = (1, (1,))
        """With which key they send, and which they accept."""

    def rests(self, *nodes: str) -> None:
        """These members say that all is at rest: node1 owns the group, whoever else stands by."""
        for node in nodes:
            self.says(node, 1, {"cluster": ("Owner" if node == "node1" else "Standby", "node1")})

    def says(
        self,
        node: str,
        generation: int,
        groups: dict[str, tuple[str, str | None]],
        dead: dict[str, str] | None = None,
        state: str = "Dead",
    ) -> None:
        """`node` runs `generation`; its state and view of the owner by group; peers dead since (or in that state)."""
        entry = {
            "name": node,
            "configGeneration": generation,
            "sendKey": self.keys[0],
            "acceptKeys": list(self.keys[1]),
            "agentVersion": "0.1.0",
            "groups": [
                {"name": g, "state": own} | ({"owner": owner} if owner else {}) for g, (own, owner) in groups.items()
            ],
            "peers": "1/1",
            "monitors": "0/0",
            "interfaces": "1/1",
            "deviations": [
                {"kind": "Peer", "name": peer, "state": state, "since": since} for peer, since in (dead or {}).items()
            ],
        }
        self._apply(names.node_manager(node), {"nodes": [entry]})

    def owns(self, node: str, group: str, epoch: int, reason: str, since: str | None = None) -> None:
        entry = {"name": group, "owner": node, "epoch": epoch, "since": since or ago(0), "reason": reason}
        self._apply(names.group_manager(group), {"groups": [entry]})

    def _apply(self, manager: str, status: Json) -> None:
        body = cluster(self.name, {}) | {"status": status}
        del body["spec"]
        self.api.apply(f"{CLUSTERS}/{self.name}/status", body, manager)


def ago(seconds: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def until(true: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:.0f} s for: {what}")
        time.sleep(0.1)


class Operator:
    """One life of the operator."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.port = port

    def metrics(self) -> str:
        """Its /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def health(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self) -> float:
        """SIGTERM; how long it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=20) == 0, self.log.read_text()[-3000:]
        return time.monotonic() - begin

    def logged(self, text: str) -> bool:
        return text in self.log.read_text()


@contextlib.contextmanager
def operator(
    kubeconfig: Path, folder: Path, program: tuple[str, ...] = ("-m", "vyos_operator"), **environment: str
) -> Iterator[Operator]:
    """Run the operator as the chart does, for the length of a `with`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / f"operator-{port}.log"
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "OPERATOR_NAMESPACE": OPERATOR_NS,
        "AGENT_NAMESPACE": AGENT_NS,
        "LIVENESS_PORT": str(port),
        "POD_NAME": "op-0",
        "PATH": os.environ["PATH"],
    }
    with open(log, "wb") as out:
        command = ["setpriv", "--pdeathsig=KILL", "--", sys.executable, "-W", "error", *program]
        process = subprocess.Popen(
            command, env=settings | environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/"
        )
    found = Operator(process, log, port)
    try:
        yield found
        if process.poll() is None:
            found.stop()
    finally:
        process.kill()
        process.wait()
        print(log.read_text()[-8000:])
