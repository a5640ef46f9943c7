"""What a node says of itself: a frozen snapshot for the control socket, taken when `Node.revision` moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_agent.core.model import Reason, State, Vip


@dataclasses.dataclass(frozen=True, slots=True)
class GroupReport:
    """One group as this member sees it."""

    name: str
    state: State
    owner: str | None
    """Whom this member believes to be the owner."""
    epoch: int
    reason: Reason | None
    """Why this member's state last changed."""
    since_ms: int
    """When it changed, on the core's clock."""
    vips: tuple[Vip, ...]
    """What the kernel holds of it here."""


@dataclasses.dataclass(frozen=True, slots=True)
class PeerReport:
    """One other member as this member sees it."""

    name: str
    state: str
    """Alive, Listening, Dead, Left or Unheard."""
    since_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """One cluster on one node. Levels that move only on transitions; `drops` are counters."""

    revision: int
    generation: int
    groups: tuple[GroupReport, ...]
    peers: tuple[PeerReport, ...]
    links: Mapping[str, bool]
    failed: Mapping[Vip, str]
    drops: Mapping[str, int]
