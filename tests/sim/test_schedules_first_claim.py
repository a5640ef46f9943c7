"""Schedules of the first claim: links that carry no frame, and addresses that a machine has for good."""

from __future__ import annotations

import pytest

from sim.build import VIP
from sim.cluster import D, K, cluster, moves, transcript
from vyos_agent.core.events import Stopping
from vyos_agent.core.model import State


@pytest.mark.parametrize("seed", range(3))
def test_no_member_claims_while_no_link_carries(seed: int) -> None:
    """ "heartbeat interface misspelt on all members: both hold the address for good" """
    world = cluster("abc", interfaces=("eth1",), settle=False, seed=seed)
    for name in "abc":
        world.network.deaf.add((name, "eth1"))
        world.hosts[name].set_link("eth1", up=False)
    world.run(20 * D)
    assert world.holders() == set(), transcript(world)
    for name in "cba":
        world.network.deaf.discard((name, "eth1"))
        world.hosts[name].set_link("eth1", up=True)
        world.run(50)
    world.run(2 * D)
    assert world.holders() == {"a"}, transcript(world)
    assert len(moves(world)) == 1, transcript(world)


@pytest.mark.parametrize("late", ["a", "b"])
def test_a_link_that_comes_late_is_listened_on_first(late: str) -> None:
    """ "An IPv6-only LAN with an IPv4 group: two owners for ever": one member gets its address later than the other"""
    world = cluster("ab", interfaces=("eth1",), settle=False)
    other = "b" if late == "a" else "a"
    for name in "ab":
        world.network.mute.add((name, "eth1"))
        world.hosts[name].around.set_mute("eth1", mute=True)
    world.run(10 * D)
    assert world.holders() == set(), transcript(world)
    world.network.mute.discard((other, "eth1"))
    world.hosts[other].around.set_mute("eth1", mute=False)
    world.run(10 * D)
    assert world.holders() == {other}, "it has listened for initDeadInterval, and nobody is there"
    world.network.mute.discard((late, "eth1"))
    world.hosts[late].around.set_mute("eth1", mute=False)
    world.run(2 * D)
    assert world.holders() == {other}, transcript(world)
    assert len(moves(world)) == 1, transcript(world)
    assert world.overlap_ms(0) == 0


def test_an_owner_and_a_follower_go_on_when_their_links_go() -> None:
    """ "A member that owns already and loses its links goes on": so does one that has heard the cluster"""
    world = cluster("ab", interfaces=("eth1",))
    for name in "ab":
        world.network.mute.add((name, "eth1"))
        world.hosts[name].around.set_mute("eth1", mute=True)
    world.run(2 * D)
    assert world.holders() == {"a", "b"}, "a partition, as before"


@pytest.mark.parametrize("member", ["a", "b", "c"])
def test_nobody_claims_an_address_that_a_member_has_for_good(member: str) -> None:
    """ "A shared address that is another member's own, permanent address: two hold it for ever" """
    world = cluster("abc", settle=False)
    world.hosts[member].around.occupy(VIP.address)
    world.run(10 * D)
    assert world.holders() == set(), transcript(world)
    world.hosts[member].around.occupy()
    world.run(3 * K)
    assert world.holders() == {"a"}, transcript(world)
    assert len(moves(world)) == 1, transcript(world)


@pytest.mark.parametrize("member", ["a", "b", "c"])
def test_an_address_set_for_good_moves_nothing(member: str) -> None:
    """ "An owner that holds the group already goes on, and it is reported" """
    world = cluster("abc")
    since = world.now
    world.hosts[member].around.occupy(VIP.address)
    world.run(5 * D)
    assert moves(world, since) == [], transcript(world)
    assert world.holders() == {"a"}
    world.hosts[member].around.occupy()
    world.run(5 * D)
    assert moves(world, since) == [], transcript(world)


def test_who_has_the_address_for_good_is_no_target() -> None:
    """ "it must not adopt/renew/remove its administrator's address": the others take the group over"""
    world = cluster("abc")
    world.hosts["b"].around.occupy(VIP.address)
    since = world.now
    world.hosts["a"].feed(Stopping())
    world.run(D)
    assert [who for _, who, _ in moves(world, since)] == ["c"], transcript(world)
    assert world.dark_ms(since) == 0
    world.hosts["c"].power_off()
    world.run(3 * D)
    assert world.holders() == set(), "b has the address without this project"
    assert world.history.states["g"]["b"] is State.STANDBY
