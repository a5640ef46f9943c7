"""Schedules of what fails: services on all members, a link for a moment (design.md section 5, rules 2, 6 and 7)."""

from __future__ import annotations

import pytest

from sim.cluster import D, K, cluster, moves, reconfigure, transcript
from vyos_agent.core.events import Stopping
from vyos_agent.core.model import State

UNITS = ("named.service", "ssh.service")


def test_services_that_fail_everywhere_move_nothing_to_and_fro() -> None:
    """ "A service that fails to start makes the owner ... stand back": whoever stands back is not given the group, and
    with no other the addresses stay where they are"""
    world = cluster("ab", units=UNITS)
    since = world.now
    world.peace.harm(None)
    for host in world.hosts.values():
        host.systemd.fails.add(UNITS[0])
    world.hosts["a"].services.crash("g")
    world.hosts["a"].systemd.running["g"].clear()
    world.run(29_000)
    assert [who for _, who, _ in moves(world, since)] == ["b"], transcript(world)
    assert world.holders() == world.owners() == {"b"}
    for _ in range(20):
        world.peace.harm(None)  # a service that does not start goes on moving the group now and then
        world.run(30_000)
    assert len(moves(world, since)) <= 12, "a candidate again after 30 s, 60 s, 120 s and so on"
    assert world.dark_ms(since) == 0
    for host in world.hosts.values():
        host.systemd.fails.clear()
    world.run(3 * D)
    assert world.serving() == world.holders(), "they are tried again"


@pytest.mark.parametrize("back_ms", range(10, 23, 4))
def test_who_let_go_does_not_race_with_who_claims(back_ms: int) -> None:
    """ "at most one claim per epoch and group": a link that comes back in the moment in which the others claim"""
    world = cluster("abc", delay_ms=(5, 5), interfaces=("eth0", "eth1"))
    since = world.now
    world.peace.harm(None)
    world.hosts["a"].set_link("eth0", up=False)
    world.run(back_ms)
    world.hosts["a"].set_link("eth0", up=True)
    world.run(2 * D)
    assert len(world.owners()) == 1
    claims = [
        d.epoch for host in world.hosts.values() for at, d in host.decisions if at >= since and d.after is State.OWNER
    ]
    assert len(claims) == len(set(claims)), transcript(world)


@pytest.mark.parametrize("after_ms", range(24, 42, 2))
def test_a_target_that_loses_its_link_as_it_takes_over_gives_back(after_ms: int) -> None:
    """ "a voluntary move leaves no moment with no holder": the giver keeps its addresses until the target has them, and
    takes the group back from one that lets go again"""
    world = cluster("abc", interfaces=("eth0", "eth1"))
    since = world.now
    world.peace.harm(None)
    world.hosts["a"].feed(Stopping())
    world.run(after_ms)
    world.hosts["b"].set_link("eth0", up=False)
    world.run(2 * D)
    assert world.holders() == world.owners() == {"c"}, transcript(world)
    limit_ms = (
        0 if after_ms <= 30 else 5
    )  # later than that the giver has let go already: a link that is lost costs that
    assert world.dark_ms(since) <= limit_ms, transcript(world)


def test_a_claimant_that_was_frozen_as_it_claimed_is_in_contact_when_it_thaws() -> None:
    """Seed 14001/1054/fast: "members cut from each other, both ways or one, until 2 x keepalive after contact", where a
    frozen one is in contact with nobody"""
    world = cluster("ab", auto_failback=False)
    world.peace.harm(None)
    world.cut = {("a", "b"), ("b", "a")}
    world.hosts["b"].trap = "Announce"
    world.run(D + 400)
    assert world.hosts["b"].frozen
    world.cut = set()
    world.run(3 * D)
    world.hosts["a"].netlink_ms = (100, 150)
    world.hosts["a"].netlink_bounds_ms.append(150)
    world.hosts["b"].thaw()
    world.run(D)
    assert len(world.owners()) == len(world.holders()) == 1, transcript(world)


@pytest.mark.parametrize("cut_ms", [20, D - K])
def test_what_lets_go_is_a_claim_still_for_those_who_hear_of_it_through_another(cut_ms: int) -> None:
    """[LIFE-9]. Seed 17001/1606/fast: a frame outran by its relay; then a link that is cut for longer."""
    world = cluster("abc", check=False)
    since = world.now
    world.hosts["a"].netlink_ms = (400, 400)
    world.cut = {("a", "b")}
    reconfigure(world, "a", groups=())
    world.run(cut_ms)
    world.cut = set()
    world.run(2 * K)
    assert world.overlap_ms(since) == 0, transcript(world)
    assert world.holders() == {"b"}
    assert world.dark_ms(since) < 2 * K
