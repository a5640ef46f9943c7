"""Schedules of section 4 (election): relay, skew, one ranking, readiness, links. Each quotes what it is about."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from sim.build import VIP, config, group
from sim.cluster import D, K, cluster, moves, reasons, reconfigure, transcript
from sim.world import World
from vyos_agent.core.events import Hint, Hinted
from vyos_agent.core.model import Reason, State, Vip


@pytest.mark.parametrize("one_way", [False, True])
@pytest.mark.parametrize("pair", [("a", "c"), ("a", "b"), ("b", "c")])
@pytest.mark.parametrize("seed", range(3))
def test_f2_one_cut_pair_makes_no_second_owner(pair: tuple[str, str], one_way: bool, seed: int) -> None:
    """F2: "two owners for ever when A-C is cut and B hears both" """
    world = cluster("abc", seed=seed)
    x, y = pair
    world.cut = {(x, y)} if one_way else {(x, y), (y, x)}
    since = world.now
    world.run(10 * D)
    assert moves(world, since) == [], transcript(world)
    assert world.owners() == {"a"}
    for host in world.hosts.values():
        assert host.node is not None
        assert {p.state for p in host.node.report().peers} == {"Alive"}, "dead here is not dead"


@pytest.mark.parametrize("seed", range(12))
def test_f2_any_graph_with_a_common_neighbour_has_one_owner_and_no_move(seed: int) -> None:
    """ "any connected graph, all nodes up: <= 1 owner after delay + loop, 0 moves" (diameter 2: the stated limit)"""
    import random

    rng = random.Random(seed)
    world = cluster("abcde", seed=seed)
    since = world.now
    pairs = list(itertools.permutations("abcde", 2))
    for _ in range(6):
        cut: set[tuple[str, str]] = set()
        for pair in rng.sample(pairs, 10):
            world.network.cut = cut | {pair}
            if world.network.joined("abcde"):
                cut = cut | {pair}
        world.cut = cut
        world.run(rng.randint(K, 2 * D))
    assert moves(world, since) == [], transcript(world)


@pytest.mark.parametrize("orders", [("ab", "ba"), ("ba", "ab")])
@pytest.mark.parametrize("auto_failback", [False, True])
def test_f4_skewed_orders_settle_with_at_most_one_move(orders: tuple[str, str], auto_failback: bool) -> None:
    """F4: "settlement by local configuration: config skew gives two owners for ever, or none" """
    a, b = (group(members=order, auto_failback=auto_failback) for order in orders)
    world = World([config("a", [a]), config("b", [b])], seed=3, delay_ms=(40, 40))
    world.start()
    world.partition("a", "b")
    world.run(3 * D)
    assert world.holders() == {"a", "b"}
    world.heal()
    since = world.now
    world.run(2 * K + 4 * 40)
    assert len(world.owners()) == 1
    world.run(10 * D)
    assert world.dark_ms(since) == 0, transcript(world)
    assert len(moves(world, since)) <= 1, transcript(world)
    assert len(world.holders()) == 1


def test_f13_a_failback_under_skew_does_not_go_to_and_fro() -> None:
    """F13: "Under skew each owner thinks the other better: 4 000 moves in 10 s": "at the same configuration
    generation", "by the target's own frame" """
    shared = group(members="ba", auto_failback=True, delay_ms=0)
    world = World([config("a", [shared], generation=2), config("b", [shared], generation=1)])
    world.hosts["a"].start()
    world.run(3 * D)
    assert world.owners() == {"a"}
    since = world.now
    world.hosts["b"].start()
    world.run(10 * D)
    assert moves(world, since) == [], transcript(world)
    reconfigure(world, "b")
    world.run(D)
    assert [who for _, who, _ in moves(world, since)] == ["b"], transcript(world)


def test_f4_three_owners_settle_pairwise() -> None:
    """F4: "total order, so 3+ owners settle pairwise; per group" """
    world = cluster("abc")
    world.partition("a", "b", "c")
    world.run(3 * D)
    assert world.holders() == {"a", "b", "c"}
    world.heal()
    world.run(2 * K + 20)
    assert len(world.owners()) == 1
    assert len(world.holders()) == 1, transcript(world)


def test_f7_settlement_never_takes_the_lower_epoch_and_failback_follows() -> None:
    """F7: "autoFailback settlement lets the lower epoch win: epoch goes back" """
    world = cluster("abc", auto_failback=True)
    world.partition("a", "bc")
    world.run(2 * D)
    epoch = world.hosts["b"].disk["g"]
    world.heal()
    world.run(2 * K + 20)
    assert Reason.SETTLED in reasons(world, "a")
    since = world.now
    world.run(6 * D)
    assert world.holders() == {"a"}, transcript(world)
    assert world.hosts["a"].disk["g"] > epoch
    assert world.dark_ms(since) == 0


def test_f13_monitors_and_failback_do_not_fight() -> None:
    """F13: "A sees 1 monitor, B 2, autoFailback: rule 4 moves to B, rule 6 back" """
    monitors = ("192.0.2.1", "192.0.2.2")
    world = cluster("ab", monitors=monitors, auto_failback=True)
    world.hosts["a"].monitors["192.0.2.1"] = False
    world.hosts["a"].tell_monitors()
    since = world.now
    world.run(20 * D)
    assert [who for _, who, _ in moves(world, since)] == ["b"], transcript(world)
    assert world.dark_ms(since) == 0
    world.hosts["a"].monitors["192.0.2.1"] = True
    world.hosts["a"].tell_monitors()
    world.run(10 * D)
    assert [who for _, who, _ in moves(world, since)] == ["b", "a"], transcript(world)


@pytest.mark.parametrize("lost", ["a", "b", "ab"])
def test_f13_a_tie_never_moves_anything(lost: str) -> None:
    """ "A tie never moves anything, none against none included: the monitor itself may be down." """
    world = cluster("ab", monitors=("192.0.2.1",))
    since = world.now
    for name in lost:
        world.hosts[name].monitors["192.0.2.1"] = False
        world.hosts[name].tell_monitors()
    if lost == "a":
        world.hosts["b"].monitors["192.0.2.1"] = False
        world.hosts["b"].tell_monitors()
    world.run(10 * D)
    assert moves(world, since) == [], transcript(world)
    assert world.holders() == {"a"}


def test_f13_different_monitor_lists_are_no_reason_to_move() -> None:
    """ "counts compare only between equal monitor lists (hash in the frame), else tie" """
    a = group(monitors=("192.0.2.1",))
    b = group(monitors=("192.0.2.1", "192.0.2.2"))
    world = World([config("a", [a]), config("b", [b])])
    world.start()
    world.run(2 * D)
    assert world.owners() == {"a"}, "the ranks decide"
    since = world.now
    world.hosts["a"].monitors["192.0.2.1"] = False
    world.hosts["a"].tell_monitors()
    world.run(10 * D)
    assert moves(world, since) == [], transcript(world)


def test_f13_a_monitor_that_flaps_moves_nothing() -> None:
    """ "uninterrupted for more than 2 x the larger keepalive (monitors)" """
    world = cluster("ab", monitors=("192.0.2.1",))
    since = world.now
    for i in range(40):
        world.hosts["a"].monitors["192.0.2.1"] = bool(i % 2)
        world.hosts["a"].tell_monitors()
        world.run(K)
    world.run(4 * D)
    assert moves(world, since) == [], transcript(world)


def test_f13_an_undecided_monitor_counts_as_reachable_for_a_first_claim() -> None:
    """ "Undecided counts as reachable for a first claim." """
    world = cluster("ab", monitors=("192.0.2.1",), settle=False)
    for host in world.hosts.values():
        host.monitored_after_ms = 20_000
    world.run(3 * K)
    assert world.owners() == {"a"}


def test_f12_a_removed_member_that_holds_counts_for_ownership() -> None:
    """F12: "B applies gen 4 (A gone), drops A's frames, claims after D; A, kube-sync down, holds for ever." """
    world = cluster("abc")
    for name in "bc":
        reconfigure(world, name, groups=(group(members="bc"),))
    since = world.now
    world.run(10 * D)
    assert moves(world, since) == [], transcript(world)
    assert world.holders() == {"a"}
    reconfigure(world, "a", groups=(group(members="bc"),))
    world.run(4 * D)
    assert world.holders() == {"b"}
    assert world.overlap_ms(since) <= 2 + 5 + 20 + 6 + 5


def test_f18_a_new_group_waits_until_every_living_member_knows_it() -> None:
    """F18: "Group at B (secondary) first: claims, primary comes later, no failback." """
    new = group("h", "ab", vip=Vip("192.168.0.124", 24, "eth0"))
    world = cluster("ab")
    reconfigure(world, "b", groups=(group(), new))
    world.run(D)
    assert world.owners("h") == set()
    reconfigure(world, "a", groups=(group(), new))
    world.run(3 * K)
    assert world.owners("h") == {"a"}, transcript(world)


def test_f18_an_address_that_changes_its_group_is_held_twice_as_in_a_handover_only() -> None:
    """F18: "Address moved g1@A -> g2@B: B adds before A removes." """
    moved = Vip("192.168.0.200", 24, "eth0")
    one, two = group("g1", "ab"), group("g2", "ba", vip=Vip("192.168.0.124", 24, "eth0"))
    world = cluster(groups=[dataclasses.replace(one, vips=(VIP, moved)), two])
    assert world.holders(moved) == {"a"}
    since = world.now
    new = (one, dataclasses.replace(two, vips=(*two.vips, moved)))
    reconfigure(world, "b", groups=new)
    world.run(2 * K)
    reconfigure(world, "a", groups=new)
    world.run(2 * D)
    assert world.holders(moved) == {"b"}, transcript(world)
    assert world.dark_ms(since, moved) == 0
    assert world.overlap_ms(since, moved) <= 20 + 2 + 2 * 3 + 5


def test_f4_maintenance_on_all_releases_and_a_cordon_on_all_keeps() -> None:
    """ "hard reasons (maintenance, leaving, service failed) release even with no target; soft ones keep" """
    world = cluster("ab")
    for name in "ab":
        reconfigure(world, name, standby=True)
    world.run(4 * D)
    assert len(world.holders()) == 1, transcript(world)
    for name in "ab":
        reconfigure(world, name, standby=False, groups=(group(maintenance="ab"),))
    world.run(4 * D)
    assert world.holders() == set(), transcript(world)


@pytest.mark.parametrize("seed", range(4))
def test_f17_a_switch_that_reboots_moves_nothing(seed: int) -> None:
    """F17: "switch reboot, all carriers down: A releases, first carrier back claims." """
    world = cluster("abc", seed=seed)
    since = world.now
    for name in "abc":
        world.network.deaf.add((name, "eth0"))
        world.hosts[name].set_link("eth0", up=False)
    world.run(2 * D + seed * 100)
    for name in "cba":
        world.network.deaf.discard((name, "eth0"))
        world.hosts[name].set_link("eth0", up=True)
        world.run(50)
    world.run(3 * D)
    assert len(world.owners()) == 1
    assert world.holders() == world.owners(), transcript(world)
    assert len({who for _, who, _ in moves(world, since)} - {"a"}) == 0, transcript(world)
    assert Reason.LINK_LOST not in reasons(world, "a", since)


@pytest.mark.parametrize("seed", range(3))
def test_f17_candidates_of_one_moment_take_turns(seed: int) -> None:
    """ "at most one claim per epoch and group while all members hear each other": also when all of them become
    candidates in the same moment"""
    world = cluster("abc", maintenance="abc", seed=seed)
    assert world.holders() == set()
    since = world.now
    for name in "cab":
        reconfigure(world, name, groups=(group(members="abc"),))
    world.run(2 * D)
    assert [who for _, who, _ in moves(world, since)] == ["a"], transcript(world)
    assert world.holders() == {"a"}


def test_f17_no_carrier_for_d_is_like_a_late_loop() -> None:
    """ "After D with no carrier on any heartbeat link: as after a late loop (listen first, announce nothing)" """
    world = cluster("ab")
    world.network.deaf.add(("a", "eth0"))
    world.hosts["a"].set_link("eth0", up=False)
    world.run(3 * D)
    assert world.holders() >= {"b"}
    since = world.now
    world.network.deaf.clear()
    world.hosts["a"].set_link("eth0", up=True)
    world.run(2 * K)
    assert world.holders() == {"b"}, transcript(world)
    assert world.arp[VIP] == "b"
    assert world.overlap_ms(since) <= 50


@pytest.mark.parametrize("dead", ["a", "ab", "abc"])
def test_candidates_wait_their_turn(dead: str) -> None:
    """ "candidate number i (0 is best) waits i x (K + 50 ms)": the best one takes over, in one claim"""
    world = cluster("abcde")
    since = world.now
    for name in dead:
        world.hosts[name].power_off()
    world.run(D + K + 5 * (K + 50))
    best = "abcde"[len(dead)]
    assert [who for _, who, _ in moves(world, since)] == [best], transcript(world)


def test_a_standby_far_down_takes_over_when_the_better_ones_cannot() -> None:
    """ "candidate number i waits i x (K + 50 ms) after its own judgement" """
    world = cluster("abcd")
    for name in "bc":
        world.hosts[name].set_link("eth0", up=False)  # no candidates; their heartbeats go on
    world.run(K)
    since = world.now
    world.hosts["a"].power_off()
    world.run(D + K + 20)
    assert [who for _, who, _ in moves(world, since)] == ["d"], transcript(world)


def test_f14_epochs_go_on_after_total_power_loss() -> None:
    """F14: "Power loss, both boot, claim e1; status says 57: refused until 57 moves have happened." """
    world = cluster("ab")
    world.status = {"g": Hint(57)}
    for host in world.hosts.values():
        host.power_off()
        host.disk = {}
    world.start()
    world.run(2 * D)
    assert min(h.disk["g"] for h in world.hosts.values()) > 57


def test_f14_the_epoch_is_persisted_with_each_claim() -> None:
    """F14: "The epoch is persisted with each claim ... and told by every member, standby too." """
    world = cluster("ab")
    for name in "abab":
        world.hosts[name].power_off()
        world.run(2 * D)
        world.hosts[name].start()
        world.run(2 * D)
    epoch = min(h.disk["g"] for h in world.hosts.values())
    assert epoch >= 4
    for host in world.hosts.values():
        host.power_off()
    world.run(D)
    world.start()
    world.run(2 * D)
    assert min(h.disk["g"] for h in world.hosts.values()) > epoch


def test_f14_an_owner_that_learns_of_a_higher_epoch_raises_its_own_with_no_move() -> None:
    """ "an owner below or equal to a hint, a believed frame or its file raises to max + 1 without a move" """
    world = cluster("abc")
    since = world.now
    world.hosts["c"].feed(Hinted({"g": Hint(40)}))
    world.run(2 * K)
    assert world.hosts["a"].disk["g"] == 41, transcript(world)
    world.hosts["a"].feed(Hinted({"g": Hint(90)}))
    world.run(2 * K)
    assert {h.disk["g"] for h in world.hosts.values()} == {91}
    assert moves(world, since) == []
    assert world.dark_ms(since) == 0
    assert world.history.states["g"]["a"] is State.OWNER
