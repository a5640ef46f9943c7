"""Rules that only whole clusters show (docs/protocol.md), on the simulator."""

from __future__ import annotations

import dataclasses
import functools
import random

import pytest

from sim.cluster import D, K, cluster, moves, reconfigure, transcript
from sim.episode import CATALOGUE
from sim.scenario import Scenario
from sim.world import World
from spec import document, generate
from spec.promise import lost_frames
from vyos_agent.core import lease
from vyos_agent.core.events import Forced, Stopping
from vyos_agent.core.model import Force, Reason

UNITS = ("named.service", "ssh.service")
MINUTE_MS = 60_000
SEEDS = (0, 1, 2, 3, 6, 14, 16)
"""Small clusters with many kinds of faults: much of the table within seconds."""


def give(world: World, how: str) -> None:
    """Have a give its group away."""
    names = list(world.hosts)
    match how:
        case "leaving":
            world.hosts["a"].feed(Stopping())
        case "standby":
            world.hosts["a"].feed(Forced(Force.STANDBY))
        case "active":
            world.hosts["c"].feed(Forced(Force.ACTIVE))
        case "cordon":
            for name in names:
                reconfigure(world, name, standby=name == "a")
        case "maintenance":
            (old,) = world.hosts["a"].config.groups
            for name in names:
                reconfigure(world, name, groups=(dataclasses.replace(old, maintenance=frozenset("a")),))
        case "monitors":
            world.hosts["a"].monitors["192.0.2.1"] = False
            world.hosts["a"].tell_monitors()
        case _:
            raise AssertionError(how)


VOLUNTARY = ("leaving", "standby", "active", "cordon", "maintenance", "monitors")


@pytest.mark.parametrize("how", VOLUNTARY)
@pytest.mark.parametrize("seed", range(4))
def test_no_moment_without_a_holder(how: str, seed: int) -> None:
    """[HAND-13] In a voluntary move the group's addresses must be held by a member at every moment."""
    world = cluster("abc", units=UNITS, monitors=("192.0.2.1",), seed=seed, check=False)
    world.run(37 * seed)
    since = world.now
    assert world.holders() == {"a"}
    give(world, how)
    world.run(8 * K)
    assert world.holders() == world.owners() == {"c" if how == "active" else "b"}, transcript(world)
    assert world.dark_ms(since) == 0, transcript(world)


def test_a_failback_leaves_no_moment_without_a_holder() -> None:
    world = cluster("ab", auto_failback=True, check=False)
    world.hosts["a"].power_off()
    world.run(2 * D)
    since = world.now
    assert world.holders() == {"b"}
    world.hosts["a"].start()
    world.run(3 * D)
    assert world.holders() == {"a"}
    assert world.dark_ms(since) == 0


@pytest.mark.parametrize("seed", range(40))
def test_the_promise(seed: int) -> None:
    """[LEASE-7] There must never be two holders after a kill or freeze of the owner's agent when n ≥ 0 and no more than
    n = ⌊(D − T − L − E)/K⌋ of its last frames were lost; T, the age of the last top-up between frames, is 0 when L ≥ K
    + 0.4 s, else the largest multiple of (L − 0.4 s) below K.
    """
    rng = random.Random(f"promise {seed}")
    while True:
        keepalive_ms = rng.choice((50, 100, 250, 500, 600, 1_000, 1_200, 3_000, 5_000))
        dead_ms = rng.randrange(2 * keepalive_ms + 1, 30_000)
        n = lost_frames(dead_ms, keepalive_ms)
        if 0 <= n <= 40:
            break
    world = cluster(seed=seed, keepalive_ms=keepalive_ms, dead_ms=dead_ms, init_dead_ms=dead_ms, check=False)
    owner = world.hosts["a"]
    late_ms = rng.choice((0, 1_100, rng.randrange(1_101)))
    owner.kernel.late_ms = (late_ms, late_ms)
    world.run(rng.randrange(2 * keepalive_ms) + keepalive_ms)
    assert world.holders() == {"a"}
    lost = rng.randint(0, n)
    frames = world.network.frames["a"]
    world.cut = {("a", "b")}
    while world.network.frames["a"] < frames + lost:
        world.run(1)
    world.run(rng.choice((0, rng.randrange(keepalive_ms))) if lost else 0)
    if world.network.frames["a"] > frames + n:
        pytest.fail("the schedule lost more frames than it meant to")
    owner.freeze() if seed % 2 else owner.kill()
    world.heal()
    since = world.now
    world.run(2 * dead_ms)
    assert world.holders() == {"b"}
    if owner.frozen:
        owner.thaw()
        world.run(2 * dead_ms)
    assert world.overlap_ms(since) == 0, transcript(world)


def test_the_simulator_sees_what_lies_beyond_the_promise() -> None:
    assert lost_frames(3_000, 1_000) == 0
    overlaps = []
    for seed in range(5):
        world = cluster(seed=seed, keepalive_ms=1_000, dead_ms=3_000, check=False)
        world.hosts["a"].kernel.late_ms = (lease.KERNEL_LATE_MS, lease.KERNEL_LATE_MS)
        frames = world.network.frames["a"]
        world.cut = {("a", "b")}
        while world.network.frames["a"] < frames + 2:
            world.run(1)
        world.hosts["a"].kill()
        world.run(6_000)
        overlaps.append(world.overlap_ms(0))
    assert 0 < max(overlaps) <= 1_000 + lease.KERNEL_LATE_MS


@pytest.mark.parametrize("members", ["ab", "abc"])
@pytest.mark.parametrize("gap_ms", [K, D - 20])
def test_frames_that_were_held_back_delay_by_one_dead_interval(members: str, gap_ms: int) -> None:
    """[BELIEF-12] A frame of a believed member must be dated by its acknowledgement, as the time when the acknowledged
    sequence was sent plus the age that it states, and must be dropped as Unproved when that is longer ago than the
    larger of the two dead intervals.
    """
    world = cluster(members, check=False)
    others = members[1:]
    world.run(D)
    begun = world.now
    world.cut = {("a", other) for other in others}
    world.run(D - K - 100)  # b believes it yet
    died = world.now
    world.hosts["a"].kill()
    world.heal()
    held_back = [r for r in world.network.tape if r.source == "a" and r.at_ms > begun]
    assert len(held_back) >= 4, "each of them could buy one"
    for recorded in held_back:
        for other in others:
            world.deliver(other, recorded.interface, recorded.data)
        world.run(gap_ms)
    world.run(3 * D)
    assert world.owners() == {"b"}, transcript(world)
    claimed = next(at for at, who, _ in moves(world) if who == "b")
    # the last true frame came at `begun`; those held back were made until `died`, and buy one interval at most
    assert begun + D - K <= claimed <= died + 2 * D + K, transcript(world)


@pytest.mark.parametrize("how", VOLUNTARY)
@pytest.mark.parametrize("trouble", ["none", "loss", "slow"])
def test_services_run_once(how: str, trouble: str) -> None:
    """[SERVICE-1] Host services of a group must not run on two nodes but after a kill or a partition."""
    world = cluster("abc", units=UNITS, monitors=("192.0.2.1",), seed=VOLUNTARY.index(how), check=False)
    if trouble == "slow":
        for host in world.hosts.values():
            host.systemd.job_ms = (400, 900)
    if trouble == "loss":
        world.loss = 0.1
    assert world.serving() == {"a"}
    give(world, how)
    served = []
    for _ in range(6 * D // 10):
        world.run(10)
        served.append(frozenset(world.serving()))
        assert len(served[-1]) <= 1, transcript(world)
    assert frozenset({"a"}) != served[-1] != frozenset()


def test_steps_of_the_wall_clock() -> None:
    """[SLEEP-8] A step of the wall clock must change nothing."""
    plain, stepped = (cluster("abc", seed=5, check=False) for _ in range(2))
    rng = random.Random(5)
    for _ in range(60):
        for host in stepped.hosts.values():
            host.clock.step_wall(rng.choice((-86_400_000, -3_600_000, -70, 70, 1_000, 86_400_000)))
        for world in (plain, stepped):
            world.run(333)
    for world in (plain, stepped):
        world.hosts["a"].kill()
        world.run(2 * D)
        assert [who for _, who, _ in moves(world)] == ["a", "b"]
    assert stepped.holders() == {"b"}
    assert stepped.overlap_ms(0) == 0


# -- every change of state is in the table


@functools.cache
def observed() -> frozenset[tuple[str, str, str]]:
    """(before, after, reason) of every decision in some simulated minutes of trouble."""
    assert CATALOGUE, "its modules register the kinds of faults"
    seen: set[tuple[str, str, str]] = set()
    for seed in SEEDS:
        scenario = Scenario.drawn(f"table {seed}")
        driver = scenario.driver()
        world = driver.world
        world.invariants = None
        world.run(2 * scenario.spec.init_dead_ms)
        for burst in scenario.bursts():
            for fault in burst.faults:
                driver.inflict(fault)
            if burst.peace != "none":
                driver.heal()
            world.run(2 * scenario.spec.dead_ms)
            if world.now > 8 * MINUTE_MS:
                break
        for host in world.hosts.values():
            seen |= {(d.before.name, d.after.name, d.reason.value) for _, d in host.decisions}
    return frozenset(seen)


def test_no_change_of_state_that_the_table_does_not_name() -> None:
    """[STATE-1] A member must not change from one state to another, nor for a reason, that the table of section 8 does
    not name.
    """
    rows = document.transitions(document.text())
    every = {reason.value for reason in Reason}
    named = {(r.state, r.to, reason) for r in rows for reason in (every if r.reasons is None else r.reasons)}
    seen = {(generate.camel(before), generate.camel(after), reason) for before, after, reason in observed()}
    assert sorted(seen - named) == []
    assert len({(before, after) for before, after, _ in seen}) >= 14, "the simulator has seen most of the table"


def test_every_change_has_a_reason() -> None:
    """[WORD-1] Every change of a group's state must carry one of the reasons of section 22."""
    texts = generate.words(Reason)
    documented = {row[0] for row in document.rows(document.part(document.text(), "reasons"))}
    assert {reason for _, _, reason in observed()} <= documented
    assert documented == {r.value for r in Reason}
    assert all(texts.values())
