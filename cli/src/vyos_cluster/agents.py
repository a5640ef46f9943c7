"""The agents' daemons from afar: their control sockets, asked by `kubectl exec` in the pod of their node.

Whoever may do that is said by RBAC, and the chart has roles with a policy that lets their holders ask what this module
asks, and nothing else (remoteControl in its values). The request goes by standard input: what stands on the command
line is the op alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vyos_cluster import resource
from vyos_cluster.kubectl import ApiError, Kubectl

SELECTOR = "app.kubernetes.io/part-of=vyos-cluster,app.kubernetes.io/component=agent"
"""As the chart labels them, whatever its release is called."""
CONTAINER = "heartbeat"
PROGRAM = ("python3", "-I", "-m", "vyos_agent.control")
SOCKET = "--control="
"""By which heartbeat is told where its socket is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Agent:
    """The daemon of one node."""

    kubectl: Kubectl
    namespace: str
    node: str
    pod: str
    socket: str

    def __str__(self) -> str:
        return f"the agent of {self.node}"

    def request(self, op: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and return the whole answer. Raises ApiError."""
        where = ("exec", "--stdin", f"--namespace={self.namespace}", self.pod, f"--container={CONTAINER}", "--")
        done = self.kubectl.done(*where, *PROGRAM, self.socket, op, "-", stdin=json.dumps(dict(fields)))
        try:
            answer = json.loads(done.text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ApiError(done.words or f"{self} answered no JSON")
        return answer


def chosen(
    where: Path | Kubectl, namespace: str, node: str | None, cluster: str | None = None, group: str | None = None
) -> tuple[Path | Agent, str | None]:
    """Whom a command asks, and of which cluster: this router, the node's agent, or that of the group's owner.

    Raises ApiError.
    """
    if isinstance(where, Path):
        return where, cluster
    if node is not None:
        return of_node(where, namespace, node), cluster
    return of_owner(where, namespace, cluster, group)


def of_node(kubectl: Kubectl, namespace: str, node: str) -> Agent:
    """The agent of a node. Raises ApiError."""
    where = (f"--namespace={namespace}", f"--selector={SELECTOR}", f"--field-selector=spec.nodeName={node}")
    pods = kubectl.get("pods", *where)["items"]
    living = [p for p in pods if "deletionTimestamp" not in p["metadata"] and p["status"].get("phase") == "Running"]
    if not living:
        raise ApiError(f"no agent is on a node {node} (looked for pods in namespace {namespace}; -n names another)")
    for container in living[0]["spec"]["containers"]:
        sockets = [a.removeprefix(SOCKET) for a in container.get("args", ()) if a.startswith(SOCKET)]
        if container["name"] == CONTAINER and sockets:
            return Agent(kubectl, namespace, node, living[0]["metadata"]["name"], sockets[0])
    raise ApiError(f"the pod {living[0]['metadata']['name']} of {node} is no agent of this release: no {SOCKET}")


def of_owner(kubectl: Kubectl, namespace: str, cluster: str | None, group: str | None) -> tuple[Agent, str]:
    """The agent of the owner of a group by its status, and the group's cluster. Raises ApiError."""
    views = resource.views(kubectl.clusters(), None)
    found = {
        f"{v.cluster.metadata.name}/{v.spec.name}": v.owner
        for v in views
        if v.spec.name == group and v.cluster.metadata.name == (cluster or v.cluster.metadata.name)
    }
    if not found:
        known = ", ".join(f"{v.cluster.metadata.name}/{v.spec.name}" for v in views)
        raise ApiError(f"no VyosCluster has a group {_name(cluster, group)}; it is one of: {known or 'none'}")
    if len(found) > 1:
        raise ApiError(f"there are several groups {group}: name one of {', '.join(found)}")
    ((name, owner),) = found.items()
    if owner is None:
        raise ApiError(f"{name} has no owner that could be asked, by its status; --node names a router")
    return of_node(kubectl, namespace, owner), name.partition("/")[0]


def _name(cluster: str | None, group: str | None) -> str:
    return f"{cluster}/{group}" if cluster else str(group)
