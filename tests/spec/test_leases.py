"""Rules of leases and restarts (docs/protocol.md sections 13 and 14)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from spec.lab import INCARNATION, INIT, VIP, D, K, Lab, config, group, owner, owning
from spec.scenes import given
from vyos_agent.core import lease
from vyos_agent.core.effects import Announce, Hold, Send
from vyos_agent.core.events import Configured
from vyos_agent.core.model import Reason, State, Vip

TWO = Vip("192.0.2.124", 24, "eth0")
SLOW: dict[str, Any] = {"keepalive_ms": 5_000, "dead_ms": 20_000, "init_dead_ms": 30_000}


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
