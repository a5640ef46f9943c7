"""Our heartbeat daemon as a router without Kubernetes runs it: from one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from bench.cage import Cage
from bench.lan import LINKS, NODES
from bench.systems.base import NotAvailable, System
from vyos_agent import control

PROGRAM = Path(sys.executable).with_name("vyos-cluster-heartbeat")
FORCE = "force"
"""The request of the control socket for a planned move: `to` Standby or Active."""
INIT_DEAD_MIN_MS = 2_000
"""initDeadInterval is never below the dead interval; a cold start is no part of a trial, so it is short otherwise."""


class VyosCluster(System):
    """The system that the others are beside."""

    name = "vyoscluster"
    settings = ("A", "B", "C", "D3", "default")
    second_link = True

    def setup(self, node: str) -> str:
        s = self.setting
        cluster = {
            "apiVersion": "cluster.vyos.io/v1alpha1",
            "kind": "VyosCluster",
            "metadata": {"name": "bench"},
            "spec": {
                "interfaces": list(LINKS[: self.links]),
                "keepaliveInterval": s.keepalive_ms,
                "deadInterval": s.dead_ms,
                "monitorDeadInterval": s.dead_ms,
                "initDeadInterval": max(INIT_DEAD_MIN_MS, s.dead_ms),
                "preSharedSecret": {"value": "secret"},
                "groups": [
                    {
                        "name": f"g{number}",
                        "primary": NODES[0],
                        "secondaries": list(NODES[1:]),
                        "autoFailback": True,
                        "services": [f"{address}/24/eth0"],
                    }
                    for number, address in enumerate(self.addresses)
                ],
            },
        }
        self.put(node, "cluster.yaml", yaml.safe_dump(cluster))
        return ""

    def command(self, node: str) -> str:
        place = self.directory(node)
        args = f"--config {place}/cluster.yaml --node {node} --control {self._socket(node)} --state {place}/state"
        return f"exec {PROGRAM} {args}"

    def main(self, cage: Cage) -> int:
        return cage.named(b"vyos-cluster-heartbeat")

    def ready(self, node: str) -> bool:
        try:
            answer = control.request(self._socket(node), "report")
        except control.ControlError:
            return False
        clusters = answer.get("report", {}).get("clusters", ())
        return bool(clusters) and all(
            c["peers"]["ready"] == c["peers"]["all"] == 1
            and all(g["state"] in ("Owner", "Standby") for g in c["groups"])
            for c in clusters
        )

    def refused(self, node: str) -> int | None:
        answer = control.request(self._socket(node), "report")
        return sum(sum(c["drops"].values()) for c in answer["report"]["clusters"])

    def switch(self, cage: Cage) -> None:
        if FORCE not in self._ops():
            raise NotAvailable(f"this daemon's control socket knows no `{FORCE}`")
        answer = self._force("Standby")
        if not answer.get("ok"):
            raise NotAvailable(f"{FORCE} to Standby: {answer.get('error')}")

    def switch_back(self, cage: Cage) -> bool:
        return self._force("Active").get("ok") is True

    def _force(self, to: str) -> dict[str, Any]:
        return control.request(self._socket(NODES[0]), FORCE, {"to": to})

    def _ops(self) -> str:
        """The daemon names its requests when asked for one that it does not know."""
        return str(control.request(self._socket(NODES[0]), "?").get("error", ""))

    def _socket(self, node: str) -> Path:
        return self.directory(node) / "control.sock"
