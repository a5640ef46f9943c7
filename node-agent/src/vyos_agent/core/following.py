"""Whom a member believes to own a group, and how it would come to own it itself."""

from __future__ import annotations

from vyos_agent.core import election
from vyos_agent.core.election import Claim
from vyos_agent.core.model import MemberId, Reason, State
from vyos_agent.core.turn import Turn


class Following:
    """The owner of one group as this member sees it, and the last one that there was."""

    def __init__(self) -> None:
        self.owner: Claim | None = None
        self.last: Claim | None = None

    def see(self, turn: Turn, mine: Claim | None) -> None:
        """Whose claim is the strongest now, this member's own (if it has one) included."""
        self.owner = election.strongest([*turn.view.claims, *([mine] if mine is not None else [])])
        self.last = self.owner or self.last

    def was_mine(self, turn: Turn) -> bool:
        """Whether this member owned it last."""
        return self.last is not None and self.last.owner == turn.at.me

    def reason(self, turn: Turn) -> Reason:
        """Why nobody owns it now."""
        if self.last is None:
            return Reason.FIRST_CLAIM
        if self.last.owner in turn.at.left:
            return Reason.PEER_LEFT
        return Reason.PEER_DEAD if self.last.owner in turn.at.dead else Reason.PEER_RELEASED

    def place(self, turn: Turn, *, since: int | None) -> int:
        """How many others would claim before this member; one of which nothing is known might.

        `since`: the newest sequence sent before it became a candidate. Who has not acknowledged a later one may have
        become a candidate in the same moment, as members do whose switch comes back. None: it is no candidate, and
        comes after all that are.
        """
        others = list(turn.view.candidates + turn.view.silent + (turn.view.coming if self.last is None else ()))
        silent = [
            s
            for s in turn.view.standings.values()
            if s.entry.state is State.STANDBY and not s.entry.candidate and not s.peer.leaving
        ]
        if since is None:
            return len(others) + sum(s.candidate.rank < turn.mine.rank for s in silent)
        if self.was_mine(turn) and any(not self._knows(c.member, since, turn) for c in others):
            return len(others)  # it let go, and whoever does not know yet that it could go on claims now
        return election.turn(others + [s.candidate for s in silent if s.peer.acked <= since], turn.mine)

    def _knows(self, member: MemberId, since: int, turn: Turn) -> bool:
        standing = turn.view.direct(member)
        return standing is not None and standing.peer.acked > since
