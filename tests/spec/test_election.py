"""Rules of election, settlement and epochs (docs/protocol.md sections 9, 10 and 18)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from spec.lab import INIT, VIP, D, K, Lab, config, group, member, owner, owning
from vyos_agent.core import election
from vyos_agent.core.effects import Announce, Persist, Send
from vyos_agent.core.election import Claim
from vyos_agent.core.events import Configured, Hinted, LinkChanged, Monitored, Served, Stopping
from vyos_agent.core.model import EPOCH_MAX, MemberId, Reason, Serving, State, Vip

STAGGER = 50


def abc(me: str = "a", **fields: Any) -> Lab:
    return Lab(config(me, [group(members="abc", **fields)]))


# -- election


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
    itself.
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
    lab.feed(Hinted({"g": 8}))
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


# -- settlement


CLAIMS = [Claim(MemberId(i), epoch, rank) for i in (1, 2, 3) for epoch in (1, 2) for rank in (0, 1)]


def test_the_order_of_claims_is_total() -> None:
    """[SETTLE-1] Of two owners the one with the higher epoch must stay, then the one with the lower rank as each states
    it in its own frame, then the one with the lower identity; the other must release.
    """
    for one, other in itertools.permutations(CLAIMS, 2):
        stays = max((one, other), key=lambda c: (c.epoch, -c.rank, -c.owner))
        assert election.strongest((one, other)) == stays
        if one.epoch != other.epoch:
            assert stays.epoch == max(one.epoch, other.epoch)
        elif one.rank != other.rank:
            assert stays.rank == min(one.rank, other.rank)
        else:
            assert stays.owner == min(one.owner, other.owner)
    # on the bench: a node of rank 0 and epoch 1 against each kind of rival
    lower, higher = sorted("ab", key=member)
    for me, rival, epoch, rank, stays_ in (
        ("a", "b", 0, 0, True),
        ("a", "b", 1, 1, True),
        ("a", "b", 2, 9, False),
        (lower, higher, 1, 0, True),
        (higher, lower, 1, 0, False),
    ):
        lab = Lab(config(me, [group(members=me + rival)]))
        peer = lab.puppet(rival).stands(State.STANDBY)
        lab.meet(peer).run(K)
        assert (lab.state(), lab.entry().epoch) == (State.OWNER, 1)
        peer.stands(State.OWNER, epoch=epoch, rank=rank).say()
        assert (lab.state() is State.OWNER) is stays_, (epoch, rank)


@pytest.mark.parametrize("auto_failback", [False, True])
@pytest.mark.parametrize("monitors", [0, 2])
def test_nothing_else_has_a_part(auto_failback: bool, monitors: int) -> None:
    """[SETTLE-2] Local configuration, monitors and autoFailback must have no part in a settlement."""
    lab, peers = owning(
        config_=config(groups=[group(auto_failback=auto_failback, monitors=("192.0.2.1", "192.0.2.2"))])
    )
    (peer,) = peers
    list_hash = lab.entry().list_hash
    peer.stands(State.OWNER, epoch=7, monitors=monitors, list_hash=list_hash, rank=200, candidate=False).say()
    assert lab.state() is State.YIELDING, "the higher epoch stays, whatever else it says"
    lab, (peer,) = owning(config_=lab.node.config)
    peer.stands(State.OWNER, epoch=0, monitors=2, list_hash=list_hash, rank=0).say()
    lab.feed(Monitored({"192.0.2.1": False, "192.0.2.2": False}))
    assert lab.state() is State.OWNER


def test_the_winner_goes_above() -> None:
    """[SETTLE-3] A winner whose epoch is not above every epoch that it learned of must take the highest + 1."""
    lab, (peer,) = owning()
    assert lab.entry().epoch == 1
    peer.stands(State.OWNER, epoch=1, rank=1).say()
    lab.run(15)
    assert (lab.state(), lab.entry().epoch) == (State.OWNER, 2)
    peer.stands(State.STANDBY, epoch=6).say()
    lab.run(15)
    assert (lab.state(), lab.entry().epoch) == (State.OWNER, 7)


def test_the_loser_removes_and_then_says_so() -> None:
    """[SETTLE-4] The loser must cancel its announcements and remove its addresses, and only then say Standby, with the
    winner's epoch.
    """
    lab, (peer,) = owning()
    lab.run(20)
    lab.netlink_ms = 30
    lab.feed(LinkChanged("eth0", True))
    at, said = lab.now, len(lab.said)
    peer.stands(State.OWNER, epoch=9).say()
    lab.run(200)
    removed = lab.when("remove", at)
    assert removed == [at + 30]
    standby = [when for when, b in lab.said[said:] if lab.entry(sender=b).state is State.STANDBY]
    assert min(standby) >= removed[0]
    assert {lab.entry(sender=b).state for when, b in lab.said[said:] if when < removed[0]} == {State.YIELDING}
    assert {lab.entry(sender=b).epoch for when, b in lab.said[said:] if when >= removed[0]} == {9}
    assert lab.when("announce", at) == []


def announcements(lab: Lab, since: int) -> list[int]:
    return [at - since for at, e in lab.did if isinstance(e, Announce) and at >= since]


@pytest.mark.parametrize("end", ["released", "dead", "2 K"])
def test_the_winner_announces(end: str) -> None:
    """[SETTLE-5] The winner must announce once when it hears the claim, and with the full count when the loser's frame
    says that it is no owner, or the loser is dead, or 2 K have passed.
    """
    lab, (peer,) = owning()
    lab.run(2_000)
    assert announcements(lab, lab.now) == []
    at = lab.now
    peer.rests().stands(State.OWNER, epoch=0, rank=5).say()
    lab.run(150)
    assert announcements(lab, at) == [0], "once on the claim"
    if end == "released":
        lab.run(50)
        peer.stands(State.STANDBY, epoch=2).say()
        lab.run(1_000)
        assert announcements(lab, at) == [0, 200, 300, 400], "and in full when it has let go"
    elif end == "dead":
        lab.run(D + 1_000)
        assert announcements(lab, at + D) == [0, 100, 200]
    else:
        for _ in range(20):
            peer.say()
            lab.run(100)
        full = [a for a in announcements(lab, at) if a > 0]
        assert full == [2 * K, 2 * K + 100, 2 * K + 200]


def test_groups_settle_one_by_one() -> None:
    """[SETTLE-6] Each group must settle by itself, by its entry and not by the frame."""
    other = Vip("192.0.2.124", 24, "eth0")
    lab = Lab(config(groups=[group(), group("h", vips=(other,))]))
    peer = lab.puppet("b").stands(State.STANDBY).stands(State.STANDBY, "h")
    lab.meet(peer).run(K)
    assert (lab.state("g"), lab.state("h")) == (State.OWNER, State.OWNER)
    peer.stands(State.OWNER, "g", epoch=0, rank=1).stands(State.OWNER, "h", epoch=9).say()
    assert (lab.state("g"), lab.state("h")) == (State.OWNER, State.YIELDING)
    lab.run(K)
    assert lab.holds() == {VIP}


def test_a_member_that_is_met_again() -> None:
    """[SETTLE-7] An owner must announce with the full count when a member that owns nothing becomes believed, because
    that one may have owned the group until it heard of this owner.
    """
    lab, (peer,) = owning()
    lab.run(1_000)
    peer.rests()
    lab.run(2 * D)
    assert lab.peer("b") == "Dead"
    at = lab.now
    back = lab.puppet("b", 0xB9).stands(State.STANDBY, epoch=1)
    lab.meet(back).run(1_000)
    met = next(when for when, b in lab.said if when >= at and b.peers[-1].state)
    assert len(announcements(lab, at)) == 3
    assert announcements(lab, at)[0] <= met - at + 25


# -- epochs


def test_epochs_are_kept_and_told() -> None:
    """[EPOCH-1] An epoch must be persisted with each claim, without delaying the claim, and must be told by every
    member, the standbys too.
    """
    lab, _ = owning()
    order = [type(e) for _, e in lab.did if isinstance(e, Persist | Send)]
    claim = next(i for i, (_, e) in enumerate(lab.did) if isinstance(e, Persist))
    assert Persist in order
    assert lab.did[claim][1] == Persist({"g": 1})
    claimed = next(at for at, b in lab.said if lab.entry(sender=b).state is State.OWNER)
    assert claimed == lab.did[claim][0], "the claim goes out in the turn that asks for the disk, and waits for nothing"
    standby, peer = owner(epoch=41)
    assert standby.entry().epoch == 41, "a standby tells it too"
    assert Persist({"g": 41}) in [e for _, e in standby.did]
    peer.stands(State.OWNER, epoch=42).say()
    standby.run(K)
    assert standby.entry().epoch == 42


@pytest.mark.parametrize("how", ["hint", "claim", "frame"])
def test_an_owner_goes_above_without_a_move(how: str) -> None:
    """[EPOCH-2] An owner whose epoch is below or equal to a hint (the status, the disk) or to another claim, or below
    one that any believed frame tells, must raise it to the highest + 1, with no move.
    """
    lab, (peer,) = owning(names="b")
    lab.run(1_000)
    before = len(lab.decided())
    expected = 58
    if how == "hint":
        lab.feed(Hinted({"g": 57}))
    elif how == "claim":
        peer.stands(State.OWNER, epoch=1, rank=9).say()
        expected = 2
    else:
        peer.stands(State.STANDBY, epoch=57).say()
    lab.run(15)
    assert (lab.state(), lab.entry().epoch) == (State.OWNER, expected)
    assert {(d.before, d.after, d.reason) for d in lab.decided()[before:]} == {
        (State.OWNER, State.OWNER, Reason.EPOCH_RAISED)
    }
    assert lab.when("remove") == []


def test_epochs_never_go_back() -> None:
    """[EPOCH-3] A group's epoch must never go back, and must never exceed 2^53 − 1."""
    lab, (peer,) = owning()
    told = []
    for epoch in (5, 3, 0, 9, 2):
        peer.stands(State.STANDBY, epoch=epoch).say()
        lab.feed(Hinted({"g": epoch}))
        lab.run(K)
        told.append(lab.entry().epoch)
    assert told == sorted(told)
    peer.stands(State.OWNER, epoch=EPOCH_MAX).say()
    lab.run(K)
    peer.rests()
    lab.run(2 * D)
    assert (lab.state(), lab.entry().epoch) == (State.OWNER, EPOCH_MAX)
