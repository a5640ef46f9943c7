"""A cordon of the owner's node: with `onCordon: Standby` a planned move, with the default nothing at all."""

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
