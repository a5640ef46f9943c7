"""Since when the world has been at peace, and in which sense: what an invariant needs to know before it may demand.

Reckoned whenever a fault begins or ends; between those nothing here can change.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from sim.world import World

NEVER = 2**62


class Peace:
    """Each answer is an instant of the world; NEVER while it is not so."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.joined_ms = NEVER
        """Every host runs, every two hear each other or share a neighbour, no frame is lost on purpose."""
        self.whole_ms = NEVER
        """Every host runs, all hear each other on every LAN, and all have one configuration."""
        self.same_ms = NEVER
        """All have one configuration, and work by it."""
        self.harmed_ms: dict[str, int] = {}
        """By group: when something happened that may move it."""
        self.replayed_ms = -NEVER
        """When the last recording was sent."""
        self.calm = self.reach = True
        """No frame is lost at random; and all that run reach each other (one that is down moves nothing by itself)."""

    def reckon(self) -> None:
        """A fault has begun or ended."""
        world = self._world
        now, network = world.now, world.network
        self.calm = not network.weather.loss
        running = [h.name for h in world.hosts.values() if h.runs]
        self.reach = self.calm and network.joined(running)
        if not self.reach:
            self.harm(None)
        joined = self.reach and len(running) == len(world.hosts)
        cut = bool(network.cut or network.cut_on or network.deaf or network.mute)
        same = {(h.config.generation, h.seen_generation) for h in world.hosts.values()}
        self.joined_ms = min(self.joined_ms, now) if joined else NEVER
        self.same_ms = min(self.same_ms, now) if len(same) == 1 else NEVER
        self.whole_ms = min(self.whole_ms, now) if joined and not cut and len(same) == 1 else NEVER

    def harm(self, groups: typing.Iterable[str] | None) -> None:
        """These groups may move now, and until all has settled again; None: any, removed ones too.

        A member that has not heard of the removal may own such a group still.
        """
        for group in {*self._world.groups, *self.harmed_ms} if groups is None else groups:
            self.harmed_ms[group] = self._world.now

    def quiet_since(self, group: str) -> int:
        """Since when nothing has happened that may move this group; NEVER while it goes on."""
        return self.harmed_ms.get(group, 0) if self.reach else NEVER
