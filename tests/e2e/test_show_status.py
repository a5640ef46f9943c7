"""`vyos-cluster show status` against the daemons that the chart runs: VyOS's report of each state, to the letter.

The command is given the socket in the daemon's own file tree, as it would have it on the router.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ground.layout import address, netns
from product import Product, group, manifest

pytestmark = pytest.mark.e2e
VIP = "192.168.0.123"
PAIR = ("node1", "node2")
MONITOR = address("client")
SETTLE_S = 60
"""A router that boots is a member again within it."""
NO_OWNER = 3
"""Exit code (docs/cli.md)."""
SOCKET = "run/vyos-cluster/control.sock"
PRIMARY = """=== Status report on primary node node1 ===

  Primary node1 (this node): {own}

  Secondary node2: {peer}

  Monitor 192.168.0.9: {monitor}

  Resources [192.168.0.123/24/eth0]:
    {where}

"""
SECONDARY = """=== Status report on secondary node node2 ===

  Primary node1: {peer}

  Secondary node2 (this node): {own}

  Monitor 192.168.0.9: {monitor}

  Resources [192.168.0.123/24/eth0]:
    {where}

"""


ACTIVE, STANDBY, LOST = "Active", "Active (standby)", "Down (at least 1 monitor not reachable)"


def primary(own: str, peer: str, where: str, monitor: str = "Reachable") -> str:
    return PRIMARY.format(own=own, peer=peer, where=where, monitor=monitor)


def secondary(own: str, peer: str, where: str, monitor: str = "Reachable") -> str:
    return SECONDARY.format(own=own, peer=peer, where=where, monitor=monitor)


def socket_of(node: str) -> Path:
    """The control socket of a node's daemon, found by the network that its process is in."""
    network = Path("/run/netns", netns(node)).stat().st_ino
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found = b"heartbeat" in (process / "cmdline").read_bytes()
            if found and (process / "ns/net").stat().st_ino == network and (process / "root" / SOCKET).is_socket():
                return process / "root" / SOCKET
        except OSError:  # it ended meanwhile
            continue
    raise AssertionError(f"no heartbeat daemon runs on {node}")


def show(node: str) -> tuple[int, str]:
    """What the command says on a node: exit code and text."""
    command = [sys.executable, "-P", "-m", "vyos_cluster", "show", "status", "--socket", str(socket_of(node))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout or done.stderr


def comes(product: Product, node: str, text: str, code: int = 0) -> None:
    """Until a node says exactly this; what it says instead is in the error."""
    said: list[tuple[int, str]] = []

    def so() -> bool:
        said.append(show(node))
        return said[-1] == (code, text)

    try:
        product.ground.wait(so, SETTLE_S, f"the report of {node}")
    finally:
        assert said[-1] == (code, text)


def test_the_report_is_vyos_before_a_failover_and_after_it(product: Product) -> None:
    ground = product.ground
    groups = group("cluster", PAIR, f"{VIP}/24/eth0", monitors=[MONITOR])
    comes(product, "node1", "Clustering is not configured\n")
    with product.cluster(manifest("status", groups)):
        active, here = "Active on primary node1", "Active on primary node1 (this node)"
        comes(product, "node1", primary(ACTIVE, STANDBY, here))
        comes(product, "node2", secondary(STANDBY, ACTIVE, active))
        ground.fault.power_off("node1")
        ground.wait_holder(VIP, 15, other_than="node1")
        here = "Active on secondary node2 (this node)"
        comes(product, "node2", secondary(ACTIVE, "Down", here))
        ground.fault.power_on("node1")
        ground.wait(lambda: ground.ready("node1"), 60, "node1 to be Ready")
        ground.wait(lambda: product.status("status")["members"] == "2/2", 60, "node1 to be a member again")
        elsewhere = "Active on secondary node2"
        comes(product, "node1", primary(STANDBY, ACTIVE, elsewhere))


def test_a_lost_monitor_and_a_partition(product: Product) -> None:
    ground = product.ground
    groups = group("cluster", PAIR, f"{VIP}/24/eth0", monitors=[MONITOR])
    at_one, here = "Active on primary node1", "Active on primary node1 (this node)"
    with product.cluster(manifest("status", groups)):
        comes(product, "node1", primary(ACTIVE, STANDBY, here))
        ground.fault.split("node2", "client")
        comes(product, "node2", secondary(LOST, ACTIVE, at_one, monitor="Unreachable"))
        comes(product, "node1", primary(ACTIVE, LOST, here))
        ground.fault.heal()
        comes(product, "node1", primary(ACTIVE, STANDBY, here))
        comes(product, "node2", secondary(STANDBY, ACTIVE, at_one))
        ground.fault.partition("node1", "node2,ctl")
        comes(product, "node1", primary(ACTIVE, "Down", here))
        comes(product, "node2", secondary(ACTIVE, "Down", "Active on secondary node2 (this node)"))
        ground.fault.heal()
        comes(product, "node1", primary(STANDBY, ACTIVE, "Active on secondary node2"))
        comes(product, "node2", secondary(ACTIVE, STANDBY, "Active on secondary node2 (this node)"))


def test_a_member_that_waits_for_the_other(product: Product) -> None:
    ground = product.ground
    groups = group("cluster", PAIR, f"{VIP}/24/eth0", monitors=[MONITOR])
    ground.fault.power_off("node2")
    with product.cluster(manifest("status", groups, initDeadInterval="90s"), settle=False):
        said = "Started (waiting for secondary)"
        comes(product, "node1", primary(said, "Initializing", "Initializing", monitor="Initializing"), NO_OWNER)
        ground.fault.power_on("node2")
        comes(product, "node1", primary(ACTIVE, STANDBY, "Active on primary node1 (this node)"))
