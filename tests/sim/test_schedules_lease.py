"""Schedules of section 1 (lease arithmetic) and 2 (restart and adoption): each quotes what it is about."""

from __future__ import annotations

import pytest

from sim.build import group
from sim.cluster import D, K, cluster, moves, reasons, reconfigure, transcript
from sim.kernel import LATE_MS
from vyos_agent.core.model import Reason, Vip


@pytest.mark.parametrize("seed", range(6))
def test_f1a_the_kernel_removes_up_to_1100_ms_late(seed: int) -> None:
    """F1a: "E, the kernel's lateness, is 1.1 s. All addresses of a node are renewed in one netlink batch." """
    vips = [Vip(f"192.168.0.{i}", 24, "eth0") for i in range(3)]
    world = cluster(groups=[group(f"g{i}", "ab", vip=v) for i, v in enumerate(vips)], seed=seed)
    for host in world.hosts.values():
        host.kernel.late_ms = (LATE_MS, LATE_MS)
    world.run(2 * K + 83 * seed)
    world.hosts["a"].kill()
    world.run(2 * D)
    for vip in vips:
        assert world.overlap_ms(0, vip) == 0
        assert world.holders(vip) == {"b"}


@pytest.mark.parametrize(
    ("dead_ms", "keepalive_ms", "n"), [(20_000, 5_000, 2), (5_000, 1_000, 2), (3_000, 500, 1), (3_000, 1_000, 0)]
)
@pytest.mark.parametrize("seed", range(4))
def test_f1b_a_kill_after_n_lost_frames_makes_no_second_holder(
    dead_ms: int, keepalive_ms: int, n: int, seed: int
) -> None:
    """F1b: "as long as no more than n of its last frames were lost: n = (D - L - 1.1 s)/K, so 2 with the defaults" """
    world = cluster(seed=seed, keepalive_ms=keepalive_ms, dead_ms=dead_ms, init_dead_ms=dead_ms)
    owner = world.hosts["a"]
    owner.kernel.late_ms = (LATE_MS, LATE_MS)
    world.run(2 * keepalive_ms)
    frames = world.network.frames["a"]
    world.cut = {("a", "b")}
    while world.network.frames["a"] < frames + n:
        world.run(1)
    world.run(5)
    owner.kill()
    world.heal()
    since = world.now
    world.run(3 * dead_ms)
    assert world.holders() == {"b"}
    assert world.overlap_ms(since) == 0, transcript(world)


def test_f1b_beyond_n_lost_frames_the_overlap_ends_with_the_lifetime() -> None:
    """F1b: "Beyond that the overlap ends with the lifetime." (and the simulator does see the overlap)"""
    world = cluster(keepalive_ms=1_000, dead_ms=3_000)
    world.hosts["a"].kernel.late_ms = (LATE_MS, LATE_MS)
    world.run(1_000)
    frames = world.network.frames["a"]
    world.cut = {("a", "b")}
    while world.network.frames["a"] < frames + 2:
        world.run(1)
    world.hosts["a"].kill()
    since = world.now
    world.run(2 * D)
    assert 0 < world.overlap_ms(since) <= 1_000 + LATE_MS
    assert world.holders() == {"b"}


@pytest.mark.parametrize("keepalive_ms", [K, 1_000, 1_400])
@pytest.mark.parametrize("standbys", ["b", "bc"])
@pytest.mark.parametrize("seed", range(2))
def test_f1_a_healthy_owner_keeps_its_address_when_standbys_die_and_frames_are_lost(
    standbys: str, seed: int, keepalive_ms: int
) -> None:
    """F1: "a healthy owner's address never absent when a standby dies, or frames are lost, or K and D change" """
    world = cluster("abc", seed=seed, keepalive_ms=keepalive_ms)
    for host in world.hosts.values():
        host.kernel.late_ms = (0, 0)
    since = world.now
    world.loss = 0.05 if keepalive_ms == K else 0.0
    world.run(5 * D)
    world.loss = 0.0
    for name in standbys:
        world.hosts[name].power_off()
        world.run(4 * D)
    assert world.dark_ms(since) == 0
    assert world.holders() == {"a"}
    assert len(moves(world)) == 1, transcript(world)


@pytest.mark.parametrize(("keepalive_ms", "dead_ms"), [(5_000, 20_000), (200, 600), (500, 2_100)])
def test_f1_intervals_change_on_a_live_cluster(keepalive_ms: int, dead_ms: int) -> None:
    """F1: "Interval grown 3 s -> 20 s on a live cluster: ... hence 'smallest of the last three'"; settings change with
    no false failover."""
    world = cluster("abc")
    since = world.now
    for name in "cab":
        reconfigure(world, name, keepalive_ms=keepalive_ms, dead_ms=dead_ms)
        world.run(700)
    world.run(3 * 20_000)
    assert world.dark_ms(since) == 0
    assert len(moves(world)) == 1, transcript(world)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_f1_grown_intervals_and_a_kill_while_the_standby_judges_by_the_old_ones(lost: int) -> None:
    """F1: "B lost the frames with the new D and judges by 3 s" """
    world = cluster()
    world.run(K)
    frames = world.network.frames["a"]
    world.cut = {("a", "b")}
    reconfigure(world, "a", dead_ms=20_000)
    while world.network.frames["a"] < frames + lost:
        world.run(1)
    world.run(5)  # the renewal that follows a frame reaches the kernel
    world.hosts["a"].kill()
    world.heal()
    since = world.now
    world.run(2 * 20_000)
    if lost <= 1:  # n of D = 3 s, K = 0.5 s, L = 1 s
        assert world.overlap_ms(since) == 0, transcript(world)
    assert world.holders() == {"b"}


def test_f1_no_frame_can_be_sent_for_d_the_owner_keeps() -> None:
    """F1: "No frame could be sent for D (ENETDOWN, ENOBUFS, nft): same as partition; the owner keeps (VyOS)" """
    world = cluster()
    world.network.deaf.add(("a", "eth0"))  # the carrier event never comes
    world.run(4 * D)
    assert "a" in world.owners()
    assert "a" in world.holders(), "it let its addresses lapse while a peer could take over, and has them again"
    world.network.deaf.clear()
    world.run(D)
    assert len(world.holders()) == 1


def test_f1_a_member_with_no_living_peer_holds_on() -> None:
    """F1: "No peer living: same L, counted from now." """
    world = cluster()
    world.hosts["b"].power_off()
    since = world.now
    world.run(60_000)
    assert world.dark_ms(since) == 0


def test_f1_a_one_way_cut_deposes_the_owner_that_is_not_heard() -> None:
    """F1: "One-way A->B cut: B claims, A hears it (e+1) and releases: overlap one delay." """
    world = cluster()
    world.cut = {("a", "b")}
    since = world.now
    world.run(2 * D)
    assert world.holders() == {"b"}
    assert world.overlap_ms(since) <= 2 + 3 + 5 + 20


RESTARTS = [0, 30, 120, 400, 700, 990, 1_000, 1_400, 1_900, 2_060, 2_500, 2_950, 3_000, 3_400, 4_100]


@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize("after_ms", RESTARTS)
def test_f9_a_restart_at_any_time_makes_no_second_holder(after_ms: int, lost: int) -> None:
    """F9a: "restart at each ms of [0, D+L], 0..2 lost frames; holders <= 1" """
    world = cluster(keepalive_ms=1_000, dead_ms=5_000, seed=after_ms)
    world.run(1_000)
    frames = world.network.frames["a"]
    world.cut = {("a", "b")}
    while world.network.frames["a"] < frames + lost:
        world.run(1)
    world.hosts["a"].kill()
    world.heal()
    since = world.now
    world.run(after_ms)
    world.hosts["a"].start()
    world.run(6 * 5_000)
    assert world.overlap_ms(since) == 0, transcript(world)
    assert len(world.holders()) == 1, transcript(world)
    assert world.owners() == world.holders()


@pytest.mark.parametrize("after_ms", [5, 100, 1_000, 3_000, 4_500])
@pytest.mark.parametrize("seed", range(3))
def test_f9_a_restart_within_the_lease_moves_nothing(after_ms: int, seed: int) -> None:
    """F9: "no move if restart + 2 delays < lease end"; the kernel is the witness. (L = 6 s, renewed each second)"""
    world = cluster(keepalive_ms=1_000, dead_ms=10_000, seed=seed)
    world.run(137 * seed)
    since = world.now
    world.hosts["a"].kill()
    world.run(after_ms)
    world.hosts["a"].start()
    world.run(5 * 10_000)
    assert world.owners() == world.holders() == {"a"}, transcript(world)
    assert world.dark_ms(since) == 0
    assert [(who, why) for _, who, why in moves(world, since)] == [("a", Reason.ADOPTED)]


def test_f9a_one_lost_proof_and_the_peer_claims_first() -> None:
    """F9a: "lose one and B claims at 3 000": the adopted addresses are not renewed until a peer has acknowledged."""
    world = cluster(keepalive_ms=1_000, dead_ms=3_000)
    since = world.now
    world.hosts["a"].kill()
    world.run(450)
    world.cut = {("b", "a")}
    world.hosts["a"].start()
    world.run(600)  # one frame of b is lost
    world.heal()
    world.run(3 * D)
    assert world.overlap_ms(since) == 0, transcript(world)
    assert len(world.holders()) == 1


def test_f9a_what_is_not_acknowledged_is_released_before_the_peers_judge() -> None:
    """F9: "When 0.4 s remain: renew if every peer heard acknowledges us ...; else release." (b does not hear a)"""
    world = cluster(keepalive_ms=1_000, dead_ms=10_000, init_dead_ms=60_000, delay_ms=(1, 2))
    since = world.now
    world.hosts["a"].kill()
    world.run(100)
    world.cut = {("a", "b")}
    world.hosts["a"].start()
    world.run(2 * 10_000)
    world.heal()
    world.run(2 * 10_000)
    assert world.overlap_ms(since) == 0, transcript(world)
    assert world.holders() == {"b"}


def test_f9b_standby_is_said_only_after_the_sweep() -> None:
    """F9b: "A life says `listening` until it has adopted or swept; peers treat it as the old life still owning" """
    world = cluster(keepalive_ms=1_000, dead_ms=5_000)
    world.netlink_ms = (150, 150)
    since = world.now
    world.hosts["a"].kill()
    world.run(600)
    world.hosts["a"].start()  # "standby means swept" is checked in every frame
    world.run(140)
    assert world.history.claimants("g") == []
    world.run(4 * 5_000)
    assert world.overlap_ms(since) == 0
    assert len(world.holders()) == 1


def test_f9c_a_state_file_from_another_node_adopts_nothing() -> None:
    """F9c: "State file copied to another node, or kept over a reboot: adopts a group it does not hold." """
    world = cluster("abc")
    since = world.now
    world.hosts["c"].kill()
    world.hosts["c"].disk = dict(world.hosts["a"].disk)
    world.hosts["c"].start()
    world.hosts["b"].power_off()
    world.hosts["b"].start()
    world.run(4 * D)
    assert moves(world, since) == []
    assert world.holders() == {"a"}


def test_f9d_a_group_of_host_services_only_has_no_witness() -> None:
    """F9d: "Group with host services only: nothing in the kernel to witness": it is taken anew, and runs once."""
    import dataclasses

    only = dataclasses.replace(group(units=("ssh.service",)), vips=())
    world = cluster(groups=[only])
    assert world.serving() == {"a"}
    world.hosts["a"].kill()
    world.run(100)
    world.hosts["a"].start()
    world.run(5 * D)
    assert len(world.serving()) == 1
    assert world.serving() == world.owners()


def test_f9_a_second_agent_of_one_name_stops_and_says_so() -> None:
    """F9: "An agent that hears a proved frame of its own name with another incarnation stops and says so." """
    world = cluster("abc", check=False)
    twin = world.add_twin("a", "a-twin")
    world.run(3 * D)
    ended = [h.name for h in (world.hosts["a"], twin) if h.twin]
    assert ended, transcript(world)
    world.run(4 * D)
    assert len(world.holders()) == 1


def test_who_adopted_alone_and_slept_owns_again_after_a_dead_interval() -> None:
    """Suspended -> Owner: "nobody heard for the largest D", also where initDeadInterval is not over yet.

    Seed 18001/754/fast: it waited for the rest of the 30 s, with the addresses on nobody.
    """
    world = cluster("ab", init_dead_ms=30_000)
    world.peace.harm(None)
    world.hosts["b"].power_off()
    world.run(2 * D)
    a = world.hosts["a"]
    a.kill()
    world.run(100)
    a.start()
    world.run(D)
    assert reasons(world, "a")[-1] is Reason.ADOPTED, transcript(world)
    a.freeze()
    world.run(D + 500)
    a.thaw()
    since = world.now
    world.run(2 * D)
    assert world.holders() == world.owners() == {"a"}, transcript(world)
    assert world.dark_ms(since) <= D + 20
