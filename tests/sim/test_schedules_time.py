"""Schedules of section 6 (starvation, sleep), 7 (split brain, ARP), 8 (sub-second), and host services after kills."""

from __future__ import annotations

import random

import pytest

from sim.build import VIP, group
from sim.cluster import D, K, cluster, moves, reasons, transcript
from vyos_agent.core.model import Reason, State


def test_f11_a_queue_that_kept_the_oldest_frames_claims_nothing() -> None:
    """F11a: "C frozen 30 s; its socket buffer filled in the first seconds and dropped the newest frames ... Drained by
    kernel time, all peers are dead: claims." """
    world = cluster("abc", keepalive_ms=100, dead_ms=300, init_dead_ms=1_000)
    world.hosts["c"].freeze()
    world.run(30_000)
    since = world.now
    world.hosts["c"].thaw()
    world.run(3_000)
    assert moves(world, since) == [], transcript(world)
    assert world.owners() == {"a"}
    assert Reason.SLEPT in reasons(world, "c", since)


@pytest.mark.parametrize("by_ms", [-3_600_000, -1_000, 60, 1_000, 3_600_000])
@pytest.mark.parametrize("frozen_ms", [0, 700, 10_000])
def test_f11_a_step_of_the_wall_clock_kills_nobody(by_ms: int, frozen_ms: int) -> None:
    """F11b: "an NTP step (typical on resume) dates frames an hour back: all dead" """
    world = cluster("abc")
    world.hosts["c"].freeze()
    world.run(frozen_ms)
    world.hosts["c"].clock.step_wall(by_ms)
    since = world.now
    world.hosts["c"].thaw()
    world.hosts["a"].clock.step_wall(by_ms)
    world.run(3 * D)
    assert moves(world, since) == [], transcript(world)
    assert world.dark_ms(since) == 0


@pytest.mark.parametrize("seed", range(8))
def test_f6_an_expired_address_does_not_come_back_on_thaw(seed: int) -> None:
    """F6c, d: "comes back at the next netlink event re-adds it on thaw"; "Freeze between 'may renew' and the netlink
    call: the call re-adds, as RTM_NEWADDR creates" """
    world = cluster(seed=seed, keepalive_ms=1_000, dead_ms=5_000)
    world.netlink_ms = (3, 9)
    owner = world.hosts["a"]
    renewals = world.network.frames["a"]
    while world.network.frames["a"] == renewals:
        world.run(1)
    owner.freeze()  # its renewal is on the way to the kernel
    world.run(3 * 5_000 + 100 * seed)
    assert world.holders() == {"b"}
    since = world.now
    owner.thaw()
    world.run(3 * 5_000)
    assert world.holders() == {"b"}
    assert world.overlap_ms(since) == 0, transcript(world)


@pytest.mark.parametrize("effect", ["Send", "Hold", "Announce", "Persist", "Decided", "Serve"])
@pytest.mark.parametrize("frozen_ms", [900, 1_500, 2_900, 8_000])
def test_f6_a_freeze_between_a_decision_and_its_effect(effect: str, frozen_ms: int) -> None:
    """ "freeze at any effect boundary (between decision and effect)" """
    world = cluster("abc", units=("ssh.service",))
    host = world.hosts["a"]
    host.trap = effect
    host.on_trap = lambda: world.at(world.now + frozen_ms, host.thaw)
    world.hosts["b"].power_off()  # something to decide
    world.run(75_000)
    if effect not in ("Decided", "Persist", "Serve", "Announce"):
        assert Reason.SLEPT in reasons(world, "a") or frozen_ms < 1_500
    assert len(world.holders()) == 1, transcript(world)
    assert world.owners() == world.holders()


@pytest.mark.parametrize("late_ms", [1_100, 1_900, 2_500, 2_950])
def test_f6e_a_node_late_by_more_than_its_lease_holds_back(late_ms: int) -> None:
    """F6e: "Late by L < x < D: address gone, peers about to claim." """
    world = cluster()
    world.run(K // 2)
    since = world.now
    world.hosts["a"].freeze()
    world.run(late_ms)
    world.hosts["a"].thaw()
    world.run(3 * D)
    assert world.overlap_ms(since) == 0
    assert world.owners() == world.holders()
    assert len(world.owners()) == 1, transcript(world)


def test_f6_a_thawed_owner_that_missed_the_claim_holds_nothing_until_it_is_acknowledged() -> None:
    """ "A late node is Suspended: sends (answer please), adds and renews nothing ... an owner returns to Owner as soon
    as every member heard acknowledges a frame sent since" (the claim fell out of its queue)"""
    world = cluster("abc", delay_ms=(20, 20))
    world.netlink_ms = (0, 0)
    world.hosts["a"].freeze()
    world.cut = {("b", "a"), ("c", "a")}
    world.run(3 * D)
    assert world.holders() == {"b"}
    world.heal()
    since = world.now
    world.hosts["a"].thaw()
    world.run(2 * D)
    assert world.overlap_ms(since) == 0, transcript(world)
    assert world.holders() == {"b"}


@pytest.mark.parametrize("alone", [False, True])
def test_a_late_owner_is_owner_again_when_acknowledged_or_when_nobody_is_heard(alone: bool) -> None:
    """ "an owner returns to Owner as soon as every member heard acknowledges a frame sent since and none owns a higher
    epoch, and with none heard after that interval" """
    world = cluster()
    if alone:
        world.hosts["b"].power_off()
        world.run(2 * D)
    since = world.now
    world.hosts["a"].freeze()
    world.run(D + 500 if alone else 2_000)
    world.hosts["a"].thaw()
    back_ms = D + 50 if alone else 50
    world.run(back_ms)
    assert world.owners() == {"a"}
    assert Reason.RESUMED in reasons(world, "a", since), transcript(world)
    assert world.history.states["g"]["a"] is State.OWNER
    if alone:
        assert moves(world, since) == []


@pytest.mark.parametrize("paused_ms", [500, 2_500, 20_000])
def test_f15_a_paused_machine_is_deposed_by_the_first_believed_claim(paused_ms: int) -> None:
    """F15: "a paused KVM guest sees no gap in any clock: up to one K + delay of two holders after resume" """
    world = cluster("abc")
    world.hosts["a"].pause()
    world.run(paused_ms)
    since = world.now
    world.hosts["a"].resume()
    world.run(2 * D)
    assert len(world.holders()) == 1, transcript(world)
    assert world.overlap_ms(since) <= K + 2 + 5 + 10
    assert world.owners() == world.holders()


@pytest.mark.parametrize("slept_ms", [4_000, 20_000])
def test_f15_a_suspended_machine_is_late_by_what_its_boot_clock_says(slept_ms: int) -> None:
    """ "Late = loop, or BOOTTIME - MONOTONIC, slipped by more than min(D, what was left of the lease)" """
    world = cluster("abc")
    world.hosts["a"].pause(suspend=True)
    world.run(slept_ms)
    since = world.now
    world.hosts["a"].resume()
    world.run(K + 5)
    assert Reason.SLEPT in reasons(world, "a", since), transcript(world)
    world.run(2 * D)
    assert len(world.holders()) == 1, transcript(world)
    assert world.owners() == world.holders()


def test_overflow_alone_is_not_late() -> None:
    """ "Flooded sockets overflow too: overflow alone must not mean 'late', or an attacker stops takeovers." """
    world = cluster("ab")
    for _ in range(40):
        world.network.replay(300, 0, "b")
        world.run(25)
    since = world.now
    world.hosts["a"].power_off()
    for _ in range(100):
        world.network.replay(300, 0, "b")
        world.run(35)
    assert [who for _, who, _ in moves(world, since)] == ["b"], transcript(world)
    assert world.dark_ms(since) <= 2 * D


@pytest.mark.parametrize("cut_clients", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_f16_after_a_heal_every_cache_names_the_winner_and_never_flips_back(seed: int, cut_clients: bool) -> None:
    """F16: "on a shared VIP LAN with only multicast broken the last GARP wins and flips each refresh"; "after heal + 1
    delay every cache names the winner and never flips back" """
    world = cluster("abc", seed=seed)
    sides = ("a", "bc") if not cut_clients else ("ab", "c")
    world.partition(*sides)
    world.run(2 * D + 37 * seed)
    assert len(world.holders()) == 2
    world.heal()
    since = world.now
    while len(world.owners()) > 1 and world.now < since + 3 * K:
        world.run(1)
    (winner,) = world.owners()
    world.run(2 + 2 + 5 + 25)
    flips = [client.cache.get(VIP) for client in world.clients.all]
    assert set(flips) == {winner}, transcript(world)
    healed = world.now
    world.run(4 * D)
    assert {c.cache[VIP] for c in world.clients.all} == {winner}
    assert world.dark_ms(since) == 0
    assert world.now - healed == 4 * D


def test_f16_two_owners_make_no_war_of_announcements() -> None:
    """F16: "each announcement triggers the other: a war"; each side announces as if it were alone"""
    world = cluster("ab")
    world.partition("a", "b")
    world.run(2 * D)
    assert len(world.holders()) == 2
    told: list[str] = []
    original = world.clients.announced

    def announced(host: str, vips: object) -> None:
        told.append(host)
        original(host, vips)  # type: ignore[arg-type]

    world.clients.announced = announced  # type: ignore[method-assign]
    world.run(10 * D)
    assert len(told) <= 2 + 5


@pytest.mark.parametrize("seed", range(3))
def test_f19_sub_second_a_stall_of_two_frames_moves_nothing(seed: int) -> None:
    """F19: "D > 2K tolerates two lost frames or one 20 ms stall." (K = 10, D = 30)"""
    world = cluster("abc", keepalive_ms=10, dead_ms=30, init_dead_ms=100, delay_ms=(0, 1), seed=seed)
    world.netlink_ms = (0, 1)
    since = world.now
    rng = random.Random(seed)
    for _ in range(20):
        host = world.hosts[rng.choice("abc")]
        host.freeze()
        world.run(rng.randint(1, 14))
        host.thaw()
        world.run(200)
    assert moves(world, since) == [], transcript(world)


def test_f19_sub_second_failover() -> None:
    """F19: "Overlap after a kill <= 1 s + E without the nft fence" """
    world = cluster("ab", keepalive_ms=10, dead_ms=30, init_dead_ms=100, delay_ms=(0, 1))
    since = world.now
    world.hosts["a"].power_off()
    world.run(40)
    assert world.holders() == {"b"}
    assert world.dark_ms(since) <= 30 + 5
    world.hosts["a"].start()
    world.run(500)
    since = world.now
    world.hosts["b"].kill()
    world.run(4_000)
    assert world.overlap_ms(since) <= 1_000 + 1_100
    assert world.holders() == {"a"}


def test_f8_after_a_kill_services_run_until_the_restart_sweeps() -> None:
    """F8: "after a kill nobody stops A's services; only the restart's sweep does." """
    world = cluster("ab", groups=[group(units=("ssh.service",))])
    world.hosts["a"].kill()
    world.run(2 * D)
    assert world.serving() == {"a", "b"}
    world.hosts["a"].start()
    world.run(D)
    assert world.serving() == {"b"}, transcript(world)


@pytest.mark.parametrize("ppm", [-500, 500])
def test_fast_and_slow_clocks_keep_the_promise(ppm: int) -> None:
    """ "run fast or slow clocks": half a thousandth either way is within the grain of the promise"""
    for seed in range(4):
        world = cluster(seed=seed, keepalive_ms=1_000, dead_ms=10_000, delay_ms=(0, 1))
        world.hosts["a"].clock.run_at(world.now, ppm)
        world.hosts["b"].clock.run_at(world.now, -ppm)
        world.run(600_000)
        assert len(moves(world)) == 1
        world.hosts["a"].kill()
        world.run(3 * 10_000)
        assert world.overlap_ms(0) == 0
        assert world.holders() == {"b"}
