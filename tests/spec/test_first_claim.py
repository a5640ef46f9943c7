"""Rules of the first claim of a group (docs/protocol.md section 9)."""

from __future__ import annotations

import pytest

from spec.lab import INIT, VIP, D, K, Lab, config, group, owner
from vyos_agent.core.events import LinkChanged, Occupied
from vyos_agent.core.model import Cause, State
from vyos_agent.core.wire import Handover


def lose(lab: Lab, how: str) -> None:
    """No heartbeat link can carry a frame any more."""
    if how == "refused":
        lab.accepts = False
        lab.run(K)
    else:
        lab.feed(LinkChanged("eth1", how == "unnumbered", None if how == "down" else False))


def mend(lab: Lab) -> None:
    lab.accepts = True
    lab.feed(LinkChanged("eth1", True))


@pytest.mark.parametrize("how", ["down", "unnumbered", "refused"])
def test_no_first_claim_without_a_link(how: str) -> None:
    """[ELECT-14] A member that has known no owner of a group must not claim it while none of its heartbeat links can
    carry a frame and it believes nobody; where that lasted for a dead interval, it must then wait again until all
    members are believed or initDeadInterval is over.
    """
    lab = Lab(config(interfaces=("eth1",)))
    lose(lab, how)
    lab.run(4 * INIT)
    assert lab.state() is State.STANDBY
    assert lab.node.report().mute
    mend(lab)
    lab.run(INIT - K)
    assert lab.state() is State.STANDBY, "the silence so far says nothing of the others"
    assert not lab.node.report().mute
    lab.run(2 * K + 10)
    assert lab.state() is State.OWNER, "initDeadInterval is over again"
    lose(lab, how)
    lab.run(4 * INIT)
    assert lab.state() is State.OWNER, "an owner goes on"


@pytest.mark.parametrize("how", ["down", "unnumbered"])
def test_who_is_heard_is_proof_of_a_link(how: str) -> None:
    """[ELECT-14] A member that has known no owner of a group must not claim it while none of its heartbeat links can
    carry a frame and it believes nobody; where that lasted for a dead interval, it must then wait again until all
    members are believed or initDeadInterval is over.
    """
    lab = Lab(config(interfaces=("eth1",)))
    lab.heard_on = "eth1"
    lose(lab, how)
    lab.run(INIT + D)
    assert lab.state() is State.STANDBY
    lab.meet(lab.puppet("b").stands(State.STANDBY))
    lab.run(3 * K)
    assert lab.state() is State.OWNER, "b acknowledges what is said to go nowhere"


def test_a_short_break_begins_nothing_again() -> None:
    """[ELECT-14] A member that has known no owner of a group must not claim it while none of its heartbeat links can
    carry a frame and it believes nobody; where that lasted for a dead interval, it must then wait again until all
    members are believed or initDeadInterval is over.
    """
    lab = Lab(config(interfaces=("eth1",)))
    lab.run(K)
    lose(lab, "down")
    lab.run(D - K)
    mend(lab)
    lab.run(INIT - D)
    assert lab.state() is State.OWNER


@pytest.mark.parametrize("how", ["down", "unnumbered", "refused"])
def test_who_has_known_an_owner_takes_over_without_a_link(how: str) -> None:
    """[ELECT-14] A member that has known no owner of a group must not claim it while none of its heartbeat links can
    carry a frame and it believes nobody; where that lasted for a dead interval, it must then wait again until all
    members are believed or initDeadInterval is over.
    """
    lab, peer = owner(lab=Lab(config(interfaces=("eth1",))))
    peer.rests()
    lose(lab, how)
    lab.run(D + 20)
    assert lab.state() is State.OWNER


def test_one_that_has_the_address_for_good_says_so() -> None:
    """[ELECT-15] A member whose machine has one of a group's addresses for good must say so by the cause NotAble with
    no handover, must be no candidate for the group and must not claim it.
    """
    lab, peer = owner()
    lab.run(K)
    assert (lab.entry().handover, lab.entry().cause) == (Handover.NONE, Cause.NONE)
    said = len(lab.said)
    lab.feed(Occupied(frozenset({VIP.address})))
    assert len(lab.said) == said + 1, "at once"
    assert (lab.entry().handover, lab.entry().cause, lab.entry().candidate) == (Handover.NONE, Cause.NOT_ABLE, False)
    assert lab.entry().occupied
    peer.rests()
    lab.run(2 * D)
    assert lab.state() is State.STANDBY, "the owner is dead, and the machine has the address already"
    assert VIP not in lab.holds()
    lab.feed(Occupied(frozenset()))
    lab.run(K)
    assert lab.state() is State.OWNER


def test_of_other_groups_nothing_is_said() -> None:
    """[ELECT-15] A member whose machine has one of a group's addresses for good must say so by the cause NotAble with
    no handover, must be no candidate for the group and must not claim it.
    """
    lab = Lab(config(groups=[group(), group("h", vips=())]))
    lab.feed(Occupied(frozenset({VIP.address})))
    lab.run(INIT + K)
    assert (lab.state("g"), lab.state("h")) == (State.STANDBY, State.OWNER)
    assert [lab.entry(name).occupied for name in "gh"] == [True, False]


@pytest.mark.parametrize("state", [State.STANDBY, State.LISTENING, State.NONE])
def test_no_first_claim_beside_one_that_has_the_address(state: State) -> None:
    """[ELECT-16] A member that has known no owner of a group must not claim it while a living member says that its
    machine has one of the group's addresses for good.
    """
    lab = Lab()
    peer = lab.puppet("b").stands(state, candidate=False, cause=Cause.NOT_ABLE)
    lab.meet(peer)
    lab.run(4 * INIT)
    assert lab.state() is State.STANDBY
    peer.stands(state, candidate=False, handover=Handover.REFUSE, cause=Cause.NOT_ABLE).say()
    lab.run(K)
    assert lab.state() is State.OWNER, "with a handover the cause says something else"


@pytest.mark.parametrize("how", ["removed", "dead"])
def test_the_first_claim_comes_when_the_address_is_free(how: str) -> None:
    """[ELECT-16] A member that has known no owner of a group must not claim it while a living member says that its
    machine has one of the group's addresses for good.
    """
    lab = Lab()
    peer = lab.puppet("b").stands(State.STANDBY, candidate=False, cause=Cause.NOT_ABLE)
    lab.meet(peer)
    lab.run(2 * INIT)
    assert lab.state() is State.STANDBY
    if how == "dead":
        peer.rests()
        lab.run(D)
    else:
        peer.stands(State.STANDBY).say()
    lab.run(2 * K)
    assert lab.state() is State.OWNER


def test_an_owner_goes_on_beside_one_that_has_the_address() -> None:
    """[ELECT-16] A member that has known no owner of a group must not claim it while a living member says that its
    machine has one of the group's addresses for good.
    """
    lab = Lab()
    peer = lab.puppet("b").stands(State.STANDBY)
    lab.meet(peer).run(3 * K)
    assert lab.state() is State.OWNER
    peer.stands(State.STANDBY, candidate=False, cause=Cause.NOT_ABLE).say()
    lab.feed(Occupied(frozenset({VIP.address})))
    lab.run(4 * INIT)
    assert lab.state() is State.OWNER
    assert VIP in lab.holds()
    assert lab.entry().occupied
