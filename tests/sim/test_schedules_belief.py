"""Schedules of section 3 (who is believed): recorders, lives, floods, clones. Each quotes what it is about."""

from __future__ import annotations

import pytest

from sim.cluster import D, K, cluster, moves, reasons, transcript
from sim.network import Recorded
from vyos_agent.core.model import Drop, Reason


def _replay(world: object, tape: list[Recorded], target: str, gap_ms: int, interface: str | None = None) -> None:
    from sim.world import World

    assert isinstance(world, World)
    for i, frame in enumerate(tape):
        world.deliver(target, interface or frame.interface, frame.data, 1 + i * gap_ms)


@pytest.mark.parametrize("gap_ms", [1, 7, 50, 400])
def test_f3a_frames_of_a_previous_life_delay_no_takeover(gap_ms: int) -> None:
    """F3a: "restarts as life 2; loses power; attacker replays life 1: new incarnation, echoes mine" """
    world = cluster(init_dead_ms=D)
    world.hosts["a"].power_off()
    first_life = [r for r in world.network.tape if r.source == "a"]
    world.run(2 * D)
    world.hosts["a"].start()
    world.run(2 * D)
    world.hosts["b"].power_off()
    world.hosts["b"].start()
    world.run(2 * D)
    assert world.holders() == {"a"}, transcript(world)
    since = world.now
    world.hosts["a"].power_off()
    _replay(world, first_life * 3, "b", gap_ms)
    world.run(3 * D)
    assert world.holders() == {"b"}
    assert world.dark_ms(since) <= D + 20, transcript(world)


@pytest.mark.parametrize("gap_ms", [5, 50, 333])
def test_f3b_frames_that_were_cut_off_prove_nothing_later(gap_ms: int) -> None:
    """F3b: "A->B cut, A's frames recorded on the other side; after A's death they are new to B and of the known
    incarnation: A is 'back'." """
    world = cluster("ab")
    world.run(2 * K)
    world.cut = {("a", "b")}
    begun = world.now
    world.run(2 * D)
    unheard = [r for r in world.network.tape if r.source == "a" and r.at_ms >= begun]
    world.hosts["a"].power_off()
    world.heal()
    world.run(D)
    before = len(moves(world))
    _replay(world, unheard, "b", gap_ms)
    world.run(3 * D)
    assert world.holders() == {"b"}
    assert len(moves(world)) == before
    node = world.hosts["b"].node
    assert node is not None
    assert node.report().peers[0].state == "Dead", transcript(world)


def test_f3_a_frame_from_before_the_death_does_not_revive() -> None:
    """Rule: "acknowledges, with my incarnation, a frame of mine that I sent after I stopped believing ... and within
    the last D" (mutants: drop "after", drop "within D")."""
    world = cluster("ab")
    world.network.cut = {("a", "b")}
    world.reckon()
    begun = world.now
    world.run(D + K)
    world.hosts["a"].power_off()
    ended = next(at for at, who, _ in moves(world) if who == "b")
    late = [r for r in world.network.tape if r.source == "a" and begun <= r.at_ms < ended]
    world.heal()
    _replay(world, late, "b", 1)
    world.run(len(late) + 20)
    node = world.hosts["b"].node
    assert node is not None
    assert node.report().peers[0].state == "Dead", transcript(world)
    assert node.report().drops[Drop.UNPROVED] >= len(late) // 2


def test_f3_a_withheld_frame_released_after_d_proves_nothing() -> None:
    """ "within the last D": a proof of a frame that was sent longer ago than D revives nobody."""
    world = cluster("ab")
    begun = world.now
    world.network.cut = {("a", "b")}
    world.reckon()
    world.run(D + 4 * K)  # b has stopped believing; a goes on acknowledging b
    withheld = [r for r in world.network.tape if r.source == "a" and r.at_ms > begun + D + K]
    world.hosts["a"].power_off()
    world.heal()
    world.run(D + K)
    assert withheld
    _replay(world, withheld, "b", 3)
    world.run(len(withheld) * 3 + 5)
    node = world.hosts["b"].node
    assert node is not None
    assert node.report().peers[0].state == "Dead", transcript(world)


def test_f3_withheld_frames_of_a_believed_life_delay_a_takeover_by_one_d_in_all() -> None:
    """ "an attacker who withholds frames and releases them within D delays a takeover": by "one dead interval in all",
    however many it has withheld"""
    world = cluster("abc")
    world.cut = {("a", "b")}  # c passes on that a lives
    begun = world.now
    world.run(6 * D)
    withheld = [r for r in world.network.tape if r.source == "a" and r.at_ms > begun]
    since = world.now
    world.hosts["a"].power_off()
    world.heal()
    _replay(world, withheld, "b", D - 10)
    world.run(6 * D)
    assert world.holders() == {"b"}, transcript(world)
    assert world.dark_ms(since) <= 2 * D + K


@pytest.mark.parametrize("members", ["ab", "abcd", "abcdefgh"])
def test_f10_a_simultaneous_start_is_no_deadlock_and_costs_three_messages(members: str) -> None:
    """F10: "Lists hold only believed peers: nobody ever believes anybody"; "with immediate answers 21-31 ms" """
    world = cluster(members, keepalive_ms=1_000, dead_ms=5_000, init_dead_ms=30_000, settle=False)
    world.run(3 * 1_000)
    assert world.owners() == world.holders() == {"a"}, transcript(world)
    assert all(r[2] is Reason.FIRST_CLAIM for r in moves(world))
    first = next(at for at, _, _ in moves(world))
    assert first < 1_000 + 500, "all are believed long before the second keepalive"


@pytest.mark.parametrize("lives", [3, 12])
def test_f3e_a_flood_of_old_lives_does_not_hide_the_real_one(lives: int) -> None:
    """F3e: "One 'last heard' slot per peer can be overwritten by replays so that the real life is never listed." """
    world = cluster("ab", init_dead_ms=60_000)
    for _ in range(lives):
        for name in "ab":
            world.hosts[name].power_off()
            world.hosts[name].start()
            world.run(K)
    tape = list(world.network.tape)
    world.partition("a", "b")
    for name in "ab":
        world.hosts[name].power_off()
        world.hosts[name].start()
    for name, other in ("ab", "ba"):
        old = [r for r in tape if r.source == other]
        _replay(world, (old * (5_000 // len(old) + 1))[:5_000], name, 1)
    world.run(1_000)  # each has heard every old life of the other, and not yet the real one
    world.heal()
    world.run(2 * K)
    for host in world.hosts.values():
        assert host.node is not None
        assert host.node.report().peers[0].state == "Alive", transcript(world)


def test_f3_unproved_frames_are_answered_at_most_once_in_10_ms() -> None:
    """ "An authentic frame that does not prove itself is answered at once, at most one answer per 10 ms" """
    world = cluster("ab", init_dead_ms=D)
    tape = [r for r in world.network.tape if r.source == "a"]
    world.hosts["a"].power_off()
    world.hosts["a"].start()
    world.run(2 * D)
    world.hosts["a"].power_off()
    world.run(2 * D)
    before = world.network.frames["b"]
    for i in range(1_000):
        world.deliver("b", "eth0", tape[i % len(tape)].data, i)
    world.run(1_000)
    answers = world.network.frames["b"] - before
    assert 50 <= answers <= 1_000 // 10 + 1_000 // K + 2


def test_f3_a_copy_on_another_link_paints_that_link_green() -> None:
    """ "put a link number in the frame and keep `last heard` per link, or a copy replayed on eth1 paints that link" """
    world = cluster("ab", interfaces=("eth0", "eth1"))
    # An attacker carries what b sends on eth0 over to eth1 of a, which hears nothing of b itself.
    world.network.cut_on |= {("b", "a", "eth0"), ("b", "a", "eth1")}
    world.reckon()
    since = world.now
    carried = 0
    for step in range(80):
        if step == 70:
            world.hosts["a"].set_link("eth0", up=False)  # the VIP's: is a candidate heard over another link?
        world.run(K // 10)
        newest = [r for r in list(world.network.tape)[-12:] if r.source == "b" and r.at_ms > carried]
        carried = world.now
        _replay(world, [r for r in newest if r.interface == "eth0"], "a", 1, "eth1")
    assert Reason.LINK_LOST not in reasons(world, "a", since), transcript(world)


@pytest.mark.parametrize("rate_ms", [3, 50])
def test_a_recorder_changes_no_decision_and_delays_none_by_more_than_one_dead_interval(rate_ms: int) -> None:
    """ "a recorder that keeps every frame ever sent and replays any, at any rate, on any link; invariant: decisions
    equal the run without replay, to D once at most" """

    def run(*, replayed: bool) -> tuple[list[tuple[int, str, Reason]], set[str]]:
        world = cluster("abc", interfaces=("eth0", "eth1"), seed=5)
        for step, wait_ms in enumerate((D, 2 * D, 2 * D, 3 * D)):
            if replayed:
                world.network.replay(wait_ms // rate_ms, rate_ms, "abc")
            match step:
                case 0:
                    world.hosts["a"].power_off()
                case 1:
                    world.hosts["a"].start()
                case 2:
                    world.hosts["b"].kill()
                case _:
                    world.hosts["b"].start()
            world.run(wait_ms)
        return moves(world), world.holders()

    plain, holders = run(replayed=False)
    under_replay, same = run(replayed=True)
    assert holders == same
    assert [(who, why) for _, who, why in plain] == [(who, why) for _, who, why in under_replay]
    assert all(abs(x[0] - y[0]) <= D for x, y in zip(plain, under_replay, strict=True))


def test_f20_a_rolled_back_machine_starts_over_with_a_new_incarnation() -> None:
    """F20: "acknowledged sequence that I never sent -> new incarnation" """
    world = cluster("abc")
    saved = world.hosts["b"].snapshot()
    assert saved is not None
    world.run(4 * D)
    world.hosts["b"].roll_back(saved)
    life = world.hosts["b"].life
    world.run(2 * D)
    assert world.hosts["b"].life > life, "it ended that life, and began another"
    assert world.hosts["b"].node is not None
    assert world.holders() == {"a"}
    assert len(moves(world)) == 1, transcript(world)


def test_f3_one_way_at_a_restart_is_the_stated_limit_and_a_third_member_helps() -> None:
    """ "One-way A->B only at a restart of B: B cannot prove A ... Only a third member's word (F2) ... helps" """
    world = cluster("abc")
    world.cut = {("b", "a")}
    world.hosts["b"].power_off()
    world.run(D + K)
    world.hosts["b"].start()
    world.run(6 * D)
    assert world.owners() == {"a"}, transcript(world)
    assert len(moves(world)) == 1
