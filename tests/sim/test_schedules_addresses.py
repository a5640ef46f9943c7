"""Schedules of section 19: a configuration changes the addresses of groups that are owned."""

from __future__ import annotations

import dataclasses

import pytest

from sim.build import VIP, group
from sim.cluster import D, K, cluster, moves, reconfigure, transcript
from sim.world import World
from vyos_agent.core.model import Group, Vip

HANDED_MS = 20 + 2 + 2 * 3 + 5
"""20 ms after the new owner said that it has the address, the frame's way, and two calls of netlink."""
SECOND, THIRD = Vip("192.168.0.124", 24, "eth0"), Vip("192.168.0.125", 24, "eth0")


def groups(g: tuple[Vip, ...], h: tuple[Vip, ...], *, first: str = "abc", second: str = "bac") -> tuple[Group, ...]:
    """Two groups: `g`, which a owns, and `h`, which b owns."""
    return (
        dataclasses.replace(group("g", members=first), vips=g),
        dataclasses.replace(group("h", members=second), vips=h),
    )


def started(*, check: bool = True) -> World:
    world = cluster("abc", groups=groups((VIP, SECOND), (THIRD,)), check=check)
    assert (world.owners("g"), world.owners("h")) == ({"a"}, {"b"}), transcript(world)
    return world


@pytest.mark.parametrize("order", ["abc", "bca", "cab", "acb"])
@pytest.mark.parametrize("late_ms", [0, K, D - K])
@pytest.mark.parametrize("numbered", [True, False])
def test_an_address_moves_to_a_group_that_another_member_owns(order: str, late_ms: int, numbered: bool) -> None:
    """Nobody is without it, and both hold it for a moment. With no generation (a file) all learn of it together."""
    world = started(check=numbered)  # the judge goes by the newest generation
    since = world.now
    for name in order:
        change = {} if numbered else {"generation": 1}
        reconfigure(world, name, groups=groups((VIP,), (THIRD, SECOND)), **change)
        world.run(late_ms if numbered else 100)
    world.run(2 * D)
    assert world.holders(SECOND) == {"b"}, transcript(world)
    assert world.dark_ms(since, SECOND) == 0, transcript(world)
    assert world.overlap_ms(since, SECOND) <= (HANDED_MS if numbered else 200 + 500 + HANDED_MS)
    assert world.holders(VIP) == {"a"}
    assert moves(world, since) == []


def test_a_member_that_never_learns_of_it_is_waited_for_until_it_would_be_added() -> None:
    """The wait is bounded by initDeadInterval: then b adds it, whatever c knows."""
    world = started()
    since = world.now
    for name in "ab":
        reconfigure(world, name, groups=groups((VIP,), (THIRD, SECOND)))
    world.run(world.hosts["a"].config.init_dead_ms + 2 * K)
    assert world.holders(SECOND) == {"b"}, transcript(world)
    assert world.dark_ms(since, SECOND) == 0


def test_an_address_whose_new_owner_does_not_take_it_is_given_up_in_the_end() -> None:
    world = started()
    world.hosts["b"].kernel.refuses.add(SECOND)
    world.hosts["c"].kernel.refuses.add(SECOND)
    for name in "abc":
        reconfigure(world, name, groups=groups((VIP,), (THIRD, SECOND), second="bc"))
    world.run(world.hosts["a"].config.init_dead_ms + 2 * D)
    assert world.holders(SECOND) == set(), transcript(world)


def test_an_address_moves_between_groups_of_one_owner() -> None:
    own = groups((VIP, SECOND), (THIRD,), second="abc")
    world = cluster("abc", groups=own)
    since = world.now
    for name in "abc":
        reconfigure(world, name, groups=groups((VIP,), (THIRD, SECOND), second="abc"))
        world.run(K)
    world.run(D)
    assert world.holders(SECOND) == {"a"}
    assert world.dark_ms(since, SECOND) == 0, transcript(world)


def test_an_address_that_comes_back_before_it_has_gone_stays() -> None:
    world = started()
    since = world.now
    reconfigure(world, "a", groups=groups((VIP,), (THIRD, SECOND)))
    world.run(K)
    for name in "abc":
        reconfigure(world, name, groups=groups((VIP, SECOND), (THIRD,)), generation=3)
    world.run(2 * D)
    assert world.holders(SECOND) == {"a"}
    assert world.dark_ms(since, SECOND) == 0, transcript(world)
    assert world.overlap_ms(since, SECOND) == 0


@pytest.mark.parametrize("removed", ["group", "address"])
def test_an_address_on_its_way_that_nobody_has_any_more_is_given_up(removed: str) -> None:
    world = started()
    reconfigure(world, "a", groups=groups((VIP,), (THIRD, SECOND)))
    world.run(K)
    assert world.holders(SECOND) == {"a"}
    left = groups((VIP,), (THIRD,))[: 1 if removed == "group" else 2]
    for name in "abc":
        reconfigure(world, name, groups=left, generation=3)
    world.run(K)
    assert world.holders(SECOND) == set(), transcript(world)


def test_an_address_on_its_way_that_is_sent_to_a_third_group_stays_until_it_is_there() -> None:
    world = started()
    since = world.now
    reconfigure(world, "a", groups=groups((VIP,), (THIRD, SECOND)))
    world.run(K)
    third = dataclasses.replace(group("i", members="cab"), vips=(SECOND,))
    for name in "abc":
        reconfigure(world, name, groups=(*groups((VIP,), (THIRD,)), third), generation=3)
    world.run(2 * D)
    assert world.holders(SECOND) == {"c"}, transcript(world)
    assert world.dark_ms(since, SECOND) == 0, transcript(world)


@pytest.mark.parametrize("primary", ["abc", "bac"])
def test_a_group_that_is_renamed_keeps_its_addresses(primary: str) -> None:
    """Also when the group of the new name has another primary."""
    world = cluster("abc")
    since = world.now
    for name in "abc":
        reconfigure(world, name, groups=(group("renamed", members=primary),))
        world.run(K // 2)
    world.run(2 * D)
    assert world.holders() == world.owners("renamed") == {primary[0]}, transcript(world)
    assert world.dark_ms(since) == 0, transcript(world)
    assert world.overlap_ms(since) <= HANDED_MS


@pytest.mark.parametrize("change", [{"prefix": 16}, {"broadcast": "192.168.0.254"}, {"interface": "eth1"}])
def test_an_address_in_another_form_is_not_a_new_one(change: dict[str, object]) -> None:
    """The owner holds it in the new form at once: nobody else can hold it."""
    world = cluster("abc", interfaces=("eth0", "eth1"))
    new = dataclasses.replace(VIP, **change)  # type: ignore[arg-type]
    reconfigure(world, "a", groups=(dataclasses.replace(group(members="abc"), vips=(new,)),))
    world.run(K + 50)
    assert world.holders(new) == {"a"}, transcript(world)


def test_the_owner_that_is_killed_as_it_waits_leaves_the_address_for_no_longer_than_its_lifetime() -> None:
    world = started()
    reconfigure(world, "a", groups=groups((VIP,), (THIRD, SECOND)))
    reconfigure(world, "b", groups=groups((VIP,), (THIRD, SECOND)))
    world.run(2 * K)
    world.hosts["a"].kill()
    since = world.now
    reconfigure(world, "c", groups=groups((VIP,), (THIRD, SECOND)))
    world.run(2 * D)
    assert world.holders(SECOND) == {"b"}, transcript(world)
    assert world.overlap_ms(since, SECOND) <= 1_000 + 1_100 + 50
