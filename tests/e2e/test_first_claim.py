"""Nobody makes the first claim of a group while no heartbeat can pass, or while a member has its address for good."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ground import network
from ground.layout import netns
from product import Manifest, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
MEMBERS = ("node1", "node2")
INIT_S, DEAD_S = 5, 3
"""As `product.manifest` has them."""
TOLD_S = 30


def unavailable(product: Product, name: str, reason: str) -> Manifest:
    """Wait until the cluster is not available for that reason; the condition."""

    def met() -> Manifest | None:
        found = product.condition(name, "Available")
        return found if (found.get("status"), found.get("reason")) == ("False", reason) else None

    return product.ground.wait(met, TOLD_S, reason)


def stays_unclaimed(product: Product, *others: str) -> None:
    end_s = time.monotonic() + INIT_S + 2 * DEAD_S
    while time.monotonic() < end_s:
        assert product.ground.holders(VIP) == set(others)
        time.sleep(0.2)


def warned(product: Product, name: str, reason: str) -> set[str]:
    """What Events of that reason say."""
    return {e["message"] for e in product.events(name) if e["reason"] == reason}


@contextmanager
def owned_for_good(node: str, device: str, prefix: int) -> Iterator[None]:
    """The administrator gives a node the address, for the length of a `with`."""
    place = (netns(node), "address")
    network.ip(*place, "add", f"{VIP}/{prefix}", "dev", device)
    try:
        yield
        assert "forever" in network.ip(*place, "show", "dev", device, "to", VIP), "it was left alone"
    finally:
        network.ip(*place, "del", f"{VIP}/{prefix}", "dev", device)


def test_a_heartbeat_interface_misspelt_on_all_members(product: Product) -> None:
    said = {f"{node}: eth9: there is no such interface: correct spec.interfaces, or create eth9" for node in MEMBERS}
    wrong = manifest("misspelt", group("g", MEMBERS, f"{VIP}/24/eth0"), interfaces=["eth9"])
    with product.cluster(wrong, settle=False) as name:
        unavailable(product, name, "NoHeartbeatLink")
        stays_unclaimed(product)
        found = unavailable(product, name, "NoHeartbeatLink")
        assert all(text in found["message"] for text in said), found
        assert product.condition(name, "Degraded")["status"] == "True"
        assert warned(product, name, "NoHeartbeatLink") == said
        right = json.dumps({"spec": {"interfaces": ["eth0"]}})
        product.ground.kubectl("patch", "vyoscluster", name, "--type=merge", "-p", right)
        product.wait_condition(name, "Available")
        product.wait_condition(name, "Degraded", "False")
        assert product.ground.holders(VIP) == {"node1"}


def test_an_address_that_a_member_has_for_good(product: Product) -> None:
    said = f"node2: {VIP}/24/eth0: eth0 has it for good: remove it there, or take it out of the cluster"
    own = manifest("occupied", group("g", MEMBERS, f"{VIP}/24/eth0"))
    with owned_for_good("node2", "eth0", 24):
        product.apply(own)
        name = own["metadata"]["name"]
        unavailable(product, name, "AddressOccupied")
        stays_unclaimed(product, "node2")
        assert said in unavailable(product, name, "AddressOccupied")["message"]
        assert warned(product, name, "AddressOccupied") == {said}
    with product.cluster(own):
        product.wait_condition(name, "Degraded", "False")
        assert product.ground.holders(VIP) == {"node1"}
        with owned_for_good("node2", "lo", 32):
            product.wait_condition(name, "Degraded")
            assert product.condition(name, "Degraded")["reason"] == "AddressOccupied"
            assert product.owner(name, "g") == "node1", "an owner goes on"
        product.wait_condition(name, "Degraded", "False")
