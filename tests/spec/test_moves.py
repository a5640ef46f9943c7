"""Rules of planned moves and host services (docs/protocol.md sections 11, 12 and 17)."""

from __future__ import annotations

import dataclasses

import pytest

from api import objects
from spec.lab import VIP, D, K, Lab, config, group, owner, owning
from spec.scenes import LIST, MONITORS, UNITS, WAIT, V, answer, asked, better, moving, push, watched
from vyos_agent.core import handover
from vyos_agent.core.events import Configured, Forced, Monitored, Served, Stopping
from vyos_agent.core.model import Cause, Force, Reason, Serving, State
from vyos_agent.core.wire import Handover
from vyos_api import render, v1alpha1


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
    """[MOVE-3] A member that stands by must say that it is ready only when it has not just been late (section 15), is a
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
    slept, peer = owner()
    assert ready(slept)
    peer.rests()
    slept.stall(D + 600)
    assert not ready(slept), "late"
    peer.beats()
    slept.run(D)
    assert ready(slept)


@pytest.mark.parametrize("how", ["leaving", "maintenance", "removed"])
def test_a_hard_motive_without_a_target(how: str) -> None:
    """[MOVE-4] A hard motive must end with the group given away or released, also when there is no target; with a soft
    one the owner must keep the group when nobody takes it.
    """
    lab = Lab(config(groups=[group(units=UNITS)]))
    lab.run(3 * D)
    assert lab.state() is State.OWNER
    push(lab, how)
    lab.run(50)
    assert lab.holds() == frozenset()
    for soft in (lambda x: x.feed(Forced(Force.STANDBY)), lambda x: push(x, "cordon")):
        alone = Lab(config(groups=[group(units=UNITS)]))
        alone.run(3 * D)
        soft(alone)
        alone.run(3 * D)
        assert alone.state() is State.OWNER
        assert alone.holds() == {VIP}


def test_standing_back() -> None:
    """[MOVE-5] A member whose service failed must give the group to a candidate and stand back for 30 s × 2^n, at most
    1 h, counted anew after an hour without a failure; voluntary moves must be damped by it.
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


def test_a_failed_service_with_no_candidate() -> None:
    """[MOVE-9] A member whose service failed must keep the group, and try its services again, while no other is a
    candidate: one that stands back for its own failure would give the group back at once.
    """
    lab = Lab(config("a", [group(units=UNITS)]))
    peer = lab.puppet("b").stands(State.STANDBY, candidate=False, ready=False)
    lab.meet(peer).run(K)
    lab.feed(Served("g", Serving.FAILED))
    lab.run(3 * D)
    assert (lab.state(), lab.holds()) == (State.OWNER, {VIP})
    assert [d.reason for d in lab.decided()].count(Reason.SERVICE_FAILED) == 1, "said once"
    peer.stands(State.STANDBY).say()
    lab.run(10)
    assert (lab.state(), lab.entry().target) == (State.ASKING, peer.id), "as soon as there is one"
    answer(peer, Handover.REFUSE)
    peer.say()
    lab.run(5_000)
    assert lab.state() is State.OWNER, "that refused: it is not asked again at once"
    peer.rests()
    lab.run(K)
    lab.feed(Served("g", Serving.RUNNING))
    lab.run(60_000)
    assert (lab.state(), lab.holds()) == (State.OWNER, {VIP}), "and not at all when they run"


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


def test_the_delay_of_a_failback() -> None:
    """[MOVE-8] failbackDelay must be the dead interval where nothing else is configured."""
    plain = objects.cluster() | {"metadata": {"name": "edge", "uid": "5e0c", "generation": 3}}
    for group_ in plain["spec"]["groups"]:
        group_.pop("failbackDelay", None)
    found = render.render(v1alpha1.parse(plain), "node1")
    assert {g.failback_delay_ms for g in found.groups} == {found.dead_ms} == {20_000}


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


def test_who_must_let_go_waits_for_one_that_lets_go_still() -> None:
    """[HAND-17] An owner that must let go, and hears nobody to give to but a member that lets the group go still, must
    wait for that one for up to 2 s.
    """
    lab, (b,) = owning(names="b")
    b.stands(State.YIELDING).beats(100)
    lab.run(100)
    lab.feed(Stopping())
    lab.run(1_800)
    assert (lab.state(), lab.holds()) == (State.OWNER, {VIP})
    b.stands(State.STANDBY).say()
    lab.run(10)
    assert (lab.state(), lab.entry().target) == (State.ASKING, b.id)
    lab, (b,) = owning(names="b")
    b.stands(State.YIELDING).beats(100)
    lab.run(100)
    lab.feed(Stopping())
    lab.run(2_300)
    assert lab.holds() == frozenset(), "not for ever"


@pytest.mark.parametrize("newer_there", [False, True])
@pytest.mark.parametrize("ready", [False, True])
def test_who_was_taken_out_is_given_nothing(ready: bool, newer_there: bool) -> None:
    """[HAND-18] Until GO, an owner must end a move to a member that its own, newer configuration has taken out of the
    group.

    One that carries the same configuration, or a newer one, says itself what it is to the group.
    """
    groups = [group(members="abc", units=UNITS)]
    lab, (b, _) = moving(config_=config(groups=groups), names="bc")
    lab.serves = lambda name, units: None
    assert lab.entry().target == b.id
    if ready:
        answer(b, Handover.READY).say()
        lab.run(10)
        assert lab.state() is State.GIVING
    if newer_there:
        b.generation = lab.node.config.generation + 1
        (answer(b, Handover.READY) if ready else b).say()
    changed = group(members="ac", units=UNITS)
    lab.feed(Configured(dataclasses.replace(lab.node.config, generation=2, groups=(changed,))))
    lab.run(10)
    assert (lab.state() is State.OWNER) is not newer_there
    assert lab.holds() == {VIP}
