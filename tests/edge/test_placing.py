"""What must change in the kernel: tables of what it holds, and what follows."""

import dataclasses

import pytest

from vyos_agent.core.model import Vip
from vyos_agent.edge import placing
from vyos_agent.edge.kernel import Entry, Link
from vyos_agent.edge.placing import Placing, Seen

ETH0 = Link(2, "eth0", bytes(6), 1, up=True, promotes=False)
OWN = Entry(2, "192.168.0.11", 24, marked=False)
VIP = Vip("192.168.0.123", 24, "eth0")
V6 = Vip("fd00::123", 64, "eth0")


def place(
    *entries: Entry, wanted: tuple[Vip, ...] = (VIP,), scope: tuple[Vip, ...] = (VIP, V6), own: tuple[Entry, ...] = ()
) -> Placing:
    return placing.place(wanted, scope, own, Seen({"eth0": ETH0}, {2: entries}))


def test_a_host_prefix_where_the_interface_has_the_subnet() -> None:
    found = place(OWN)
    assert found.absent == {VIP: Entry(2, "192.168.0.123", 32)}
    assert not found.promote
    assert place(Entry(2, "fd00::11", 64, marked=False), wanted=(V6,)).absent == {V6: Entry(2, "fd00::123", 128)}


def test_the_prefix_as_written_where_it_brings_its_own_subnet() -> None:
    for others in ((), (Entry(2, "10.0.0.1", 8, marked=False),), (Entry(2, "192.168.0.11", 28, marked=False),)):
        found = place(*others)
        assert found.absent == {VIP: Entry(2, "192.168.0.123", 24)}
        assert found.promote == {2}, "the kernel would remove others' secondaries along with it"


def test_an_interface_that_promotes_is_left_as_it_is() -> None:
    link = dataclasses.replace(ETH0, promotes=True)
    assert not placing.place((VIP,), (VIP,), (), Seen({"eth0": link}, {2: ()})).promote


def test_another_shared_address_does_not_count_as_the_subnet() -> None:
    assert place(Entry(2, "192.168.0.124", 24)).absent == {VIP: Entry(2, "192.168.0.123", 24)}


@pytest.mark.parametrize("prefix", [24, 32])
def test_what_is_there_stays_as_it_is(prefix: int) -> None:
    there = Entry(2, "192.168.0.123", prefix, broadcast="192.168.0.255" if prefix == 24 else None)
    found = place(OWN, there)
    assert found.there == {VIP: there}
    assert (found.absent, found.surplus, found.failed) == ({}, (), {})


def test_two_of_ours_become_one() -> None:
    first, second = Entry(2, "192.168.0.123", 32), Entry(2, "192.168.0.123", 24)
    found = place(OWN, first, second)
    assert found.there == {VIP: first}
    assert found.surplus == (second,)


def test_an_earlier_life_is_swept_and_nothing_else() -> None:
    left, other = Entry(2, "192.168.0.123", 32), Entry(2, "192.168.0.200", 32)
    found = place(OWN, left, other, Entry(2, "fd00::123", 128, marked=False), wanted=())
    assert found.surplus == (left,), "the other cluster's, the node's own and the unmarked one stay"


def test_a_kernel_without_marks() -> None:
    bare = Entry(2, "192.168.0.123", 32, marked=False)
    assert VIP in place(OWN, bare).failed
    found = place(OWN, bare, own=(Entry(2, "192.168.0.123", 32),))
    assert found.there == {VIP: bare}
    assert place(OWN, bare, wanted=(), own=(Entry(2, "192.168.0.123", 32),)).surplus == (bare,)


def test_the_nodes_own_address_is_never_touched() -> None:
    found = place(dataclasses.replace(OWN, address="192.168.0.123"))
    assert "set by somebody else" in found.failed[VIP]
    assert (found.there, found.absent, found.surplus) == ({}, {}, ())


def test_no_such_interface() -> None:
    found = placing.place((VIP,), (VIP,), (), Seen({"eth0": None}, {}))
    assert found.failed == {VIP: "there is no interface eth0"}


def test_broadcast() -> None:
    assert placing.put(VIP, Entry(2, VIP.address, 24), 1, new=True).broadcast == "192.168.0.255"
    assert placing.put(VIP, Entry(2, VIP.address, 32), 1, new=True).broadcast is None
    written = dataclasses.replace(VIP, broadcast="192.168.255.255")
    assert placing.put(written, Entry(2, VIP.address, 32), 1, new=True).broadcast == "192.168.255.255"
    assert placing.put(V6, Entry(2, V6.address, 64), 1, new=True).broadcast is None
