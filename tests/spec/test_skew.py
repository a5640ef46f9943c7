"""Rules of configurations that differ, and of announcements (docs/protocol.md sections 19 and 20)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from spec.lab import INIT, VIP, D, K, Lab, config, group, owner, owning
from vyos_agent.core.effects import Announce, Decided
from vyos_agent.core.events import Configured, LinkChanged
from vyos_agent.core.model import Config, Reason, State, Vip

TWO = Vip("192.0.2.124", 24, "eth0")


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


def test_a_better_member_that_never_says_what_it_is() -> None:
    """[SKEW-6] A living member of a group, by the receiver's configuration, that has never said what it is to it must
    be ranked as a candidate by its rank there.
    """
    lab = Lab(config("b"))
    lab.meet(lab.puppet("a"))
    believed = lab.now - 1
    lab.run(believed + 2 * K + K + 40 - lab.now)
    assert lab.state() is State.STANDBY, "a is number 0"
    lab.run(15)
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


@pytest.mark.parametrize("how", ["ready", "late", "relayed", "never"])
def test_an_address_that_moves_to_another_group(how: str) -> None:
    """[SKEW-10] An owner must keep an address that a new configuration names in another group, with lives of 1 s and
    unannounced, until the owner of that group says with that generation that its kernel holds its addresses, and for 20
    ms more; but no longer than initDeadInterval and a dead interval, and not beside an owner that it does not hear
    directly.
    """
    lab = Lab(config(groups=[group(vips=(VIP, TWO)), group("h", members="ba", vips=())]))
    peer = lab.puppet("b").stands(State.STANDBY).stands(State.OWNER, "h", epoch=3)
    lab.meet(peer).run(2 * K)
    lab.feed(newer(lab.node.config, group(), group("h", members="ba", vips=(TWO,))))
    since = lab.now
    lab.run(K)
    assert lab.holds() == {VIP, TWO}, "b has not the configuration, whatever it says"
    peer.generation = 2
    peer.stands(State.OWNER, "h", epoch=3, ready=False).say()
    lab.run(2 * K)
    assert lab.holds() == {VIP, TWO}
    assert {life for _, life in lab.lives_ms()[-2:]} == {1_000}
    match how:
        case "ready" | "late":
            lab.run(0 if how == "ready" else D)
            peer.stands(State.OWNER, "h", epoch=3).say()
            lab.run(19)
            assert lab.holds() == {VIP, TWO}
            lab.run(5)
            assert lab.holds() == {VIP}
        case "relayed":
            lab.feed(LinkChanged("eth0", False))
            lab.run(5)
            assert lab.holds() == {VIP}
        case "never":
            lab.run(since + INIT + D - lab.now - 5)
            assert lab.holds() == {VIP, TWO}
            lab.run(10)
            assert lab.holds() == {VIP}


def test_an_address_that_moves_is_not_announced() -> None:
    """[SKEW-10] An owner must keep an address that a new configuration names in another group, with lives of 1 s and
    unannounced, until the owner of that group says with that generation that its kernel holds its addresses, and for 20
    ms more; but no longer than initDeadInterval and a dead interval, and not beside an owner that it does not hear
    directly.
    """
    lab = Lab(config(groups=[group(vips=(VIP, TWO)), group("h", members="ba", vips=())], announce_refresh_ms=K))
    peer = lab.puppet("b").stands(State.STANDBY).stands(State.OWNER, "h", epoch=3)
    lab.meet(peer).run(2 * K)
    lab.feed(newer(lab.node.config, group(), group("h", members="ba", vips=(TWO,))))
    since = lab.now
    lab.run(D)
    told = [effect.vips for at, effect in lab.did if at > since and isinstance(effect, Announce)]
    assert told
    assert all(TWO not in vips for vips in told)


@pytest.mark.parametrize("change", [{"prefix": 16}, {"broadcast": "192.0.2.254"}, {"interface": "eth1"}])
def test_an_address_in_another_form(change: dict[str, Any]) -> None:
    """[SKEW-11] An address whose prefix, broadcast or interface a new configuration changes must not be taken for
    new.
    """
    lab, _ = owning()
    new = dataclasses.replace(VIP, **change)
    lab.feed(newer(lab.node.config, group(vips=(new,))))
    lab.run(K + 5)
    assert lab.holds() == {new}, "though b has not the configuration yet"


# -- announcements


def test_the_full_count_and_the_refresh() -> None:
    """[ARP-1] A group must be announced with the full count when its addresses have come and when its owner goes on
    after a sleep or a restart, and then at every refresh interval while it is owned.
    """
    lab, _ = owning()
    lab.run(180_000)
    came = lab.when("add")[0]
    assert [at - came for at in lab.when("announce")][:5] == [0, 100, 200, 60_200, 120_200]


def test_an_announcement_that_could_not_be_made_stays_due() -> None:
    """[ARP-2] Only an owner with authority must announce, and only what its kernel holds; what may not be told yet must
    stay due.
    """
    lab, _ = owning(config_=config(announce_interval_ms=800))
    came = lab.when("add")[0]
    lab.run(came + 900 - lab.now)
    assert [at - came for at in lab.when("announce")] == [0, 800]
    lab.accepts = False  # no frame goes out, so no lease is renewed, and authority ends
    lab.kernel[VIP] += 5_000  # a kernel that is late
    lab.run(came + 2_600 - lab.now)
    assert not lab.node.may_hold(lab.now)
    lab.accepts = True
    lab.run(2 * K)
    assert lab.holds() == {VIP}
    assert len(lab.when("announce")) >= 3


def test_an_owner_that_resumes_announces() -> None:
    """[ARP-1] A group must be announced with the full count when its addresses have come and when its owner goes on
    after a sleep or a restart, and then at every refresh interval while it is owned.
    """
    lab, (peer,) = owning()
    lab.run(2_000)
    peer.rests()
    lab.kernel[VIP] += 1_100  # the kernel is late: the address does not go and come
    lab.stall(1_400)
    at = lab.now
    peer.beats()
    lab.run(61_000)
    assert lab.state() is State.OWNER
    resumed = next(when for when, e in lab.did if isinstance(e, Decided) and e.reason is Reason.RESUMED)
    assert [when - resumed for when in lab.when("announce", at)] == [0, 100, 200, 60_200]


def test_an_owner_that_adopts_announces() -> None:
    """[ARP-1] A group must be announced with the full count when its addresses have come and when its owner goes on
    after a sleep or a restart, and then at every refresh interval while it is owned.
    """
    alone = Lab(config(), incarnation=77, epochs={"g": 7}, left_ms={VIP: 900})
    alone.run(61_000)
    adopted = next(at for at, e in alone.did if isinstance(e, Decided) and e.reason is Reason.ADOPTED)
    told = alone.when("announce")
    assert told[0] <= adopted + 1
    assert [when - told[0] for when in told] == [0, 100, 200, 60_200]


def test_who_announces() -> None:
    """[ARP-2] Only an owner with authority must announce, and only what its kernel holds; what may not be told yet must
    stay due.
    """
    lab = Lab()
    lab.refuses.add(VIP)
    peer = lab.puppet("b").stands(State.STANDBY)
    lab.meet(peer).run(2 * K)
    assert lab.when("announce") == [], "the kernel refused it"
    standby, _ = owner()
    standby.run(10_000)
    assert standby.when("announce") == []
    slow, (peer,) = owning()
    slow.run(59_990)
    peer.rests()
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
        "Woke", "Sent", "Held", "LinkChanged", "Occupied", "Monitored", "Served", "Forced", "Configured", "Hinted",
        "Stopping",
    }  # fmt: skip


def test_an_owner_announces_when_it_is_heard_again() -> None:
    """[ARP-5] An owner must announce with the full count when it meets a member, and when a member acknowledges it
    again after more than three of that member's keepalives in which it did not.
    """
    lab, (peer,) = owning()
    lab.run(5_000)
    for missed_ms, told in ((3 * K, []), (5 * K, [0, 100, 200])):
        peer.deaf = True
        lab.run(missed_ms - K // 2)
        peer.deaf = False
        at = lab.now
        lab.run(10 * K)
        announced = lab.when("announce", at)
        assert [when - announced[0] for when in announced] == told
        assert not told or announced[0] - at <= 2 * K
    at = lab.now
    lab.meet(lab.puppet("c").stands(State.STANDBY))
    lab.run(10 * K)
    assert len(lab.when("announce", at)) == 3
