"""Rules of planned moves, handover and host services (docs/protocol.md sections 11, 12 and 17)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from spec.lab import INCARNATION, VIP, D, K, Lab, Puppet, config, group, owner, owning
from vyos_agent.core import election, handover
from vyos_agent.core.events import Configured, Forced, Monitored, Served, Stopping
from vyos_agent.core.model import Cause, Config, Force, Group, Reason, Serving, State
from vyos_agent.core.wire import Handover

MONITORS = ("192.0.2.1", "192.0.2.2")
LIST = election.list_hash(MONITORS)
UNITS = ("ssh", "bird")
V = 4 * K


def watched(**fields: Any) -> Config:
    return config(groups=[group(monitors=MONITORS, **fields)])


def moving(*, config_: Config | None = None, names: str = "b") -> tuple[Lab, list[Puppet]]:
    """An owner that has been told to stand by, and asks its first peer."""
    lab, peers = owning(config_=config_, names=names)
    lab.run(1_000)
    lab.feed(Forced(Force.STANDBY))
    assert lab.state() is State.ASKING
    return lab, peers


def answer(peer: Puppet, kind: Handover, **fields: Any) -> Puppet:
    """The target's word on it."""
    return peer.stands(State.STANDBY, handover=kind, target=peer.lab.me, **fields)


def given(*, config_: Config | None = None) -> tuple[Lab, Puppet]:
    """An owner that has said GO."""
    lab, (peer,) = moving(config_=config_)
    answer(peer, Handover.READY).say()
    lab.run(100)
    assert lab.state() is State.GIVING
    assert lab.entry().handover is Handover.GO
    return lab, peer


def asked(kind: Handover = Handover.ASK, cause: Cause = Cause.REQUESTED, **fields: Any) -> tuple[Lab, Puppet]:
    """A standby, and an owner that asks or gives to it."""
    lab, peer = owner(epoch=5, lab=Lab(config(**fields)) if fields else None)
    lab.run(600)
    state = State.GIVING if kind is Handover.GO else State.ASKING
    peer.stands(state, epoch=5, handover=kind, cause=cause, target=lab.me)
    return lab, peer


# -- planned moves


def better(how: str, **said: Any) -> tuple[Lab, Puppet]:
    """An owner and a peer that is better in monitors, or in rank with autoFailback."""
    if how == "monitors":
        lab, (peer,) = owning(config_=watched())
        peer.stands(State.STANDBY, **{"monitors": 2, "list_hash": LIST, **said}).say()
        lab.feed(Monitored(dict.fromkeys(MONITORS, False)))
    else:
        lab = Lab(config("b", [group(auto_failback=True, failback_delay_ms=1_500)]))
        lab.run(3 * D)
        assert lab.state() is State.OWNER
        peer = lab.puppet("a").stands(State.STANDBY, epoch=1, **said)
        lab.meet(peer)
    return lab, peer


WAIT = {"monitors": 2 * K, "failback": 1_500}


@pytest.mark.parametrize("how", WAIT)
def test_what_a_move_needs(how: str) -> None:
    """[MOVE-1] A move for monitors or failback must need a target that is strictly better by the target's own frame, at
    the same configuration generation, directly heard and ready, without a break for 2 × the larger keepalive (monitors)
    or failbackDelay (failback).
    """
    lab, _ = better(how)
    lab.run(WAIT[how] - 60)
    assert lab.state() is State.OWNER
    lab.run(120)
    assert lab.state() is State.ASKING
    reason = Reason.MONITORS_LOST if how == "monitors" else Reason.FAILBACK
    assert lab.decided()[-1].reason is reason
    not_better = {"monitors": {"monitors": 0}, "failback": {"rank": 1}}[how]
    for said in (not_better, {"ready": False}, {"candidate": False}):
        lab, _ = better(how, **said)
        lab.run(4 * D)
        assert lab.state() is State.OWNER, said
    lab, peer = better(how)
    peer.generation = 2
    lab.run(4 * D)
    assert lab.state() is State.OWNER, "another generation"


@pytest.mark.parametrize("how", WAIT)
def test_a_break_begins_the_wait_anew(how: str) -> None:
    lab, peer = better(how)
    for _ in range(10):
        lab.run(WAIT[how] - 200)
        entry = next(iter(peer.groups.values()))
        peer.groups[entry.group] = dataclasses.replace(entry, ready=False)
        peer.say()
        peer.groups[entry.group] = entry
        lab.run(10)
        peer.say()
    assert lab.state() is State.OWNER
    lab.run(WAIT[how] + K)
    assert lab.state() is State.ASKING


def test_the_larger_keepalive_counts() -> None:
    lab, peer = better("monitors")
    peer.rests()
    peer.keepalive_ms = 1_000
    peer.beats(K)
    lab.run(1_900)
    assert lab.state() is State.OWNER
    lab.run(200)
    assert lab.state() is State.ASKING


@pytest.mark.parametrize("reached", [0, 1, 2])
@pytest.mark.parametrize("auto_failback", [False, True])
def test_a_tie(reached: int, auto_failback: bool) -> None:
    """[MOVE-2] A tie must never move anything, none of the monitors against none included."""
    lab, (peer,) = owning(config_=watched(auto_failback=auto_failback))
    peer.stands(State.STANDBY, monitors=reached, list_hash=LIST).say()
    lab.feed(Monitored({address: i < reached for i, address in enumerate(MONITORS)}))
    lab.run(20 * D)
    assert lab.state() is State.OWNER
    assert [d.after for d in lab.decided()].count(State.ASKING) == 0
    other, (peer,) = owning(config_=watched())
    peer.stands(State.STANDBY, monitors=2, list_hash=LIST + 1).say()
    other.feed(Monitored(dict.fromkeys(MONITORS, False)))
    other.run(20 * D)
    assert other.state() is State.OWNER, "another list of monitors: a tie"


def test_ready() -> None:
    """[MOVE-3] A member must say that it is ready only when it stands by, has not just been late (section 15), is a
    candidate, every monitor has its first verdict and its host services are stopped.
    """

    def ready(lab: Lab) -> bool:
        lab.run(K + 1)
        return lab.entry().ready

    lab, _ = owner(lab=Lab(watched(units=UNITS)))
    assert not ready(lab), "no verdict yet"
    lab.feed(Monitored({MONITORS[0]: False}))
    assert not ready(lab)
    lab.feed(Monitored(dict.fromkeys(MONITORS, False)))
    assert ready(lab)
    lab.feed(Served("g", Serving.FAILED))
    assert not ready(lab), "a service does not stop"
    lab.feed(Served("g", Serving.STOPPED))
    assert ready(lab)
    lab.feed(Configured(dataclasses.replace(lab.node.config, standby=True)))
    assert not ready(lab), "no candidate"
    owns, _ = owning()
    assert not ready(owns)
    slept, peer = owner()
    assert ready(slept)
    peer.rests()
    slept.stall(D + 600)
    assert not ready(slept), "late"
    peer.beats()
    slept.run(D)
    assert ready(slept)


@pytest.mark.parametrize("how", ["leaving", "maintenance", "service", "removed"])
def test_a_hard_motive_without_a_target(how: str) -> None:
    """[MOVE-4] A hard motive must end with the group given away or released, also when there is no target; with a soft
    one the owner must keep the group when nobody takes it.
    """
    lab = Lab(config(groups=[group(units=UNITS)]))
    lab.run(3 * D)
    assert lab.state() is State.OWNER
    _push(lab, how)
    lab.run(50)
    assert lab.holds() == frozenset()
    for soft in (lambda x: x.feed(Forced(Force.STANDBY)), lambda x: _push(x, "cordon")):
        alone = Lab(config(groups=[group(units=UNITS)]))
        alone.run(3 * D)
        soft(alone)
        alone.run(3 * D)
        assert alone.state() is State.OWNER
        assert alone.holds() == {VIP}


def _push(lab: Lab, how: str) -> None:
    plain = lab.node.config
    (only,) = plain.groups
    match how:
        case "leaving":
            lab.feed(Stopping())
        case "service":
            lab.feed(Served("g", Serving.FAILED))
        case "maintenance":
            _configure(lab, dataclasses.replace(only, maintenance=frozenset({"a"})))
        case "removed":
            _configure(lab, dataclasses.replace(only, members=("b", "c")))
        case "cordon":
            lab.feed(Configured(dataclasses.replace(plain, standby=True)))


def _configure(lab: Lab, changed: Group) -> None:
    lab.feed(Configured(dataclasses.replace(lab.node.config, groups=(changed,))))


def test_standing_back() -> None:
    """[MOVE-5] A member whose service failed must release the group and stand back for 30 s × 2^n, at most 1 h, counted
    anew after an hour without a failure; voluntary moves must be damped by it.
    """
    lab = Lab(config("a", [group(units=UNITS)]))
    peer = lab.puppet("b").stands(State.STANDBY)
    lab.meet(peer).run(K)
    lab.serves = lambda name, units: Serving.FAILED if units else Serving.STOPPED
    waits = []
    for failure in range(9):
        assert lab.state() is State.OWNER, failure
        lab.feed(Served("g", Serving.FAILED))
        failed_ms = lab.now
        answer(peer, Handover.READY).say()
        lab.run(60)
        peer.stands(State.OWNER, epoch=lab.entry().epoch + 1).say()
        lab.run(60)
        assert lab.state() is State.STANDBY
        assert lab.holds() == frozenset()
        peer.rests()
        peer.dead_ms, peer.keepalive_ms = 60_000, 20_000
        peer.beats()
        while not lab.entry().candidate:
            lab.run(500)
        waits.append(round(lab.now - failed_ms, -3))
        peer.stands(State.STANDBY, epoch=lab.entry().epoch).say()
        lab.serves = lambda name, units: Serving.RUNNING if units else Serving.STOPPED
        lab.run(30)
    assert waits == [min(30_000 * 2**n, 3_600_000) for n in range(9)]
    damped, _ = owner(lab=Lab(config("a", [group(units=UNITS)])))
    assert damped.entry().ready


def test_a_failure_is_forgotten_after_an_hour() -> None:
    from vyos_agent.core.services import Backoff

    backoff = Backoff()
    for expected in (30_000, 60_000, 120_000):
        backoff.fail(1_000)
        assert backoff.until_ms == 1_000 + expected
    backoff.fail(backoff.until_ms + 3_599_999)
    assert backoff.until_ms == 121_000 + 3_599_999 + 240_000
    at = backoff.until_ms + 3_600_000
    backoff.fail(at)
    assert backoff.until_ms == at + 30_000


def test_a_wish() -> None:
    """[MOVE-6] A target's wish for a group (WANT) must be a request with its own V, and only the owner must decide."""
    lab, peer = owner()
    lab.run(600)
    lab.feed(Forced(Force.ACTIVE))
    entry = lab.entry()
    assert (entry.state, entry.handover, entry.target) == (State.STANDBY, Handover.WANT, peer.id)
    lab.run(V + 100)
    assert lab.state() is State.STANDBY, "the owner did not decide so"
    assert lab.entry().handover is Handover.NONE, "a wish has its time"
    assert lab.decided()[-1].reason is Reason.CANCELLED
    owns, (peer,) = owning()
    answer(peer, Handover.WANT).say()
    assert (owns.state(), owns.entry().handover) == (State.ASKING, Handover.ASK)
    assert owns.decided()[-1].reason is Reason.HANDOVER_REQUESTED


def test_without_auto_failback() -> None:
    """[MOVE-7] With autoFailback off nothing must move back to a better rank by itself."""
    lab = Lab(config("b"))
    lab.run(3 * D)
    lab.meet(lab.puppet("a").stands(State.STANDBY, epoch=1))
    lab.run(30 * D)
    assert lab.state() is State.OWNER


# -- handover: the owner


@pytest.mark.parametrize("how", ["force", "cordon", "leaving", "maintenance", "service", "monitors", "failback"])
def test_one_way_for_every_move(how: str) -> None:
    """[HAND-1] Every planned move of a group from a living owner must go ASK, READY, GO, Owner, and no other way,
    unless a hard motive finds no target.
    """
    if how in ("monitors", "failback"):
        lab, peer = better(how)
        lab.run(WAIT[how] + K)
    else:
        lab, (peer,) = owning(config_=config(groups=[group(units=UNITS)]))
        lab.run(500)
        if how == "force":
            lab.feed(Forced(Force.STANDBY))
        else:
            _push(lab, how)
    assert lab.entry().handover is Handover.ASK
    said = next(iter(peer.groups.values()))
    kept: dict[str, Any] = {
        "monitors": said.monitors,
        "list_hash": said.list_hash,
        "rank": said.rank,
        "epoch": said.epoch,
    }
    peer.rests()
    answer(peer, Handover.READY, **kept).beats()
    lab.run(150)
    assert (lab.state(), lab.entry().handover) == (State.GIVING, Handover.GO)
    epoch = lab.entry().epoch
    peer.stands(State.OWNER, **{**kept, "epoch": epoch + 1}).say()
    lab.run(150)
    assert lab.holds() == frozenset()
    moves = [(d.before, d.after) for d in lab.decided() if d.before != d.after][-4:]
    assert moves[-4:] == [
        (State.OWNER, State.ASKING),
        (State.ASKING, State.GIVING),
        (State.GIVING, State.YIELDING),
        (State.YIELDING, State.STANDBY),
    ]


def test_frames_are_frequent() -> None:
    """[HAND-2] While a handover is under way its partners must repeat their frames each min(K, 50 ms)."""
    lab, _ = moving()
    at = lab.now
    lab.run(1_000)
    times = [when for when, b in lab.said if when >= at and lab.entry(sender=b).handover is Handover.ASK]
    assert max(b - a for a, b in itertools.pairwise(times)) <= 50
    standby, giver = asked()
    giver.rests()
    giver.say()
    at = standby.now
    standby.run(1_000)
    ready = [when for when, b in standby.said if standby.entry(sender=b).handover is Handover.READY]
    assert max(b - a for a, b in itertools.pairwise(ready)) <= 50
    assert ready[-1] > at + 900


@pytest.mark.parametrize("how", ["silence", "refusal"])
def test_a_move_that_is_not_answered(how: str) -> None:
    """[HAND-3] Without READY within V, or with REFUSE, the owner must cancel, and nothing must have been touched until
    then.
    """
    config_ = config(groups=[group(units=UNITS)])
    lab, (peer,) = moving(config_=config_)
    at = lab.now
    if how == "refusal":
        lab.run(100)
        answer(peer, Handover.REFUSE, cause=Cause.NOT_ABLE).say()
        assert lab.state() is State.OWNER
    else:
        lab.run(V - 10)
        assert lab.state() is State.ASKING
        lab.run(11)
        assert lab.state() is State.OWNER
    assert lab.decided()[-1].reason is Reason.CANCELLED
    assert lab.entry().epoch == 1
    touched = [seen for when, seen in lab.events if when >= at and seen != "frame"]
    assert touched == []
    assert {ms for when, ms in lab.lives_ms() if when >= at} == {1_000}


def test_an_answer_knows_the_question() -> None:
    """[HAND-4] An answer must count only in a frame that acknowledges a frame sent since the question."""
    lab, (peer,) = moving()
    peer.rests()
    heard = peer.heard
    assert heard is not None
    floor = heard[1] - 1
    peer.deaf = True
    peer.heard = (INCARNATION, floor, lab.now)
    answer(peer, Handover.READY).say()
    lab.run(5)
    assert lab.state() is State.ASKING, "a frame made before it heard ASK is no answer"
    peer.heard = (INCARNATION, floor + 1, lab.now)
    peer.say()
    assert lab.state() is State.GIVING


def test_what_comes_before_go() -> None:
    """[HAND-5] After READY the owner must announce nothing more, stop the host services, and shorten the lifetimes to 1
    s before it says GO.
    """
    config_ = config(groups=[group(units=UNITS)], keepalive_ms=500, dead_ms=10_000)
    lab, (peer,) = moving(config_=config_)
    lab.serves = lambda name, units: None
    at = lab.now
    assert {ms for _, ms in lab.lives_ms()} == {7_000}
    answer(peer, Handover.READY).say()
    lab.run(300)
    assert lab.entry().handover is Handover.ASK, "the services run still"
    assert lab.when("stop", at) == [at]
    assert [ms for when, ms in lab.lives_ms() if when > at][-1] == 1_000
    lab.feed(Served("g", Serving.STOPPED))
    lab.run(50)
    assert lab.entry().handover is Handover.GO
    assert lab.entry().services_stopped
    lab.run(1_500)
    assert lab.when("announce", at) == []
    renewed = [when for when, ms in lab.lives_ms() if when > at + 310]
    assert max(b - a for a, b in itertools.pairwise(renewed)) <= 250


@pytest.mark.parametrize(
    "why_not", ["no go", "stale", "another owner is stronger", "not a candidate", "for another", "nothing"]
)
def test_when_the_target_acts(why_not: str) -> None:
    """[HAND-6] B must act on GO only if, with its queue drained, A's newest frame says GO and acknowledges a frame that
    B sent at most V ago, and A's claim is the strongest.
    """
    lab, peer = asked(Handover.GO, groups=[group(members="abc")])
    third = lab.puppet("c").stands(State.STANDBY)
    lab.meet(third)
    peer.rests()
    lab.run(600)
    match why_not:
        case "no go":
            peer.stands(State.ASKING, epoch=5, handover=Handover.ASK, target=lab.me)
        case "stale":
            peer.deaf = True
            lab.run(V + 1)
        case "another owner is stronger":
            third.stands(State.OWNER, epoch=6).say()
        case "not a candidate":
            lab.feed(Configured(dataclasses.replace(lab.node.config, standby=True)))
        case "for another":
            peer.stands(State.GIVING, epoch=5, handover=Handover.GO, target=third.id)
        case _:
            pass
    peer.say()
    lab.run(20)
    assert (lab.state() is State.OWNER) is (why_not == "nothing")


def test_a_go_that_waited_in_the_queue_with_something_newer() -> None:
    lab, peer = asked(Handover.GO)
    peer.rests()
    go = _sealed(peer)
    peer.stands(State.OWNER, epoch=7)
    taken_back = _sealed(peer)
    lab.stall(100, go, taken_back)
    assert lab.state() is State.STANDBY, "the newest frame counts, with the queue drained"


def _sealed(peer: Puppet) -> bytes:
    from vyos_agent.core import wire

    mine = peer.lab.node.config
    return wire.seal(peer.beat(), mine.cluster_id, mine.keyring)


def test_what_the_target_does() -> None:
    """[HAND-7] B must claim e + 1, add its addresses with 1 s lifetimes, announce, and only then start host
    services.
    """
    lab, peer = asked(Handover.GO, groups=[group(units=UNITS)], keepalive_ms=500, dead_ms=10_000)
    lab.netlink_ms = 15
    at = lab.now
    said = len(lab.said)
    peer.say()
    lab.run(100)
    first = lab.entry(sender=lab.said[said][1])
    assert (first.state, first.epoch) == (State.OWNER, 6)
    seen = [seen for when, seen in lab.events if when >= at]
    order = [seen.index(what) for what in ("frame", f"add {VIP.address}", f"announce {VIP.address}", "start g")]
    assert order == sorted(order)
    assert {ms for when, ms in lab.lives_ms() if when >= at} == {1_000}
    assert lab.decided()[-1].reason is Reason.HANDOVER_REQUESTED


def test_the_old_owner_lets_go_late() -> None:
    """[HAND-8] A must remove its addresses 20 ms after it heard B's claim and then say Standby with B's epoch, and not
    before.
    """
    lab, peer = given()
    lab.netlink_ms = 1
    lab.run(200)
    assert lab.holds() == {VIP}
    at = lab.now
    peer.rests().stands(State.OWNER, epoch=2).say()
    lab.run(200)
    assert lab.when("remove", at) == [at + 20 + 1]
    standby = [(when, lab.entry(sender=b)) for when, b in lab.said if lab.entry(sender=b).state is State.STANDBY]
    late = [(when, e.epoch) for when, e in standby if when >= at]
    assert late[0] == (at + 21, 2)


def test_the_target_announces_again() -> None:
    """[HAND-9] B must announce the full count again, and go to normal lifetimes, when A says that it is no owner."""
    lab, peer = asked(Handover.GO, keepalive_ms=500, dead_ms=10_000)
    peer.say()
    lab.run(700)
    assert lab.state() is State.OWNER
    at = lab.now
    peer.rests().stands(State.STANDBY, epoch=6, candidate=True).say()
    lab.run(1_000)
    assert [when - at for when in lab.when("announce", at)] == [0, 100, 200]
    assert [ms for when, ms in lab.lives_ms() if when > at][-1] == 7_000


@pytest.mark.parametrize("how", ["dead", "refusal", "proof", "not yet"])
def test_taking_back(how: str) -> None:
    """[HAND-10] A must take the group back only when B is judged dead or not heard directly any more, or says REFUSE,
    or a frame of B that is no claim acknowledges a frame of A sent after GO + V; it must then go on with e + 2, which
    burns the epoch that B could have claimed.
    """
    lab, peer = given(config_=config(groups=[group(units=UNITS)]))
    peer.rests()
    at = lab.now
    match how:
        case "dead":
            peer.deaf = True
            lab.run(D + 10)
        case "refusal":
            answer(peer, Handover.REFUSE, cause=Cause.NOT_ABLE).say()
            lab.run(1)
        case "proof":
            answer(peer, Handover.READY).beats()
            lab.run(V + K + 60)
        case _:
            peer.deaf = True
            for _ in range(12):
                lab.run(K)
                peer.say()
            assert lab.state() is State.GIVING, "it says nothing of a frame sent after GO + V: it may act yet"
            return
    assert (lab.state(), lab.entry().epoch) == (State.OWNER, 3)
    assert lab.decided()[-1].reason is Reason.TAKEN_BACK
    lab.run(300)
    assert lab.when("start", at), "services again"
    assert lab.when("announce", at), "announced again"
    # the claim was 1, so the target could have claimed 2: a late claim of it loses
    peer.stands(State.OWNER, epoch=2, rank=1).say()
    assert lab.state() is State.OWNER


def test_one_at_a_time() -> None:
    """[HAND-11] One handover at a time must be under way for a group."""
    lab, (b, c) = moving(names="bc")
    lab.feed(Forced(Force.STANDBY))
    answer(c, Handover.WANT).say()
    lab.run(100)
    assert {lab.entry(sender=x).target for _, x in lab.said if lab.entry(sender=x).handover} == {b.id}
    answer(b, Handover.READY).say()
    lab.run(100)
    assert (lab.state(), lab.entry().target) == (State.GIVING, b.id)
    # and a new owner begins no other one before the old owner has let go
    target, giver = asked(
        Handover.GO, groups=[group(members="cab", auto_failback=True, failback_delay_ms=0)], keepalive_ms=500
    )
    best = target.puppet("c").stands(State.STANDBY, epoch=5, rank=0)
    target.meet(best)
    giver.say()
    target.run(100)
    assert target.state() is State.OWNER
    assert target.entry().handover is Handover.NONE
    giver.rests().stands(State.STANDBY, epoch=6).say()
    target.run(2 * K)
    assert target.state() is State.ASKING


def test_only_between_members_that_hear_each_other() -> None:
    """[HAND-12] Partners of a handover must hear each other directly."""
    lab, (b, c) = owning(names="bc")
    b.rests()
    for _ in range(10):  # b lives by c's word alone
        lab.run(K)
        b.sequence += 1
        c.lists[b.id] = _entry(b)
        c.say()
    assert lab.peer("b") == "Alive"
    c.stands(State.STANDBY, candidate=False, ready=False).say()
    lab.feed(Forced(Force.STANDBY))
    lab.run(K)
    assert lab.state() is State.OWNER
    assert lab.decided()[-1].reason is Reason.CANCELLED


def _entry(puppet: Puppet) -> Any:
    from vyos_agent.core import wire

    return wire.PeerEntry(puppet.id, puppet.incarnation, puppet.sequence, 5, wire.PeerState.ALIVE)


def test_leaving_asks_the_next() -> None:
    """[HAND-14] A member that leaves must go on to the next target after a refusal, and release at its limit whatever
    happened.
    """
    lab, (b, c) = owning(names="bc")
    lab.feed(Stopping())
    assert lab.entry().target == b.id
    answer(b, Handover.REFUSE, cause=Cause.NOT_ABLE)
    b.say()
    lab.run(100)
    assert (lab.state(), lab.entry().target) == (State.ASKING, c.id)
    lab.run(12_000)
    assert lab.holds() == frozenset()
    assert lab.over is not None
    farewells = [(at, x) for at, x in lab.said if x.leaving][-3:]
    assert [b - a for (a, _), (b, _) in itertools.pairwise(farewells)] == [20, 20]
    assert all(lab.entry(sender=x).state is State.STANDBY for _, x in farewells)


@pytest.mark.parametrize("cause", [Cause.REQUESTED, Cause.LEAVING])
def test_the_targets_answer(cause: Cause) -> None:
    """[HAND-15] A target must answer ASK with REFUSE when it does not stand by, was late and judges nothing yet, or is
    no candidate (to a hard cause: could not hold the group at all), and with READY otherwise.
    """
    lab, peer = asked(cause=cause)
    peer.say()
    entry = lab.entry()
    assert (entry.handover, entry.target, entry.state) == (Handover.READY, peer.id, State.STANDBY)
    hard = cause is Cause.LEAVING
    lab.feed(Configured(dataclasses.replace(lab.node.config, standby=True)))
    assert lab.entry().handover is (Handover.READY if hard else Handover.REFUSE), "cordoned: no candidate"
    lab.feed(Configured(dataclasses.replace(lab.node.config, groups=(group(maintenance=frozenset("a")),))))
    assert (lab.entry().handover, lab.entry().cause) == (Handover.REFUSE, Cause.NOT_ABLE)
    young = Lab(netlink_ms=5_000)
    young.meet(young.puppet("b").stands(State.ASKING, epoch=5, handover=Handover.ASK, cause=cause, target=young.me))
    young.run(100)
    assert young.state() is State.LISTENING
    assert (young.entry().handover, young.entry().cause) == (Handover.REFUSE, Cause.NOT_STANDBY)
    slept, peer = asked(cause=cause)
    slept.stall(D + 600)
    peer.say()
    slept.run(20)
    assert (slept.entry().handover, slept.entry().cause) == (Handover.REFUSE, Cause.NOT_STANDBY)


# -- host services


def test_services_and_addresses() -> None:
    """[SERVICE-2] Host services must be started after the group's addresses are held, in the order written, and be
    stopped where the group is not owned, in the reverse order.
    """
    lab = Lab(config(groups=[group(units=UNITS)]), netlink_ms=10)
    asked_: list[tuple[str, ...]] = []

    def serves(name: str, units: tuple[str, ...]) -> Serving:
        asked_.append(units)
        return Serving.RUNNING if units else Serving.STOPPED

    lab.serves = serves
    peer = lab.puppet("b").stands(State.STANDBY)
    lab.meet(peer).run(K)
    assert asked_ == [(), UNITS]
    assert lab.when("start")[0] >= lab.when("add")[0]
    assert lab.when("stop")[0] < lab.when("add")[0]
    peer.stands(State.OWNER, epoch=9).say()
    lab.run(100)
    assert asked_ == [(), UNITS, ()], "stopped where the group is not owned"


@pytest.mark.parametrize("hard", [False, True])
def test_a_stop_that_failed(hard: bool) -> None:
    """[SERVICE-3] If a stop failed, a soft move must be cancelled; in a hard one only the addresses go, and the target
    must start the services only after the old owner says that they are stopped, or is dead.
    """
    lab, (peer,) = owning(config_=config(groups=[group(units=UNITS)]))
    lab.run(500)
    lab.serves = lambda name, units: Serving.RUNNING if units else Serving.FAILED
    lab.feed(Stopping() if hard else Forced(Force.STANDBY))
    answer(peer, Handover.READY).say()
    lab.run(200)
    if not hard:
        assert lab.state() is State.OWNER
        return
    entry = lab.entry()
    assert (entry.handover, entry.services_stopped) == (Handover.GO, False)
    # and at the target: the addresses at once, the services only when the old owner has stopped them, or is dead
    for dies in (False, True):
        target, giver = asked(Handover.GO, Cause.LEAVING, groups=[group(units=UNITS)])
        giver.stands(
            State.GIVING, epoch=5, handover=Handover.GO, cause=Cause.LEAVING, target=target.me, services_stopped=False
        ).say()
        target.run(300)
        assert target.holds() == {VIP}
        assert target.when("start") == []
        if dies:
            giver.rests()
            target.run(D + 100)
        else:
            giver.stands(State.STANDBY, epoch=6, services_stopped=True).say()
            target.run(10)
        assert len(target.when("start")) == 1


def test_patience_counts_with_the_larger_keepalive() -> None:
    assert handover.patience_ms(1_000, 10) == handover.patience_ms(10, 1_000) == 4_000
