"""Rules of life and relay, frames that were held back, and bounds (docs/protocol.md sections 6, 7 and 21)."""

from __future__ import annotations

import dataclasses

import pytest

from spec.lab import KEY, D, K, Lab, Puppet, config, group, member, owner, owning
from vyos_agent.core import wire
from vyos_agent.core.effects import Decided
from vyos_agent.core.model import Drop, GroupId, Keyring, MemberId, State
from vyos_agent.core.peers import Peers

RING = Keyring(1, {1: KEY})


def abc() -> Lab:
    return Lab(config(groups=[group(members="abc")]))


@pytest.mark.parametrize("gap_ms", [100, D - 10])
def test_frames_that_were_held_back(gap_ms: int) -> None:
    """[BELIEF-12] A frame of a believed member must be dated by its acknowledgement, as the time when the acknowledged
    sequence was sent plus the age that it states, and must be dropped as Unproved when that is longer ago than the
    larger of the two dead intervals.
    """
    lab, peer = owner()
    peer.rests()
    peer.deaf = True
    peer.say()
    died = lab.now
    held_back = [wire.seal(peer.beat(), lab.node.config.cluster_id, RING) for _ in range(2 * D // gap_ms + 20)]
    for data in held_back:
        lab.run(gap_ms)
        lab.hear(data)
    lab.run(2 * D)
    claimed = next(at for at, e in lab.did if isinstance(e, Decided) and e.after is State.OWNER)
    assert died + D <= claimed <= died + 2 * D


def test_a_member_that_does_not_hear_this_one_is_dated_too() -> None:
    lab, peer = owner()
    peer.deaf = True  # a cut in one direction: its age of what it heard last grows, and it lives
    lab.run(20 * D)
    assert lab.peer("b") == "Alive"
    lab.run(70_000 - 20 * D)
    assert lab.peer("b") == "Alive", "an age that is too large to say dates nothing"
    assert lab.drops() == {Drop.UNPROVED: 1}


def test_a_part_without_this_node_is_no_sign_of_life() -> None:
    lab, peer = owner()
    peer.rests()
    at = lab.now
    for _ in range(8):
        lab.run(K)
        peer.heard = None
        peer.stands(State.OWNER, epoch=7).say(part=1, parts=2)
    assert lab.now > at + D
    assert lab.peer("b") == "Dead"


def test_a_frame_that_is_held_back_is_answered_and_listed() -> None:
    lab, peer = owner()
    peer.rests()
    witness = lab.said[-1][1].sequence
    for _ in range(7):
        lab.run(K)
        peer.sequence += 1
        _tell_alive(lab, peer)
    assert lab.peer("b") == "Alive", "another member hears it"
    said = len(lab.said)
    held = peer.beat()
    entry_ = dataclasses.replace(held.peers[0], sequence=witness, age_ms=1)
    lab.hear(wire.seal(dataclasses.replace(held, peers=(entry_,)), lab.node.config.cluster_id, RING))
    assert len(lab.said) > said, "answered"
    listed = lab.listed("b")
    assert listed is not None
    assert (listed.sequence, listed.state) == (peer.sequence, wire.PeerState.UNPROVED)
    peer.say()
    lab.run(K)
    listed = lab.listed("b")
    assert listed is not None
    assert (listed.sequence, listed.state) == (peer.sequence, wire.PeerState.ALIVE), "and proves itself at once"


def _tell_alive(lab: Lab, peer: Puppet) -> None:
    """As a third member's word would do it."""
    found = lab.node._peers.table[peer.id]
    found.told_ms = lab.now


@pytest.mark.parametrize("state", wire.PeerState)
def test_only_a_member_that_believes_is_a_witness(state: wire.PeerState) -> None:
    lab = abc()
    silent, witness = lab.puppet("b").stands(State.OWNER, epoch=5), lab.puppet("c").stands(State.STANDBY)
    lab.meet(silent, witness)
    silent.rests()
    for _ in range(12):
        lab.run(K)
        silent.sequence += 1
        witness.lists[silent.id] = silent.entry(state=state)
        witness.say()
    assert (lab.peer("b") == "Alive") is (state is wire.PeerState.ALIVE)


# -- life and relay


def test_each_is_judged_by_its_own_interval() -> None:
    """[LIFE-1] A member must be judged by the dead interval in its own newest frame."""
    lab = abc()
    short, long = lab.puppet("b"), lab.puppet("c")
    lab.meet(short, long)
    for peer, dead_ms in ((short, 1_500), (long, 20_000)):
        peer.rests()
        peer.dead_ms, peer.keepalive_ms = dead_ms, 500
        peer.say()
    lab.run(1_499)
    assert (lab.peer("b"), lab.peer("c")) == ("Alive", "Alive")
    lab.run(1)
    assert (lab.peer("b"), lab.peer("c")) == ("Dead", "Alive")
    lab.run(18_499)
    assert lab.peer("c") == "Alive"
    lab.run(1)
    assert lab.peer("c") == "Dead"


@pytest.mark.parametrize("relayed", [False, True])
def test_death(relayed: bool) -> None:
    """[LIFE-2] A member must be judged dead when no frame of its present incarnation is younger than its dead interval,
    here or at any member that is heard, by that member's peer list (an entry that says alive: time of receipt less
    age), and not before.
    """
    lab = abc()
    silent, witness = lab.puppet("b").stands(State.OWNER, epoch=5), lab.puppet("c").stands(State.STANDBY)
    lab.meet(silent, witness)
    silent.rests()
    last = lab.now
    silent.say()
    if relayed:
        # the witness heard a later frame, 800 ms after the last one that came here, and says so 300 ms later
        lab.run(1_100)
        silent.sequence += 1
        witness.lists[silent.id] = silent.entry(300)
        witness.say()
        del witness.lists[silent.id]
        last = lab.now - 300
    lab.run(last + D - 1 - lab.now)
    assert lab.peer("b") == "Alive"
    lab.run(1)
    assert lab.peer("b") == "Dead"


def test_word_of_another_life_is_no_sign_of_life() -> None:
    lab = abc()
    silent, witness = lab.puppet("b"), lab.puppet("c")
    lab.meet(silent, witness)
    silent.rests().say()
    lab.run(1_000)
    witness.lists[silent.id] = dataclasses.replace(silent.entry(), incarnation=77)
    witness.say()
    lab.run(D - 1_000)
    assert lab.peer("b") == "Dead"


@pytest.mark.parametrize(("ahead", "counts"), [(0, False), (1, True)])
def test_reports_count_while_they_are_newer(ahead: int, counts: bool) -> None:
    """[LIFE-3] What a member reports of another (that it lives, which claim it makes) must count exactly while the
    reporter has a newer frame of that other than the receiver has, or believes another life of it.
    """
    lab, (b, c) = owning(names="bc")
    c.lists[b.id] = dataclasses.replace(b.entry(), sequence=b.sequence + ahead)
    c.stands(State.STANDBY, claim_owner=b.id, claim_epoch=50, claim_rank=1).say()
    assert (lab.state() is not State.OWNER) is counts
    other, (b, c) = owning(names="bc")
    c.lists[b.id] = dataclasses.replace(b.entry(), sequence=b.sequence + 1)
    b.say()  # and now this node's frame of it is as new: it says itself that it owns nothing
    c.stands(State.STANDBY, claim_owner=b.id, claim_epoch=50, claim_rank=1).say()
    assert other.state() is State.OWNER


def test_a_report_of_another_life_counts() -> None:
    """[LIFE-3] What a member reports of another (that it lives, which claim it makes) must count exactly while the
    reporter has a newer frame of that other than the receiver has, or believes another life of it.
    """
    lab, (b, c) = owning(names="bc")
    c.lists[b.id] = dataclasses.replace(b.entry(), incarnation=0x77, sequence=1)
    c.stands(State.STANDBY, claim_owner=b.id, claim_epoch=50, claim_rank=1).say()
    assert lab.state() is not State.OWNER
    assert b.incarnation != 0x77


def test_one_hop() -> None:
    """[LIFE-4] Reports must count for one hop only: what a member passes on must be what it heard itself."""
    lab = Lab(config(groups=[group(members="abcd")]))
    b, c = lab.puppet("b").stands(State.STANDBY), lab.puppet("c").stands(State.STANDBY)
    lab.meet(b, c)
    # b says that d owns: this node did not hear d, so it counts it and does not pass it on
    far = wire.PeerEntry(member("d"), 0xD1, 9, 5, wire.PeerState.ALIVE)
    b.lists[member("d")] = far
    b.stands(State.STANDBY, claim_owner=member("d"), claim_epoch=50, claim_rank=3).say()
    lab.run(K)
    report = lab.node.report().groups[0]
    assert report.owner == "d"
    said = lab.said[-1][1]
    assert lab.entry().claim_owner == 0
    assert member("d") not in {p.member for p in said.peers}


def test_who_has_no_such_group_is_no_witness() -> None:
    """[LIFE-7] That another makes no claim must count only by the word of a member with the same configuration
    generation, in a frame that speaks of the group: in another configuration the group may be gone.
    """
    lab = Lab(config("c", groups=[group(members="abc")]))
    a, b = lab.puppet("a").stands(State.OWNER, epoch=3), lab.puppet("b").stands(State.STANDBY)
    lab.meet(a, b).run(K)
    a.rests()
    b.rests()
    b.lists[a.id] = dataclasses.replace(a.entry(), sequence=a.sequence + 3)
    b.generation = 2
    b.say()
    assert lab.node.report().groups[0].owner == "a"
    b.generation = 1
    said, b.groups = b.groups, {}
    b.say()
    assert lab.node.report().groups[0].owner == "a"
    b.groups = said
    b.say()
    assert lab.node.report().groups[0].owner != "a", "but of one that has it and speaks of it"


def test_a_word_about_another_life_does_not_lower_what_is_heard_directly() -> None:
    """[LIFE-8] Of two lives of a member, the one heard here and the one that another reports, nobody can say which is
    the later: the higher of the two claims must count.

    Seed 15001/1250/fast: an owner that gave its group away did not see the claim, by the word of a third that had died
    and had known an earlier life of the target.
    """
    lab, (b, c) = owning(names="bc")
    lab.run(1_000)
    c.rests()
    old = wire.PeerEntry(b.id, b.incarnation + 1, 9, 5, wire.PeerState.ALIVE)
    c.lists[b.id] = old
    c.stands(State.STANDBY, claim_owner=b.id, claim_epoch=1, claim_rank=1).say()
    assert lab.state() is State.OWNER, "a weaker claim, whoever makes it"
    b.stands(State.OWNER, epoch=5).say()
    assert lab.state() is State.YIELDING
    lab, (b, c) = owning(names="bc")
    lab.run(1_000)
    c.rests()
    c.lists[b.id] = dataclasses.replace(old, incarnation=b.incarnation + 1)
    c.stands(State.STANDBY, claim_owner=b.id, claim_epoch=7, claim_rank=1).say()
    assert lab.state() is State.YIELDING, "nor is a higher one overlooked"


def test_what_lets_go_is_passed_on() -> None:
    """[LIFE-9] A member that says Yielding must be passed on as a claim of epoch 0 when no other claim is heard, so
    that who hears of it through another does not take an address that is still held.

    Seed 17001/1606/fast: the word of a third, "nobody claims it", came before the yielding owner's own.
    """
    lab = Lab(config(groups=[group(members="abc")]))
    b, c = lab.puppet("b").stands(State.STANDBY), lab.puppet("c").stands(State.OWNER, epoch=5)
    lab.meet(b, c)
    told = []
    for state in (State.OWNER, State.YIELDING, State.STANDBY):
        c.stands(state, epoch=5).say()
        lab.run(K)
        told.append((lab.entry().claim_owner, lab.entry().claim_epoch))
    assert told == [(c.id, 5), (c.id, 0), (0, 0)]
    c.stands(State.YIELDING, epoch=5).say()
    b.stands(State.OWNER, epoch=4).say()
    lab.run(K)
    assert (lab.entry().claim_owner, lab.entry().claim_epoch) == (b.id, 4), "a true claim comes first"


def test_what_is_passed_on_as_letting_go_is_waited_for() -> None:
    """[LIFE-9] A member that says Yielding must be passed on as a claim of epoch 0 when no other claim is heard, so
    that who hears of it through another does not take an address that is still held.
    """
    lab = Lab(config("b", groups=[group(members="abc")]))
    a, c = lab.puppet("a").stands(State.OWNER, epoch=3), lab.puppet("c").stands(State.STANDBY)
    lab.meet(a, c).run(K)
    a.rests()
    c.rests()
    c.lists[a.id] = dataclasses.replace(a.entry(), sequence=a.sequence + 1)
    c.stands(State.STANDBY, claim_owner=a.id, claim_epoch=0, claim_rank=0).say()
    lab.run(10)
    assert lab.state() is State.STANDBY
    c.lists[a.id] = dataclasses.replace(a.entry(), sequence=a.sequence + 2)
    c.stands(State.STANDBY).say()
    lab.run(10)
    assert lab.state() is State.OWNER


def test_a_copy_on_another_link() -> None:
    """[LIFE-5] A copy of a frame must count for the link whose number it carries and over which it came, and for no
    other, so that a copy replayed on a second link does not paint that link as heard.
    """
    lab = Lab(config(interfaces=("eth0", "eth1")))
    peer = lab.puppet("b")
    lab.meet(peer)
    peer.rests()
    assert _links(lab) == ("eth0",)
    data = peer.say()
    lab.hear(data, "eth1")
    assert _links(lab) == ("eth0",), "it says that it was sent on the first link"
    assert lab.drops()[Drop.OLD] == 1
    peer.sequence -= 1
    twin = wire.seal(peer.beat(link=1), lab.node.config.cluster_id, RING)
    lab.hear(twin, "eth1")
    assert _links(lab) == ("eth0", "eth1")
    lab.hear(twin, "eth1")
    assert lab.drops()[Drop.OLD] == 2
    for _ in range(8):  # and frames of the first link that come over the second one alone
        lab.run(K)
        lab.hear(wire.seal(peer.beat(), lab.node.config.cluster_id, RING), "eth1")
    assert lab.peer("b") == "Alive"
    assert _links(lab) == ()


def _links(lab: Lab) -> tuple[str, ...]:
    return next(p.links for p in lab.node.report().peers if p.name == "b")


def test_a_stranger_that_owns() -> None:
    """[LIFE-6] An authentic frame of a sender that the configuration does not name must count for ownership, and never
    as a candidate.
    """
    lab, _ = owning()
    removed = lab.puppet("x").stands(State.OWNER, epoch=99)
    lab.meet(removed).run(20)
    assert lab.state() is State.STANDBY, "it settles with a sender that the configuration does not name"
    removed.stands(State.STANDBY, epoch=99, rank=0, candidate=True, ready=True)
    removed.say()
    lab.run(20)
    assert lab.state() is State.OWNER, "and claims at once: that one is no candidate before it"
    other, _ = owner(me="c", lab=Lab(config("c", [group(members="bc")])))
    assert other.peer("b") == "Alive"


def test_the_table_does_not_grow() -> None:
    """[BOUND-2] At most 16 senders outside the configuration must be kept, those that are not believed forgotten first;
    a frame of one more must be dropped as TableFull.
    """
    peers = Peers(member("a"), 1)
    peers.configure(frozenset({member("a"), member("b")}), 0)
    peers.sent.sent(1, 0)
    beat = Lab().puppet("b").beat(peers=(wire.PeerEntry(member("a"), 1, 1, 1, wire.PeerState.ALIVE),))
    for i in range(100):
        stranger = dataclasses.replace(beat, sender=MemberId(1000 + i))
        drop = peers.take(dataclasses.replace(stranger, peers=()), 1, 0, dead_ms=D)
        assert drop is Drop.UNPROVED, "an unproved one is forgotten for another"
        assert len(peers.table) <= 17
    drops = [peers.take(dataclasses.replace(beat, sender=MemberId(2000 + i)), 1, 0, dead_ms=D) for i in range(20)]
    assert drops == [None] * 16 + [Drop.TABLE_FULL] * 4
    assert len(peers.table) == 17


def test_lives_are_forgotten() -> None:
    """[BOUND-3] At most 8 lives of one member that are not believed must be remembered, those that acknowledge least
    forgotten first.
    """
    peers = Peers(member("a"), 1)
    peers.configure(frozenset({member("a"), member("b")}), 0)
    peers.sent.sent(1, 0)
    beat = Lab().puppet("b").beat()
    for i in range(50):
        peers.take(dataclasses.replace(beat, incarnation=i), 10 + i, 0, dead_ms=D)
    lives = [p.incarnation for p in peers.entries(100, D) if p.member == member("b")]
    assert len(lives) == 8
    assert lives == list(range(42, 50)), "those heard last, where none acknowledges more"


def test_time_moves_on_after_every_step() -> None:
    """[BOUND-4] After every step the next deadline must be later than now, so that no timer spins."""
    lab, (peer,) = owning()
    lab.node.deadline = lab.now
    for _ in range(300):
        lab.run(1)
        assert lab.node.deadline > lab.now
    peer.rests()
    lab.run(3 * D)
    assert lab.node.deadline > lab.now


def test_groups_that_nobody_configured() -> None:
    """[BOUND-5] Of groups that the receiver's configuration does not name a peer's word must be kept only while fewer
    than 64 groups are known of it.
    """
    lab, (peer,) = owning()
    strange = [dataclasses.replace(lab.entry(), group=GroupId(10_000 + i), state=State.OWNER) for i in range(200)]
    for i in range(0, 200, 20):
        peer.say(groups=tuple(strange[i : i + 20]))
    known = lab.node._peers.table[peer.id].groups
    assert len(known) == 64
    peer.stands(State.OWNER, epoch=9).say()
    assert lab.state() is State.YIELDING, "a configured group is heard as before"
