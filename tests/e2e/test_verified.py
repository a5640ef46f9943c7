"""Somebody on the LAN has a shared address by hand: the status says so, and nothing moves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.watch import Holders
from ground import network
from ground.layout import netns
from product import Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
RIVAL = "client"
TOLD_S = 60
"""Members ask 2 to 4 s after a change of owner, and then every 30 to 38 s (edge/probing.py); some, to be reported."""
FORGOTTEN_S = 150
"""An owner forgets a rival of which it heard nothing for 63 s, when it asks the next time."""


@contextmanager
def rival(product: Product) -> Iterator[None]:
    """Give the address to a machine beside the routers, for the length of a `with`."""
    network.ip(netns(RIVAL), "address", "add", f"{VIP}/32", "dev", "eth0")
    try:
        yield
    finally:
        network.ip(netns(RIVAL), "address", "del", f"{VIP}/32", "dev", "eth0")


def cluster(name: str) -> dict[str, object]:
    return manifest(name, group("g", ("node1", "node2"), f"{VIP}/24/eth0"))


def told(product: Product, name: str) -> None:
    """Until the status tells of the rival; that the owner is who it was."""
    before = product.status(name)["groups"]
    condition = product.wait_condition(name, "Verified", "False", TOLD_S)
    assert condition["reason"] in ("TwoMACs", "WrongMAC"), condition
    assert VIP in condition["message"]
    assert product.status(name)["groups"] == before, "the same owner, in the same epoch"


def test_a_rival_is_told(product: Product, holders: Holders) -> None:
    with product.cluster(cluster("rival")) as name:
        holders.watch(VIP)
        with rival(product):
            told(product, name)
            time.sleep(1)
            assert holders.history(VIP) == ["0 ms: node1"]
            product.wait_condition(name, "Available")


@pytest.mark.e2e_long
@pytest.mark.timeout(TOLD_S + FORGOTTEN_S + 60, func_only=True)
def test_a_rival_that_is_gone_is_forgotten(product: Product, holders: Holders) -> None:
    with product.cluster(cluster("rival")) as name:
        product.wait_condition(name, "Verified")
        holders.watch(VIP)
        with rival(product):
            told(product, name)
        product.wait_condition(name, "Verified", "True", FORGOTTEN_S)
        assert holders.history(VIP) == ["0 ms: node1"]
        assert product.owner(name, "g") == "node1"
