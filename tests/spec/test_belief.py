"""Rules of belief (docs/protocol.md section 6)."""

from __future__ import annotations

import itertools
import random

import pytest

from spec.lab import INCARNATION, KEY, D, K, Lab, config, group, member, owner, owning
from vyos_agent.core import wire
from vyos_agent.core.effects import Stopped
from vyos_agent.core.model import Drop, Ending, Keyring, State

RING = Keyring(1, {1: KEY})


def abc() -> Lab:
    return Lab(config(groups=[group(members="abc")]))


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
    lab.run(D - 60)
    assert lab.peer("b") == "Alive"
    before_death = lab.said[-1][1].sequence
    lab.run(60)
    assert lab.peer("b") == "Dead"
    peer.heard = (INCARNATION, before_death, lab.now)
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
