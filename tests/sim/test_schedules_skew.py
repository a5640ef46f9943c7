"""Schedules of section 19: an owner leaves a group by configuration, and members learn of it at different times."""

from __future__ import annotations

import pytest

from sim.build import group
from sim.cluster import D, K, cluster, moves, reasons, reconfigure, transcript
from vyos_agent.core.events import Hint, Hinted, Stopping
from vyos_agent.core.model import Reason, State

LATE_MS = D - 2 * K
"""When the last member learns of the new configuration: later than two keepalives, within the dead interval."""


@pytest.mark.parametrize(("members", "heir"), [("bc", "b"), ("cb", "c")])
@pytest.mark.parametrize("first", ["a", "c"])
def test_a_removed_owner_waits_for_the_heir_of_the_new_configuration(members: str, heir: str, first: str) -> None:
    """The heir learns of its configuration last; the other member, which knows it already, is not the heir."""
    world = cluster("abc")
    since = world.now
    late = heir
    for name in sorted(set("abc") - {late}, key=lambda n: n != first):
        reconfigure(world, name, groups=(group(members=members),))
        world.run(K // 2)
    world.run(LATE_MS - K)
    assert world.holders() == {"a"}, transcript(world)
    reconfigure(world, late, groups=(group(members=members),))
    world.run(2 * K)
    assert [who for _, who, _ in moves(world, since)] == [heir], transcript(world)
    assert world.dark_ms(since) == 0
    assert Reason.REMOVED in reasons(world, "a", since)


def test_a_removed_owner_does_not_wait_for_a_member_that_is_not_the_heir() -> None:
    world = cluster("abc")
    since = world.now
    for name in "ba":
        reconfigure(world, name, groups=(group(members="bc"),))
    world.run(K)
    assert world.owners() == {"b"}, transcript(world)
    assert world.dark_ms(since) == 0


def test_a_removed_owner_waits_no_longer_than_a_dead_interval() -> None:
    """The heir is cut off from the API server: the group goes to the member that knows the configuration."""
    world = cluster("abc")
    since = world.now
    for name in "ac":
        reconfigure(world, name, groups=(group(members="bc"),))
    world.run(D - 100)
    assert world.holders() == {"a"}, transcript(world)
    world.run(100 + K)
    assert world.owners() == {"c"}, transcript(world)
    assert world.dark_ms(since) == 0


def test_an_owner_that_enters_maintenance_waits_for_the_best_member_too() -> None:
    world = cluster("abc")
    since = world.now
    for name in "ac":
        reconfigure(world, name, groups=(group(members="abc", maintenance="a"),))
    world.run(LATE_MS)
    assert world.holders() == {"a"}, transcript(world)
    reconfigure(world, "b", groups=(group(members="abc", maintenance="a"),))
    world.run(2 * K)
    assert [who for _, who, _ in moves(world, since)] == ["b"], transcript(world)


@pytest.mark.parametrize("knows", ["b", "c"])
def test_a_leaving_owner_gives_to_the_best_member_whichever_configuration_it_carries(knows: str) -> None:
    """A stop during a change of the configuration, which the leaving member has not seen."""
    world = cluster("abc")
    since = world.now
    reconfigure(world, knows, groups=(group(members="bc"),))
    world.run(K)
    world.hosts["a"].feed(Stopping())
    world.peace.harm(None)
    world.run(3 * K)
    assert [who for _, who, _ in moves(world, since)] == ["b"], transcript(world)


@pytest.mark.parametrize("knows", ["b", "c"])
def test_an_owner_that_dies_during_a_change_is_followed_in_rank(knows: str) -> None:
    """b is 0 in the new configuration and 1 in the old one, c is 1 in the new one and 2 in the old one."""
    world = cluster("abc")
    reconfigure(world, knows, groups=(group(members="bc"),))
    world.run(K)
    since = world.now
    world.hosts["a"].power_off()
    world.run(2 * D)
    assert [who for _, who, _ in moves(world, since)] == ["b"], transcript(world)


# -- an epoch that another member claims in the status


def test_the_status_tells_the_old_owner_of_the_new_one_before_their_frames_meet() -> None:
    """At the healing of a partition the old owner reads the other side's epoch in the status, then hears it."""
    world = cluster("ab")
    world.partition("a", "b")
    world.peace.harm(None)
    world.run(2 * D)
    assert world.owners() == {"a", "b"}
    epoch = world.hosts["b"].disk["g"]
    world.hosts["a"].feed(Hinted({"g": Hint(epoch, "b")}))
    world.run(K // 2)
    assert world.hosts["a"].disk["g"] < epoch, "the frames settle it"
    since = world.now
    world.heal()
    world.peace.harm(None)
    world.run(D)
    assert world.owners() == world.holders() == {"b"}, transcript(world)
    assert moves(world, since) == []
    assert world.hosts["b"].disk["g"] == epoch


def test_a_second_owner_that_both_read_in_the_status_is_not_outbid_while_the_partition_lasts() -> None:
    """Both sides reach the API server: neither raises its epoch above the other's again and again."""
    world = cluster("ab")
    world.partition("a", "b")
    world.peace.harm(None)
    world.run(2 * D)
    epoch = world.hosts["b"].disk["g"]
    world.hosts["a"].feed(Hinted({"g": Hint(epoch, "b")}))
    world.run(10 * D)
    assert world.hosts["a"].disk["g"] < epoch
    world.heal()
    world.peace.harm(None)
    world.run(D)
    assert world.owners() == {"b"}, transcript(world)


def test_the_claim_of_a_member_that_is_dead_is_outbid_after_a_dead_interval() -> None:
    """The status still names an owner of long ago, of which this owner has never heard."""
    world = cluster("ab")
    world.hosts["b"].power_off()
    world.hosts["a"].power_off()
    world.run(D)
    world.hosts["a"].disk.clear()
    world.hosts["a"].start()
    world.run(4 * D)
    assert world.owners() == {"a"}
    world.hosts["a"].feed(Hinted({"g": Hint(40, "b")}))
    world.run(D - K)
    assert world.hosts["a"].disk["g"] < 40
    world.run(2 * K)
    assert world.hosts["a"].disk["g"] == 41, transcript(world)
    assert world.history.states["g"]["a"] is State.OWNER


def test_the_claim_of_a_member_that_has_let_go_is_outbid_as_soon_as_it_is_heard() -> None:
    """The member that the status names lives, and says that it owns nothing."""
    world = cluster("ab")
    since = world.now
    world.hosts["a"].feed(Hinted({"g": Hint(40, "b")}))
    world.run(2 * K + 50)
    assert world.hosts["a"].disk["g"] == 41, transcript(world)
    assert moves(world, since) == []
    assert reasons(world, "a", since) == [Reason.EPOCH_RAISED]
