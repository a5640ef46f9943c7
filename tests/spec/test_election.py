"""Rules of election (docs/protocol.md section 9)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from spec.lab import INIT, VIP, D, K, Lab, config, group, owner, owning
from vyos_agent.core import election
from vyos_agent.core.effects import Decided
from vyos_agent.core.events import Configured, Hint, Hinted, LinkChanged, Monitored, Served, Stopping
from vyos_agent.core.model import MemberId, Serving, State, Vip

STAGGER = 50


def abc(me: str = "a", **fields: Any) -> Lab:
    return Lab(config(me, [group(members="abc", **fields)]))


def test_a_start_claims_nothing() -> None:
    """[ELECT-1] A member that has started must claim nothing until all members are believed or initDeadInterval is
    over.
    """
    lab = abc()
    lab.meet(lab.puppet("b").stands(State.STANDBY))
    lab.run(INIT - 200)
    assert lab.state() is State.LISTENING, "one member was not heard"
    assert lab.entry().epoch == 0
    lab.run(400)
    assert lab.state() is State.OWNER, "the initial dead interval is over"
    whole = abc()
    whole.meet(*(whole.puppet(name).stands(State.STANDBY) for name in "bc"))
    whole.run(3 * K)
    assert whole.state() is State.OWNER, "all are heard"


def test_listening_until_swept() -> None:
    """[ELECT-2] A life must say Listening until it has adopted or removed what an earlier life left in the kernel."""
    stale = Vip("192.0.2.99", 24, "eth0")
    config_ = config(groups=[group(vips=(VIP,)), group("h", vips=(stale,))])
    lab = Lab(config_, netlink_ms=800)
    lab.meet(lab.puppet("b").stands(State.OWNER, epoch=3).stands(State.OWNER, "h", epoch=3))
    lab.run(500)
    assert lab.state() is State.LISTENING, "the kernel has not said yet what it holds"
    lab.run(2_000)
    assert lab.state() is State.STANDBY
    states = [lab.entry(sender=b).state for _, b in lab.said]
    assert states == sorted(states), "first Listening, then Standby"


@pytest.mark.parametrize("claims", [False, True])
def test_listening_peers_may_own_still(claims: bool) -> None:
    """[ELECT-3] A member that says Listening must be treated, for what its earlier life owned, as that life still
    owning until its dead interval is over.
    """
    lab, peer = owner()
    peer.rests()
    peer.deaf = True
    last = lab.now
    peer.say()
    again = lab.puppet("b", 0xB9).stands(State.LISTENING if not claims else State.STANDBY)
    lab.run(100)
    lab.meet(again)
    assert lab.peer("b") in ("Listening", "Alive")
    lab.run(last + D - 10 - lab.now)
    assert (lab.state() is State.OWNER) is claims, "Standby says that the old life's addresses are gone"
    lab.run(K)
    assert lab.state() is State.OWNER


def test_candidates() -> None:
    """[ELECT-4] A member must be a candidate only when the interfaces of its addresses are up, it is not in
    maintenance, cordoned or leaving, its units exist, and its services did not just fail there.
    """

    def candidate(lab: Lab) -> bool:
        lab.run(K + 1)
        return lab.entry().candidate

    lab, _ = owner()
    assert candidate(lab)
    lab.feed(LinkChanged("eth0", False))
    assert not candidate(lab)
    lab.feed(LinkChanged("eth0", True))
    assert candidate(lab)
    plain = lab.node.config
    lab.feed(Configured(dataclasses.replace(plain, groups=(group(maintenance=frozenset("a")),))))
    assert not candidate(lab)
    lab.feed(Configured(dataclasses.replace(plain, standby=True)))
    assert not candidate(lab)
    lab.feed(Configured(plain))
    assert candidate(lab)
    units, _ = owner(lab=Lab(config(groups=[group(units=("ssh",))])))
    assert candidate(units)
    units.feed(Served("g", Serving.ABSENT))
    assert not candidate(units)
    failed, _ = owning(config_=config(groups=[group(units=("ssh",))]))
    failed.feed(Served("g", Serving.FAILED))
    assert not candidate(failed)
    lab.feed(Stopping())
    assert not lab.entry().candidate


RANKED = [
    # (monitors, list, rank) of two candidates, and whether the first one comes before
    ((2, 7, 1), (1, 7, 0), True),
    ((1, 7, 1), (2, 7, 0), False),
    ((2, 7, 1), (1, 8, 0), False),
    ((2, 7, 0), (2, 7, 1), True),
    ((0, 7, 0), (0, 7, 1), True),
    ((5, 7, 2), (0, 9, 0), False),
]


@pytest.mark.parametrize(("one", "other", "first"), RANKED)
def test_one_ranking(one: tuple[int, int, int], other: tuple[int, int, int], first: bool) -> None:
    """[ELECT-5] Candidates must be ranked by the monitors that they reach, compared only between equal monitor lists,
    then by rank; this one ranking must serve takeover, monitors and failback.
    """
    x, y = (
        election.Candidate(MemberId(i), rank, monitors, list_)
        for i, (monitors, list_, rank) in enumerate((one, other), 1)
    )
    assert (x.comes_before(y), y.comes_before(x)) == (first, not first)
    assert (election.turn([x, y], x), election.turn([x, y], y)) == ((0, 1) if first else (1, 0))
    # takeover: whoever comes first claims first
    lab = Lab(config("c", [group(members="abc", monitors=("192.0.2.1", "192.0.2.2"))]))
    mine = election.list_hash(("192.0.2.1", "192.0.2.2"))
    lab.feed(Monitored({"192.0.2.1": True, "192.0.2.2": False}))
    dying = lab.puppet("a").stands(State.OWNER, epoch=4, list_hash=mine)
    better = lab.puppet("b").stands(State.STANDBY, monitors=2 if first else 0, list_hash=mine)
    lab.meet(dying, better)
    dying.rests()
    lab.run(D + 20)
    assert (lab.state() is State.STANDBY) is first


@pytest.mark.parametrize("place", [0, 1, 2])
def test_candidates_take_turns(place: int) -> None:
    """[ELECT-6] With no living owner candidate number i (0 is best) must wait i × (K + 50 ms) after its own judgement,
    and the best must claim at once.
    """
    names = "dabc"[: place + 1] + "e"
    me = names[-1]
    lab = Lab(config(me, [group(members=names)]))
    dying, *better = (lab.puppet(name) for name in names[:-1])
    lab.meet(dying.stands(State.OWNER, epoch=4), *(p.stands(State.STANDBY) for p in better))
    lab.run(100)
    dying.rests()
    last = lab.now
    dying.say()
    due = last + D + place * (K + STAGGER)
    lab.run(due - 1 - lab.now)
    assert lab.state() is State.STANDBY
    lab.run(1)
    assert lab.state() is State.OWNER


def test_ranked_by_what_each_says() -> None:
    """[ELECT-7] Each candidate must be ranked by what it says in its own newest frame, the receiver by what it sends
    itself; a candidate with another configuration generation must have the rank that the receiver's configuration gives
    it.
    """
    # by this node's configuration b comes after it, but b itself says that it has a better rank
    lab = Lab(config("b", [group(members="abc")]))
    dying, other = lab.puppet("a").stands(State.OWNER, epoch=4), lab.puppet("c").stands(State.STANDBY, rank=0)
    lab.meet(dying, other)
    dying.rests()
    lab.run(D + 20)
    assert lab.state() is State.STANDBY, "it waits for c, which calls itself number 0"
    lab.run(K + STAGGER)
    assert lab.state() is State.OWNER


def test_a_candidate_with_another_generation() -> None:
    """[ELECT-7] Each candidate must be ranked by what it says in its own newest frame, the receiver by what it sends
    itself; a candidate with another configuration generation must have the rank that the receiver's configuration gives
    it.
    """
    lab = Lab(config("b", [group(members="abc")]))
    dying, other = lab.puppet("a").stands(State.OWNER, epoch=4), lab.puppet("c").stands(State.STANDBY, rank=0)
    other.generation = 2
    lab.meet(dying, other)
    dying.rests()
    lab.run(D + 20)
    assert lab.state() is State.OWNER, "c is number 2 here, whatever it was in the configuration that it carries"


def test_an_undecided_monitor() -> None:
    """[ELECT-8] A monitor without a verdict must count as reachable for a claim."""
    lab = abc(monitors=("192.0.2.1", "192.0.2.2"))
    lab.run(1)
    assert lab.entry().monitors == 2
    lab.feed(Monitored({"192.0.2.1": False}))
    lab.run(K)
    assert lab.entry().monitors == 1
    lab.feed(Monitored({"192.0.2.1": False, "192.0.2.2": False}))
    lab.run(K)
    assert lab.entry().monitors == 0
    fresh = abc(monitors=("192.0.2.1", "192.0.2.2"))
    peers = [fresh.puppet(n).stands(State.STANDBY, monitors=2, list_hash=fresh.entry().list_hash) for n in "bc"]
    fresh.meet(*peers).run(K)
    assert fresh.state() is State.OWNER, "the primary, though it has no verdict yet"


def test_a_claim_is_above_all() -> None:
    """[ELECT-9] A claim must carry an epoch above every epoch that the claimer has learned of."""
    lab = Lab(config("b", [group(members="abc")]), epochs={"g": 3})
    lab.feed(Hinted({"g": Hint(8)}))
    dying, teller = lab.puppet("a").stands(State.OWNER, epoch=6), lab.puppet("c").stands(State.STANDBY, epoch=11)
    lab.meet(dying, teller)
    dying.rests()
    lab.run(D + 20)
    assert lab.state() is State.OWNER
    assert lab.entry().epoch == 12


def test_a_failure_does_not_stop_a_takeover() -> None:
    """[ELECT-10] A member that stands back after a failure must still take over from an owner that died."""
    lab, (peer,) = owning(config_=config(groups=[group(units=("ssh",))]))
    peer.stands(State.STANDBY).say()
    lab.feed(Served("g", Serving.FAILED))
    lab.run(20)
    assert lab.state() is not State.OWNER or lab.entry().handover, "it gives the group away"
    peer.stands(State.OWNER, epoch=lab.entry().epoch + 1).say()
    lab.run(2 * K)
    assert lab.state() is State.STANDBY
    assert not lab.entry().candidate
    peer.rests()
    lab.run(D + 2 * (K + STAGGER))
    assert lab.state() is State.OWNER, "the other one died"


@pytest.mark.parametrize("how", ["silence", "leaving", "release"])
def test_no_takeover_before_its_time(how: str) -> None:
    """[ELECT-11] A takeover must not come before the owner is judged dead, has said that it leaves, or has said that it
    owns the group no more.
    """
    lab, peer = owner()
    lab.run(1_000)
    peer.rests()
    at = lab.now
    peer.say()
    if how == "silence":
        lab.run(D - 1)
        assert lab.state() is State.STANDBY
        lab.run(1)
    elif how == "leaving":
        peer.leaving = True
        peer.say()
        assert lab.state() is State.STANDBY, "it owns still, and only says that it will leave"
        peer.stands(State.STANDBY, epoch=5, candidate=False).say()
    else:
        peer.stands(State.YIELDING, epoch=5).say()
        lab.run(D - 1)
        assert lab.state() is State.STANDBY, "its addresses may be there still"
        peer.stands(State.STANDBY, epoch=5).say()
    lab.run(1)
    assert lab.state() is State.OWNER
    assert lab.now <= at + D + 5


def test_candidates_of_one_moment() -> None:
    """[ELECT-12] A member that has just become a candidate must count every standing-by member, also one that does not
    call itself a candidate yet, until that one acknowledges a frame sent since: a switch that comes back makes all of
    them candidates in one moment.
    """
    lab = Lab(config("b", [group(members="ab")], interfaces=("eth1",)))
    lab.heard_on = "eth1"
    peer = lab.puppet("a").stands(State.STANDBY, candidate=False, ready=False)
    lab.feed(LinkChanged("eth0", False))
    lab.meet(peer).run(INIT)
    peer.rests()
    peer.deaf = True
    assert (lab.state(), lab.entry().candidate) == (State.STANDBY, False)
    at = lab.now
    lab.feed(LinkChanged("eth0", True))
    lab.run(K + STAGGER - 1)
    assert lab.state() is State.STANDBY, "number 1, for a may have become a candidate just now and is better"
    lab.run(1)
    assert lab.state() is State.OWNER
    assert lab.now == at + K + STAGGER


def test_who_let_go_counts_those_that_take_it_for_no_candidate() -> None:
    """[ELECT-13] A member that owned the group last must count every candidate that has not acknowledged a frame sent
    since it became one itself: such a one takes it for none, and claims.
    """
    for deaf, waits_ms in ((True, K + STAGGER), (False, 0)):
        lab = Lab(config("a", [group(members="ab")], interfaces=("eth1",)))
        lab.heard_on = "eth1"
        peer = lab.puppet("b").stands(State.STANDBY)
        lab.meet(peer).run(INIT)
        assert lab.state() is State.OWNER
        lab.feed(LinkChanged("eth0", False))
        lab.run(12)
        peer.say()
        lab.run(1)
        assert lab.state() is State.STANDBY
        peer.rests()
        peer.deaf = deaf
        at = lab.now
        lab.feed(LinkChanged("eth0", True))
        lab.run(5)
        peer.say()
        lab.run(K + STAGGER - 6)
        assert lab.state() is (State.STANDBY if deaf else State.OWNER)
        lab.run(1)
        claimed = next(when for when, d in lab.did if when >= at and isinstance(d, Decided) and d.after is State.OWNER)
        assert waits_ms <= claimed - at <= waits_ms + 6
