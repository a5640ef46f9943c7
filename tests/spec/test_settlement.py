"""Rules of settlement and epochs (docs/protocol.md sections 10 and 18)."""

from __future__ import annotations

import itertools

import pytest

from spec.lab import VIP, D, K, Lab, config, group, member, owner, owning
from vyos_agent.core import election
from vyos_agent.core.effects import Announce, Persist, Send
from vyos_agent.core.election import Claim
from vyos_agent.core.events import Hint, Hinted, LinkChanged, Monitored
from vyos_agent.core.model import EPOCH_MAX, MemberId, Reason, State, Vip

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
    """[EPOCH-2] An owner whose epoch is below its own in the status, below or equal to another claim that is heard, or
    below one that any believed frame states, must raise it to the highest + 1, with no move.
    """
    lab, (peer,) = owning(names="b")
    lab.run(1_000)
    before = len(lab.decided())
    expected = 58
    if how == "hint":
        lab.feed(Hinted({"g": Hint(57)}))
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


def test_a_claim_in_the_status_is_not_stated() -> None:
    """[EPOCH-4] A claim of another member that is known from the status only must not be stated in frames, and must
    count for this member's own next claim.
    """
    lab = Lab(config("b"))
    peer = lab.puppet("a").stands(State.OWNER, epoch=3)
    lab.meet(peer).run(K)
    lab.feed(Hinted({"g": Hint(57, "c")}))
    lab.feed(Hinted({"g": Hint(2, "c")}))  # of long ago
    lab.run(K)
    assert lab.entry().epoch == 3, "a, which owns, must not hear of it here"
    peer.rests()
    lab.run(D - 2 * K)
    lab.feed(Hinted({"g": Hint(90, "c")}))
    lab.run(2 * K + 20)
    assert (lab.decided()[-1].reason, lab.decided()[-1].epoch) == (Reason.PEER_DEAD, 91)


def _read_in_the_status(*, silent: bool, aware: bool, epoch: int = 57) -> tuple[Lab, int]:
    """An owner of epoch 1 that reads b's claim in the status; whether b is heard, and knew of the owner's claim."""
    lab, (peer,) = owning()
    peer.stands(State.STANDBY, epoch=1 if aware else 0).say()
    lab.run(K)
    if silent:
        peer.rests()
        lab.run(D + K)
    lab.feed(Hinted({"g": Hint(epoch, "b")}))
    return lab, lab.now


@pytest.mark.parametrize(
    ("silent", "aware", "after_ms"),
    [(False, False, 2 * K), (False, True, 2 * K), (True, False, D), (True, True, 16 * D)],
)
@pytest.mark.parametrize("epoch", [1, 57])
def test_a_claim_in_the_status_is_outbid_late(silent: bool, aware: bool, after_ms: int, epoch: int) -> None:
    """[EPOCH-5] An owner must raise its epoch above a claim of another member in the status only when that member has
    been heard for two of its keepalives since without a claim, or has not been heard for a dead interval since: for 16
    dead intervals when that member had stated an epoch not below this owner's claim.
    """
    lab, at_ms = _read_in_the_status(silent=silent, aware=aware, epoch=epoch)
    before = len(lab.decided())
    lab.feed(Hinted({"g": Hint(epoch, "b")}))  # read again: nothing new
    lab.run(after_ms - 2)
    assert lab.entry().epoch == 1
    lab.run(at_ms + after_ms + 15 - lab.now)
    assert (lab.state(), lab.entry().epoch) == (State.OWNER, epoch + 1)
    assert [d.reason for d in lab.decided()[before:]] == [Reason.EPOCH_RAISED]


def test_a_second_owner_that_answers_is_given_time() -> None:
    """[EPOCH-5] An owner must raise its epoch above a claim of another member in the status only when that member has
    been heard for two of its keepalives since without a claim, or has not been heard for a dead interval since: for 16
    dead intervals when that member had stated an epoch not below this owner's claim.
    """
    lab, at_ms = _read_in_the_status(silent=True, aware=False)
    lab.run(D + 15)
    assert lab.entry().epoch == 58
    lab.feed(Hinted({"g": Hint(59, "b")}))  # it has read this owner's claim in the status, and lives
    lab.run(15 * D)
    assert lab.entry().epoch == 58
    lab.run(at_ms + 17 * D + 40 - lab.now)
    assert lab.entry().epoch == 60


def test_a_claim_in_the_status_that_is_heard_is_settled() -> None:
    """[EPOCH-5] An owner must raise its epoch above a claim of another member in the status only when that member has
    been heard for two of its keepalives since without a claim, or has not been heard for a dead interval since: for 16
    dead intervals when that member had stated an epoch not below this owner's claim.
    """
    lab, (peer,) = owning()
    lab.feed(Hinted({"g": Hint(57, "b")}))
    lab.run(K // 2)
    peer.stands(State.OWNER, epoch=57).say()
    lab.run(K)
    assert lab.state() is not State.OWNER
    weaker, (peer,) = owning()
    weaker.feed(Hinted({"g": Hint(1, "b")}))
    peer.stands(State.OWNER, epoch=0, rank=1).say()
    weaker.run(3 * K)
    assert (weaker.state(), weaker.entry().epoch) == (State.OWNER, 1), "it is heard, and its claim is the weaker one"


def test_epochs_never_go_back() -> None:
    """[EPOCH-3] A group's epoch must never go back, and must never exceed 2^53 − 1."""
    lab, (peer,) = owning()
    told = []
    for epoch in (5, 3, 0, 9, 2):
        peer.stands(State.STANDBY, epoch=epoch).say()
        lab.feed(Hinted({"g": Hint(epoch)}))
        lab.run(K)
        told.append(lab.entry().epoch)
    assert told == sorted(told)
    peer.stands(State.OWNER, epoch=EPOCH_MAX).say()
    lab.run(K)
    peer.rests()
    lab.run(2 * D)
    assert (lab.state(), lab.entry().epoch) == (State.OWNER, EPOCH_MAX)
