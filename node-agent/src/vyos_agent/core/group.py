"""One group on this node: its state, what follows from that, and every transition (shared/protocol, state table).

    Listening -> Standby             all members heard, or the initial dead interval is over, and swept
    Listening -> Owner               an earlier life's addresses are alive, and everybody heard acknowledges this life
    Standby   -> Owner               no living owner and it is this candidate's turn; or given in a handover
    Standby   -> Listening           this process was late
    Owner     -> Asking              a motive to move, and a target
    Asking    -> Giving, Owner       the target is ready; refused, no answer, or no motive any more
    Giving    -> Yielding, Owner     the target owns it; the target did not take it
    Owner, Asking, Giving -> Suspended    this process was late; -> Owner when acknowledged again
    Owner, Asking, Giving, Suspended -> Yielding    a stronger claim, a lost link, a refused address, nobody to move to
    Yielding  -> Standby             the kernel holds none of its addresses any more

A transition is a method here, and nothing else sets `state`. Which one is made when is in `rules`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from vyos_agent.core import adoption, handover
from vyos_agent.core.announce import NEVER_MS, Announcer
from vyos_agent.core.effects import Decided
from vyos_agent.core.election import Claim, wait_ms
from vyos_agent.core.following import Following
from vyos_agent.core.model import EPOCH_MAX, OWNING, Force, Group, MemberId, Reason, Serving, State, Vip
from vyos_agent.core.motives import Motives
from vyos_agent.core.novelty import Novelty
from vyos_agent.core.relocation import Relocated
from vyos_agent.core.services import Backoff, Services
from vyos_agent.core.status_claim import StatusClaims
from vyos_agent.core.turn import Turn
from vyos_agent.core.view import Standing
from vyos_agent.core.wire import Handover

CUT_PATIENCE_MS = 10
"""An owner whose link is lost asks the others first: when a switch reboots, they lose theirs in the same moment."""


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """A handover that this member accepted: until its giver has let go, lives are short and frames frequent."""

    giver: MemberId
    until_ms: int
    add_by_ms: int
    """By when the kernel must hold the addresses: else this member lets go, and the giver goes on."""
    hard_wait_until_ms: int
    """Until when even a hard motive to move on waits for the giver."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rival:
    """One that this owner has told the LAN of once; when it holds on until then, it is told in full."""

    until_ms: int
    outlasted: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """A link that was lost: when, and the newest sequence sent before."""

    at_ms: int
    floor: int


class GroupMachine:
    """See the module's text."""

    def __init__(self, group: Group, me: str, now: int, *, epoch: int, fresh_since_ms: int | None) -> None:
        self.group = group
        self.me = me
        self.rank = group.members.index(me) if me in group.members else -1
        self.state = State.LISTENING if self.rank >= 0 else State.NONE
        self.since_ms = now
        """When this member began or ceased to own the group, or last changed its state while it did not."""
        self.reason: Reason | None = None
        """Why then."""
        self.epoch = epoch
        """Highest epoch known; while owner: its claim."""
        self.following = Following()
        self.announcer = Announcer()
        self.rival: Rival | None = None
        """Somebody else claims the group or lets it go, and the LAN was told once."""
        self.met: frozenset[tuple[MemberId, int, int]] = frozenset()
        """Lives of other members that this owner believed when it looked last."""
        self.status_claims = StatusClaims()
        self.services = Services()
        self.stand_back = Backoff()
        """After a failure here: this member is no candidate, but takes over from one that died."""
        self.motives = Motives()
        self.move: handover.Move | None = None
        self.taken: Taken | None = None
        self.declined: MemberId | None = None
        """Whose handover failed here: refused until that member gives to this one no more."""
        self.wish_until_ms: int | None = None
        """A person told this member to become the owner: until then it asks for the group."""
        self.level = handover.SILENT
        """What this member's frame says of a handover."""
        self.adoption: adoption.Adoption | None = None
        self.novelty = Novelty(fresh_since_ms)
        self.relocated: dict[Vip, Relocated] = {}
        """Addresses that are another group's now, and held until its owner has them."""
        self.unowned_ms: int | None = None
        """Since when this member could claim the group, which has no owner."""
        self.candidate_since: int | None = None
        """The newest sequence sent before this member became a candidate; None: it is none."""
        self.cut: Cut | None = None
        """An interface of the addresses lost its carrier while this member owned them."""
        self.decided: list[Decided] = []
        """Changes of state since the node last looked."""
        self._given = False
        """The group was given when this process slept: the target may claim the next epoch yet."""

    # -- what follows from the state

    @property
    def wanted(self) -> tuple[Vip, ...]:
        """The addresses that this node must hold now."""
        if self.adoption is not None:
            return tuple(v for v in self.group.vips if v in self.adoption.vips)
        own = tuple(v for v in self.group.vips if v not in self.novelty.vips) if self.state in OWNING else ()
        return (*own, *self.relocated)

    @property
    def renewed(self) -> tuple[Vip, ...]:
        """Those of them that it may add and renew."""
        return self.wanted if self.state in OWNING and self.state is not State.SUSPENDED else tuple(self.relocated)

    @property
    def announced(self) -> tuple[Vip, ...]:
        """Those of which it may tell the LAN; one that gives them away says nothing more."""
        wanted = self.wanted if self.state in (State.OWNER, State.ASKING) else ()
        return tuple(v for v in wanted if v not in self.relocated)

    @property
    def brief(self) -> bool:
        """Whether its addresses get the shortest life: it gives them away, or has taken them and the giver holds on."""
        return self.state is State.GIVING or (self.taken is not None and self.state in OWNING)

    @property
    def hurried(self) -> bool:
        """Whether frames must be frequent: a handover is under way."""
        return self.taken is not None or self.level.kind is not Handover.NONE

    @property
    def busy(self) -> bool:
        """Whether something of it is here still: an address, or a host service that may yet be stopped."""
        serving = self.services.wanted is not None and not self.services.stopped(self.group.units)
        held = self.state in OWNING or self.state is State.YIELDING or bool(self.relocated)
        return held or (serving and not self.services.cannot_stop())

    @property
    def watchful(self) -> bool:
        """Whether an acknowledgement alone, with no other news, may change something."""
        waits = self.unowned_ms is not None or self.cut is not None or bool(self.relocated)
        stated = self.state is State.OWNER and self.status_claims.pending is not None
        return self.hurried or waits or stated or self.adoption is not None or self.state is State.SUSPENDED

    @property
    def curious(self) -> bool:
        """Whether the others should answer at once."""
        return self.cut is not None

    def claim(self, me: MemberId) -> Claim:
        """What it says, or would say, against a rival."""
        return Claim(me, self.epoch, max(0, self.rank))

    def able(self, turn: Turn) -> bool:
        """Whether this node could hold the group."""
        barred = self.motives.going is not None or self.me in self.group.maintenance
        absent = bool(self.group.units) and self.services.told is Serving.ABSENT
        return self.rank >= 0 and turn.linked and not (barred or absent or turn.occupied)

    def candidate(self, turn: Turn) -> bool:
        """Whether it should (design.md section 5, rule 2): nothing failed here just now, and it is not cordoned."""
        return self.able(turn) and not self.stand_back.active(turn.now) and not turn.at.config.standby

    def ready(self, turn: Turn) -> bool:
        """Whether a planned move to this node may begin."""
        stopped = self.services.stopped(self.group.units)
        return self.state is State.STANDBY and turn.at.awake and turn.judged and stopped and self.candidate(turn)

    def here(self, turn: Turn) -> bool:
        """Whether this owner's kernel holds all of its addresses."""
        return self.state in OWNING and turn.at.held.issuperset(self.wanted)

    def deadline_ms(self, turn: Turn) -> int:
        """When a decision will be due with nothing new heard."""
        due = [*self.novelty.due_ms(turn.at.config.init_dead_ms), self.stand_back.until_ms]
        optional = (turn.view.letting_go_until_ms, turn.view.unknown_until_ms, self.wish_until_ms)
        due += [ms for ms in optional if ms is not None]
        if self.unowned_ms is not None:
            place = self.following.place(turn, since=self.candidate_since)
            due.append(self.unowned_ms + wait_ms(place, turn.at.config.keepalive_ms))
        if self.state is State.OWNER:
            due += [*self.motives.due_ms(), *self.status_claims.due_ms(turn)]
        if self.move is not None:
            due += self.move.due_ms()
        if self.taken is not None:
            due += self.taken.until_ms, self.taken.add_by_ms, self.taken.hard_wait_until_ms
        if self.rival is not None:
            due.append(self.rival.until_ms)
        if self.cut is not None:
            due.append(self.cut.at_ms + CUT_PATIENCE_MS)
        if self.adoption is not None:
            due += self.adoption.due_ms, self.adoption.end_ms
        due += [ms for r in self.relocated.values() for ms in r.due_ms(turn.at.config)]
        return min((d for d in due if d > turn.now), default=NEVER_MS)

    # -- transitions

    def listened(self, now: int) -> None:
        """What an earlier life left is gone, and this member knows who owns the group."""
        self._become(State.STANDBY, Reason.LISTENED, now)

    def adopt(self, turn: Turn) -> None:
        """Go on as the owner that an earlier life was."""
        self.adoption = None
        self.epoch = max(self.epoch, 1)
        self.announcer.burst(turn.now, turn.at.config.announce_count)
        self._become(State.OWNER, Reason.ADOPTED, turn.now)

    def take_over(self, turn: Turn) -> None:
        """Claim the group, which nobody owns."""
        last = self.following.last
        self._claim_above(turn)
        peer = turn.name(last.owner) if last is not None else None
        self._become(State.OWNER, self.following.reason(turn), turn.now, peer)

    def take(self, turn: Turn, giver: Standing) -> None:
        """Claim the group, which is given to this member."""
        self._claim_above(turn)
        patience_ms = handover.patience_ms(turn.at.config.keepalive_ms, giver.peer.keepalive_ms)
        self.taken = Taken(
            giver.peer.id,
            until_ms=turn.now + 2 * patience_ms,
            add_by_ms=turn.now + patience_ms,
            hard_wait_until_ms=turn.now + handover.PATIENCE_MIN_MS,
        )
        self._become(State.OWNER, handover.taker_reason(giver.entry.cause), turn.now, turn.name(giver.peer.id))

    def ask(self, turn: Turn, reason: Reason, target: MemberId) -> None:
        """Begin a planned move."""
        self.move = handover.begin(turn, reason, target)
        self._become(State.ASKING, reason, turn.now, turn.name(target))

    def give(self, turn: Turn, move: handover.Move) -> None:
        """The target is ready: no more announcements, services stop, lives are shortened; then GO."""
        move.given_ms = turn.now
        self.announcer.cancel()
        self._become(State.GIVING, Reason.READY, turn.now, turn.name(move.target))

    def keep(self, turn: Turn, move: handover.Move, reason: Reason) -> None:
        """The move is over, and this member owns the group still."""
        self.motives.ended(move, turn.now)
        if move.given_ms is not None:
            self.announcer.burst(turn.now, turn.at.config.announce_count)
        self._become(State.OWNER, reason, turn.now, turn.name(move.target))

    def let_go(self, reason: Reason, now: int, peer: str | None = None) -> None:
        """Own it no more: the addresses are removed, and only then this member says so."""
        assert self.state in OWNING, self.state
        self.announcer.cancel()
        if reason is not Reason.REMOVED:
            self.relocated.clear()
        self._become(State.YIELDING, reason, now, peer)

    def gone(self, now: int) -> None:
        """The kernel holds none of its addresses any more."""
        self._become(State.STANDBY, self.reason or Reason.PEER_RELEASED, now)

    def sleep(self, now: int) -> None:
        """This process was late: an owner waits to be acknowledged again, anybody else listens first."""
        self.announcer.cancel()
        self.relocated.clear()
        if self.state in OWNING and self.state is not State.SUSPENDED:
            self._given = self.move is not None and self.move.go_ms is not None
            self._become(State.SUSPENDED, Reason.SLEPT, now)
        elif self.state is State.STANDBY:
            self._become(State.LISTENING, Reason.SLEPT, now)

    def resume(self, turn: Turn) -> None:
        """Acknowledged again: own it as before, but above a claim that may have followed from a GO."""
        if self._given:
            self.raise_epoch(self.epoch + 1)
        self.announcer.burst(turn.now, turn.at.config.announce_count)
        self._become(State.OWNER, Reason.RESUMED, turn.now)

    def hint(self, epoch: int, other: MemberId | None, now: int) -> None:
        """Take in an epoch that is known elsewhere: claimed by another member, or by nobody else that is known."""
        if other is not None:
            if epoch >= self.epoch:
                self.status_claims.note(other, epoch, now)
        elif epoch > self.epoch and self.state in OWNING:
            self.raise_epoch(epoch)
            self.note(Reason.EPOCH_RAISED)
        else:
            self.epoch = max(self.epoch, epoch)

    def _claim_above(self, turn: Turn) -> None:
        """Take an epoch above every one that this member has learned of, in whatever way."""
        self.raise_epoch(max(self.epoch, turn.view.epoch, self.status_claims.epoch))

    def raise_epoch(self, over: int) -> None:
        """Go above an epoch learned of, with no move."""
        self.epoch = min(EPOCH_MAX, over + 1)

    # -- what others tell

    def stop(self, now: int, reason: Reason, *, at_once: bool) -> None:
        """Own it no more, for good: this member leaves, or the configuration names it no more."""
        self.motives.going = reason
        self.adoption = None
        if self.state in OWNING and (at_once or self.state is State.SUSPENDED):
            self.let_go(reason, now)

    def failed(self, now: int) -> None:
        """The kernel refused an address: give the group to another, and stand back for a growing time."""
        if self.renewed:
            self.stand_back.fail(now)
            self.declined = self.taken.giver if self.taken is not None else None
            self.let_go(Reason.ADD_FAILED, now)

    def served(self, told: Serving, message: str, now: int) -> None:
        """What the host services do. A failure here makes this member stand back, also when they run later."""
        self.services.tell(told, message)
        if told is Serving.RUNNING:
            self.motives.failed_here = False
        elif self.services.failed() and not self.motives.failed_here:
            self.motives.failed_here = True
            self.stand_back.fail(now)

    def force(self, command: Force, now: int, keepalive_ms: int) -> None:
        """A person's command: ask the owner for the group, or give it away if this member owns it."""
        if command is Force.STANDBY:
            self.motives.forced = self.state in OWNING
        elif self.state not in OWNING:
            self.stand_back.reset()
            self.wish_until_ms = now + handover.patience_ms(keepalive_ms, keepalive_ms)

    def find(self, left_ms: Mapping[Vip, int], now: int) -> None:
        """What the kernel holds of an earlier life: told once, before anything else was decided."""
        found = adoption.witnessed(self.group.vips, left_ms)
        if found and self.state is State.LISTENING:
            self.adoption = adoption.Adoption(found, now)

    def reconfigure(self, group: Group, now: int, *, running: bool) -> None:
        """A new configuration of the same group: addresses that are new wait until everybody knows them."""
        known = (*self.group.vips, *self.relocated)
        self.novelty.learn(known, group.vips, now if running and self.state in OWNING else None)
        back = {v.address for v in group.vips}
        self.relocated = {v: r for v, r in self.relocated.items() if v.address not in back}
        self.group = group
        self.rank = group.members.index(self.me) if self.me in group.members else -1
        if self.rank < 0:
            self.stop(now, Reason.REMOVED, at_once=False)
            if self.state in (State.LISTENING, State.STANDBY):
                self._become(State.NONE, Reason.REMOVED, now)
            return
        self.motives.going = None
        if self.state is State.NONE:
            self.novelty.since_ms = now
            self._become(State.LISTENING, Reason.LISTENED, now)

    def relocate(self, moved: Mapping[Vip, str], now: int, *, own: Collection[str], numbered: bool) -> None:
        """A new configuration names these addresses in other groups: an owner holds them until they are there.

        `own`: the addresses that the configuration names in this group; `reconfigure` takes those back.
        One that is held already and is named in yet another group waits for that one; named in none it is given up.
        """
        owns = self.state in OWNING and self.state is not State.SUSPENDED
        before = self.relocated
        back = {vip: relocated for vip, relocated in before.items() if vip.address in own}
        self.relocated = back | {
            vip: before[vip] if vip in before and before[vip].group == group else Relocated(group, now, numbered)
            for vip, group in moved.items()
            if owns or vip in before
        }

    def note(self, reason: Reason) -> None:
        """Tell of something that changed no state."""
        self.decided.append(Decided(self.group.name, self.state, self.state, self.epoch, reason))

    def _become(self, state: State, reason: Reason, now: int, peer: str | None = None) -> None:
        if self.rank < 0 and state is State.STANDBY:
            state = State.NONE
        self.decided.append(Decided(self.group.name, self.state, state, self.epoch, reason, peer))
        if not (self.state in OWNING and state in OWNING):
            self.reason, self.since_ms = reason, now
            self.motives.restart()
            self.status_claims.restart()
        if state not in (State.ASKING, State.GIVING):
            self.move = None
        if state is not State.SUSPENDED:
            self._given = False
        self.state = state
        self.unowned_ms = None
