"""One group on this node: its state, and every way in which that changes.

    Listening -> Standby             all members heard, or the initial dead interval is over, and swept
    Standby   -> Owner               no living owner, and it is this candidate's turn
    Owner     -> Yielding            a stronger claim, a lost link, a failback, leaving, a refused address
    Owner     -> Suspended           this process was asleep; -> Owner when acknowledged again
    Suspended -> Yielding            a claim was made meanwhile
    Yielding  -> Standby             the kernel holds none of its addresses any more

A transition is a method here, and nothing else sets `state`. Reading peers is `view`'s work, frames and addresses
are the node's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_agent.core import election
from vyos_agent.core.announce import NEVER_MS, Announcer
from vyos_agent.core.effects import Decided
from vyos_agent.core.election import Candidate, Claim
from vyos_agent.core.model import EPOCH_MAX, OWNING, Group, MemberId, Reason, State, Vip
from vyos_agent.core.view import View

BACKOFF_MS = 30_000
"""How long a member stands back that could not bring a group up; doubles each time (design.md section 5, rule 6)."""
BACKOFF_MAX_MS = 3_600_000


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """What a decision needs beyond the group itself: one instant of the node."""

    now: int
    view: View
    me: MemberId
    listened: bool
    """All members are believed, or the initial dead interval is over; after a sleep: all heard acknowledge again."""
    awake: bool
    """Not in the interval after a sleep, in which nobody is judged."""
    swept: bool
    """The kernel has answered: what it holds of this cluster is known."""
    same_generation: bool
    """Every living member carries this node's generation."""
    linked: bool
    """The interfaces of all its addresses have a carrier."""
    keepalive_ms: int
    init_dead_ms: int
    announce_count: int
    names: Mapping[MemberId, str]
    reachable: frozenset[MemberId]
    """Members heard over a link that is up."""
    ready_targets: frozenset[MemberId]
    """Members heard directly, at this generation."""


class GroupMachine:
    """See the module's text."""

    def __init__(self, group: Group, me: str, now: int, *, epoch: int, fresh_since_ms: int | None) -> None:
        self.group = group
        self.rank = group.members.index(me) if me in group.members else -1
        self.state = State.LISTENING if self.rank >= 0 else State.NONE
        self.since_ms = now
        self.reason: Reason | None = None
        self.epoch = epoch
        """Highest epoch known; while owner: its claim."""
        self.owner: Claim | None = None
        """Whom this member believes to own the group."""
        self.announcer = Announcer()
        self.fresh_since_ms = fresh_since_ms
        """Set when the group is new to a running member: it waits for every living member to know it too."""
        self.fresh_vips: dict[Vip, int] = {}
        """Addresses that are new to a running member, and since when: they wait likewise."""
        self.decided: list[Decided] = []
        """Changes of state since the node last looked."""
        self._unowned_ms: int | None = None
        self._better_ms: int | None = None
        self._last_owner: Claim | None = None
        self._contested = False
        self._leaving = False
        self._failures = 0
        self._backoff_until_ms = 0

    # -- what others ask

    @property
    def wanted(self) -> tuple[Vip, ...]:
        """The addresses that this node must hold now."""
        return tuple(v for v in self.group.vips if v not in self.fresh_vips) if self.state in OWNING else ()

    @property
    def renewed(self) -> tuple[Vip, ...]:
        """Those of them that it may add and renew."""
        return () if self.state is State.SUSPENDED else self.wanted

    def candidate(self, turn: Turn) -> bool:
        """Whether this node could take the group (design.md section 5, rule 2)."""
        return self.rank >= 0 and not self._leaving and turn.linked and turn.now >= self._backoff_until_ms

    def deadline_ms(self, turn: Turn) -> int:
        """When a decision will be due with nothing new heard."""
        due: list[int] = []
        if self.state is State.STANDBY and self._unowned_ms is not None and self.candidate(turn):
            due.append(self._unowned_ms + election.wait_ms(self._place(turn), turn.keepalive_ms))
        if self.state is State.OWNER and self._better_ms is not None:
            due.append(self._better_ms + self.group.failback_delay_ms)
        if turn.view.blocked_until_ms is not None:
            due.append(turn.view.blocked_until_ms)
        if self._backoff_until_ms > turn.now:
            due.append(self._backoff_until_ms)
        fresh = [*self.fresh_vips.values(), *([] if self.fresh_since_ms is None else [self.fresh_since_ms])]
        due += [since_ms + turn.init_dead_ms for since_ms in fresh]
        return min((d for d in due if d > turn.now), default=NEVER_MS)

    # -- the door

    def decide(self, turn: Turn, held: frozenset[Vip]) -> None:
        """Look at the instant and make every change of state that it asks for."""
        self._ripen(turn)
        if self.state is State.LISTENING:
            self._listening(turn)
        if self.state is State.SUSPENDED:
            self._suspended(turn)
        if self.state is State.OWNER:
            self._owner(turn)
        if self.state is State.YIELDING and held.isdisjoint(self.group.vips):
            self._become(State.STANDBY, self.reason or Reason.PEER_RELEASED, turn.now)
        if self.state is State.STANDBY:
            self._standby(turn)
        self._see_owner(turn)

    def _ripen(self, turn: Turn) -> None:
        """What is new to a running member becomes usable when all know it, or after the initial dead interval."""
        if turn.same_generation:
            self.fresh_vips.clear()
            self.fresh_since_ms = None
            return
        limit_ms = turn.now - turn.init_dead_ms
        self.fresh_vips = {v: since for v, since in self.fresh_vips.items() if since > limit_ms}
        if self.fresh_since_ms is not None and self.fresh_since_ms <= limit_ms:
            self.fresh_since_ms = None

    def _listening(self, turn: Turn) -> None:
        ready = turn.listened and self.fresh_since_ms is None
        if turn.swept and (ready or turn.view.claims):
            self._become(State.STANDBY, Reason.LISTENED, turn.now)

    def _standby(self, turn: Turn) -> None:
        view = turn.view
        blocked = view.blocked_until_ms is not None and view.blocked_until_ms > turn.now
        if view.claims or blocked or not self.candidate(turn) or not turn.awake or self.fresh_since_ms is not None:
            self._unowned_ms = None
            return
        if self._unowned_ms is None:
            self._unowned_ms = turn.now
        if turn.now - self._unowned_ms >= election.wait_ms(self._place(turn), turn.keepalive_ms):
            self._claim(turn)

    def _owner(self, turn: Turn) -> None:
        mine = Claim(turn.me, self.epoch, self.rank)
        rival = election.strongest(turn.view.claims)
        if rival is not None and rival.strength > mine.strength:
            self._yield(Reason.SETTLED, turn.now, turn.names.get(rival.owner))
        elif not turn.linked and any(c.member in turn.reachable for c in turn.view.candidates):
            self._yield(Reason.LINK_LOST, turn.now)
        elif self._failback_due(turn):
            self._yield(Reason.FAILBACK, turn.now)
        elif (rival is not None and rival.epoch >= self.epoch) or turn.view.epoch > self.epoch:
            self.raise_epoch(max(turn.view.epoch, self.epoch))
        if self.state is State.OWNER:
            self._defend(turn)

    def _defend(self, turn: Turn) -> None:
        """Tell the LAN once when a rival is heard, and in full when it has let go: clients follow the last word."""
        contested = bool(turn.view.claims) or turn.view.blocked_until_ms is not None
        if contested != self._contested:
            self.announcer.burst(turn.now, 1 if contested else turn.announce_count)
        self._contested = contested

    def _suspended(self, turn: Turn) -> None:
        if turn.view.claims:
            self._yield(Reason.SETTLED, turn.now, turn.names.get(turn.view.claims[0].owner))
        elif turn.listened:
            self._become(State.OWNER, Reason.RESUMED, turn.now)

    def _failback_due(self, turn: Turn) -> bool:
        """A strictly better member, ready at this generation, has been there without a break for failbackDelay."""
        better = [c for c in turn.view.candidates if c.rank < self.rank and c.member in turn.ready_targets]
        if not self.group.auto_failback or not better:
            self._better_ms = None
            return False
        if self._better_ms is None:
            self._better_ms = turn.now
        return turn.now - self._better_ms >= self.group.failback_delay_ms

    # -- transitions

    def raise_epoch(self, over: int) -> None:
        """Go above an epoch learned of, with no move."""
        self.epoch = min(EPOCH_MAX, over + 1)

    def _claim(self, turn: Turn) -> None:
        assert self.state is State.STANDBY, self.state
        last = self._last_owner
        self.raise_epoch(max(self.epoch, turn.view.epoch))
        self._become(State.OWNER, self._claim_reason(turn.view), turn.now, turn.names.get(last.owner) if last else None)

    def _yield(self, reason: Reason, now: int, peer: str | None = None) -> None:
        assert self.state in OWNING, self.state
        self.announcer.cancel()
        self._become(State.YIELDING, reason, now, peer)

    def stop(self, now: int, reason: Reason) -> None:
        """Let go for good: this member leaves, or the configuration names the group no more."""
        self._leaving = True
        if self.state in OWNING:
            self._yield(reason, now)

    def sleep(self, now: int) -> None:
        """This process was late: an owner waits to be acknowledged again, anybody else listens first."""
        self.announcer.cancel()
        if self.state in OWNING and self.state is not State.SUSPENDED:
            self._become(State.SUSPENDED, Reason.SLEPT, now)
        elif self.state is State.STANDBY:
            self._become(State.LISTENING, Reason.SLEPT, now)

    def failed(self, now: int) -> None:
        """The kernel refused an address: give the group to another, and stand back for a growing time."""
        if self.state is State.OWNER:
            self._backoff_until_ms = now + min(BACKOFF_MAX_MS, BACKOFF_MS << self._failures)
            self._failures = min(self._failures + 1, BACKOFF_MAX_MS.bit_length())
            self._yield(Reason.ADD_FAILED, now)

    def reconfigure(self, group: Group, me: str, now: int, *, running: bool) -> None:
        """A new configuration of the same group: addresses that are new wait until everybody knows them."""
        known = set(self.group.vips)
        if running and self.state in OWNING:
            self.fresh_vips.update({v: now for v in group.vips if v not in known})
        self.fresh_vips = {v: since for v, since in self.fresh_vips.items() if v in group.vips}
        self.group = group
        self.rank = group.members.index(me) if me in group.members else -1
        self._leaving = False
        if self.rank < 0:
            self.stop(now, Reason.REMOVED)
        elif self.state is State.NONE:
            self.fresh_since_ms = now
            self._become(State.LISTENING, Reason.LISTENED, now)

    def _become(self, state: State, reason: Reason, now: int, peer: str | None = None) -> None:
        if self.rank < 0 and state is State.STANDBY:
            state = State.NONE
        self.decided.append(Decided(self.group.name, self.state, state, self.epoch, reason, peer))
        self.state, self.reason, self.since_ms = state, reason, now
        self._unowned_ms = self._better_ms = None

    # -- whom it follows

    def _claim_reason(self, view: View) -> Reason:
        last = self._last_owner
        if last is None:
            return Reason.FIRST_CLAIM
        if last.owner in view.left:
            return Reason.PEER_LEFT
        if last.owner in view.dead:
            return Reason.PEER_DEAD
        return Reason.FAILBACK if self.group.auto_failback and last.rank > self.rank else Reason.PEER_RELEASED

    def _see_owner(self, turn: Turn) -> None:
        claims = list(turn.view.claims)
        if self.state in OWNING:
            claims.append(Claim(turn.me, self.epoch, self.rank))
        else:
            self.epoch = max(self.epoch, turn.view.epoch)
        self.owner = election.strongest(claims)
        self._last_owner = self.owner or self._last_owner

    def _place(self, turn: Turn) -> int:
        others = turn.view.candidates + (turn.view.coming if self._last_owner is None else ())
        return election.turn(others, Candidate(turn.me, self.rank))
