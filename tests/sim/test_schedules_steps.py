"""Schedules of section 5 (handover), the other half: a fault at each step, on each side."""

from __future__ import annotations

import pytest

from sim.cluster import D, cluster, transcript
from sim.test_schedules_handover import UNITS, VALIDITY_MS, give
from sim.world import World
from vyos_agent.core.model import State

FAULTS = ("freeze", "short freeze", "kill", "restart", "power", "cut", "cut to", "cut from", "lose", "duplicate")
STEPS = ("ASK", "READY", "GO", "Owner", "Standby")


def _reached(world: World, step: str) -> bool:
    """Whether the handover from a to b has come so far."""
    states = world.history.states["g"]
    a, b = states.get("a"), states.get("b")
    match step:
        case "ASK":
            return a is State.ASKING
        case "READY":
            return a is State.ASKING and world.network.pairs["a", "b"].delivered == world.network.frames["a"]
        case "GO":
            return a is State.GIVING
        case "Owner":
            return b is State.OWNER
        case _:
            return b is State.OWNER and a in (State.YIELDING, State.STANDBY)


def _hit(world: World, name: str, other: str, fault: str) -> None:
    host = world.hosts[name]
    match fault:
        case "freeze" | "short freeze":
            host.freeze()
            wait_ms = 2 * D if fault == "freeze" else VALIDITY_MS + 100
            world.at(world.now + wait_ms, host.thaw)
        case "kill":
            host.kill()
        case "restart":
            host.kill()
            world.at(world.now + 150, host.start)
        case "power":
            host.power_off()
        case "cut":
            world.cut = {(name, other), (other, name)}
            world.at(world.now + 2 * D, world.heal)
        case "cut to":
            world.cut = {(name, other)}
            world.at(world.now + 2 * D, world.heal)
        case "cut from":
            world.cut = {(other, name)}
            world.at(world.now + D // 2, world.heal)
        case "lose":
            world.cut = {(name, other)}
            world.at(world.now + 3, world.heal)
        case _:
            world.network.weather.duplicate = 1.0


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_each_step_on_each_side_ends_safely(step: str, side: str, fault: str) -> None:
    """ "freeze, kill, restart, cut, lose, duplicate at each step x {A, B}; invariants: services <= 1 always unless
    killed/partitioned; addresses >= 1 unless a kill; holders <= 1 after the stated overlap; at most one claim per
    epoch" (the invariants look after every step)"""
    world = cluster("abc", units=UNITS, delay_ms=(1, 3))
    since = world.now
    give(world, "force standby")
    while not _reached(world, step) and world.now < since + D:
        world.run(1)
    assert _reached(world, step), transcript(world)
    _hit(world, side, "b" if side == "a" else "a", fault)
    world.run(5 * D)
    for host in world.hosts.values():
        if host.node is None:
            host.start()
    world.run(6 * D)
    assert len(world.owners()) == 1, transcript(world)
    assert world.owners() == world.holders() == world.serving(), transcript(world)
    if fault in ("cut", "cut to", "cut from", "lose", "duplicate"):
        assert world.dark_ms(since) == 0, transcript(world)
