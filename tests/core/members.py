"""Benches at rest: a member that stands by, and one that owns the group."""

from __future__ import annotations

from core.bench import Bench, Puppet, all_heard, keep_saying
from sim.build import config, group
from vyos_agent.core.model import State, Vip

D_MS, K_MS, INIT_MS = 3_000, 500, 6_000
UNITS = ("ssh.service",)
OTHER = Vip("192.168.0.124", 24, "eth0")
TWO_LINKS = ("eth0", "eth1")


def standby(members: str = "abc", me: str = "b", **settings: object) -> tuple[Bench, dict[str, Puppet]]:
    """Member b stands by, a owns with epoch 1."""
    bench = Bench(config(me, [group(members=members)], **settings))  # type: ignore[arg-type]
    others = all_heard(bench, *(m for m in members if m != me))
    others["a"].say(state=State.OWNER, epoch=1, ready=False)
    keep_saying(others, 600)
    assert bench.state() is State.STANDBY
    return bench, others


def owner(members: str = "abc", **settings: object) -> tuple[Bench, dict[str, Puppet]]:
    """Member a owns."""
    bench = Bench(config("a", [group(members=members)], **settings))  # type: ignore[arg-type]
    others = all_heard(bench, *members[1:])
    keep_saying(others, 600)
    assert bench.state() is State.OWNER
    return bench, others
