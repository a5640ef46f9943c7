"""The end of a release, and its return to what was kept. Runs last, for it ends what the other tests share."""

from __future__ import annotations

import pytest

from product import AGENTS_NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"


def test_uninstall_takes_the_addresses_away_and_an_installation_brings_them_back(product: Product) -> None:
    ground = product.ground
    cluster = manifest("kept", group("g", ("node1", "node2"), f"{VIP}/24/eth0"))
    with product.cluster(cluster) as name:
        product.uninstall()
        ground.wait(lambda: not ground.holders(VIP), 30, f"{VIP} to go")
        ground.wait(lambda: AGENTS_NAMESPACE not in ground.kubectl("get", "namespaces"), 90, "the agents to go")
        assert name in ground.kubectl("get", "vyosclusters")
        product.install()
        ground.wait_holder(VIP, 60)
        product.wait_condition(name, "Available")
        product.delete(name)
        ground.wait(lambda: not ground.holders(VIP), 10, f"{VIP} to go")
