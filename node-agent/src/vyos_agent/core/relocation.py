"""Addresses that a new configuration moves to another group: the owner keeps them until that group's owner has them.

The two groups may have different owners, and the new one adds the address only when every living member carries the
configuration ([SKEW-2]). Without this the address would be held by nobody until then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from vyos_agent.core import handover
from vyos_agent.core.election import strongest
from vyos_agent.core.model import Config, Vip
from vyos_agent.core.view import View

UNNUMBERED_MS = 500
"""How long a new configuration with the generation of the old one is given to reach the other owner. A router's own
file often states none, and to read a file takes so long on a busy router (`edge.reader`)."""


@dataclasses.dataclass(slots=True)
class Relocated:
    """One address on its way."""

    group: str
    """The group that it belongs to now."""
    since_ms: int
    numbered: bool
    """The configuration has a higher generation than the one before."""
    there_ms: int | None = None
    """When the new group's owner said that it holds its addresses."""

    def is_over(self, view: View, config: Config, now: int) -> bool:
        """Whether it must be given up: another member owns its new group and has it, or nobody added it in time.

        `view`: of the new group. An owner that is not heard directly cannot say that it has the address.
        """
        claim = strongest(view.claims)
        if now >= self.since_ms + config.init_dead_ms + config.dead_ms:
            return True
        if claim is None:
            return False
        owner = view.direct(claim.owner)
        if owner is None:
            return True
        knows = owner.peer.generation >= config.generation
        ripe = self.numbered or now >= self.since_ms + UNNUMBERED_MS
        if self.there_ms is None and knows and ripe and owner.entry.ready:
            self.there_ms = now
        return self.there_ms is not None and now >= self.there_ms + handover.OVERLAP_MS

    def due_ms(self, config: Config) -> list[int]:
        """When `is_over` must be asked again with nothing heard."""
        there = [] if self.there_ms is None else [self.there_ms + handover.OVERLAP_MS]
        return [*there, self.since_ms + UNNUMBERED_MS, self.since_ms + config.init_dead_ms + config.dead_ms]


def relocated(held: Iterable[Vip], group: str, config: Config) -> dict[Vip, str]:
    """The addresses of a group that the configuration names in another one, with that group's name."""
    groups: Mapping[str, str] = {v.address: g.name for g in config.groups for v in g.vips}
    return {vip: groups[vip.address] for vip in held if groups.get(vip.address, group) != group}
