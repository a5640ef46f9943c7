"""Rules of sleeping and waking, and of links (docs/protocol.md sections 15 and 16)."""

from __future__ import annotations

import pytest

from spec.lab import INCARNATION, D, K, Lab, Puppet, config, owner, owning
from vyos_agent.core.effects import Announce, Decided, Hold, Send
from vyos_agent.core.events import Frame, LinkChanged, Woke
from vyos_agent.core.model import Reason, State


def sleeper() -> tuple[Lab, Puppet]:
    """An owner that has just slept for longer than its lease."""
    lab, (peer,) = owning()
    lab.run(100)
    peer.rests()
    lab.stall(D)
    return lab, peer


def test_the_order_of_waking() -> None:
    """[SLEEP-1] On waking the order must be: clocks, drain, apply every believed frame, am I late, judge, decide, send,
    renew.
    """
    lab, (peer,) = owning()
    lab.run(100)
    peer.rests().stands(State.OWNER, epoch=9)
    before = len(lab.did)
    lab.now += 10 * D
    lab.stall(0, peer.sealed())
    done = [e for _, e in lab.did[before:] if not isinstance(e, Decided)]
    assert lab.state() is State.YIELDING, "deposed by what was queued"
    assert isinstance(done[0], Hold), "what is not held any more goes first"
    assert not any(done[0].lifetimes_ms.values())
    assert any(isinstance(e, Send) for e in done)
    assert [d.reason for d in lab.decided()[-2:]] == [Reason.SLEPT, Reason.SETTLED], "and found itself late"
    assert lab.peer("b") == "Alive", "and judged nobody by its own absence"


@pytest.mark.parametrize(
    ("dead_ms", "keepalive_ms", "lease_ms", "limit_ms"),
    [(3_000, 500, 1_000, 3_000), (30_000, 500, 27_000, 30_000), (1_800, 400, 1_000, 900), (2_000, 100, 1_000, 2_000)],
)
@pytest.mark.parametrize("how", ["loop", "machine"])
@pytest.mark.parametrize("beyond_ms", [-5, 5])
def test_when_a_node_is_late(
    dead_ms: int, keepalive_ms: int, lease_ms: int, limit_ms: int, how: str, beyond_ms: int
) -> None:
    """[SLEEP-3] A node must find itself late when its loop, or the machine (BOOTTIME against MONOTONIC), slipped by
    more than the smaller of D (D/2 for a D below 2 s) and what was left of its lease.
    """
    plain = config(keepalive_ms=keepalive_ms, dead_ms=dead_ms, init_dead_ms=30_000)
    # what was left of the lease, of an owner
    lab, _ = owning(config_=plain)
    lab.run(3 * keepalive_ms)
    end_ms = max(at for at, _ in lab.lives_ms()) + lease_ms
    slipped_ms = min(end_ms, lab.node.deadline + limit_ms) if how == "loop" else min(end_ms, lab.now + limit_ms)
    _slip(lab, slipped_ms + beyond_ms - lab.now, how)
    assert (lab.state() is State.SUSPENDED) is (beyond_ms > 0)
    # the dead interval, or half of it, of a member that owns nothing
    standby, peer = owner(lab=Lab(plain))
    peer.rests()
    overdue_ms = standby.node.deadline - standby.now if how == "loop" else 0
    _slip(standby, overdue_ms + limit_ms + beyond_ms, how)
    assert (Reason.SLEPT in [d.reason for d in standby.decided()]) is (beyond_ms > 0)


def _slip(lab: Lab, for_ms: int, how: str) -> None:
    if how == "loop":
        lab.stall(for_ms)
    else:
        lab.feed(Woke((), slept_ms=for_ms))


def test_what_a_late_node_does() -> None:
    """[SLEEP-4] A late node must send, with answer please in all frames that are no answers themselves, and must add,
    renew, announce, claim and judge nothing, for the largest dead interval of any member.
    """
    lab, (b, c) = owning(names="bc")
    c.rests()
    c.dead_ms = 8_000
    c.beats()
    lab.run(100)
    b.rests()
    c.rests()
    lab.stall(D)
    at = lab.now
    lab.run(7_999)
    during = [(when, e) for when, e in lab.did if when >= at]
    assert lab.state() is State.SUSPENDED
    assert not any(isinstance(e, Announce) for _, e in during)
    assert [ms for when, ms in lab.lives_ms() if when >= at] == []
    said = [x for when, x in lab.said if when >= at]
    assert len(said) >= 15
    assert all(x.answer_please for x in said)
    assert (lab.peer("b"), lab.peer("c")) == ("Alive", "Alive"), "the largest of any member is 8 s"
    lab.run(2)
    assert (lab.peer("b"), lab.peer("c")) == ("Dead", "Dead")
    standby, peer = owner()
    peer.rests()
    standby.stall(D + 600)
    standby.run(D - 1)
    assert standby.state() is not State.OWNER, "it claims nothing"
    standby.run(3 * K)
    assert standby.state() is State.OWNER


def test_an_owner_comes_back() -> None:
    """[SLEEP-5] A late owner must own again as soon as every member heard acknowledges a frame sent since and none owns
    a higher epoch, and with none heard after that interval.
    """
    lab, peer = sleeper()
    assert lab.state() is State.SUSPENDED
    asleep = lab.said[-1][1].sequence
    peer.deaf = True
    peer.heard = (INCARNATION, asleep - 1, lab.now)
    peer.say()
    lab.run(20)
    assert lab.state() is State.SUSPENDED, "it acknowledges nothing sent since"
    peer.heard = (INCARNATION, lab.said[-1][1].sequence, lab.now)
    peer.say()
    lab.run(2)
    assert lab.state() is State.OWNER
    assert lab.decided()[-1].reason is Reason.RESUMED
    alone, peer = sleeper()
    peer.deaf = True
    alone.run(D - 1)
    assert alone.state() is State.SUSPENDED
    alone.run(2)
    assert alone.state() is State.OWNER, "nobody was heard"


def test_a_late_owner_is_deposed() -> None:
    """[SLEEP-6] A stronger claim must depose a late owner at once."""
    lab, peer = sleeper()
    peer.stands(State.OWNER, epoch=2).say()
    assert lab.state() is State.YIELDING
    assert lab.decided()[-1].reason is Reason.SETTLED


def test_a_full_buffer() -> None:
    """[SLEEP-7] A full socket buffer alone must not make a node late: else a flood would stop takeovers."""
    lab, _ = owning()
    lab.run(100)
    junk = tuple(Frame(bytes(200), "eth0", lab.now) for _ in range(256))
    for _ in range(400):
        lab.now += 1
        lab.feed(Woke(junk))
        lab.run(0)
    assert lab.state() is State.OWNER
    assert lab.drops()["BadMagic"] == 400 * 256
    assert lab.peer("b") == "Alive"


# -- links


@pytest.mark.parametrize("heard", [False, True])
def test_a_lost_link(heard: bool) -> None:
    """[LINK-1] An owner whose address's link goes down must release within 50 ms when a candidate is heard that
    acknowledges a frame sent since, and must keep the group when none is.
    """
    lab = Lab(config(interfaces=("eth1",)))
    peer = lab.puppet("b").stands(State.STANDBY)
    lab.heard_on = "eth1"
    lab.meet(peer).run(K)
    assert lab.state() is State.OWNER
    peer.rests()
    if not heard:
        peer.stands(State.STANDBY, candidate=False).say()
    at = lab.now
    lab.feed(LinkChanged("eth0", False))
    lab.run(5)
    assert lab.state() is State.OWNER, "what was heard before says nothing of the others' links now"
    peer.say()
    lab.run(50)
    assert (lab.state() is not State.OWNER) is heard
    if heard:
        assert lab.decided()[-1].reason is Reason.LINK_LOST
        assert lab.when("remove")[0] <= at + 50


def test_links_that_were_dark() -> None:
    """[LINK-2] A node whose heartbeat links had no carrier for its dead interval must act as after a late loop when one
    is back: listen first, and hold no address anew on a link that was dark.
    """
    lab, peer = owner()
    peer.rests()
    lab.feed(LinkChanged("eth0", False))
    lab.run(5 * D)
    at = lab.now
    lab.feed(LinkChanged("eth0", True))
    lab.run(D - 1)
    assert lab.state() is State.LISTENING, "it listens first"
    assert lab.when("add", at) == []
    lab.run(3 * K)
    assert lab.state() is State.OWNER
    held, (peer,) = owning()
    peer.rests()
    held.feed(LinkChanged("eth0", False))
    held.run(2 * D)
    at = held.now
    held.feed(LinkChanged("eth0", True))
    held.run(100)
    assert held.when("add", at) + held.when("announce", at) == [], "its address was on a dark link"


def test_links_by_number() -> None:
    """[LINK-3] A link must be told apart from others by the number in the frame: each peer's newest frame must be kept
    per link.
    """
    lab = Lab(config(interfaces=("eth0", "eth1")))
    peer = lab.puppet("b")
    lab.meet(peer)
    peer.rests()

    def links() -> tuple[str, ...]:
        return next(p.links for p in lab.node.report().peers if p.name == "b")

    for _ in range(8):
        lab.run(K)
        lab.hear(peer.sealed(link=1), "eth1")
    assert links() == ("eth1",)
    assert lab.peer("b") == "Alive"
    for _ in range(8):
        lab.run(K)
        peer.say()
    assert links() == ("eth0",)
