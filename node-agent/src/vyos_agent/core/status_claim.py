"""Claims that a member knows from the VyosCluster's status only: when one stands for a second owner, and when not.

Each side of a partition may reach the API server. An owner that went above every epoch in the status would outbid the
newer owner on the other side just before their frames meet and settle it. So such an epoch is not stated in frames
either; it counts for the member's own next claim.
"""

from __future__ import annotations

import dataclasses

from vyos_agent.core.model import MemberId
from vyos_agent.core.turn import Turn

HEARD_KEEPALIVES = 2
"""A member that is heard has said what it is to the group after so many of its keepalives ([SKEW-3])."""
AWARE_DEADS = 16
"""Dead intervals of silence before an owner outbids a member that knew of its claim: that member's claim is the later
one, and most partitions are over by then. It must end, for the member may have died beyond the cut."""


@dataclasses.dataclass(frozen=True, slots=True)
class StatusClaim:
    """Another member's claim, at an epoch that is not below the highest one known from frames."""

    owner: MemberId
    epoch: int
    at_ms: int
    """When this node learned of it."""


class StatusClaims:
    """Of one group: the highest claim of another member from the status, and the members that know of this owner's."""

    def __init__(self) -> None:
        self.pending: StatusClaim | None = None
        self._aware: frozenset[MemberId] = frozenset()

    @property
    def epoch(self) -> int:
        """Its epoch, which a new claim of this member must exceed; 0: there is none."""
        return 0 if self.pending is None else self.pending.epoch

    def restart(self) -> None:
        """Forget who knows of this member's claim: it began or ceased to own the group."""
        self._aware = frozenset()

    def note(self, owner: MemberId, epoch: int, now: int) -> None:
        """Take in a claim of another member. The same one again, or a lower one, changes nothing."""
        pending = self.pending
        if pending is None or epoch > pending.epoch or (epoch == pending.epoch and owner != pending.owner):
            self.pending = StatusClaim(owner, epoch, now)

    def see(self, turn: Turn, epoch: int) -> None:
        """Note which members know of this owner's claim, by the epoch that they state."""
        self._aware |= {member for member, s in turn.view.standings.items() if s.entry.epoch >= epoch}

    def to_outbid(self, turn: Turn, epoch: int) -> int | None:
        """Return the epoch that this owner, whose claim is `epoch`, must go above now; None: there is none.

        A claim that is heard in frames is settled by them. A member that is heard and claims nothing, or that stays
        silent for long enough, makes no claim any more.
        """
        pending = self.pending
        if pending is None or pending.epoch < epoch:
            self.pending = None
            return None
        if any(claim.owner == pending.owner for claim in turn.view.claims):
            return None
        if not self._says_nothing(pending, turn) and turn.now < self._patience_end_ms(pending, turn):
            return None
        self.pending = None
        self._aware |= {pending.owner}  # should it go above this owner in turn, it lives
        return pending.epoch

    def due_ms(self, turn: Turn) -> list[int]:
        """When `to_outbid` must be asked again with nothing heard."""
        pending = self.pending
        if pending is None:
            return []
        standing = turn.view.standings.get(pending.owner)
        heard = [] if standing is None else [pending.at_ms + HEARD_KEEPALIVES * standing.peer.keepalive_ms]
        return [self._patience_end_ms(pending, turn), *heard]

    def _patience_end_ms(self, pending: StatusClaim, turn: Turn) -> int:
        deads = AWARE_DEADS if pending.owner in self._aware else 1
        return pending.at_ms + deads * turn.at.config.dead_ms

    @staticmethod
    def _says_nothing(pending: StatusClaim, turn: Turn) -> bool:
        standing = turn.view.standings.get(pending.owner)
        if standing is None or standing.peer.last_ms < pending.at_ms:
            return False
        return turn.now >= pending.at_ms + HEARD_KEEPALIVES * standing.peer.keepalive_ms
