"""What people do from afar, with kubectl and no shell on a router."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ground.bins import bins
from product import AGENTS_NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e
VIP = "192.168.0.123"
COUNTS = "-ojsonpath={.items[*].status.containerStatuses[*].restartCount}"
RESTARTS = ("get", "pods", f"--namespace={AGENTS_NAMESPACE}", COUNTS)
PROGRAM = Path(sys.executable).with_name("kubectl-vyos_cluster")


def run(product: Product, *words: str) -> subprocess.CompletedProcess[str]:
    """The plugin, as kubectl runs it."""
    path = f"{bins()}:{PROGRAM.parent}:{os.environ['PATH']}"
    env = os.environ | {"KUBECONFIG": str(product.ground.kubeconfig), "PATH": path, "NO_PROXY": "*"}
    return subprocess.run(
        ["kubectl", "vyos-cluster", *words], env=env, capture_output=True, text=True, timeout=100, check=False
    )


def test_a_group_is_moved_from_afar(product: Product) -> None:
    with product.cluster(manifest("afar", group("g", ("node1", "node2"), f"{VIP}/24/eth0"))):
        product.wait_owner("afar", "g", "node1")
        given = run(product, "force", "standby", "g", "--wait", "20")
        assert (given.returncode, given.stdout, given.stderr) == (
            0,
            "Attempting to release cluster resources\nafar/g: node1 -> node2\n",
            "",
        )
        assert product.ground.wait_holder(VIP) == "node2"
        product.wait_owner("afar", "g", "node2")
        assert "Active on secondary node2" in run(product, "show", "status", "afar").stdout
        taken = run(product, "force", "active", "afar/g", "--node", "node1", "--wait", "20")
        assert (taken.returncode, taken.stdout) == (
            0,
            "Requesting to take over cluster resources\nafar/g: node2 -> node1\n",
        )
        assert product.ground.wait_holder(VIP) == "node1"
        product.wait_owner("afar", "g", "node1")
        text = run(product, "show", "status", "afar", "--node", "node2").stdout
        assert text.startswith("=== Status report on secondary node node2 ===")
        refused = run(product, "force", "active", "nix", "--node", "node1")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "this node is a member of no group nix of any cluster here" in refused.stderr
        nobody = run(product, "force", "active", "g", "--node", "nix")
        assert (nobody.returncode, nobody.stderr) == (
            1,
            f"vyos-cluster force: no agent is on a node nix (looked for pods in namespace {AGENTS_NAMESPACE}; "
            "-n names another)\n",
        )
        moves = json.loads(run(product, "history", "g", "-o", "json").stdout)
        assert [(m["node"], m["kind"], m["reason"]) for m in moves[:1]] == [("node1", "Taken", "HandoverRequested")]
        assert "afar: the last moves of node2" in run(product, "history", "--node", "node2").stdout
        assert json.loads(run(product, "explain", "g", "-o", "json").stdout)[0]["owner"] == "node1"


def test_a_daemon_begins_anew_from_afar(product: Product) -> None:
    with product.cluster(manifest("afar", group("g", ("node1", "node2"), f"{VIP}/24/eth0"))):
        product.wait_owner("afar", "g", "node1")
        before = product.ground.kubectl(*RESTARTS)
        done = run(product, "restart", "--node", "node1")
        assert (done.returncode, done.stdout, done.stderr) == (0, "Restarting cluster node...Success!\n", "")
        product.wait_owner("afar", "g", "node2")
        assert product.ground.wait_holder(VIP) == "node2"
        product.ground.wait(lambda: product.status("afar")["members"] == "2/2", 30, "node1 to be a member again")
        back = run(product, "force", "active", "g", "--node", "node1", "--wait", "30")
        assert back.returncode == 0, back.stderr
        assert product.ground.kubectl(*RESTARTS) == before
