"""What a node says of itself: a frozen snapshot for the control socket, taken when `Node.revision` moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_agent.core.model import Reason, Serving, State, Vip


@dataclasses.dataclass(frozen=True, slots=True)
class CandidateReport:
    """One member by the criteria of the ranking, as it states them itself: a row of `explain`, best first."""

    name: str
    state: State | None
    """None: nothing of it is known."""
    rank: int
    candidate: bool
    """It could take the group, by its own word."""
    ready: bool
    """It is heard directly, at this member's generation, and ready for a handover."""
    monitors: int | None
    """Monitors that it reaches, those that are undecided included; None: it pings another list than this member."""


@dataclasses.dataclass(frozen=True, slots=True)
class HandoverReport:
    """A planned move under way, as its owner or its target sees it."""

    target: str
    reason: Reason
    given: bool
    """False: the target is asked. True: the group is given to it."""


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
    services: Serving | None = None
    """What its host services do here; None: it has none, or nothing is known yet."""
    message: str = ""
    """Of services that failed or are absent, the shell's words."""
    handover: HandoverReport | None = None
    candidates: tuple[CandidateReport, ...] = ()
    """All its members, best first: why the owner owns it (`explain`)."""
    occupied: tuple[str, ...] = ()
    """Living members whose machines have one of its addresses for good."""


@dataclasses.dataclass(frozen=True, slots=True)
class PeerReport:
    """One other member as this member sees it."""

    name: str
    state: str
    """Alive, Listening, Dead, Left or Unheard."""
    since_ms: int
    links: tuple[str, ...] = ()
    """Heartbeat interfaces over which it was heard within its dead interval."""


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
    monitors: Mapping[str, bool | None] = dataclasses.field(default_factory=dict)
    """Whether each monitor is reachable; None: undecided."""
    mute: bool = False
    """No heartbeat link can carry a frame: this member makes no first claim."""
