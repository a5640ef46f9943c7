"""Benches in the middle of a planned move: an owner that asks, or that gives."""

from __future__ import annotations

from core.bench import Bench, Puppet, all_heard, keep_saying
from sim.build import config, group
from vyos_agent.core.events import Forced, Served
from vyos_agent.core.model import Force, Serving, State
from vyos_agent.core.wire import Handover

UNITS = ("ssh.service",)
V_MS = 2_000
"""max(4K, 500 ms) at K = 500 ms."""


def owner(members: str = "abc", *, units: tuple[str, ...] = (), **settings: object) -> tuple[Bench, dict[str, Puppet]]:
    """Member a owns the group; the others are heard and ready."""
    bench = Bench(config("a", [group(members=members, units=units, **settings)]))  # type: ignore[arg-type]
    others = all_heard(bench, *members[1:])
    if units:
        bench.step(Served("g", Serving.STOPPED))
        bench.step(Served("g", Serving.RUNNING))
    keep_saying(others, 600)
    assert bench.state() is State.OWNER
    return bench, others


def ask(members: str = "abc", **settings: object) -> tuple[Bench, dict[str, Puppet]]:
    """And is told to stand by."""
    bench, others = owner(members, **settings)  # type: ignore[arg-type]
    bench.step(Forced(Force.STANDBY))
    assert (bench.state(), bench.entry().handover, bench.entry().target) == (State.ASKING, Handover.ASK, others["b"].id)
    return bench, others


def give(members: str = "abc", **settings: object) -> tuple[Bench, dict[str, Puppet]]:
    """And the target is ready, and GO is said."""
    bench, others = ask(members, **settings)
    others["b"].say(handover=Handover.READY, target=me(bench))
    assert bench.state() is State.GIVING
    bench.run(20)
    assert bench.entry().handover is Handover.GO
    return bench, others


def me(bench: Bench) -> int:
    assert bench.said is not None
    return bench.said.sender
