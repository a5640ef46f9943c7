"""Programs of the node that a daemon in a container needs: an administrator's hooks, and nft for the exact fence.

The node's own systemd runs both. What a hook is given, and when it is run and when not, is tried in tests/edge.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import pytest

from e2e.watch import Holders
from ground import network
from ground.layout import netns
from product import Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
PAIR = ("node1", "node2")
FOLDER = "/etc/vyos-cluster/hooks"
"""The chart's agents.paths.hooks."""
EVENTS = ("before-acquire", "acquire", "release")
LOG = "/run/vyos-e2e-hooks"
HOOK = f"""#!/bin/sh
test "$1" = before-acquire && sleep 0.5
held=$(ip -oneline address show to {VIP} | wc -l)
{{ echo "ARGV=$*"; echo "HELD=$held"; env; }} >> {LOG}
echo "the hook $1 speaks"
"""
KEEPALIVE_MS, DEAD_MS = 100, 500
"""A fenced address answers for 300 ms after a renewal (edge/fence.py); its kernel holds it for a second and more."""
PROBE_MS = 5


@dataclasses.dataclass(frozen=True)
class Called:
    """One run of a hook."""

    argv: str
    held: int
    """How many interfaces had the address when it ended."""
    environment: dict[str, str]

    @property
    def told(self) -> dict[str, str]:
        """What the daemon tells it; systemd adds words of its own."""
        return {name: value for name, value in self.environment.items() if name.startswith("VYOS_CLUSTER_")}


@pytest.fixture
def hooks(product: Product) -> Iterator[None]:
    """Executables of root on both routers, as an administrator puts them there."""
    exec_ = product.ground.exec
    for node in PAIR:
        for event in EVENTS:
            script = f"umask 022; mkdir -p {FOLDER}; cat > {FOLDER}/{event}; chmod 755 {FOLDER}/{event}"
            exec_(node, "sh", "-c", script, stdin=HOOK)
    yield
    product.ground.mend()
    for node in PAIR:
        exec_(node, "rm", "-f", LOG, *(f"{FOLDER}/{event}" for event in EVENTS))


def calls(product: Product, node: str, cluster: str) -> list[Called]:
    """What ran on a node for a cluster, in the order of the ends."""
    text = product.ground.exec(node, "sh", "-c", f"cat {LOG} 2> /dev/null || true")
    found = []
    for entry in text.split("ARGV=")[1:]:
        argv, held, *rest = entry.splitlines()
        pairs = [line.partition("=") for line in rest]
        found.append(Called(argv, int(held.removeprefix("HELD=")), {name: value for name, _, value in pairs}))
    return [called for called in found if cluster in called.argv.split()]


def force(product: Product) -> None:
    product.ask("node2", {"op": "force", "to": "Active", "group": "g"})


def power_off(product: Product) -> None:
    product.ground.fault.power_off("node1")


@pytest.mark.parametrize(
    ("move", "reason"), [(force, "HandoverRequested"), (power_off, "PeerDead")], ids=["asked", "off"]
)
@pytest.mark.usefixtures("hooks")
def test_the_nodes_systemd_runs_hooks_in_order(product: Product, move: Callable[[Product], None], reason: str) -> None:
    ground = product.ground
    with product.cluster(manifest(f"hooked-{reason.lower()}", group("g", PAIR, f"{VIP}/24/eth0"))) as name:
        product.wait_owner(name, "g", "node1")
        assert not calls(product, "node2", name)
        move(product)
        ground.wait_holder(VIP, 15, other_than="node1")
        ground.wait(lambda: len(calls(product, "node2", name)) == 2, 15, "both hooks to have run on node2")
        before, after = calls(product, "node2", name)
        assert (before.argv, after.argv) == (f"before-acquire {name} g", f"acquire {name} g")
        assert before.held == 0, "the address waits for the hook"
        product.wait_owner(name, "g", "node2")
        told = {
            "VYOS_CLUSTER_CLUSTER": name,
            "VYOS_CLUSTER_GROUP": "g",
            "VYOS_CLUSTER_NODE": "node2",
            "VYOS_CLUSTER_EPOCH": str(product.status(name)["groups"][0]["epoch"]),
            "VYOS_CLUSTER_REASON": reason,
            "VYOS_CLUSTER_PEER": "node1",
            "VYOS_CLUSTER_ADDRESSES": f"{VIP}/24/eth0",
        }
        assert before.told == {"VYOS_CLUSTER_EVENT": "before-acquire", **told}
        assert after.told == {"VYOS_CLUSTER_EVENT": "acquire", **told}
        assert product.status(name)["groups"][0]["reason"] == reason
        assert "/usr/sbin" in after.environment["PATH"]
        journal = ground.exec("node2", "journalctl", "--no-pager", "--unit=vyos-cluster-hook-*")
        assert all(f"the hook {event} speaks" in journal for event in ("before-acquire", "acquire"))
        if move is force:
            ground.wait(lambda: calls(product, "node1", name)[-1].argv == f"release {name} g", 15, "node1's release")


def test_a_fence_is_loaded_by_the_nodes_nft(product: Product, holders: Holders) -> None:
    """A frozen owner's kernel holds the address beside the new one's, and says nothing for it any more.

    The client is told for good that the address is at the owner, who may not pass a question on to the new one: so
    whatever is answered is the owner's own word.
    """
    ground = product.ground
    intervals = {"keepaliveInterval": f"{KEEPALIVE_MS}ms", "deadInterval": f"{DEAD_MS}ms"}
    fenced = manifest("fenced", group("g", PAIR, f"{VIP}/24/eth0"), fence="Nftables", **intervals)
    with product.cluster(fenced) as name:
        for node in PAIR:
            ground.wait(lambda node=node: fences(product, node), 20, f"the table on {node}")  # type: ignore[misc]
        time.sleep(1)  # a late renewal on a busy machine would be over
        owner = ground.wait_holder(VIP)
        (other,) = set(PAIR) - {owner}
        assert not [d for n in product.status(name)["nodes"] for d in n["deviations"] if d["kind"] == "Fence"]
        entry = (VIP, "lladdr", ground.mac(owner), "dev", "eth0", "nud", "permanent")
        network.ip(netns("client"), "neigh", "replace", *entry)
        holders.watch(VIP)
        try:
            with ground.probe(VIP, interval_ms=PROBE_MS, hops=1) as probe:
                time.sleep(0.5)
                ground.fault.pause(owner, "heartbeat")
                ground.wait(lambda: other in ground.holders(VIP), 10, f"{other} to take over")
                ground.wait(lambda: ground.holders(VIP) == {other}, 10, f"{owner}'s kernel to let go")
        finally:
            network.ip(netns("client"), "neigh", "del", VIP, "dev", "eth0")
        assert probe.answered > 0.3 * 1000 / PROBE_MS, probe
        last_s = max(sample.answered_s for sample in probe.samples if sample.answered_s is not None)
        taken_s = holders.came_s(VIP, other)
        assert last_s < taken_s, f"{owner} answered for {(last_s - taken_s) * 1000:.0f} ms beside {other}"
        assert holders.overlap_ms(VIP) > 0, "without the fence both kernels would have answered"
        with ground.probe(VIP) as probe:
            time.sleep(0.5)
        assert probe.answered, probe
        assert ground.client_arp(VIP) == ground.mac(other)
        ground.fault.resume(owner, "heartbeat")
        ground.wait(lambda: product.status(name)["members"] == "2/2", 30, f"{owner} to be a member again")
    for node in PAIR:
        ground.wait(lambda node=node: not fences(product, node), 20, f"the table on {node} to go")  # type: ignore[misc]


def fences(product: Product, node: str) -> list[str]:
    """The fences that a node's kernel has."""
    tables = product.ground.exec(node, "nft", "list", "tables", "netdev").splitlines()
    return [line for line in tables if "vyos-cluster-" in line]
