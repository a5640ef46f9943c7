"""The interface of an address that names none: which subnet wins, and what is remembered."""

from __future__ import annotations

import pytest

from edge import values
from vyos_agent.config import UNFOUND
from vyos_agent.edge.finding import Finder, Subnet, find
from vyos_agent.edge.kernel import Entry
from vyos_agent.edge.orders import Item
from vyos_api.nodeconfig import Address


def subnet(interface: str, text: str, index: int = 2) -> Subnet:
    address, prefix = text.split("/")
    return Subnet(interface, Entry(index, address, int(prefix), marked=False))


WIDE, NARROW = subnet("eth0", "10.0.0.1/8", 2), subnet("eth1", "10.1.2.1/24", 3)


@pytest.mark.parametrize(
    ("address", "subnets", "interface"),
    [
        ("10.1.2.9", [WIDE, NARROW], "eth1"),
        ("10.9.9.9", [WIDE, NARROW], "eth0"),
        ("192.0.2.1", [WIDE, NARROW], None),
        ("fd00::9", [WIDE, subnet("eth2", "fd00::1/64")], "eth2"),
        ("10.1.2.9", [NARROW, subnet("eth7", "10.1.2.2/24", 1)], "eth7"),
        ("fe80::9", [subnet("eth1", "fe80::1/64", 1), subnet("eth5", "fe80::2/64", 9)], "eth5"),
    ],
    ids=["most specific", "only one", "none", "its family", "the older of two", "one with heartbeats of two"],
)
def test_find(address: str, subnets: list[Subnet], interface: str | None) -> None:
    assert find(address, subnets, ("eth5",)) == interface


def sought(*texts: str) -> Item:
    addresses = tuple(Address(*t.split("/")[:1], int(t.split("/")[1])) for t in texts)
    return values.item("r1", values.group(addresses=(*addresses, Address("192.0.2.9", 24, "eth9"))))


def places(item: Item) -> dict[str, str]:
    return {v.address: v.interface for v in item.core.groups[0].vips}


def test_what_is_named_stays_and_what_is_not_is_found() -> None:
    item = sought("10.1.2.9/24", "172.16.0.1/24")
    assert places(item) == {"10.1.2.9": UNFOUND, "172.16.0.1": UNFOUND, "192.0.2.9": "eth9"}
    located = Finder().locate(item, [WIDE, NARROW])
    assert places(located) == {"10.1.2.9": "eth1", "172.16.0.1": UNFOUND, "192.0.2.9": "eth9"}
    assert located.config == item.config


def test_a_subnet_that_goes_moves_nothing_and_another_one_does() -> None:
    finder, item = Finder(), sought("10.1.2.9/24")
    first = finder.locate(item, [WIDE, NARROW])
    assert finder.locate(first, []) == first
    assert places(finder.locate(first, [WIDE])) == {"10.1.2.9": "eth0", "192.0.2.9": "eth9"}
    finder.keep(())
    assert places(finder.locate(item, []))["10.1.2.9"] == UNFOUND


def test_clusters_without_such_addresses_are_left_alone() -> None:
    item = values.item()
    assert Finder().locate(item, [WIDE]) is item
