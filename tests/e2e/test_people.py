"""What people do from afar, with kubectl and no shell on a router."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ground.bins import bins
from product import AGENT, AGENTS_NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e
VIP = "192.168.0.123"
COUNTS = "-ojsonpath={.items[*].status.containerStatuses[*].restartCount}"
RESTARTS = ("get", "pods", f"--namespace={AGENTS_NAMESPACE}", COUNTS)
PROGRAM = Path(sys.executable).with_name("kubectl-vyos_cluster")


ROLES = f"{AGENT}-remote-control"
MOVER = "mover"


def run(product: Product, *words: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The plugin, as kubectl runs it; as the admin, if no other kubeconfig is given."""
    return kubectl(kubeconfig or product.ground.kubeconfig, "vyos-cluster", *words)


def kubectl(kubeconfig: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{bins()}:{PROGRAM.parent}:{os.environ['PATH']}"
    env = os.environ | {"KUBECONFIG": str(kubeconfig), "PATH": path, "NO_PROXY": "*"}
    return subprocess.run(["kubectl", *words], env=env, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture
def mover(product: Product) -> Iterator[Path]:
    """A kubeconfig of an account that has the two roles of the chart's remoteControl, and no others."""
    admin = product.ground.kubectl
    who = f"--serviceaccount=default:{MOVER}"
    product.upgrade("--set=remoteControl.enabled=true")
    try:
        admin("create", "serviceaccount", MOVER, "--namespace=default")
        admin("create", "clusterrolebinding", MOVER, f"--clusterrole={ROLES}", who)
        admin("create", "rolebinding", MOVER, f"--namespace={AGENTS_NAMESPACE}", f"--role={ROLES}", who)
        token = admin("create", "token", MOVER, "--namespace=default").strip()
        yield product.ground.api.kubeconfig_with_token(token)
    finally:
        for what in ("serviceaccount", "clusterrolebinding"):
            admin("delete", what, MOVER, "--namespace=default", "--ignore-not-found")
        admin("delete", "rolebinding", MOVER, f"--namespace={AGENTS_NAMESPACE}", "--ignore-not-found")
        product.upgrade("--set=remoteControl.enabled=false")


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


def test_whoever_has_the_roles_moves_a_group_and_does_nothing_else(product: Product, mover: Path) -> None:
    with product.cluster(manifest("afar", group("g", ("node1", "node2"), f"{VIP}/24/eth0"))):
        product.wait_owner("afar", "g", "node1")
        shell = ("exec", f"-n{AGENTS_NAMESPACE}", product.agent("node1"), "-c=heartbeat", "--", "sh", "-c", "echo in")

        def refused() -> bool:
            done = kubectl(mover, *shell)
            return done.returncode != 0 and "only the daemon's ops" in done.stderr and not done.stdout

        product.ground.wait(refused, 20, "the policy to be in force")
        given = run(product, "force", "standby", "g", "--wait", "20", kubeconfig=mover)
        assert (given.returncode, given.stdout, given.stderr) == (
            0,
            "Attempting to release cluster resources\nafar/g: node1 -> node2\n",
            "",
        )
        assert product.ground.wait_holder(VIP) == "node2"
        product.wait_owner("afar", "g", "node2")
        assert refused()
        assert kubectl(product.ground.kubeconfig, *shell).stdout == "in\n", "an admin debugs as ever"
        for words in (("get", "secrets"), ("delete", "pod", product.agent("node1"))):
            done = kubectl(mover, *words, f"-n{AGENTS_NAMESPACE}")
            assert done.returncode != 0
            assert "Forbidden" in done.stderr
