"""The seed's example on real machines: an address and ssh together, and a real ssh client that follows both."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from e2e.watch import Holders
from ground import network, seed
from ground.layout import netns
from product import AGENTS_NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
PAIR = ("node1", "node2")
UNIT = "ssh.service"
DEAD_S = 3


def example(name: str) -> dict[str, object]:
    return manifest(name, group("cluster", PAIR, "ssh", f"{VIP}/24/eth0"))


@pytest.fixture(autouse=True)
def ssh_again(product: Product) -> Iterator[None]:
    """A cluster that is deleted leaves its services stopped; the ground's nodes are to have ssh."""
    yield
    product.ground.mend()
    for node in PAIR:
        product.ground.exec(node, "systemctl", "start", UNIT)


def serving(product: Product) -> set[str]:
    """The nodes on which the service runs."""
    found = set()
    for node in PAIR:
        state = product.ground.exec(node, "systemctl", "show", "-P", "ActiveState", UNIT).strip()
        if state in ("active", "reloading", "deactivating"):
            found.add(node)
    return found


def login(product: Product, address: str) -> str:
    """What `hostname` says to an ssh client of the LAN, or its error."""
    options = "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    options += f" -o LogLevel=ERROR -o ConnectTimeout=3 -i {seed.SSH_KEY}"
    command = network.inside(netns("client"), "ssh", *options.split(), f"root@{address}", "hostname")
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout if done.returncode == 0 else done.stderr).strip()


def own_address(product: Product, node: str) -> str:
    addresses = product.ground.get("node", node)["status"]["addresses"]
    return next(str(a["address"]) for a in addresses if a["type"] == "InternalIP")


def test_ssh_lands_on_the_owner_before_and_after_a_power_off(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(example("ssh")) as name:
        ground.wait(lambda: serving(product) == {"node1"}, 20, "ssh to run at the owner only")
        assert login(product, VIP) == "node1"
        assert "refused" in login(product, own_address(product, "node2")), "the standby runs no ssh"
        entry = next(g for g in product.status(name)["groups"] if g["name"] == "cluster")
        ground.wait(
            lambda: [g["services"] for g in product.status(name)["groups"]] == [[UNIT]], 20, "the status to name it"
        )
        assert entry["owner"] == "node1"
        holders.watch(VIP)
        ground.fault.power_off("node1")
        ground.wait_holder(VIP, 10, other_than="node1")
        ground.wait(lambda: login(product, VIP) == "node2", 20, "ssh at the new owner")
        assert holders.overlap_ms(VIP) == 0, holders.history(VIP)


def test_a_unit_that_is_enabled_at_boot_is_stopped_where_the_group_is_not_owned(product: Product) -> None:
    ground = product.ground
    with product.cluster(example("boot")):
        ground.wait(lambda: serving(product) == {"node1"}, 20, "ssh to run at the owner only")
        ground.exec("node2", "systemctl", "start", "--no-block", UNIT)  # which is undone before it has begun, or after
        ground.wait(lambda: serving(product) == {"node1"}, 20, "the standby's to be stopped again")


def test_a_killed_agent_leaves_no_service_behind(product: Product) -> None:
    """Nobody renews the lease, so systemd stops the service before the standby starts its own."""
    ground = product.ground
    with product.cluster(example("kill")):
        ground.wait(lambda: serving(product) == {"node1"}, 20, "ssh to run at the owner only")
        ground.fault.pause("node1", "heartbeat")
        end = time.monotonic() + DEAD_S + 10
        both = 0
        while time.monotonic() < end and serving(product) != {"node2"}:
            both += len(serving(product)) > 1
        assert serving(product) == {"node2"}
        assert both == 0
        ground.fault.resume("node1", "heartbeat")
        time.sleep(3)
        assert serving(product) == {"node2"}


def test_a_unit_that_a_node_needs_is_left_running_everywhere(product: Product) -> None:
    ground = product.ground
    with product.cluster(manifest("needed", group("cluster", PAIR, "kubelet", f"{VIP}/24/eth0"))) as name:
        assert ground.wait_holder(VIP, 30) == "node1"
        said = product.wait_condition(name, "Degraded")
        assert said["reason"] == "ServiceNotAllowed"
        for node in PAIR:
            assert f"{node}: cluster: kubelet.service: a node needs kubelet.service: " in said["message"]
            assert ground.exec(node, "systemctl", "is-active", "kubelet").strip() == "active"
        assert "agents.hostServices.allow" in said["message"]


def test_dbus_restarts(product: Product) -> None:
    ground = product.ground
    with product.cluster(example("dbus")):
        ground.wait(lambda: serving(product) == {"node1"}, 20, "ssh to run at the owner only")
        ground.exec("node1", "systemctl", "restart", "dbus.service")
        time.sleep(DEAD_S + 1)
        assert serving(product) == {"node1"}, "the lease was renewed over a new connection"
        ground.kubectl(f"-n{AGENTS_NAMESPACE}", "delete", "pod", product.agent("node1"), "--wait=false")
        ground.wait(lambda: serving(product) == {"node2"}, 30, "the service to move with its group")


def test_a_unit_that_is_on_one_node_only(product: Product) -> None:
    """A member that lacks it is no candidate, and says which unit it lacks."""
    ground = product.ground
    unit = "vyos-e2e-only.service"
    path = f"/run/systemd/system/{unit}"
    ground.exec(
        "node2", "sh", "-c", f"printf '[Service]\\nExecStart=/bin/sleep 1000\\n' > {path}; systemctl daemon-reload"
    )
    try:
        spec = manifest("lacking", group("cluster", PAIR, unit.removesuffix(".service"), f"{VIP}/24/eth0"))
        with product.cluster(spec) as name:
            assert ground.wait_holder(VIP, 30) == "node2"
            degraded = product.wait_condition(name, "Degraded")
            assert unit in degraded["message"]
    finally:
        ground.exec("node2", "sh", "-c", f"rm -f {path}; systemctl daemon-reload")
