"""Rules of belief, life and relay (docs/protocol.md sections 6 and 7)."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest

from spec.lab import INCARNATION, KEY, D, K, Lab, Puppet, config, group, member, owner, owning
from vyos_agent.core import wire
from vyos_agent.core.effects import Decided, Stopped
from vyos_agent.core.model import Drop, Ending, GroupId, Keyring, MemberId, State
from vyos_agent.core.peers import Peers

RING = Keyring(1, {1: KEY})


def abc() -> Lab:
    return Lab(config(groups=[group(members="abc")]))


def entry(puppet: Puppet, age_ms: int = 1, *, state: wire.PeerState = wire.PeerState.ALIVE) -> wire.PeerEntry:
    """What another member would list of this one now."""
    return wire.PeerEntry(puppet.id, puppet.incarnation, puppet.sequence, age_ms, state)


# -- belief


def test_the_list_is_the_acknowledgement() -> None:
    """[BELIEF-1] A peer list must name the newest frame heard of each peer, believed or not, as (member, incarnation,
    sequence, age); it is the acknowledgement.
    """
    lab = abc()
    unproved, proved = lab.puppet("b", 0xB5, deaf=True), lab.puppet("c", 0xC5)
    lab.meet(proved)
    proved.rests()
    unproved.say()
    unproved.say()
    lab.run(K)
    heard = lab.listed("b"), lab.listed("c")
    assert heard[0] is not None
    assert heard[1] is not None
    assert (heard[0].incarnation, heard[0].sequence, heard[0].state) == (0xB5, 2, wire.PeerState.UNPROVED)
    assert (heard[1].incarnation, heard[1].sequence, heard[1].state) == (0xC5, proved.sequence, wire.PeerState.ALIVE)
    at_ms = lab.said[-1][0]
    assert heard[0].age_ms >= at_ms - (lab.now - K)


def test_an_age_is_rounded_up_and_saturates() -> None:
    lab, _ = owner()
    table = lab.node._peers
    (heard,) = [p for p in table.entries(lab.now, D) if p.member == member("b")]
    at_ms = next(p.last_ms for p in table.table.values())
    assert heard.age_ms == lab.now - at_ms + 1
    (heard,) = table.entries(at_ms + 70_000, D)
    assert heard.age_ms == 65_535


@pytest.mark.parametrize("after_ms", [0, 1, D - 50, D - 1])
def test_proof_within_the_dead_interval(after_ms: int) -> None:
    """[BELIEF-2] A member that is not believed (never, dead, or now with another incarnation) must be believed only by
    a frame that acknowledges, with the receiver's present incarnation, a frame that the receiver sent after it stopped
    believing or last changed that member's incarnation, and within the receiver's last dead interval.
    """
    lab = Lab()
    first = lab.said[-1][1].sequence
    peer = lab.puppet("b", 0xB5)
    peer.say()
    assert lab.drops() == {Drop.UNPROVED: 1}
    assert lab.peer("b") == "Unheard"
    # never believed: an acknowledgement of another incarnation of mine, or of a frame older than D, is none
    peer.heard = (INCARNATION + 1, first, lab.now)
    peer.say()
    assert lab.peer("b") == "Unheard"
    sent = {b.sequence: at for at, b in lab.said}
    peer.deaf = True
    newest = max(sent)
    lab.run(after_ms)
    peer.heard = (INCARNATION, newest, lab.now)
    peer.say()
    assert lab.peer("b") == "Alive"
    stale = Lab()
    late = stale.puppet("b", 0xB6)
    late.deaf = True
    late.heard = (INCARNATION, stale.said[-1][1].sequence, stale.now)
    stale.run(D + 1)
    late.say()
    assert stale.peer("b") == "Unheard"


def test_proof_after_death_needs_a_frame_sent_after_it() -> None:
    lab, peer = owner()
    peer.rests()
    peer.deaf = True
    lab.run(D)
    assert lab.peer("b") == "Dead"
    before_death = lab.said[-1][1].sequence
    peer.heard = (INCARNATION, before_death - 1, lab.now)
    peer.say()
    assert lab.peer("b") == "Dead"
    peer.deaf = False
    lab.run(K)
    peer.say()
    assert lab.peer("b") == "Alive"


def test_proof_of_a_new_life_needs_a_frame_sent_after_the_change() -> None:
    lab, peer = owner()
    acked = lab.said[-1][1].sequence
    second = lab.puppet("b", 0xB9).stands(State.LISTENING)
    peer.rests()
    second.heard = (INCARNATION, acked, lab.now)
    second.say()
    assert lab.listed("b") is not None
    lab.run(15)
    second.say()
    lab.run(K)
    assert {p.incarnation for p in lab.said[-1][1].peers if p.state is wire.PeerState.ALIVE} == {0xB9}
    # and now the old life, with an acknowledgement of a frame sent before the change
    peer.heard = (INCARNATION, acked, lab.now)
    unproved = lab.drops()[Drop.UNPROVED]
    peer.say()
    assert lab.drops()[Drop.UNPROVED] == unproved + 1


def test_sequences() -> None:
    """[BELIEF-3] Of a believed incarnation a frame must count when its sequence is higher than every one that counted
    before, and must otherwise be dropped as Old.
    """
    lab, peer = owner()
    first = peer.say()
    second = peer.say()
    old = lab.drops().get(Drop.OLD, 0)
    for data in (first, second, first):
        lab.hear(data)
    assert lab.drops()[Drop.OLD] == old + 3
    peer.sequence += 2**40
    peer.stands(State.STANDBY, epoch=5).say()
    assert lab.state() is State.OWNER, "a higher sequence counts, however high"


def test_an_unproved_frame_changes_nothing() -> None:
    """[BELIEF-4] An authentic frame that does not prove itself must be dropped as Unproved and must change nothing but
    the peer list.
    """
    lab, peers = owning()
    stranger = lab.puppet("b", 0xB9).stands(State.OWNER, epoch=999)
    stranger.deaf = True
    before = (lab.state(), lab.entry(), lab.peer("b"), len(lab.decided()), lab.node.revision)
    stranger.say()
    assert lab.drops()[Drop.UNPROVED] >= 2
    assert (lab.state(), lab.entry(), lab.peer("b"), len(lab.decided()), lab.node.revision) == before
    assert any(p.incarnation == 0xB9 for p in _next_list(lab))
    assert peers[0].incarnation != 0xB9


def _next_list(lab: Lab) -> tuple[wire.PeerEntry, ...]:
    lab.run(K)
    return lab.said[-1][1].peers


def test_answers_at_once_and_seldom() -> None:
    """[BELIEF-5] An authentic frame that does not prove itself must be answered by a frame at once, but at most one
    such answer must be sent in 10 ms.
    """
    lab, _ = owning()
    lab.run(100)
    stranger = lab.puppet("b", 0xB9)
    stranger.deaf = True
    at, said = lab.now, len(lab.said)
    stranger.say()
    assert [when for when, _ in lab.said[said:]] == [at]
    for _ in range(200):
        stranger.say()
        lab.run(1)
    times = [when for when, _ in lab.said[said:]]
    assert min(b - a for a, b in itertools.pairwise(times)) >= 10
    assert len(times) >= 20


def test_all_lives_are_listed() -> None:
    """[BELIEF-6] Beside the believed life the peer list must name every other life of a member that was heard within
    the receiver's last dead interval, the 32 heard last of all members at most, so that recordings of one life cannot
    keep another from proving itself.
    """
    lab, peer = owner()
    recordings = [lab.puppet("b", 0xB100 + i, deaf=True) for i in range(6)]
    for recording in recordings:
        recording.say()
    living = lab.puppet("b", 0xB9)
    peer.rests()
    living.say()
    for _ in range(30):
        for recording in recordings:
            recording.say()
        lab.run(1)
    listed = {p.incarnation for p in lab.said[-1][1].peers if p.member == member("b")}
    assert listed == {peer.incarnation, 0xB9, *(r.incarnation for r in recordings)}
    living.say()
    lab.run(K)
    alive = [p for p in lab.said[-1][1].peers if p.state is wire.PeerState.ALIVE]
    assert [p.incarnation for p in alive] == [0xB9], "the living one proved itself in one exchange"
    lab.run(D + K)
    assert {p.incarnation for p in lab.said[-1][1].peers if p.member == member("b")} == {0xB9}


def test_a_list_of_lives_is_bounded() -> None:
    lab = Lab(config(groups=[group(members="abcdefg")]))
    for number in range(6 * 8):
        lab.puppet("bcdefg"[number % 6], 0xC000 + number, deaf=True).say()
        lab.run(1)
    lab.run(K)
    lives = [p.incarnation for p in lab.said[-1][1].peers if p.state is wire.PeerState.UNPROVED]
    assert sorted(lives) == [0xC000 + number for number in range(6 * 8 - 32, 6 * 8)], "the 32 heard last"


@pytest.mark.parametrize("how", ["acknowledged", "used"])
def test_a_sequence_that_was_never_sent(how: str) -> None:
    """[BELIEF-7] A node that sees a sequence of its own incarnation acknowledged or used that it never sent was rolled
    back or cloned: it must start over with a new incarnation at once.
    """
    lab, peer = owner()
    newest = lab.said[-1][1].sequence
    peer.deaf = True
    if how == "acknowledged":
        peer.heard = (INCARNATION, newest + 1, lab.now)
        peer.say()
    else:
        peer.say(sender=lab.me, incarnation=INCARNATION, sequence=newest + 1)
    assert lab.drops()[Drop.NEVER_SENT] == 1
    assert lab.over == Stopped(Ending.ROLLED_BACK)


@pytest.mark.parametrize("late", [False, True])
def test_two_nodes_of_one_name(late: bool) -> None:
    """[BELIEF-8] Of two nodes that hear each other, proved, under one member's name, the one that still listens must
    stop and say so, or the one with the lower incarnation where both listen or neither does.
    """
    lab = Lab()
    if not late:
        lab, _ = owner()
    twin = lab.puppet("a", INCARNATION + 1)
    twin.stands(State.STANDBY if late else State.LISTENING)
    twin.deaf = True
    twin.say()
    lab.run(20)
    assert lab.drops()[Drop.OWN_NAME] == 1
    assert lab.over is None, "unproved: it may be a recording"
    twin.heard = (INCARNATION, lab.said[-1][1].sequence, lab.now)
    twin.say()
    assert (lab.over == Stopped(Ending.TWIN)) is late
    for mine, theirs, stops in ((5, 6, True), (6, 5, False)):
        fresh = Lab(incarnation=mine)
        other = fresh.puppet("a", theirs).stands(State.LISTENING)
        other.heard = (mine, fresh.said[-1][1].sequence, fresh.now)
        other.say()
        assert (fresh.over == Stopped(Ending.TWIN)) is stops


def test_ones_own_frame() -> None:
    """[BELIEF-9] A node's own frame that comes back to it must be dropped as Own."""
    lab = Lab()
    for _, datagrams in list(lab.sent):
        for data in datagrams["eth0"]:
            lab.hear(data)
    assert set(lab.drops()) == {Drop.OWN}
    assert lab.over is None


def test_a_life_begins_with_nothing() -> None:
    first, _ = owner()
    second = Lab(incarnation=INCARNATION + 1, epochs={"g": 5})
    for lab in (first, second):
        assert (lab.said[0][1].sequence, lab.said[0][1].peers) == (1, ())


@pytest.mark.parametrize("seed", range(8))
def test_whatever_was_recorded(seed: int) -> None:
    """[BELIEF-11] No frame that was ever sent before must change a decision, whoever replays it, at whatever rate, on
    whatever link; all of them together must delay one by no more than one dead interval.
    """
    rng = random.Random(seed)
    plain, replayed = _story(None), _story(rng)
    assert [d for d, _ in replayed] == [d for d, _ in plain]
    for (_, at), (_, later) in zip(plain, replayed, strict=True):
        assert at <= later <= at + D


def _story(rng: random.Random | None) -> list[tuple[tuple[str, ...], int]]:
    """Two lives of a peer, its death, and a takeover; with a recorder that plays everything ever heard, or without."""
    lab = Lab(config(interfaces=("eth0", "eth1")))
    tape: list[bytes] = []
    hear = lab.hear

    def record(data: bytes, interface: str | None = None, *, age_ms: int = 0) -> None:
        tape.append(data)
        hear(data, interface, age_ms=age_ms)

    lab.hear = record  # type: ignore[method-assign]

    def play() -> None:
        assert rng is not None
        for data in rng.choices(tape, k=min(len(tape), rng.randrange(1, 30))) if tape else ():
            hear(data, rng.choice(("eth0", "eth1")))
        lab.at(lab.now + rng.randrange(1, 200), play)

    if rng is not None:
        lab.at(lab.now + 5, play)
    first = lab.puppet("b", 0xB1).stands(State.OWNER, epoch=5)
    lab.meet(first).run(2 * D)
    first.rests()
    first.deaf = True
    second = lab.puppet("b", 0xB2).stands(State.OWNER, epoch=5)
    lab.meet(second).run(2 * D)
    second.rests()
    second.deaf = True
    lab.run(4 * D)
    decided = [(at, e) for at, e in lab.did if type(e).__name__ == "Decided"]
    return [((e.before.name, e.after.name, e.reason.value), at) for at, e in decided]  # type: ignore[union-attr]


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
        witness.lists[silent.id] = entry(silent, state=state)
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
        witness.lists[silent.id] = entry(silent, 300)
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
    witness.lists[silent.id] = dataclasses.replace(entry(silent), incarnation=77)
    witness.say()
    lab.run(D - 1_000)
    assert lab.peer("b") == "Dead"


@pytest.mark.parametrize(("ahead", "counts"), [(0, False), (1, True)])
def test_reports_count_while_they_are_newer(ahead: int, counts: bool) -> None:
    """[LIFE-3] What a member reports of another (that it lives, which claim it makes) must count exactly while the
    reporter has a newer frame of that other than the receiver has.
    """
    lab, (b, c) = owning(names="bc")
    c.lists[b.id] = dataclasses.replace(entry(b), sequence=b.sequence + ahead)
    c.stands(State.STANDBY, claim_owner=b.id, claim_epoch=50, claim_rank=1).say()
    assert (lab.state() is not State.OWNER) is counts
    other, (b, c) = owning(names="bc")
    c.lists[b.id] = dataclasses.replace(entry(b), sequence=b.sequence + 1)
    b.say()  # and now this node's frame of it is as new: it says itself that it owns nothing
    c.stands(State.STANDBY, claim_owner=b.id, claim_epoch=50, claim_rank=1).say()
    assert other.state() is State.OWNER


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
