"""A planned move: make before break, in levels that every frame repeats (shared/protocol section 5).

    owner                              target
    ASK  ->                            READY or REFUSE
    services stopped, lives of 1 s
    GO   ->                            claims the next epoch, adds, says that they are there, announces, starts services
    hears that, 20 ms later removes

The owner's side is a `Move`; the target's side has no memory but what it owns, for it answers what the owner's newest
frame says. States and transitions are the group's; here is what each frame means.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from vyos_agent.core import election
from vyos_agent.core.model import NOBODY, OWNING, Cause, Group, MemberId, Reason, State
from vyos_agent.core.sent import SentLog
from vyos_agent.core.turn import Turn
from vyos_agent.core.view import Standing
from vyos_agent.core.wire import Handover

PATIENCE_KEEPALIVES = 4
PATIENCE_MIN_MS = 500
"""V = max(4K, 500 ms): how long an answer may take, and how fresh a GO must be (shared/protocol section 5)."""
RESEND_MS = 50
"""Frames are at most this far apart while a handover is under way (shared/protocol section 5)."""
OVERLAP_MS = 20
"""The old owner keeps its addresses for this long after it heard the claim (shared/protocol section 5)."""
LEAVING_ANSWER_MS = 2_000
"""A leaving member asks the next target after this: its time is short, and nothing was touched yet."""
GO_DELAY_MS = 20
"""From the order to shorten the addresses' lives to GO: the kernel must have carried it out by then."""

LETTING_GO = frozenset({Reason.LEAVING, Reason.REMOVED, Reason.MAINTENANCE})
"""Reasons for which an owner lets go in any case; with the others it keeps the group when nobody takes it."""
HARD = LETTING_GO | {Reason.SERVICE_FAILED}
"""Reasons that no target's readiness, monitors or rank stand against."""

CAUSES = {
    Reason.HANDOVER_REQUESTED: Cause.REQUESTED,
    Reason.FAILBACK: Cause.FAILBACK,
    Reason.MONITORS_LOST: Cause.MONITORS,
    Reason.CORDONED: Cause.CORDON,
    Reason.LEAVING: Cause.LEAVING,
    Reason.MAINTENANCE: Cause.MAINTENANCE,
    Reason.SERVICE_FAILED: Cause.SERVICE,
    Reason.REMOVED: Cause.REMOVED,
}
_REASONS = {cause: reason for reason, cause in CAUSES.items()} | {
    Cause.LEAVING: Reason.PEER_LEFT,
    Cause.REMOVED: Reason.PEER_RELEASED,
}
_HARD_CAUSES = frozenset(CAUSES[reason] for reason in HARD)


def taker_reason(cause: Cause) -> Reason:
    """Why the target owns the group, in the target's words."""
    return _REASONS.get(cause, Reason.PEER_RELEASED)


def patience_ms(mine_ms: int, theirs_ms: int) -> int:
    """V of two members, by their keepalives: both sides must count with the same."""
    return max(PATIENCE_KEEPALIVES * max(mine_ms, theirs_ms), PATIENCE_MIN_MS)


@dataclasses.dataclass(frozen=True, slots=True)
class Level:
    """What this member's frame says of a handover."""

    kind: Handover = Handover.NONE
    partner: MemberId = NOBODY
    cause: Cause = Cause.NONE


SILENT = Level()


@dataclasses.dataclass(slots=True)
class Move:
    """The owner's side of one planned move."""

    target: MemberId
    reason: Reason
    patience_ms: int
    """V."""
    answer_ms: int
    """How long an answer to ASK may take: V, or less for a member that leaves and has little time."""
    asked_ms: int
    floor: int
    """The newest sequence sent before ASK, and later before GO: only a frame that acknowledges a later one answers."""
    given_ms: int | None = None
    """When the target said READY: since then this member stops its services and shortens its addresses' lives."""
    go_ms: int | None = None
    proof: int | None = None
    """The newest sequence sent until GO + V: a target that acknowledges a later one and does not own, will not."""
    claimed_ms: int | None = None
    """When the target's claim was heard: it owns the group, and its kernel adds the addresses."""
    taken_ms: int | None = None
    """When it was heard that they are there."""

    @property
    def hard(self) -> bool:
        """Whether the owner lets go in any case."""
        return self.reason in HARD

    @property
    def said(self) -> Level:
        """What the owner's frames say."""
        kind = Handover.ASK if self.go_ms is None else Handover.GO
        return Level(kind, self.target, CAUSES[self.reason])

    def answer(self, target: Standing | None, me: MemberId) -> Handover:
        """READY or REFUSE by a frame that knows what it answers; else NONE."""
        if target is None or target.peer.acked <= self.floor or target.entry.target != me:
            return Handover.NONE
        kind = target.entry.handover
        return kind if kind in (Handover.READY, Handover.REFUSE) else Handover.NONE

    def note_claim(self, epoch: int, turn: Turn) -> bool:
        """Whether the target claims the group above this owner's epoch. It says `ready` when its addresses are there.

        Netlink may take its time there: until then this member keeps its own, or nobody would hold them. A target
        that is not heard itself is given twice the time in which it must have given up.
        """
        claims = any(c.owner == self.target and c.epoch > epoch for c in turn.view.claims)
        if claims and self.claimed_ms is None:
            self.claimed_ms = turn.now
        target = turn.view.direct(self.target)
        here = claims and target is not None and target.entry.state in OWNING and target.entry.ready
        over = self.claimed_ms is not None and turn.now >= self.claimed_ms + 2 * self.patience_ms
        if self.taken_ms is None and claims and (here or over):
            self.taken_ms = turn.now
        return claims

    def not_taken(self, target: Standing | None, turn: Turn) -> bool:
        """After GO: whether the target is gone, refuses, let go again, or provably will not act on it any more."""
        assert self.go_ms is not None
        if target is None or self.claimed_ms is not None or self.answer(target, turn.at.me) is Handover.REFUSE:
            return True
        if self.proof is None and turn.now >= self.go_ms + self.patience_ms:
            self.proof = turn.at.sent.newest
        return self.proof is not None and target.entry.state not in OWNING and target.peer.acked > self.proof

    def due_ms(self) -> tuple[int, ...]:
        """When it must be looked at again with nothing heard."""
        if self.taken_ms is not None:
            return (self.taken_ms + OVERLAP_MS,)
        if self.claimed_ms is not None:
            return (self.claimed_ms + 2 * self.patience_ms,)
        if self.go_ms is not None:
            return (self.go_ms + self.patience_ms,)
        if self.given_ms is not None:
            return (self.given_ms + GO_DELAY_MS,)
        return (self.asked_ms + self.answer_ms,)


def begin(turn: Turn, reason: Reason, target: MemberId) -> Move:
    """Ask a target now."""
    wait_ms = patience_ms(turn.at.config.keepalive_ms, turn.view.standings[target].peer.keepalive_ms)
    answer_ms = min(wait_ms, LEAVING_ANSWER_MS) if reason is Reason.LEAVING else wait_ms
    return Move(target, reason, wait_ms, answer_ms, turn.now, turn.at.sent.newest)


# -- the owner chooses


def targets(turn: Turn, *, hard: bool, tried: Iterable[MemberId]) -> list[election.Candidate]:
    """Members that could be asked, best first. Hard: any that stands by, for the alternative is that nobody owns."""
    able = [
        s for s in turn.view.standings.values() if s.direct and not s.peer.leaving and s.candidate.member not in tried
    ]
    if not hard:
        return _ranked([s.candidate for s in able if is_ready(s, turn)])
    # A member with a newer configuration than this one's knows better what it is to the group.
    ready = [s.candidate for s in able if _could_take(s) and s.peer.generation >= turn.at.config.generation]
    standby = [s for s in able if s.entry.state is State.STANDBY and s.candidate not in ready]
    willing = [s.candidate for s in standby if s.entry.candidate]
    return _ranked(ready) + _ranked(willing) + _ranked([s.candidate for s in standby if not s.entry.candidate])


def is_ready(standing: Standing, turn: Turn) -> bool:
    """A candidate that is heard directly, says that it is ready, and carries the same generation."""
    return _could_take(standing) and standing.peer.generation == turn.at.config.generation


def heir(group: Group, turn: Turn, *, tried: Iterable[MemberId]) -> Standing | None:
    """The best of the group's other members that could take it now, whichever configuration it carries."""
    found = [s for m, s in turn.view.standings.items() if m in group.member_ids and m not in tried and _could_take(s)]
    ranked = _ranked([s.candidate for s in found])
    return turn.view.standings[ranked[0].member] if ranked else None


def _could_take(standing: Standing) -> bool:
    """A candidate that is heard directly and says that it is ready."""
    entry = standing.entry
    return (
        standing.direct
        and entry.state is State.STANDBY
        and not standing.peer.leaving
        and entry.candidate
        and entry.ready
    )


def is_candidate(candidate: election.Candidate, turn: Turn) -> bool:
    """Whether that member calls itself one."""
    return turn.view.standings[candidate.member].entry.candidate


def wanting(turn: Turn) -> Standing | None:
    """A member that asks this owner for the group (`force active`), and could take it."""
    for standing in turn.view.standings.values():
        entry = standing.entry
        if entry.handover is Handover.WANT and entry.target == turn.at.me and is_ready(standing, turn):
            return standing
    return None


def _ranked(candidates: list[election.Candidate]) -> list[election.Candidate]:
    return sorted(candidates, key=lambda c: (election.turn(candidates, c), c.rank, c.member))


# -- the target answers


def asker(turn: Turn) -> Standing | None:
    """The owner that asks or gives to this member: the one with the strongest claim, if there are several."""
    asking = [
        s
        for s in turn.view.standings.values()
        if s.direct and s.entry.target == turn.at.me and s.entry.handover in (Handover.ASK, Handover.GO)
    ]
    return max(asking, key=lambda s: (s.entry.epoch, -s.entry.rank, -s.peer.id), default=None)


def is_hard(cause: Cause) -> bool:
    """Whether the owner lets go in any case."""
    return cause in _HARD_CAUSES


def go_is_fresh(giver: Standing, sent: SentLog, keepalive_ms: int, now: int) -> bool:
    """Whether the owner's newest frame says GO and acknowledges a frame that this member sent within V."""
    sent_ms = sent.at_ms(giver.peer.acked)
    fresh_ms = patience_ms(keepalive_ms, giver.peer.keepalive_ms)
    return giver.entry.handover is Handover.GO and sent_ms is not None and now - sent_ms <= fresh_ms
