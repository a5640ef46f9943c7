"""Rules of leases, restarts, sleep, links, configurations that differ, and announcements (docs/protocol.md)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from spec.lab import INCARNATION, INIT, VIP, D, K, Lab, Puppet, config, group, owner, owning
from vyos_agent.core import lease
from vyos_agent.core.effects import Announce, Decided, Hold, Send
from vyos_agent.core.events import Configured, Frame, LinkChanged, Woke
from vyos_agent.core.model import Config, Reason, State, Vip

TWO = Vip("192.0.2.124", 24, "eth0")
SLOW: dict[str, Any] = {"keepalive_ms": 5_000, "dead_ms": 20_000, "init_dead_ms": 30_000}


# -- leases


def test_one_batch() -> None:
    """[LEASE-1] E, the kernel's lateness, must be reckoned as 1.1 s, and all addresses of a node must be renewed in one
    batch.
    """
    assert lease.KERNEL_LATE_MS == 1_100
    lab = Lab(config(groups=[group(), group("h", vips=(TWO,))]))
    lab.meet(lab.puppet("b").stands(State.STANDBY).stands(State.STANDBY, "h"))
    lab.run(5 * K)
    assert lab.holds() == {VIP, TWO}
    renewals = [e for _, e in lab.did if isinstance(e, Hold) and any(e.lifetimes_ms.values())]
    assert len(renewals) > 5
    assert all(set(e.lifetimes_ms) == {VIP, TWO} for e in renewals[2:])
    assert all(len(set(e.lifetimes_ms.values())) == 1 for e in renewals[2:])


@pytest.mark.parametrize(
    ("keepalive_ms", "dead_ms", "life_ms"),
    [
        (5_000, 20_000, 8_000),
        (500, 3_000, 1_000),
        (500, 4_100, 2_000),
        (500, 4_099, 1_000),
        (10, 30, 1_000),
        (1_000, 29_999, 26_000),
    ],
)
def test_lifetimes(keepalive_ms: int, dead_ms: int, life_ms: int) -> None:
    """[LEASE-2] An address lifetime must be max(1 s, ⌊D − 2 K − E⌋) in whole seconds, with D the smallest dead interval
    written in this node's last three frames.
    """
    lab, _ = owning(config_=config(keepalive_ms=keepalive_ms, dead_ms=dead_ms, init_dead_ms=30_000))
    lab.run(3 * keepalive_ms)
    assert {ms for _, ms in lab.lives_ms()} == {life_ms}
    # a longer dead interval counts when three frames in a row have told it, a shorter one at once
    longer = dataclasses.replace(lab.node.config, dead_ms=dead_ms + 20_000)
    at = lab.now
    lab.feed(Configured(longer))
    lab.run(10 * keepalive_ms)
    frames = [when for when, b in lab.said if when >= at and b.dead_ms == dead_ms + 20_000]
    grown = [when for when, ms in lab.lives_ms() if ms > life_ms]
    assert grown[0] == frames[2]
    at = lab.now
    lab.feed(Configured(dataclasses.replace(longer, dead_ms=dead_ms)))
    lab.run(2 * keepalive_ms)
    assert {ms for when, ms in lab.lives_ms() if when > at} == {life_ms}


def test_after_a_frame() -> None:
    """[LEASE-3] Addresses must be added and renewed only in the same turn as, and after, a frame that at least one
    interface accepted, but for [LEASE-4] and [LEASE-9].
    """
    lab, _ = owning(config_=config(**SLOW))
    lab.run(60_000)
    effects = [(at, type(e)) for at, e in lab.did if isinstance(e, Send | Hold)]
    renewed = [i for i, (_, e) in enumerate(lab.did) if isinstance(e, Hold) and any(e.lifetimes_ms.values())]
    assert len(renewed) > 10
    for i in renewed:
        at = lab.did[i][0]
        assert (at, Send) in effects
        assert any(isinstance(e, Send) for when, e in lab.did[:i] if when == at)
    lab.accepts = False
    at = lab.now
    lab.run(30_000)
    assert [when for when, _ in lab.lives_ms() if when > at] == []


def test_between_frames() -> None:
    """[LEASE-4] Addresses must be renewed again whenever less than 0.4 s of their life remain, but never later than K
    after an accepted frame unless no peer is living.
    """
    lab, _ = owning(config_=config(keepalive_ms=1_500, dead_ms=5_000))
    lab.run(9_000)
    frames = {at for at, _ in lab.said}
    renewals = [at for at, _ in lab.lives_ms()]
    assert max(b - a for a, b in itertools.pairwise(renewals)) == 600, "1 s less 0.4 s"
    assert any(at not in frames for at in renewals)
    lab.accepts = False
    last = max(frames)
    lab.run(9_000)
    assert max(at for at, _ in lab.lives_ms()) <= last + 1_500, "never later than K after an accepted frame"
    alone = Lab(config(keepalive_ms=1_500, dead_ms=5_000))
    alone.run(9_000)
    assert alone.state() is State.OWNER
    alone.accepts = False
    at = alone.now
    alone.run(20_000)
    assert max(when for when, _ in alone.lives_ms()) > at + 19_000, "nobody lives who could take over"


def test_the_gate_of_the_core() -> None:
    """[LEASE-5] One gate, may_hold(now), must stand before every add, renewal and announcement, repairs after netlink
    events included.
    """
    lab, _ = owning()
    assert lab.node.may_hold(lab.now)
    last = max(at for at, _ in lab.lives_ms())
    assert lab.node.may_hold(last + 999)
    assert not lab.node.may_hold(last + 1_000)
    standby, _ = owner()
    assert not standby.node.may_hold(standby.now)
    lab.stall(D)
    assert not lab.node.may_hold(lab.now), "late"
    assert [e for at, e in lab.did if at == lab.now and isinstance(e, Announce)] == []


def test_beyond_the_promise() -> None:
    """[LEASE-8] Beyond that, and in a kill in the middle of a handover, an overlap must end with the lifetime."""
    for keepalive_ms, dead_ms in ((10, 30), (300, 1_000), (5_000, 20_000)):
        lab, _ = owning(config_=config(keepalive_ms=keepalive_ms, dead_ms=dead_ms, init_dead_ms=30_000))
        lab.run(3 * keepalive_ms)
        longest = max(end_ms for end_ms in lab.kernel.values())
        assert longest <= lab.now + lease.lifetime_ms(dead_ms=dead_ms, keepalive_ms=keepalive_ms), "killed here"
    from spec.test_moves import given

    lab, _ = given()
    lab.run(500)
    assert max(lab.kernel.values()) <= lab.now + 1_000, "in a handover, killed here"


def test_an_owner_that_cannot_send() -> None:
    """[LEASE-9] An owner none of whose frames is accepted for sending must renew nothing while a peer is living, and
    must go on renewing when none is.
    """
    lab, _ = owning()
    lab.run(100)
    lab.accepts = False
    at = lab.now
    lab.run(2 * D)
    assert [when for when, _ in lab.lives_ms() if when > at + K] == []
    assert lab.holds() == frozenset()
    alone = Lab()
    alone.run(INIT + K)
    alone.accepts = False
    alone.run(2 * D)
    assert alone.holds() == {VIP}


# -- restart


def restarted(left_ms: int = 900, **fields: Any) -> Lab:
    """A new life that finds an address of its earlier life."""
    return Lab(config(**fields), incarnation=INCARNATION + 1, epochs={"g": 7}, left_ms={VIP: left_ms})


def test_the_kernel_is_the_witness() -> None:
    """[ADOPT-1] A group must be taken up again after a restart only when an address of it, with this project's mark, is
    still in the kernel with life left: the kernel is the witness, and no file.
    """
    lab = restarted()
    lab.meet(lab.puppet("b").stands(State.STANDBY, epoch=7)).run(100)
    assert (lab.state(), lab.entry().epoch) == (State.OWNER, 7)
    assert lab.decided()[-1].reason is Reason.ADOPTED
    assert lab.when("add") == []
    file_only = Lab(config(), incarnation=INCARNATION + 1, epochs={"g": 7})
    peer = file_only.puppet("b").stands(State.LISTENING, epoch=7)
    file_only.meet(peer).run(100)
    assert file_only.decided()[-1].reason is not Reason.ADOPTED
    other = Vip("192.0.2.200", 24, "eth0")
    strange = Lab(config(), epochs={"g": 7}, left_ms={other: 900})
    strange.run(50)
    assert strange.state() is State.LISTENING
    assert strange.when("remove") != []


def test_not_renewed_before_it_is_acknowledged() -> None:
    """[ADOPT-2] Adopted addresses must not be renewed until a living peer has acknowledged this life."""
    lab = restarted(2_000)
    deaf = lab.puppet("b", deaf=True).stands(State.STANDBY, epoch=7).beats()
    lab.run(1_000)
    assert lab.lives_ms() == []
    deaf.deaf = False
    lab.run(2 * K)
    acknowledged = [at for at, _ in lab.lives_ms()]
    assert acknowledged
    assert lab.state() is State.OWNER


@pytest.mark.parametrize("who", ["nobody", "acknowledges", "does not", "higher owner"])
def test_when_its_life_ends(who: str) -> None:
    """[ADOPT-3] When 0.4 s of an adopted address remain, it must be renewed if every peer heard acknowledges this life
    and none owns a higher epoch, or if none is heard at all, and must otherwise be released.
    """
    lab = restarted(1_400)
    begun = lab.now
    if who == "acknowledges":
        late = lab.puppet("b", deaf=True).stands(State.STANDBY, epoch=7).beats(100)
        lab.at(begun + 400, lambda: setattr(late, "deaf", False))
    elif who == "does not":
        lab.puppet("b", deaf=True).stands(State.STANDBY, epoch=7).beats()
    elif who == "higher owner":
        lab.meet(lab.puppet("b").stands(State.OWNER, epoch=8))
    lab.run(begun + 990 - lab.now)
    if who in ("nobody", "does not"):
        assert lab.lives_ms() == []
        assert lab.holds() == {VIP}
    lab.run(100)
    stays = who in ("nobody", "acknowledges")
    assert (lab.state() is State.OWNER) is stays
    assert (lab.holds() == {VIP}) is stays
    if not stays:
        assert lab.when("remove"), "released, before its life is over"


def test_what_is_not_adopted_is_removed_first() -> None:
    """[ADOPT-5] What an earlier life left and this one does not adopt must be removed before the member says
    Standby.
    """
    lab = Lab(config(), left_ms={VIP: 900, TWO: 900}, netlink_ms=20)
    lab.meet(lab.puppet("b").stands(State.OWNER, epoch=8)).run(200)
    assert lab.holds() == frozenset()
    standby = min(at for at, b in lab.said if lab.entry(sender=b).state is State.STANDBY)
    assert standby >= max(lab.when("remove"))


def test_services_of_a_group_that_may_be_adopted() -> None:
    """[ADOPT-6] While it is undecided whether a group is adopted, its host services must be left as they are."""
    units = [group(units=("ssh",))]
    lab = restarted(1_400, groups=units)
    lab.puppet("b", deaf=True).stands(State.STANDBY, epoch=7).beats()
    lab.run(990)
    assert lab.state() is State.LISTENING
    assert lab.when("stop") + lab.when("start") == []
    lab.run(100)
    assert lab.when("stop"), "released: now they stop"
    kept = restarted(1_400, groups=units)
    kept.meet(kept.puppet("b").stands(State.STANDBY, epoch=7)).run(100)
    assert kept.state() is State.OWNER
    assert (kept.when("stop"), len(kept.when("start"))) == ([], 1)


# -- sleeping and waking


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
    lab.stall(0, _frame(peer, 0))
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
        lab.hear(_frame(peer, 1), "eth1")
    assert links() == ("eth1",)
    assert lab.peer("b") == "Alive"
    for _ in range(8):
        lab.run(K)
        peer.say()
    assert links() == ("eth0",)


def _frame(peer: Puppet, link: int) -> bytes:
    from vyos_agent.core import wire

    mine = peer.lab.node.config
    return wire.seal(peer.beat(link=link), mine.cluster_id, mine.keyring)


# -- configurations that differ


def newer(old: Config, *groups: Any, **fields: Any) -> Configured:
    changed = {"generation": old.generation + 1, "groups": groups or old.groups, **fields}
    return Configured(dataclasses.replace(old, **changed))


@pytest.mark.parametrize("told", [False, True])
def test_a_new_group(told: bool) -> None:
    """[SKEW-1] A group new to a running member must not be claimed before every living member carries that generation,
    or initDeadInterval is over.
    """
    lab, (peer,) = owning()
    lab.feed(newer(lab.node.config, group(), group("h", vips=(TWO,))))
    if told:
        peer.generation = 2
        peer.stands(State.STANDBY, "h")
    at = lab.now
    lab.run(2 * K if told else INIT - 10)
    assert (lab.state("h") is State.OWNER) is told
    lab.run(INIT + K + at - lab.now)
    assert lab.state("h") is State.OWNER


@pytest.mark.parametrize("told", [False, True])
def test_a_new_address(told: bool) -> None:
    """[SKEW-2] An address new to a running owner must not be added before every living member carries that generation,
    or initDeadInterval is over.
    """
    lab, (peer,) = owning()
    lab.feed(newer(lab.node.config, group(vips=(VIP, TWO))))
    if told:
        peer.generation = 2
    at = lab.now
    lab.run(2 * K if told else INIT - 10)
    assert (lab.holds() == {VIP, TWO}) is told
    lab.run(INIT + K + at - lab.now)
    assert lab.holds() == {VIP, TWO}


def test_a_group_that_was_not_named() -> None:
    """[SKEW-3] A group that a member's frames have not named yet must be taken as unknown, and not as not held, for two
    of that member's keepalives.
    """
    lab = Lab()
    peer = lab.puppet("b")
    lab.meet(peer)
    believed = lab.now
    lab.run(2 * K - 60)
    assert lab.state() is State.STANDBY
    assert lab.entry().state is State.STANDBY, "it claims nothing while it does not know"
    lab.run(believed + 2 * K + 5 - lab.now)
    assert lab.state() is State.OWNER


def test_a_removed_member() -> None:
    """[SKEW-4] A member that its configuration names no more must release, and must say so."""
    lab = Lab(config(groups=[group(), group("h", vips=(TWO,))]))
    peer = lab.puppet("b").stands(State.STANDBY).stands(State.STANDBY, "h")
    lab.meet(peer).run(K)
    lab.feed(newer(lab.node.config, group(members="bc"), group("h", vips=(TWO,))))
    peer.rests()
    lab.run(10 * K)
    assert lab.holds() == {TWO}
    assert lab.entry().state is State.NONE
    assert lab.state("h") is State.OWNER


@pytest.mark.parametrize(
    "change", [{"dead_ms": 10_000}, {"dead_ms": 1_500}, {"keepalive_ms": 1_400}, {"keepalive_ms": 50}]
)
def test_a_changed_setting(change: dict[str, int]) -> None:
    """[SKEW-5] A changed setting of one group must not move another, and a changed D or K must not cause a death."""
    lab, _ = owning()
    lab.run(1_000)
    before = len(lab.decided())
    lab.feed(newer(lab.node.config, **change))
    lab.run(10_000)
    lab.feed(newer(lab.node.config, group(), group("h", members="bc", vips=(TWO,))))
    lab.run(10_000)
    assert [d for d in lab.decided()[before:] if d.group == "g" and d.before != d.after] == []
    assert lab.peer("b") == "Alive"
    assert lab.holds() == {VIP}


# -- announcements


def test_the_full_count_and_the_refresh() -> None:
    """[ARP-1] A group must be announced with the full count when its addresses have come, and then at every refresh
    interval while it is owned.
    """
    lab, _ = owning()
    lab.run(180_000)
    came = lab.when("add")[0]
    assert [at - came for at in lab.when("announce")][:5] == [0, 100, 200, 60_200, 120_200]


def test_who_announces() -> None:
    """[ARP-2] Only an owner with authority must announce, and only what its kernel holds."""
    lab = Lab()
    lab.refuses.add(VIP)
    peer = lab.puppet("b").stands(State.STANDBY)
    lab.meet(peer).run(2 * K)
    assert lab.when("announce") == [], "the kernel refused it"
    standby, _ = owner()
    standby.run(10_000)
    assert standby.when("announce") == []
    slow, _ = owning()
    slow.run(59_990)
    slow.stall(2_000)
    at = slow.now
    slow.run(5)
    assert slow.when("announce", at) == [], "no authority"


def test_no_unauthenticated_answer_enters_the_core() -> None:
    """[ARP-3] An unauthenticated answer (ARP, neighbour discovery) must never stop a takeover."""
    import typing

    from vyos_agent.core import events

    told = {kind.__name__ for kind in typing.get_args(events.Event)}
    assert told == {
        "Woke", "Sent", "Held", "LinkChanged", "Monitored", "Served", "Forced", "Configured", "Hinted", "Stopping"
    }  # fmt: skip
