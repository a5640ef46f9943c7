"""The product as an administrator has it: the chart installed on a ground, and clusters applied with kubectl.

Used by the end-to-end tests and by the demo. Looks from outside only; what it waits for has an end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ground.api import Ground
from ground.images import VERSION
from ground.shell import GroundError

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts/vyos-cluster"
NAME = "vyos-cluster"
NAMESPACE = "vyos-cluster"
AGENTS_NAMESPACE = "vyos-cluster-agents"
OPERATOR = f"deployment/{NAME}-operator"
AGENT = f"{NAME}-agent"
SETTLE_S = 40
"""More than any cluster here needs to own all its groups: nodes that just booted, initDeadInterval, and some."""

Manifest = dict[str, Any]


class Product:
    """A release on a ground."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    # -- the release

    def install(self, *more: str, chart: Path = CHART, tag: str = VERSION) -> str:
        """Install a chart as the README says, wait until all of it runs; what helm said."""
        said = self._helm("install", chart, tag, "--create-namespace", *more)
        self.ground.kubectl(
            "label", "namespace", NAMESPACE, "--overwrite", "pod-security.kubernetes.io/enforce=restricted"
        )
        self.wait_rollout()
        return said

    def upgrade(self, *more: str) -> None:
        """From whatever is installed to the chart and the images of these sources; wait until all of it runs."""
        self._helm("upgrade", CHART, VERSION, "--reset-then-reuse-values", *more)
        self.wait_rollout()

    def _helm(self, action: str, chart: Path, tag: str, *more: str) -> str:
        # Away from the routers that tests switch off: what a status shows is partly the operator's word
        place = f'--set-json=operator.nodeSelector={{"kubernetes.io/hostname": "{self.ground.nodes[-1]}"}}'
        images = [f"--set={part}.image.tag={tag},{part}.image.pullPolicy=Never" for part in ("operator", "agents")]
        return self.ground.helm(action, NAME, str(chart), f"--namespace={NAMESPACE}", *images, place, *more)

    def uninstall(self) -> None:
        """Take the release away, and the namespace of the secrets with it."""
        self.ground.helm("uninstall", NAME, f"--namespace={NAMESPACE}")
        self.ground.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout_s=90)

    def wait_rollout(self) -> None:
        """Until operator and agents run as the chart says now."""
        self.ground.kubectl(f"-n{NAMESPACE}", "rollout", "status", OPERATOR, "--timeout=90s", timeout_s=100)
        self.ground.kubectl(
            f"-n{AGENTS_NAMESPACE}", "rollout", "status", f"daemonset/{AGENT}", "--timeout=90s", timeout_s=100
        )

    def agent(self, node: str) -> str:
        """The name of the agent's pod on a node."""
        pods = self.ground.get("pods", f"-n{AGENTS_NAMESPACE}", f"--field-selector=spec.nodeName={node}")["items"]
        living = [p["metadata"]["name"] for p in pods if "deletionTimestamp" not in p["metadata"]]
        if len(living) != 1:
            raise GroundError(f"{node} has {len(living)} agents")
        return str(living[0])

    def ask(self, node: str, request: Manifest) -> Manifest:
        """Ask the heartbeat daemon of a node over its control socket (docs/control-socket.md)."""
        fields = json.dumps({key: value for key, value in request.items() if key != "op"})
        words = ("python3", "-m", "vyos_agent.control", "/run/vyos-cluster/control.sock", str(request["op"]), fields)
        where = ("exec", f"-n{AGENTS_NAMESPACE}", self.agent(node), "-c=heartbeat", "--")
        return dict(json.loads(self.ground.kubectl(*where, *words)))

    def agent_report(self, node: str) -> Manifest:
        """What the heartbeat daemon of a node says of itself."""
        return dict(self.ask(node, {"op": "report"})["report"])

    # -- clusters

    def apply(self, *objects: Manifest) -> None:
        """As `kubectl apply` does it."""
        self.ground.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def delete(self, name: str) -> None:
        """Delete a cluster, and come back when it is gone."""
        self.ground.kubectl("delete", "vyoscluster", name, "--ignore-not-found", "--timeout=30s")

    def status(self, name: str) -> Manifest:
        """The cluster's status, as it is now."""
        return dict(self.ground.get("vyoscluster", name).get("status") or {})

    def condition(self, name: str, kind: str) -> Manifest:
        """One condition of a cluster; empty where it has none."""
        return next((dict(c) for c in self.status(name).get("conditions", ()) if c["type"] == kind), {})

    def wait_condition(self, name: str, kind: str, status: str = "True", timeout_s: float = SETTLE_S) -> Manifest:
        """Until a condition has that status for the newest generation."""

        def met() -> Manifest | None:
            found = self.ground.get("vyoscluster", name)
            for condition in found.get("status", {}).get("conditions", ()):
                new = condition.get("observedGeneration") == found["metadata"]["generation"]
                if condition["type"] == kind and condition["status"] == status and new:
                    return dict(condition)
            return None

        return self.ground.wait(met, timeout_s, f"{kind}={status} of {name}")

    def owner(self, name: str, group: str) -> str | None:
        """Who owns a group, by the status."""
        return next((str(g["owner"]) for g in self.status(name).get("groups", ()) if g["name"] == group), None)

    def wait_owner(self, name: str, group: str, node: str, timeout_s: float = SETTLE_S) -> None:
        """Until the status names that node."""
        self.ground.wait(lambda: self.owner(name, group) == node, timeout_s, f"{node} to own {name}/{group}")

    def events(self, name: str) -> list[Manifest]:
        """All Events about a cluster, oldest first, as `kubectl describe` finds them."""
        found = self.ground.get("events", f"--field-selector=involvedObject.name={name}")["items"]
        return sorted(found, key=lambda e: e.get("eventTime") or e.get("firstTimestamp") or "")

    @contextmanager
    def cluster(self, manifest: Manifest, *, settle: bool = True) -> Iterator[str]:
        """A cluster for the length of a `with`: applied, available, and deleted whatever happens."""
        name = manifest["metadata"]["name"]
        self.apply(manifest)
        try:
            if settle:
                self.wait_condition(name, "Programmed")
                self.wait_condition(name, "Available")
            yield name
        finally:
            if not self.ground.api.ready():
                self.ground.mend()
            self.delete(name)


def group(name: str, members: tuple[str, ...], *services: str, auto_failback: bool = False, **more: object) -> Manifest:
    """One group of a spec; the first member is the primary."""
    return {
        "name": name,
        "primary": members[0],
        "secondaries": list(members[1:]),
        "autoFailback": auto_failback,
        "services": list(services),
        **more,
    }


def manifest(name: str, *groups: Manifest, **spec: object) -> Manifest:
    """A cluster with intervals for tests: quick, and with room for a machine that is busy."""
    settings = {"interfaces": ["eth0"], "keepaliveInterval": "200ms", "deadInterval": "3s", "initDeadInterval": "5s"}
    return {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "metadata": {"name": name},
        "spec": {
            **settings,
            "monitorDeadInterval": "3s",
            "preSharedSecret": {"value": f"secret of {name}"},
            **spec,
            "groups": list(groups),
        },
    }
