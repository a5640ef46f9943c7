"""What the schedules share: a cluster that runs, and questions about it in one word."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from sim.build import config, group
from sim.world import World
from vyos_agent.core.model import Config, Group, Reason, State

D, K = 3000, 500


def cluster(
    members: str = "ab",
    *,
    groups: Iterable[Group] | None = None,
    seed: int = 1,
    delay_ms: tuple[int, int] = (0, 2),
    settle: bool = True,
    check: bool = True,
    interfaces: tuple[str, ...] = ("eth0",),
    **settings: Any,
) -> World:
    """Powered on, and (unless not to `settle`) in its third dead interval."""
    names = {k: settings.pop(k) for k in ("auto_failback", "monitors", "units", "maintenance") if k in settings}
    shared = list(groups) if groups is not None else [group(members=members, **names)]
    configs = [config(m, shared, interfaces=interfaces, **settings) for m in members]
    world = World(configs, seed=seed, delay_ms=delay_ms, check=check)
    world.start()
    if settle:
        world.run(2 * configs[0].dead_ms)
    return world


def reconfigure(world: World, name: str, **changes: Any) -> Config:
    """A new NodeConfig for one member, of the next generation."""
    host = world.hosts[name]
    old = host.config
    new = dataclasses.replace(old, **{"generation": old.generation + 1, **changes})
    before = {g.name: g for g in old.groups}
    world.peace.harm(
        [g.name for g in (*old.groups, *new.groups) if before.get(g.name) != g or new.standby != old.standby]
    )
    host.configure(new)
    return new


def moves(world: World, since: int = 0) -> list[tuple[int, str, Reason]]:
    """Every time that somebody became the owner who was not."""
    return sorted(
        (at, host.name, d.reason)
        for host in world.hosts.values()
        for at, d in host.decisions
        if at >= since and d.after is State.OWNER and d.before in (State.STANDBY, State.LISTENING)
    )


def reasons(world: World, name: str, since: int = 0) -> list[Reason]:
    """Why that host changed its state, in order."""
    return [d.reason for at, d in world.hosts[name].decisions if at >= since]


def transcript(world: World) -> str:
    """For an assertion that fails."""
    return "\n".join(world.log)
