"""The state table of the protocol, row by row, as what a run can count: which transition, for which reasons.

A row that changes no state is counted as a fact, which `words` finds in the frames.
"""

from __future__ import annotations

import collections
import dataclasses

from vyos_agent.core.model import Ending, Reason, State

ANY: frozenset[Reason] = frozenset(Reason)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    text: str
    before: frozenset[State] = frozenset()
    after: frozenset[State] = frozenset()
    reasons: frozenset[Reason] = ANY
    fact: str | None = None

    def count(self, transitions: collections.Counter[tuple[str, str, str]], facts: collections.Counter[str]) -> int:
        """How often it happened."""
        if self.fact is not None:
            return facts[self.fact]
        return sum(
            n
            for (before, after, reason), n in transitions.items()
            if State[before] in self.before and State[after] in self.after and Reason(reason) in self.reasons
        )


def _row(text: str, before: State, after: State, *reasons: Reason) -> Row:
    return Row(text, frozenset({before}), frozenset({after}), frozenset(reasons) or ANY)


L, S, OWN, Y = State.LISTENING, State.STANDBY, State.OWNER, State.YIELDING
ASK, GIVE, SUSP = State.ASKING, State.GIVING, State.SUSPENDED
R = Reason

ROWS = (
    _row("Listening -> Owner: adopted addresses, all heard peers acknowledge", L, OWN, R.ADOPTED),
    _row("Listening -> Standby: all members believed, or initDead over", L, S, R.LISTENED),
    _row("Standby -> Owner: GO for me, fresh, candidate", S, OWN, R.HANDOVER_REQUESTED, R.MONITORS_LOST, R.MAINTENANCE,
         R.CORDONED, R.FAILBACK, R.HANDED_OVER, R.PEER_LEFT, R.SERVICE_FAILED),
    _row("Standby -> Owner: no living owner, candidate i has waited (it is dead)", S, OWN, R.PEER_DEAD),
    _row("Standby -> Owner: no living owner, candidate i has waited (the first claim)", S, OWN, R.FIRST_CLAIM),
    _row("Standby -> Owner: no living owner, candidate i has waited (it let go)", S, OWN, R.PEER_RELEASED),
    _row("Standby -> Listening: late", S, L, R.SLEPT),
    _row("Owner -> Standby: believed claim that wins", OWN, Y, R.SETTLED),
    _row("Owner -> Owner: claim that loses, or hint >= mine: the epoch rises with no move", OWN, OWN, R.EPOCH_RAISED),
    _row("Owner -> Asking: soft or hard reason and a target directly heard", OWN, ASK),
    _row("Owner -> Standby: VIP link lost and a candidate heard", OWN, Y, R.LINK_LOST),
    Row("Owner -> Standby: other hard reason, no target", frozenset({OWN, ASK}), frozenset({Y}),
        frozenset({R.MAINTENANCE, R.LEAVING, R.SERVICE_FAILED, R.REMOVED})),
    _row("Owner -> Standby: add failed", OWN, Y, R.ADD_FAILED),
    Row("Owner -> Standby: service start failed", frozenset({OWN, ASK, GIVE}), frozenset({ASK, Y}),
        frozenset({R.SERVICE_FAILED})),
    _row("Owner -> Suspended: late, or lease lapsed", OWN, SUSP, R.SLEPT),
    _row("Asking -> Giving: READY", ASK, GIVE),
    _row("Asking -> Owner: REFUSE, V over, target dead, reason gone", ASK, OWN),
    _row("Asking -> Standby: believed winning claim", ASK, Y, R.SETTLED),
    _row("Giving -> Standby: target Owner e+1", GIVE, Y, R.HANDED_OVER),
    _row("Giving -> Owner: proved not taken, target dead: e+2", GIVE, OWN, R.TAKEN_BACK),
    _row("Giving -> Suspended: late", GIVE, SUSP, R.SLEPT),
    _row("Suspended -> Standby: higher claim believed", SUSP, Y),
    _row("Suspended -> Owner: every member heard acknowledges since, none owns; or nobody heard", SUSP, OWN, R.RESUMED),
    _row("let go -> Standby: the kernel holds none of its addresses any more", Y, S),
    Row("any -> gone: released, leaving said", fact=Ending.LEFT.value),
)  # fmt: skip
