"""What one member says of another: evidence of its life, and claims that this node does not hear (F2)."""

from __future__ import annotations

import dataclasses

from core.bench import LIFE, Bench, Puppet, keep_saying
from sim.build import config, group
from vyos_agent.core import wire
from vyos_agent.core.events import Woke
from vyos_agent.core.model import MemberId, State, wire_id

D_MS, K_MS = 3_000, 500


def entry(about: Puppet, *, sequence: int | None = None, incarnation: int = 5, age_ms: int = 1) -> wire.PeerEntry:
    """That the teller has heard this frame of it, and believes it."""
    newest = about.sequence if sequence is None else sequence
    return wire.PeerEntry(about.id, incarnation, newest, age_ms, wire.PeerState.ALIVE)


def trio() -> tuple[Bench, Puppet, Puppet]:
    """Member c among a, which owns, and b, which tells."""
    bench = Bench(config("c", [group(members="abc")]))
    a, b = Puppet(bench, "a", state=State.OWNER, epoch=3, ready=False), Puppet(bench, "b")
    a.say()
    b.say(claim_owner=a.id, claim_epoch=3)
    assert bench.state() is State.STANDBY
    return bench, a, b


def keep_telling(b: Puppet, about: Puppet, for_ms: int, **fields: int) -> None:
    """The teller goes on hearing the other one, which this node does not."""
    for _ in range(for_ms // K_MS):
        b.bench.run(K_MS)
        about.sequence += 1
        b.peers = [entry(about, **fields)]
        b.say()


def test_one_that_another_hears_is_alive() -> None:
    bench, a, b = trio()
    keep_telling(b, a, 4 * D_MS)
    assert bench.state() is State.STANDBY
    assert bench.group().owner == "a"
    assert bench.node.report().peers[0].links == (), "though not over any link of this node"
    b.peers = []
    keep_saying({"b": b}, D_MS + 2 * (K_MS + 50) + K_MS)
    assert bench.state() is State.OWNER


def test_age_counts() -> None:
    bench, a, b = trio()
    for _ in range(2 * D_MS // K_MS):
        bench.run(K_MS)
        b.peers = [entry(a, age_ms=bench.now - 10_000 + 1)]
        b.say()
    assert bench.state() is State.OWNER


def test_a_claim_that_this_node_does_not_hear_counts() -> None:
    bench, a, b = trio()
    x = Puppet(bench, "x")
    x.sequence = 9
    b.peers = [entry(x), entry(a)]
    b.say(claim_owner=x.id, claim_epoch=7)
    assert bench.group().owner == f"{x.id:08x}"
    bench.run(D_MS)
    assert bench.group().owner != f"{x.id:08x}", "the teller's frame of it is too old"


def test_a_teller_that_says_nothing_of_the_group_any_more_is_no_witness() -> None:
    """A new configuration took the group from it: it hears the owner's newest frames, and what it said once is old."""
    bench, a, b = trio()
    b.say(claim_owner=0, claim_epoch=0)
    a.sequence += 5
    b.peers = [entry(a)]
    bench.step(Woke((b.frame(groups=False),)))
    bench.run(10)
    assert bench.state() is State.STANDBY
    assert bench.group().owner == "a"
    b.header = {"generation": 2}
    b.say(claim_owner=0, state=State.NONE)
    assert bench.group().owner == "a", "nor one whose newer configuration has no such group"
    b.header = {}
    b.say(claim_owner=0)
    assert bench.group().owner != "a", "but one that has"


def test_another_life_of_a_believed_member_counts_too() -> None:
    """Nobody can say which of two lives is the later one."""
    bench, a, b = trio()
    a.say(state=State.STANDBY, epoch=3)
    b.peers = [entry(a, incarnation=6, sequence=1)]
    b.say(claim_owner=a.id, claim_epoch=4, claim_rank=0)
    assert (bench.group().owner, bench.group().epoch) == ("a", 4)


def test_a_teller_that_knows_better_ends_a_claim() -> None:
    bench, a, b = trio()
    a.sequence += 1
    b.peers = [entry(a)]
    b.say(claim_owner=0, claim_epoch=0)
    assert bench.group().owner is None


def test_of_a_frame_in_parts_it_must_be_two_ahead() -> None:
    """The part that matters may be missing there in the newest one."""
    bench, a, b = trio()
    for part in range(2):
        a.header |= {"part": part, "parts": 2}
        a.say()
    for ahead in range(1, 5):
        assert bench.group().owner == "a", ahead
        b.peers = [entry(a, sequence=a.sequence + ahead)]
        b.say(claim_owner=0, claim_epoch=0)
    assert bench.group().owner is None


def test_and_all_parts_of_its_own_word_must_be_in() -> None:
    bench, a, b = trio()
    a.sequence += 4
    b.peers = [entry(a)]
    b.header |= {"part": 0, "parts": 2}
    b.say(claim_owner=0, claim_epoch=0)
    assert bench.group().owner == "a"
    b.peers = []
    b.header |= {"part": 1}
    b.say()
    assert bench.group().owner is None


def test_one_of_whom_nothing_is_known_is_not_unowned_by_hearsay() -> None:
    bench = Bench(config("b", [group(members="abc")]))
    a, c = Puppet(bench, "a"), Puppet(bench, "c")
    a.sequence = 5
    c.peers = [entry(a)]
    c.say(claim_owner=0)
    c.say(claim_owner=a.id, claim_epoch=2)
    assert bench.group().owner == "a"


def test_its_word_about_its_own_name_is_none() -> None:
    bench, _, b = trio()
    b.peers = [entry(b, incarnation=99, sequence=4)]
    b.say()
    assert bench.node.report().peers[1].state == "Alive"


def test_of_several_lives_told_the_living_one_counts() -> None:
    bench, a, b = trio()
    a.sequence += 1
    alive = entry(a)
    recorded = dataclasses.replace(alive, incarnation=1, state=wire.PeerState.UNPROVED)
    for order in ([alive, recorded], [recorded, alive]):
        b.peers = order
        b.say(claim_owner=0, claim_epoch=0)
        assert bench.group().owner is None


def test_a_life_that_died_must_prove_itself_anew() -> None:
    bench, a, _ = trio()
    before = a.acks = bench.said.sequence if bench.said else 0
    bench.run(D_MS)
    recorded = a.frame()
    a.say()
    assert before
    assert bench.node.report().peers[0].state == "Dead", "it acknowledges what was sent while it was believed"
    bench.run(20)
    assert bench.said is not None
    assert next(p for p in bench.said.peers if p.member == a.id).sequence == a.sequence, "but it is acknowledged"
    bench.step(Woke((recorded,)))
    bench.run(20)
    assert next(p for p in bench.said.peers if p.member == a.id).sequence == a.sequence
    a.acks = None
    a.say()
    assert bench.node.report().peers[0].state == "Alive"
    bench.run(D_MS)
    bench.step(Woke((recorded,)))
    assert bench.node.report().drops == {"Old": 1, "Unproved": 2}


def test_an_owner_that_restarted_may_hold_its_addresses_until_its_old_life_is_over() -> None:
    """Peers treat a life that says `listening` as the old life still owning until its D."""
    bench, _, b = trio()
    bench.run(100)
    again = Puppet(bench, "a", incarnation=6, state=State.LISTENING, epoch=3, candidate=False, ready=False)
    again.say()
    for _ in range(5):
        bench.run(K_MS)
        again.say()
        b.say(claim_owner=0)
    assert bench.state() is State.STANDBY
    bench.run(D_MS - 100 - 5 * K_MS)
    again.say()
    keep_saying({"again": again, "b": b}, K_MS + 50)
    assert bench.state() is State.OWNER


def test_and_no_longer_when_it_says_that_it_holds_nothing() -> None:
    bench, _, b = trio()
    again = Puppet(bench, "a", incarnation=6, state=State.STANDBY, epoch=3, candidate=False, ready=False)
    again.say()
    b.say(claim_owner=0, candidate=False)
    bench.run(100)
    assert bench.state() is State.OWNER


def test_what_comes_late_of_a_life_is_not_acknowledged() -> None:
    bench = Bench()
    for puppet in (Puppet(bench, "b"), Puppet(bench, "a", incarnation=3)):
        puppet.acks = 0
        first = puppet.frame()
        puppet.say()
        bench.step(Woke((first,)))
        bench.run(20)
        assert bench.said is not None
        assert [p.sequence for p in bench.said.peers if p.member == puppet.id] == [2]


def test_one_that_the_teller_does_not_believe_either_is_nothing() -> None:
    bench, _, b = trio()
    x = Puppet(bench, "x")
    x.sequence = 9
    b.peers = [dataclasses.replace(entry(x), state=wire.PeerState.UNPROVED)]
    b.say(claim_owner=x.id, claim_epoch=9)
    assert bench.group().owner == "a"


def test_what_this_node_hears_itself_needs_no_teller() -> None:
    bench, a, b = trio()
    b.peers = [entry(a, sequence=a.sequence + 1)]
    b.say(claim_owner=0, claim_epoch=0)
    assert bench.group().owner is None
    a.say()
    assert bench.group().owner == "a"
    b.say()
    assert bench.group().owner == "a"


def test_a_standby_that_restarted_holds_nothing() -> None:
    bench = Bench(config("b", [group(members="ab")]))
    Puppet(bench, "a", candidate=False, ready=False).say()
    Puppet(bench, "a", incarnation=6, state=State.LISTENING, candidate=False, ready=False).say()
    bench.run(K_MS + 50)
    assert bench.state() is State.OWNER


def test_who_is_listed_no_more_is_told_of_no_more() -> None:
    bench, a, b = trio()
    x = Puppet(bench, "x")
    x.sequence = 9
    b.peers = [entry(x)]
    b.say(claim_owner=x.id, claim_epoch=7)
    assert bench.group().epoch == 7
    b.peers = []
    b.say(claim_owner=a.id, claim_epoch=3)
    assert bench.group().epoch == 3


class TestDating:
    """A frame names a sequence of this node and its age there: so it tells when it was made."""

    @staticmethod
    def cut() -> tuple[Bench, Puppet]:
        """Members a, and b, of which a frame was recorded a dead interval and more ago, which never came here."""
        bench = Bench(config("a", [group(members="ab")], interfaces=("eth0", "eth1")))
        b = Puppet(bench, "b")
        b.say()
        return bench, b

    def test_what_was_held_back_is_no_sign_of_life(self) -> None:
        bench, b = self.cut()
        b.acks = bench.said.sequence if bench.said else 0
        held_back = [b.frame() for _ in range(3)]
        for frame in held_back:
            bench.run(D_MS - 1)
            bench.step(Woke((dataclasses.replace(frame, at_ms=bench.now),)))
        assert bench.node.report().peers[0].state == "Dead"
        assert bench.node.report().drops["Unproved"] == 2

    def test_a_copy_that_was_held_back_counts_for_no_link(self) -> None:
        bench, b = self.cut()
        b.acks = bench.said.sequence if bench.said else 0
        copy = b.frame("eth1")
        b.acks = None
        for _ in range(7):
            bench.run(K_MS)
            b.say()
        bench.step(Woke((dataclasses.replace(copy, at_ms=bench.now),)))
        assert bench.node.report().peers[0].links == ("eth0",)
        assert bench.node.report().drops["Old"] == 1

    def test_one_that_has_not_heard_this_node_for_long_cannot_be_dated(self) -> None:
        bench, b = self.cut()
        b.acks = 0
        b.peers = [wire.PeerEntry(MemberId(wire_id("a")), LIFE, 1, wire.AGE_MS_MAX, wire.PeerState.ALIVE)]
        bench.run(2 * K_MS)
        b.say()
        bench.run(2 * D_MS // 3)
        assert bench.node.report().peers[0].state == "Alive"

    def test_what_was_acknowledged_too_long_ago_dates_nothing(self) -> None:
        bench, b = self.cut()
        old = bench.said.sequence if bench.said else 0
        for _ in range(300_000 // K_MS):
            bench.run(K_MS)
            b.say()
        b.acks = old
        b.say()
        assert bench.node.report().drops["Unproved"] == 1

    def test_a_part_that_does_not_name_this_node_is_no_sign_of_life(self) -> None:
        bench, b = self.cut()
        b.header |= {"part": 0, "parts": 2}
        b.acks = 0
        for _ in range(5):
            bench.run(K_MS)
            b.say(state=State.LISTENING)
        bench.run(K_MS)
        assert bench.node.report().peers[0].state == "Dead"
