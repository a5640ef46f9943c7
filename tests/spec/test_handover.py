"""Rules of the handover (docs/protocol.md section 12)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from spec.lab import INCARNATION, VIP, D, K, Lab, config, group, owning
from spec.scenes import UNITS, WAIT, V, answer, asked, better, given, moving, push
from vyos_agent.core.events import Configured, Forced, Served, Stopping
from vyos_agent.core.model import Cause, Force, Reason, Serving, State
from vyos_agent.core.wire import Handover


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
            push(lab, how)
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
    go = peer.sealed()
    peer.stands(State.OWNER, epoch=7)
    taken_back = peer.sealed()
    lab.stall(100, go, taken_back)
    assert lab.state() is State.STANDBY, "the newest frame counts, with the queue drained"


def test_what_the_target_does() -> None:
    """[HAND-7] B must claim e + 1 and add its addresses with 1 s lifetimes, say ready with its claim when its kernel
    holds them, announce, and only then start host services; it must let go when its kernel does not hold them within V.
    """
    lab, peer = asked(Handover.GO, groups=[group(units=UNITS)], keepalive_ms=500, dead_ms=10_000)
    lab.netlink_ms = 75
    at = lab.now
    said = len(lab.said)
    peer.say()
    lab.run(60)
    frames = [lab.entry(sender=b) for _, b in lab.said[said:]]
    assert {(e.state, e.epoch, e.ready) for e in frames} == {(State.OWNER, 6, False)}
    lab.run(40)
    assert (lab.entry().state, lab.entry().ready) == (State.OWNER, True), (
        "its kernel holds them, and it says so at once"
    )
    assert lab.said[-1][0] <= at + 75 + 1
    seen = [seen for when, seen in lab.events if when >= at]
    order = [seen.index(what) for what in ("frame", f"add {VIP.address}", f"announce {VIP.address}", "start g")]
    assert order == sorted(order)
    assert {ms for when, ms in lab.lives_ms() if when >= at} == {1_000}
    assert lab.decided()[-1].reason is Reason.HANDOVER_REQUESTED


def test_a_target_whose_kernel_is_too_slow() -> None:
    lab, peer = asked(Handover.GO)
    lab.netlink_ms = 10 * V
    peer.say()
    lab.run(V - 5)
    assert lab.state() is State.OWNER
    lab.run(10)
    assert lab.state() is State.YIELDING
    assert lab.decided()[-1].reason is Reason.ADD_FAILED


def test_the_old_owner_lets_go_late() -> None:
    """[HAND-8] A must remove its addresses 20 ms after it heard B's claim with ready (2 V after the claim, where that
    is not heard), then say Standby with B's epoch, and not before.
    """
    lab, peer = given()
    lab.run(200)
    peer.rests().stands(State.OWNER, epoch=2, ready=False).beats(K)
    lab.run(V)
    assert lab.state() is State.GIVING
    assert lab.holds() == {VIP}, "nobody else holds them yet"
    at = lab.now
    peer.rests().stands(State.OWNER, epoch=2).say()
    lab.run(200)
    assert lab.when("remove", at) == [at + 20 + 1]
    standby = [(when, lab.entry(sender=b)) for when, b in lab.said if lab.entry(sender=b).state is State.STANDBY]
    late = [(when, e.epoch) for when, e in standby if when >= at]
    assert late[0] == (at + 21, 2)
    silent, peer = given()
    at = silent.now
    peer.rests().stands(State.OWNER, epoch=2, ready=False).beats(K)
    silent.run(2 * V)
    assert silent.state() is State.GIVING
    silent.run(30)
    assert silent.when("remove", at) == [at + 2 * V + 20 + 1], "it waits no longer"


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


@pytest.mark.parametrize("how", ["dead", "refusal", "let go", "proof", "not yet"])
def test_taking_back(how: str) -> None:
    """[HAND-10] A must take the group back only when B is judged dead or not heard directly any more, or says REFUSE,
    or has claimed and let go, or a frame of B that is no claim acknowledges a frame of A sent after GO + V; it must
    then go on above every epoch that B could have claimed, with e + 2 at least.
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
        case "let go":
            peer.stands(State.OWNER, epoch=2, ready=False).say()
            lab.run(50)
            assert lab.state() is State.GIVING
            peer.stands(State.STANDBY, epoch=2, candidate=False, ready=False).say()
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
        c.lists[b.id] = b.entry(5)
        c.say()
    assert lab.peer("b") == "Alive"
    c.stands(State.STANDBY, candidate=False, ready=False).say()
    lab.feed(Forced(Force.STANDBY))
    lab.run(K)
    assert lab.state() is State.OWNER
    assert lab.decided()[-1].reason is Reason.CANCELLED


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


def test_a_target_that_failed_refuses() -> None:
    """[HAND-16] A target that claimed and could not hold the addresses must refuse that owner, and must not act on its
    GO again, until the owner has stopped giving the group to it.
    """
    lab, giver = asked(Handover.GO, Cause.LEAVING)
    lab.refuses.add(VIP)
    giver.beats(50)
    lab.run(1_000)
    claims = [d.epoch for d in lab.decided() if d.after is State.OWNER]
    assert claims == [6], "once"
    assert (lab.state(), lab.entry().handover, lab.entry().target) == (State.STANDBY, Handover.REFUSE, giver.id)
    lab.refuses.clear()
    giver.rests().stands(State.OWNER, epoch=7).say()
    lab.run(100)
    giver.stands(State.ASKING, epoch=7, handover=Handover.ASK, cause=Cause.LEAVING, target=lab.me).say()
    lab.run(20)
    assert lab.entry().handover is Handover.READY, "another handover is another matter"
