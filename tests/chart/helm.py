"""Helm, from the ground's programs, with directories of its own; and the identities that a chart's release brings."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ground.apiserver import ApiServer
from ground.bins import KUBERNETES, bins
from ground.shell import run, wait

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/vyos-cluster"
VALUES = {name: (f"--values={Path(__file__).parent}/values/{name}.yaml",) for name in ("full", "minimal")}
"""Arguments for everything on, and for everything off."""
CRD = ROOT / "crds/vyosclusters.cluster.vyos.io.yaml"
NAME = "vyos-cluster"
RELEASE_NAMESPACE = "vyos-cluster"
AGENT_NAMESPACE = "vyos-cluster-agents"
AGENT = "vyos-cluster-agent"
HOOK = "helm.sh/hook"

Manifest = dict[str, Any]


def helm(*arguments: str) -> str:
    """Run helm; raises GroundError with its words."""
    with tempfile.TemporaryDirectory(prefix="vyos-cluster-helm-") as home:
        places = {f"HELM_{kind}_HOME": f"{home}/{kind}" for kind in ("CACHE", "CONFIG", "DATA")}
        return run(str(bins() / "helm"), *arguments, env=os.environ | places, timeout_s=60)


def template(*arguments: str, namespace: str = RELEASE_NAMESPACE) -> str:
    """The rendered chart as text."""
    return helm("template", NAME, str(CHART), f"--namespace={namespace}", f"--kube-version={KUBERNETES}", *arguments)


def render(*arguments: str) -> list[Manifest]:
    """The rendered chart's objects; `helm test` and its own come with hooks()."""
    return [found for found in _objects(*arguments) if HOOK not in found["metadata"].get("annotations", {})]


def hooks(*arguments: str) -> list[Manifest]:
    """What helm makes for a while, when it is asked to."""
    return [found for found in _objects(*arguments) if HOOK in found["metadata"].get("annotations", {})]


def _objects(*arguments: str) -> list[Manifest]:
    return [found for found in yaml.safe_load_all(template(*arguments)) if found]


def one(objects: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The one object of that kind (and name)."""
    (found,) = (o for o in objects if o["kind"] == kind and name in ("", o["metadata"]["name"]))
    return found


def apply(api: ApiServer, *objects: Manifest) -> None:
    """Server-side apply as a person with kubectl would."""
    whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    api.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(whole))


@contextmanager
def agents(api: ApiServer, *nodes: str) -> Iterator[dict[str, Path]]:
    """Everything of the release but what runs, and a kubeconfig for each node with its agent's pod-bound token."""
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE_NAMESPACE}}]
    running = ("Deployment", "DaemonSet")
    release = [o for o in render("--set=crds.enabled=false") if o["kind"] not in running]
    first = [o for o in release if o["kind"] == "Namespace"]
    rest = [o for o in release if o["kind"] != "Namespace"]
    api.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    api.kubectl("wait", "--for=condition=Established", "--timeout=15s", "-f", str(CRD))
    apply(api, *namespaces, *first)
    apply(api, *rest)
    pods = [pod(node) for node in nodes]
    apply(api, *({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}} for node in nodes), *pods)
    try:
        yield {node: api.kubeconfig_with_token(token(api, f"agent-{node}")) for node in nodes}
    finally:
        for things in (pods, rest):
            whole = {"apiVersion": "v1", "kind": "List", "items": things}
            api.kubectl("delete", "--wait=false", "--grace-period=0", "--force", "-f", "-", stdin=json.dumps(whole))
        for node in nodes:
            api.kubectl("delete", "node", node)


def pod(node: str) -> Manifest:
    """A pod of the agents' account on a node. Nobody runs it; a token can be bound to it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"agent-{node}", "namespace": AGENT_NAMESPACE},
        "spec": {
            "nodeName": node,
            "serviceAccountName": AGENT,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "x", "image": "x"}],
        },
    }


def token(api: ApiServer, bound_to: str = "", *, namespace: str = AGENT_NAMESPACE, account: str = AGENT) -> str:
    """A token of a ServiceAccount, bound to a pod if one is named."""
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={bound_to}") if bound_to else ()
    arguments = ("create", "token", account, f"--namespace={namespace}", *bound)
    wait(lambda: api.kubectl("get", "serviceaccount", account, f"--namespace={namespace}", "-o", "name"), 10, account)
    return api.kubectl(*arguments).strip()
