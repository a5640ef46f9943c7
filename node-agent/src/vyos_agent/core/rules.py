"""What each state of a group does with an instant: the guards of the state table, top down (shared/protocol).

Every function looks at one turn and makes at most one transition of `group.GroupMachine`. A new state looks at the same
instant again, so that one turn goes as far as the facts allow.
"""

from __future__ import annotations

from vyos_agent.core import adoption, election, handover
from vyos_agent.core.group import CUT_PATIENCE_MS, Cut, GroupMachine, Rival
from vyos_agent.core.model import OWNING, Cause, MemberId, Reason, State, Vip
from vyos_agent.core.turn import Turn
from vyos_agent.core.view import Standing
from vyos_agent.core.wire import Handover

RIVAL_KEEPALIVES = 2
"""The winner of a settlement announces in full after so many keepalives at the latest (shared/protocol section 7)."""
STEPS_MAX = 6
"""Changes of state in one turn; a longer row of them would be a circle."""


def decide(m: GroupMachine, turn: Turn) -> None:
    """Look at the instant and make every change of state that it asks for."""
    at = turn.at
    m.novelty.ripen(turn.now, at.config.init_dead_ms, same_generation=at.same_generation)
    _note_links(m, turn)
    steps = 0
    while steps < STEPS_MAX and _has_moved(m, turn):
        steps += 1
    if m.state not in OWNING:
        m.epoch = max(m.epoch, turn.view.epoch)
    m.following.see(turn, m.claim(at.me) if m.state in OWNING else None)
    _forget_giver(m, turn)
    m.level = _level(m, turn)
    _serve(m, turn)


def _note_links(m: GroupMachine, turn: Turn) -> None:
    """Since when this member is a candidate, and since when an owner is cut off: counted in frames sent."""
    if not m.candidate(turn):
        m.candidate_since = None
    elif m.candidate_since is None:
        m.candidate_since = turn.at.sent.newest
    if turn.linked or m.state not in OWNING:
        m.cut = None
    elif m.cut is None:
        m.cut = Cut(turn.now, turn.at.sent.newest)


def _has_moved(m: GroupMachine, turn: Turn) -> bool:
    """Look once; whether the state is another one now."""
    before = m.state
    _LOOKS[before](m, turn)
    return m.state is not before


# -- states


def _listening(m: GroupMachine, turn: Turn) -> None:
    if m.adoption is not None:
        _adopt_or_leave(m, m.adoption, turn)
        return
    ready = turn.at.listened and m.novelty.since_ms is None
    swept = _is_swept(m, turn, but=turn.at.relocated)
    if swept and (ready or (turn.view.claims and turn.at.awake)):
        m.listened(turn.now)


def _adopt_or_leave(m: GroupMachine, found: adoption.Adoption, turn: Turn) -> None:
    """Go on with what an earlier life left, or let it be removed (shared/protocol section 2)."""
    at = turn.at
    rival = election.strongest(turn.view.claims)
    beaten = rival is not None and rival.strength > m.claim(at.me).strength
    if beaten or not m.able(turn) or turn.now >= found.end_ms:
        m.adoption = None
    elif at.awake and at.acknowledged and (at.heard or turn.now >= found.due_ms):
        m.adopt(turn)
    elif turn.now >= found.due_ms:
        m.adoption = None


def _standby(m: GroupMachine, turn: Turn) -> None:
    giver = handover.asker(turn)
    if giver is None or giver.peer.id != m.declined:
        m.declined = None
    if giver is not None and _may_take(m, giver, turn):
        m.take(turn, giver)
        return
    damped = m.stand_back.active(turn.now) and m.following.was_mine(turn)
    open_to_claims = not turn.view.claims and turn.view.blocked_until_ms is None and m.novelty.since_ms is None
    open_to_claims &= m.following.last is not None or turn.may_claim_first
    if not (open_to_claims and turn.at.awake and m.able(turn)) or damped:
        m.unowned_ms = None
        return
    if m.unowned_ms is None:
        m.unowned_ms = turn.now
    place = m.following.place(turn, since=m.candidate_since)
    if turn.now - m.unowned_ms >= election.wait_ms(place, turn.at.config.keepalive_ms):
        m.take_over(turn)


def _owner(m: GroupMachine, turn: Turn) -> None:
    if _is_beaten(m, turn) or _is_cut_off(m, turn):
        return
    if m.taken is not None and turn.now >= m.taken.add_by_ms and not m.here(turn):
        m.failed(turn.now)
        return
    motive = None if _is_unsettled(m, turn) else m.motives.choose(m.group, m.me, turn)
    if motive is not None and motive.target is not None:
        m.ask(turn, motive.reason, motive.target)
        return
    if motive is not None and motive.reason in handover.LETTING_GO:
        m.let_go(motive.reason, turn.now)
        return
    if motive is not None:
        m.motives.forced = False
        m.note(motive.reason if motive.reason is Reason.SERVICE_FAILED else Reason.CANCELLED)
    _keep_epoch_ahead(m, turn)
    _defend(m, turn)


def _keep_epoch_ahead(m: GroupMachine, turn: Turn) -> None:
    """Go above every epoch that was learned of, except that of a second owner whose frames must settle it."""
    m.status_claims.see(turn, m.epoch)
    rival = election.strongest(turn.view.claims)
    stated = m.status_claims.to_outbid(turn, m.epoch)
    if stated is not None or (rival is not None and rival.epoch >= m.epoch) or turn.view.epoch > m.epoch:
        m.raise_epoch(max(turn.view.epoch, m.epoch, stated or 0))
        m.note(Reason.EPOCH_RAISED)


def _asking(m: GroupMachine, turn: Turn) -> None:
    move = m.move
    assert move is not None
    if _is_beaten(m, turn) or _is_cut_off(m, turn):
        return
    target = turn.view.direct(move.target)
    answer = move.answer(target, turn.at.me)
    late = turn.now >= move.asked_ms + move.answer_ms
    over = late or not m.motives.still(move, m.group, m.me, turn)
    if over or answer is Handover.REFUSE or _must_not_give(m, target, turn):
        m.keep(turn, move, Reason.CANCELLED)
    elif answer is Handover.READY:
        m.give(turn, move)


def _giving(m: GroupMachine, turn: Turn) -> None:
    move = m.move
    assert move is not None
    claims = move.note_claim(m.epoch, turn)
    target = turn.view.direct(move.target)
    if _is_beaten(m, turn, but=move.target):
        return
    if move.taken_ms is not None and claims:
        if turn.now - move.taken_ms >= handover.OVERLAP_MS:
            m.let_go(Reason.HANDED_OVER, turn.now, turn.name(move.target))
    elif claims:
        return
    elif move.go_ms is None:
        _before_go(m, move, target, turn)
    elif move.not_taken(target, turn):
        m.raise_epoch(max(m.epoch + 1, turn.view.epoch))
        m.keep(turn, move, Reason.TAKEN_BACK)


def _before_go(m: GroupMachine, move: handover.Move, target: Standing | None, turn: Turn) -> None:
    """Nothing is given yet: services stop, and the kernel shortens the addresses' lives."""
    assert move.given_ms is not None
    stuck = m.services.cannot_stop()
    refused = move.answer(target, turn.at.me) is Handover.REFUSE
    if _must_not_give(m, target, turn) or refused or (stuck and not move.hard):
        m.keep(turn, move, Reason.CANCELLED)
    elif turn.now >= move.given_ms + handover.GO_DELAY_MS and (stuck or m.services.stopped(m.group.units)):
        move.go_ms, move.floor = turn.now, turn.at.sent.newest


def _must_not_give(m: GroupMachine, target: Standing | None, turn: Turn) -> bool:
    """Whether the target is not heard, or is no member of the group any more by a newer configuration than its own."""
    if target is None:
        return True
    peer = target.peer
    return peer.id not in m.group.member_ids and peer.generation < turn.at.config.generation


def _yielding(m: GroupMachine, turn: Turn) -> None:
    if _is_swept(m, turn):
        m.gone(turn.now)


def _none(m: GroupMachine, turn: Turn) -> None:
    """No member: it only passes on who owns the group."""


def _suspended(m: GroupMachine, turn: Turn) -> None:
    if not _is_beaten(m, turn) and turn.at.roused and (turn.linked or not turn.at.dark):
        m.resume(turn)


_LOOKS = {
    State.NONE: _none,
    State.LISTENING: _listening,
    State.STANDBY: _standby,
    State.OWNER: _owner,
    State.ASKING: _asking,
    State.GIVING: _giving,
    State.SUSPENDED: _suspended,
    State.YIELDING: _yielding,
}


# -- what several states have in common


def _is_swept(m: GroupMachine, turn: Turn, *, but: frozenset[Vip] = frozenset()) -> bool:
    """Whether the kernel has said that it holds none of the addresses, except `but`, after all that was asked of it."""
    held = turn.at.maybe_held
    return held is not None and (held - but).isdisjoint(m.group.vips)


def _is_unsettled(m: GroupMachine, turn: Turn) -> bool:
    """Whether somebody else may hold the addresses still: one move at a time. A hard motive waits for a moment only."""
    if m.motives.hard(m.group, m.me) is not None:
        return m.taken is not None and turn.now < m.taken.hard_wait_until_ms
    return bool(turn.view.claims) or turn.view.letting_go_until_ms is not None


def _is_beaten(m: GroupMachine, turn: Turn, *, but: MemberId | None = None) -> bool:
    """Let go when another's claim is the stronger one; `but`: not that of the member that the group is given to."""
    rival = election.strongest(c for c in turn.view.claims if c.owner != but)
    if rival is None or rival.strength < m.claim(turn.at.me).strength:
        return False
    m.let_go(Reason.SETTLED, turn.now, turn.name(rival.owner))
    return True


def _is_cut_off(m: GroupMachine, turn: Turn) -> bool:
    """Let go when an address's interface is down and a candidate is heard over another: one that knew of it by then."""
    cut = m.cut
    if cut is None or turn.now < cut.at_ms + CUT_PATIENCE_MS:
        return False
    heard = [s for c in turn.view.candidates if (s := turn.view.direct(c.member)) is not None]
    if not any(s.peer.acked > cut.floor for s in heard):
        return False
    m.let_go(Reason.LINK_LOST, turn.now)
    return True


def _defend(m: GroupMachine, turn: Turn) -> None:
    """Tell the LAN once when a rival is heard, and in full when it has let go: clients follow the last word.

    In full, too, when a rival does not let go in time; when a member is met again that owns nothing, for it may have
    owned the group until this owner was heard; and when one hears this owner again, for what is near it may have missed
    the last announcement as it did.
    """
    met = frozenset((member, s.peer.incarnation, s.peer.contacts) for member, s in turn.view.standings.items())
    if turn.view.claims or turn.view.letting_go_until_ms is not None:
        if m.rival is None:
            m.rival = Rival(turn.now + RIVAL_KEEPALIVES * turn.at.config.keepalive_ms)
            m.announcer.burst(turn.now, 1)
        elif not m.rival.outlasted and turn.now >= m.rival.until_ms:
            m.rival = Rival(m.rival.until_ms, outlasted=True)
            m.announcer.burst(turn.now, turn.at.config.announce_count)
    elif m.rival is not None or met - m.met:
        m.rival = None
        m.announcer.burst(turn.now, turn.at.config.announce_count)
    m.met = met


def _may_take(m: GroupMachine, giver: Standing, turn: Turn) -> bool:
    """GO for this member, fresh, from the owner with the strongest claim (shared/protocol section 5, step 3)."""
    strongest = election.strongest(turn.view.claims)
    return (
        strongest is not None
        and strongest.owner == giver.peer.id
        and turn.at.awake
        and _is_willing(m, giver, turn)
        and handover.go_is_fresh(giver, turn.at.sent, turn.at.config.keepalive_ms, turn.now)
    )


def _is_willing(m: GroupMachine, giver: Standing, turn: Turn) -> bool:
    if giver.peer.id == m.declined:
        return False
    return m.able(turn) if handover.is_hard(giver.entry.cause) else m.candidate(turn)


def _forget_giver(m: GroupMachine, turn: Turn) -> None:
    """A handover is over for the taker when the giver has let go, or is gone, or its time has passed."""
    taken = m.taken
    if taken is None:
        return
    holds_on = any(c.owner == taken.giver for c in turn.view.claims)
    if m.state not in OWNING or not holds_on or turn.now >= taken.until_ms:
        m.taken = None


def _level(m: GroupMachine, turn: Turn) -> handover.Level:
    """What this member's frame says of a handover."""
    if m.move is not None:
        return m.move.said
    if m.state in OWNING:
        m.wish_until_ms = None
        return handover.SILENT
    asker = handover.asker(turn)
    if asker is not None:
        m.wish_until_ms = None
        if m.state is not State.STANDBY or not turn.at.awake:
            return handover.Level(Handover.REFUSE, asker.peer.id, Cause.NOT_STANDBY)
        if not _is_willing(m, asker, turn):
            return handover.Level(Handover.REFUSE, asker.peer.id, Cause.NOT_ABLE)
        return handover.Level(Handover.READY, asker.peer.id)
    owner = m.following.owner
    if m.wish_until_ms is not None and turn.now >= m.wish_until_ms:
        m.wish_until_ms = None
        m.note(Reason.CANCELLED)
    if m.wish_until_ms is not None and owner is not None:
        return handover.Level(Handover.WANT, owner.owner, Cause.REQUESTED)
    return handover.SILENT


def _serve(m: GroupMachine, turn: Turn) -> None:
    """Which way the host services must go. They start when the addresses are here and run nowhere else."""
    if m.state in (State.OWNER, State.ASKING):
        others_run = any(not s.entry.services_stopped for s in turn.view.standings.values())
        if turn.at.held.issuperset(m.wanted) and not others_run:
            m.services.want(True)
    elif m.state is State.LISTENING and (turn.at.maybe_held is None or m.adoption is not None):
        m.services.want(None)
    elif m.state is not State.SUSPENDED:
        m.services.want(False)
