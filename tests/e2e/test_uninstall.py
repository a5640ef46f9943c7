"""The end of a release, and its return to what was kept. The fixture `product` installs it again for the next test."""

from __future__ import annotations

import time

import pytest

from product import AGENTS_NAMESPACE, NAME, NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP, SECOND = "192.168.0.123", "192.168.0.124"
SOON_S = 10
GLOBAL = (
    "clusterroles,clusterrolebindings,priorityclasses,validatingadmissionpolicies,validatingadmissionpolicybindings"
)
"""Kinds without a namespace of which the chart brings some."""


def cluster(name: str, address: str) -> dict[str, object]:
    return manifest(name, group("g", ("node1", "node2"), f"{address}/24/eth0"))


def test_uninstall_takes_the_addresses_away_and_an_installation_brings_them_back(product: Product) -> None:
    """Of a cluster that was kept; one that was deleted meanwhile, with no operator to see it, stays gone."""
    ground = product.ground
    with product.cluster(cluster("kept", VIP)) as name, product.cluster(cluster("dropped", SECOND)) as dropped:
        product.uninstall()
        ground.wait(lambda: not ground.holders(VIP) | ground.holders(SECOND), 30, "the addresses to go")
        ground.wait(lambda: AGENTS_NAMESPACE not in ground.kubectl("get", "namespaces"), 90, "the agents to go")
        began_s = time.monotonic()
        product.delete(dropped)
        assert time.monotonic() - began_s < SOON_S, "nothing holds a resource whose operator is gone"
        assert ground.kubectl("get", "vyosclusters", "-oname").split() == [f"vyoscluster.cluster.vyos.io/{name}"]
        product.install()
        ground.wait_holder(VIP, 60)
        product.wait_condition(name, "Available")
        product.delete(name)
        ground.wait(lambda: not ground.holders(VIP), 10, f"{VIP} to go")
        assert not ground.holders(SECOND)


def test_a_cluster_deleted_before_the_release_leaves_nothing(product: Product) -> None:
    ground = product.ground
    with product.cluster(cluster("first", VIP)) as name:
        product.delete(name)
        product.uninstall()
        assert not ground.kubectl("get", "vyosclusters", "-oname")
        ground.wait(lambda: not ground.holders(VIP), 30, f"{VIP} to go")
        ground.wait(lambda: not namespaces(product), 90, "both namespaces to go")
        assert NAME not in ground.kubectl("get", GLOBAL, "-oname")


def namespaces(product: Product) -> set[str]:
    """Those of the release that are there."""
    found = {name.removeprefix("namespace/") for name in product.ground.kubectl("get", "namespaces", "-oname").split()}
    return found & {NAMESPACE, AGENTS_NAMESPACE}
