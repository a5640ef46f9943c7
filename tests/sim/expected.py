"""Who should own a group, by the rules alone: the judge's own reckoning, from the words and not from the core.

"A member is a candidate when its addresses' interfaces are up, it is not in maintenance or leaving, and its services
did not just fail there." "One ranking serves takeover, monitors and failback: monitors reachable (compared only between
equal monitor lists), then the order primary, secondaries." (design.md section 5, rule 2)
"""

from __future__ import annotations

import enum
import typing

from sim import bounds
from vyos_agent.core.model import Group

if typing.TYPE_CHECKING:
    from sim.host import Host
    from sim.world import World


class Fitness(enum.Enum):
    """Whether a host can own a group."""

    FIT = "fit"
    UNFIT = "unfit"
    UNSURE = "unsure"
    """It failed, and may stand back still."""


def fitness(world: World, host: Host, group: Group) -> Fitness:
    """By what the observer knows of the host."""
    units = set(group.units)
    if host.name not in group.members or host.name in group.maintenance or not host.runs:
        return Fitness.UNFIT
    if not all(host.links.get(v.interface, True) for v in group.vips):
        return Fitness.UNFIT
    if (
        occupies(host, group)
        or host.kernel.refuses & set(group.vips)
        or units & (host.systemd.fails | host.systemd.absent)
    ):
        return Fitness.UNFIT
    if world.history.stands_back(host.name, group.name, bounds.of(world).placed_ms) or units & host.systemd.stuck:
        return Fitness.UNSURE
    return Fitness.FIT


def occupies(host: Host, group: Group) -> bool:
    """Whether its machine has one of the group's addresses for good."""
    return any(v.address in host.around.occupied for v in group.vips)


def monitors(host: Host, group: Group) -> int:
    """How many of the group's monitors that host reaches."""
    return sum(host.monitors.get(m, True) for m in group.monitors)


def rightful(world: World, group: Group) -> set[str] | None:
    """The hosts of which one must own the group once all has settled; None: it cannot be said, or nobody can."""
    fit = {h.name: fitness(world, h, group) for h in world.hosts.values()}
    if Fitness.UNSURE in fit.values():
        return None
    if any(occupies(h, group) for h in world.hosts.values()):
        return None  # a group that has an owner keeps it, and one that has none gets none
    able = [world.hosts[n] for n, f in fit.items() if f is Fitness.FIT]
    willing = [h for h in able if not h.config.standby] or able
    if not willing:
        return None
    most = max(monitors(h, group) for h in willing)
    best = {h.name for h in willing if monitors(h, group) == most}
    if group.auto_failback:
        return {min(best, key=group.members.index)}
    return best
