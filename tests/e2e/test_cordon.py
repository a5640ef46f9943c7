"""A cordon of the owner's node, a drain: with `onCordon: Standby` a planned move, with the default nothing at all."""

from __future__ import annotations

import time

import pytest

from e2e.watch import Holders
from product import Product, group, manifest

pytestmark = pytest.mark.e2e

VIP, OTHER_VIP = "192.168.0.123", "192.168.0.124"
PROBE_MS = 1
NOTICEABLE_MS = 500
"""As in test_handover.py."""
SETTLED_S = 3
"""More than a member needs to hear of an uncordoned node, and to think of a failback."""


def test_a_cordon_moves_what_asks_for_it_and_nothing_else(product: Product, holders: Holders) -> None:
    ground = product.ground
    moving = group("g", ("node1", "node2"), f"{VIP}/24/eth0", auto_failback=True)
    staying = group("g", ("node1", "node2"), f"{OTHER_VIP}/24/eth0", auto_failback=True)
    with (
        product.cluster(manifest("moving", moving, onCordon="Standby")) as name,
        product.cluster(manifest("staying", staying)),
    ):
        holders.watch(VIP)
        holders.watch(OTHER_VIP)
        try:
            with ground.probe(VIP, interval_ms=PROBE_MS) as probe:
                time.sleep(0.3)
                ground.kubectl("cordon", "node1")
                ground.wait_holder(VIP, 20, other_than="node1")
                ground.wait(lambda: ground.holders(VIP) == {"node2"}, 5, "node1 to let go")
                time.sleep(0.5)
            assert probe.longest_gap_ms < NOTICEABLE_MS, probe
            product.wait_owner(name, "g", "node2")
            found = next(g for g in product.status(name)["groups"] if g["name"] == "g")
            assert found["reason"] == "Cordoned"
        finally:
            ground.kubectl("uncordon", "node1")
        with ground.probe(VIP, interval_ms=PROBE_MS) as probe:
            ground.wait_holder(VIP, 30, other_than="node2")
            ground.wait(lambda: ground.holders(VIP) == {"node1"}, 5, "node2 to let go")
            time.sleep(0.5)
        assert probe.longest_gap_ms < NOTICEABLE_MS, probe
        assert holders.dark_ms(VIP) < NOTICEABLE_MS, holders.history(VIP)
        assert holders.history(OTHER_VIP) == ["0 ms: node1"], "a cordon is no drain"


def test_a_drain_moves_what_asks_for_it_and_leaves_the_agent(product: Product, holders: Holders) -> None:
    """Beside the cordon, drain evicts pods; an agent belongs to a DaemonSet, and serves on as a standby."""
    ground = product.ground
    moving = group("g", ("node1", "node2"), f"{VIP}/24/eth0")
    staying = group("g", ("node1", "node2"), f"{OTHER_VIP}/24/eth0")
    with (
        product.cluster(manifest("moving", moving, onCordon="Standby")) as name,
        product.cluster(manifest("staying", staying)) as other,
    ):
        agent = product.agent("node1")
        product.apply(guest("node1"))
        ground.kubectl("wait", "--for=condition=Ready", "pod/guest", "--timeout=30s")
        for address in (VIP, OTHER_VIP):
            holders.watch(address)
        try:
            with (
                ground.probe(VIP, interval_ms=PROBE_MS) as probe,
                ground.probe(OTHER_VIP, interval_ms=PROBE_MS) as other_probe,
            ):
                time.sleep(0.3)
                ground.kubectl("drain", "node1", "--ignore-daemonsets", "--force", "--timeout=50s")
                ground.wait(lambda: ground.holders(VIP) == {"node2"}, 20, "node1 to give its group to node2")
                time.sleep(0.5)
            assert "guest" not in ground.kubectl("get", "pods", "-oname"), "the node was drained"
            assert probe.longest_gap_ms < NOTICEABLE_MS, probe
            assert holders.dark_ms(VIP) < NOTICEABLE_MS, holders.history(VIP)
            assert holders.history(OTHER_VIP) == ["0 ms: node1"], "by default a drain moves nothing"
            assert other_probe.longest_gap_ms < NOTICEABLE_MS, other_probe
            assert product.agent("node1") == agent
            product.wait_owner(name, "g", "node2")
            for cluster in (name, other):
                product.wait_condition(cluster, "Degraded", "False")
                ground.wait(lambda c=cluster: product.status(c)["members"] == "2/2", 10, "node1 to be a member still")  # type: ignore[misc]
        finally:
            ground.kubectl("uncordon", "node1")
            ground.kubectl("delete", "pod", "guest", "--ignore-not-found", "--now")
        time.sleep(SETTLED_S)
        assert ground.holders(VIP) == {"node2"}, "without autoFailback nothing returns"


def guest(node: str) -> dict[str, object]:
    """A pod of nobody's, on one node: what a drain is for."""
    container = {"name": "pause", "image": "localhost/pause:1", "imagePullPolicy": "Never"}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guest"}, "spec": spec}
