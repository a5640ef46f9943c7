"""What a decision needs: one instant of the whole node, and of one group in it. Values only, gathered by `node`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_agent.core.election import Candidate
from vyos_agent.core.model import Config, MemberId, Vip
from vyos_agent.core.sent import SentLog
from vyos_agent.core.view import View


@dataclasses.dataclass(frozen=True, slots=True)
class Instant:
    """What holds for every group."""

    now: int
    me: MemberId
    config: Config
    names: Mapping[MemberId, str]
    listened: bool
    """All members are believed, or the initial dead interval is over; and `roused`."""
    roused: bool
    """Not asleep, or all that were heard since acknowledge again."""
    awake: bool
    """Not in the interval after a sleep, in which nobody is judged."""
    dark: bool
    """No heartbeat link has had a carrier for the dead interval."""
    heard: bool
    """Some other member was heard in this life, believed or not."""
    acknowledged: bool
    """Every member heard has acknowledged this life."""
    may_claim_first: bool
    """Frames can go out, and this node has listened since: it may claim what never had an owner."""
    same_generation: bool
    """Every living member carries this node's generation."""
    configured_ms: int
    """When this node got it."""
    dead: frozenset[MemberId]
    left: frozenset[MemberId]
    """Members that are gone: silent beyond their dead interval, or by their own word."""
    sent: SentLog
    held: frozenset[Vip]
    """What the kernel holds of this cluster here, by its last word."""
    maybe_held: frozenset[Vip] | None
    """What it may hold, counting what was asked of it since; None: it has not answered yet."""
    relocated: frozenset[Vip]
    """Addresses that are held for the owner of another group until that one has them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """One group at that instant."""

    at: Instant
    view: View
    mine: Candidate
    """This node by the criteria of the ranking."""
    judged: bool
    """Every monitor of the group has a verdict."""
    linked: bool
    """The interfaces of all its addresses have a carrier."""
    occupied: bool
    """This machine has one of its addresses for good."""

    @property
    def now(self) -> int:
        """The instant."""
        return self.at.now

    @property
    def may_claim_first(self) -> bool:
        """Whether this member may claim the group if it never had an owner."""
        return self.at.may_claim_first and not self.view.occupied

    def name(self, member: MemberId) -> str | None:
        """A member's name; None: the configuration does not know it."""
        return self.at.names.get(member)
