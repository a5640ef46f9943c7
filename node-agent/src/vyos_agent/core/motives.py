"""Why an owner would give its group away, and to whom: one motive at a time, the most pressing first.

Hard motives (this member leaves, or is not to own the group) end with the group given or let go. Soft ones (a person's
wish, a cordon, more monitors or a better rank elsewhere) end with the group given or kept. A host service that failed
here is between them: given to any candidate, as with a hard motive, but kept when there is none. How a move goes is
`handover`'s and the group's work.
"""

from __future__ import annotations

import dataclasses

from vyos_agent.core import handover
from vyos_agent.core.election import Candidate, Watch
from vyos_agent.core.model import Group, MemberId, Reason, State
from vyos_agent.core.services import Backoff
from vyos_agent.core.turn import Turn

MONITORS_KEEPALIVES = 2
"""Another member must reach more monitors for 2 x the larger keepalive (design.md section 5, rule 4)."""

_CONFIGURED = frozenset({Reason.MAINTENANCE, Reason.REMOVED})

YIELDED_MS = 2_000
"""For so long an owner that must let go waits for the one that had the group before and stands by in a moment: as long
as a leaving member waits for an answer (`handover.LEAVING_ANSWER_MS`), for this may be one."""
_STANDS_BY_SOON = frozenset({State.GIVING, State.YIELDING})


@dataclasses.dataclass(frozen=True, slots=True)
class Motive:
    """A move that should be made now. A target of None: there is nobody to move to."""

    reason: Reason
    target: MemberId | None


class Motives:
    """Of one group on this node. Only an owner asks."""

    def __init__(self) -> None:
        self.going: Reason | None = None
        """Leaving or Removed: this member will not own the group any more."""
        self.forced = False
        """A person told this owner to stand by."""
        self.failed_here = False
        """A host service failed on this owner."""
        self.damper = Backoff()
        """After a move that failed when something had been touched; only a person's wish and a hard motive pass it."""
        self._tried: set[MemberId] = set()
        self._refused = Backoff()
        """After a move away from a failed service that nobody took."""
        self._kept = False
        """It has been said that the group stays where a service failed."""
        self._monitors = Watch()
        self._ranks = Watch()
        self._due_ms: list[int] = []
        self._alone_ms: int | None = None
        """Since when there is nobody to give to but one that still lets go."""

    def restart(self) -> None:
        """This member began or ceased to own the group."""
        self.forced = self.failed_here = False
        self._alone_ms = None
        self._kept = False
        self._tried.clear()
        self._watch_anew()

    def ended(self, move: handover.Move, now: int) -> None:
        """A move is over, and this member owns the group still."""
        if move.hard:
            self._tried.add(move.target)
            self._refused.fail(now)
        elif move.given_ms is not None or move.reason is Reason.CORDONED:
            self.damper.fail(now)
        self.forced = False
        self._watch_anew()

    def hard(self, group: Group, me: str) -> Reason | None:
        """A motive that ends with the group given or let go."""
        if self.going is not None:
            return self.going
        if me in group.maintenance:
            return Reason.MAINTENANCE
        return Reason.SERVICE_FAILED if self.failed_here else None

    def choose(self, group: Group, me: str, turn: Turn) -> Motive | None:
        """What should be done now; None: stay."""
        self._due_ms = [self.damper.until_ms, self._refused.until_ms]
        hard = self.hard(group, me)
        if hard in _CONFIGURED and not self._heir_knows(group, turn):
            return None
        if hard is Reason.SERVICE_FAILED:
            return self._to_a_candidate(turn)
        if hard is not None:
            found = handover.targets(turn, hard=True, tried=self._tried)
            return None if not found and self._one_comes(turn) else _to_best(hard, found)
        ready = handover.targets(turn, hard=False, tried=())
        self._monitors.see((c.member for c in ready if c.reaches_more(turn.mine)), turn.now)
        self._ranks.see((c.member for c in ready if group.auto_failback and c.outranks(turn.mine)), turn.now)
        if self.forced:
            return _to_best(Reason.HANDOVER_REQUESTED, ready)
        wanting = handover.wanting(turn)
        if wanting is not None:
            return Motive(Reason.HANDOVER_REQUESTED, wanting.peer.id)
        if self.damper.active(turn.now):
            return None
        if turn.at.config.standby and ready and self._heir_knows(group, turn):
            return Motive(Reason.CORDONED, ready[0].member)
        return self._better(group, ready, turn)

    def _heir_knows(self, group: Group, turn: Turn) -> bool:
        """Whether the best member of this configuration carries it too, or has had a dead interval to get it.

        A member that carries it already may not be the best one, and with autoFailback off the group would stay there.
        """
        limit_ms = turn.at.configured_ms + turn.at.config.dead_ms
        self._due_ms.append(limit_ms)
        if turn.at.same_generation or turn.now >= limit_ms:
            return True
        heir = handover.heir(group, turn, tried=self._tried)
        return heir is not None and heir.peer.generation >= turn.at.config.generation

    def _to_a_candidate(self, turn: Turn) -> Motive | None:
        """Away from a failed service. Not to a member that stands back for its own failure: it would give the group
        back at once, and so to and fro. With no candidate the addresses stay, and the services are tried again.
        """
        tried = self._tried if self._refused.active(turn.now) else ()
        found = [c for c in handover.targets(turn, hard=True, tried=tried) if handover.is_candidate(c, turn)]
        if not found and self._kept:
            return None
        self._kept = not found
        return _to_best(Reason.SERVICE_FAILED, found)

    def _one_comes(self, turn: Turn) -> bool:
        """Whether a member that has just given this group away will stand by soon, and can take it back."""
        coming = any(
            s.direct
            and not s.peer.leaving
            and s.entry.state in _STANDS_BY_SOON
            and s.candidate.member not in self._tried
            for s in turn.view.standings.values()
        )
        if not coming:
            return False
        if self._alone_ms is None:
            self._alone_ms = turn.now
        limit_ms = self._alone_ms + YIELDED_MS
        self._due_ms.append(limit_ms)
        return turn.now < limit_ms

    def _better(self, group: Group, ready: list[Candidate], turn: Turn) -> Motive | None:
        """The best of those that have been strictly better for long enough."""
        for candidate in ready:
            peer = turn.view.standings[candidate.member].peer
            keepalive_ms = max(turn.at.config.keepalive_ms, peer.keepalive_ms)
            waits = (
                (Reason.MONITORS_LOST, self._monitors, MONITORS_KEEPALIVES * keepalive_ms),
                (Reason.FAILBACK, self._ranks, group.failback_delay_ms),
            )
            for reason, watch, wait_ms in waits:
                since_ms = watch.since_ms(candidate.member)
                if since_ms is not None and turn.now - since_ms >= wait_ms:
                    return Motive(reason, candidate.member)
                if since_ms is not None:
                    self._due_ms.append(since_ms + wait_ms)
        return None

    def still(self, move: handover.Move, group: Group, me: str, turn: Turn) -> bool:
        """Whether a move that has been asked for is wanted yet, and not overtaken by a hard motive."""
        hard = self.hard(group, me)
        if move.hard or hard is not None:
            return move.reason is hard
        target = turn.view.standings.get(move.target)
        if move.reason is Reason.CORDONED:
            return turn.at.config.standby
        if move.reason is Reason.MONITORS_LOST:
            return target is not None and target.candidate.reaches_more(turn.mine)
        if move.reason is Reason.FAILBACK:
            return target is not None and group.auto_failback and target.candidate.outranks(turn.mine)
        return True

    def due_ms(self) -> list[int]:
        """When `choose` must be asked again with nothing heard."""
        return self._due_ms

    def _watch_anew(self) -> None:
        self._monitors.restart()
        self._ranks.restart()
        self._due_ms = []


def _to_best(reason: Reason, found: list[Candidate]) -> Motive:
    return Motive(reason, found[0].member if found else None)
