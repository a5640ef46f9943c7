"""Schedules that nobody thought of: faults at random, then peace, then the invariants of one owner."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.build import VIP, config, group
from sim.world import World
from vyos_agent.core.model import State

D, K, INIT = 3000, 500, 6000
FAULTS = ("power", "kill", "start", "freeze", "thaw", "partition", "cut", "oneway", "heal", "loss")
PEACE_MS = INIT + 4 * D
"""A node that listens for a member that is gone needs INIT; then a dead interval, a stagger, a settlement."""

step = st.tuples(st.sampled_from(FAULTS), st.integers(0, 3), st.integers(0, 3), st.integers(1, 4000))
schedules = st.lists(step, max_size=14)


def apply(world: World, fault: str, x: str, y: str) -> None:
    host = world.hosts[x]
    if fault == "power" and host.node is not None:
        host.power_off()
    elif fault == "kill" and host.node is not None:
        host.kill()
    elif fault == "start" and host.node is None:
        host.start()
    elif fault == "freeze" and host.node is not None:
        host.freeze()
    elif fault == "thaw" and host.frozen:
        host.thaw()
    elif fault == "partition":
        world.partition(x, "".join(n for n in world.hosts if n != x))
    elif fault == "cut" and x != y:
        world.cut.update({(x, y), (y, x)})
    elif fault == "oneway" and x != y:
        world.cut.add((x, y))
    elif fault == "heal":
        world.heal()
    elif fault == "loss":
        world.loss = 0.0 if world.loss else 0.1


@settings(
    max_examples=int(os.environ.get("SIM_EXAMPLES", "150")),
    deadline=None,
    derandomize="SIM_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(schedules, st.integers(2, 4), st.booleans(), st.integers(0, 2**32))
def test_after_any_faults_peace_brings_one_owner_and_no_more_moves(
    schedule: list[tuple[str, int, int, int]], members: int, auto_failback: bool, seed: int
) -> None:
    names = "abcd"[:members]
    world = World([config(m, [group(members=names, auto_failback=auto_failback)]) for m in names], seed=seed)
    world.start()
    world.run(5000)
    for fault, i, j, wait_ms in schedule:
        apply(world, fault, names[i % members], names[j % members])
        world.run(wait_ms)
    world.heal()
    world.loss = 0.0
    for host in world.hosts.values():
        if host.frozen:
            host.thaw()
        if host.node is None:
            host.start()
    world.run(PEACE_MS)
    quiet = world.now
    moves = sum(len(h.decisions) for h in world.hosts.values())
    transcript = "\n".join(world.log)
    assert world.owners() == world.holders(), transcript
    assert len(world.holders()) == 1, transcript
    world.run(5 * D)
    assert sum(len(h.decisions) for h in world.hosts.values()) == moves, transcript
    assert world.dark_ms(quiet) == world.overlap_ms(quiet) == 0, transcript
    assert {h.disk.get("g") for h in world.hosts.values()} == {max(h.disk["g"] for h in world.hosts.values())}, (
        transcript
    )
    if auto_failback:
        assert world.holders() == {"a"}, transcript
    views = {g.owner for h in world.hosts.values() if h.node for g in h.node.report().groups}
    assert views == world.holders(), transcript


@pytest.mark.parametrize("dead_ms", [2100, 3000, 5000, 20_000])
@pytest.mark.parametrize("seed", range(25))
def test_a_kill_or_freeze_never_makes_two_holders(dead_ms: int, seed: int) -> None:
    """The promise of design.md section 5 for n = 0: D from 2.1 s, keepalives up to 600 ms, no frame lost."""
    keepalive_ms = 5000 if dead_ms == 20_000 else 500
    groups = [group()]
    world = World(
        [config(m, groups, keepalive_ms=keepalive_ms, dead_ms=dead_ms, init_dead_ms=dead_ms) for m in "ab"], seed=seed
    )
    world.start()
    world.run(2 * dead_ms + seed * 97)
    at = world.now
    owner = world.hosts["a"]
    owner.freeze() if seed % 2 else owner.kill()
    world.run(2 * dead_ms)
    assert world.holders() == {"b"}
    assert world.overlap_ms(at) == 0
    assert world.dark_ms(at) < dead_ms + 10
    if owner.frozen:
        owner.thaw()
        world.run(2 * dead_ms)
        assert world.holders() == {"b"}
        assert world.overlap_ms(at) == 0


@pytest.mark.parametrize("seed", range(10))
def test_lost_frames_and_dying_standbys_take_nothing_from_a_healthy_owner(seed: int) -> None:
    world = World([config(m, [group(members="abc")]) for m in "abc"], seed=seed)
    world.start()
    world.run(5000)
    at = world.now
    world.loss = 0.05
    world.run(20_000)
    world.hosts["b"].power_off()
    world.run(20_000)
    assert world.dark_ms(at) == 0, "\n".join(world.log)
    assert world.hosts["a"].node is not None
    assert [d.after for _, d in world.hosts["a"].decisions].count(State.OWNER) == 1
    assert VIP in world.hosts["a"].kernel.holds(world.now)
