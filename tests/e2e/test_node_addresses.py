"""A shared address that is another Node's own: refused, and nobody notices anything."""

from __future__ import annotations

import time

import pytest

from e2e.watch import Holders
from ground.layout import address
from product import Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
PAIR = ("node1", "node2")
LONGER_S = 6
"""More than the dead interval of the healthy cluster (3 s), in which its owner would have called node2 dead."""


def test_a_nodes_own_address_is_refused_and_harms_no_other_cluster(product: Product, holders: Holders) -> None:
    ground = product.ground
    own = address("node2")
    with product.cluster(manifest("healthy", group("g", PAIR, f"{VIP}/24/eth0"))):
        holders.watch(VIP)
        with product.cluster(manifest("mistyped", group("g", PAIR, f"{own}/24/eth0")), settle=False) as name:
            found = product.wait_condition(name, "Accepted", "False")
            assert found["reason"] == "AddressConflict"
            assert f"spec.groups[0].services[0]: {own} is the InternalIP of node2" in found["message"]
            time.sleep(LONGER_S)
            assert f"{own}/" not in ground.exec("node1", "ip", "-4", "address", "show")
            assert product.status("healthy")["members"] == "2/2"
        assert holders.history(VIP) == ["0 ms: node1"]
