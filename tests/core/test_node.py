"""One node among peers by hand: takeover, links, lateness, configurations, and what it reports."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from core.bench import Bench, Puppet, all_heard, decided, keep_saying, names
from core.members import OTHER, TWO_LINKS, UNITS, owner, standby
from sim.build import VIP, config, group
from vyos_agent.core.effects import Announce
from vyos_agent.core.events import LinkChanged, Monitored, Served, Woke
from vyos_agent.core.model import Drop, Group, MemberId, Reason, Serving, State, Vip
from vyos_agent.core.report import CandidateReport

D_MS, K_MS, INIT_MS = 3_000, 500, 6_000


class TestTakeover:
    def test_after_the_dead_interval_to_the_millisecond(self) -> None:
        bench, _ = standby("ab")
        bench.run(D_MS - 1)
        assert bench.state() is State.STANDBY
        bench.run(1)
        assert (bench.state(), bench.group().reason) == (State.OWNER, Reason.PEER_DEAD)

    def test_the_second_candidate_waits_for_a_keepalive_and_50_ms(self) -> None:
        bench, others = standby("abc", me="c")
        keep_saying({"b": others["b"]}, D_MS + K_MS)
        assert bench.state() is State.STANDBY
        bench.run(K_MS + 50)
        assert bench.state() is State.OWNER

    @pytest.mark.parametrize(
        ("fields", "header", "reason"),
        [
            ({"state": State.STANDBY, "candidate": False}, {"leaving": True}, Reason.PEER_LEFT),
            ({"state": State.STANDBY, "candidate": False}, {}, Reason.PEER_RELEASED),
        ],
    )
    def test_why(self, fields: dict[str, Any], header: dict[str, object], reason: Reason) -> None:
        bench, others = standby("ab")
        others["a"].header |= header
        others["a"].say(**fields)
        assert (bench.state(), bench.group().reason) == (State.OWNER, reason)

    def test_a_refused_address_goes_to_the_others_and_is_not_tried_at_once(self) -> None:
        bench = Bench(config("a", [group(members="ab")]))
        bench.refuses[VIP] = "no room"
        others = all_heard(bench, "b")
        assert decided(bench.effects)[-2] == (State.OWNER, State.YIELDING, "AddFailed")
        assert not bench.entry().candidate
        keep_saying(others, 29_900)
        assert bench.state() is State.STANDBY, "nobody took it, and it would fail here again"
        bench.refuses.clear()
        keep_saying(others, 600)
        assert bench.state() is State.OWNER

    def test_one_that_stands_back_takes_over_from_one_that_died(self) -> None:
        bench = Bench(config("a", [group(members="abc")]))
        bench.refuses[VIP] = "no room"
        others = all_heard(bench, "b", "c")
        bench.refuses.clear()
        others["b"].say(state=State.OWNER, epoch=2, ready=False)
        others["c"].say(candidate=False, ready=False, rank=2)
        keep_saying({"c": others["c"]}, D_MS + K_MS)
        assert (bench.state(), bench.group().reason) == (State.OWNER, Reason.PEER_DEAD)

    def test_of_two_last_resorts_the_better_rank_comes_first(self) -> None:
        bench = Bench(config("b", [group(members="abc")], standby=True))
        others = all_heard(bench, "a", "c")
        others["a"].say(candidate=False, ready=False)
        others["c"].say(state=State.OWNER, epoch=2)
        others["c"].say(state=State.STANDBY, candidate=False)
        assert bench.state() is State.STANDBY
        bench.run(K_MS + 50)
        assert bench.state() is State.OWNER

    def test_a_member_of_whom_nothing_is_known_yet_may_own(self) -> None:
        bench = Bench(config("a", [group(members="ab")]))
        b = Puppet(bench, "b")
        bench.step(Woke((b.frame(groups=False),)))
        bench.run(2 * K_MS - 1)
        assert bench.state() is State.STANDBY
        bench.run(1)
        assert bench.state() is State.OWNER

    def test_a_better_one_of_which_nothing_is_known_is_left_its_time(self) -> None:
        bench = Bench(config("b", [group(members="ab")]))
        a = Puppet(bench, "a")
        bench.step(Woke((a.frame(groups=False),)))
        for _ in range(2):
            bench.run(K_MS)
            bench.step(Woke((a.frame(groups=False),)))
        bench.run(K_MS + 49)
        assert bench.state() is State.STANDBY
        bench.run(1)
        assert bench.state() is State.OWNER

    def test_a_first_claim_leaves_the_better_ones_that_still_listen_their_time(self) -> None:
        bench = Bench(config("b", [group(members="ab")]))
        all_heard(bench, "a", state=State.LISTENING, ready=False)
        assert bench.state() is State.STANDBY
        bench.run(K_MS + 50)
        assert bench.state() is State.OWNER

    def test_members_that_become_candidates_together_take_turns(self) -> None:
        bench = Bench(config("b", [group(members="ab")], interfaces=("eth1",)))
        a = Puppet(bench, "a", candidate=False, ready=False)
        a.acks = 1
        bench.step(LinkChanged("eth0", False))
        a.say(interface="eth1", state=State.OWNER, epoch=1)
        a.say(interface="eth1", state=State.STANDBY)
        bench.step(LinkChanged("eth0", True))
        assert bench.state() is State.STANDBY, "a may be a candidate again by now"
        a.acks = None
        a.say(interface="eth1")
        assert bench.state() is State.OWNER, "it knew of this one and is none"


class TestLinks:
    def test_a_lost_link_lets_go_when_one_that_knows_of_it_is_a_candidate_yet(self) -> None:
        bench, others = owner("ab", interfaces=TWO_LINKS)
        others["b"].say(interface="eth1")
        bench.step(LinkChanged("eth0", False))
        assert bench.said is not None
        assert bench.said.answer_please
        bench.run(5)
        others["b"].say(interface="eth1")
        assert bench.state() is State.OWNER
        bench.run(5)
        assert decided(bench.effects)[-2] == (State.OWNER, State.YIELDING, "LinkLost")

    def test_it_keeps_the_group_when_the_other_lost_it_too(self) -> None:
        bench, others = owner("ab", interfaces=TWO_LINKS)
        others["b"].say(interface="eth1")
        bench.step(LinkChanged("eth0", False))
        bench.run(10)
        others["b"].say(interface="eth1", candidate=False, ready=False)
        bench.run(1_000)
        assert bench.state() is State.OWNER
        bench.step(LinkChanged("eth0", True))
        others["b"].say(interface="eth1", candidate=True)
        bench.run(1_000)
        assert bench.state() is State.OWNER

    def test_which_links_carry_a_peer_is_told(self) -> None:
        bench, others = owner("ab", interfaces=TWO_LINKS)
        others["b"].say(interface="eth1")
        assert bench.node.report().peers[0].links == TWO_LINKS
        revision = bench.node.revision
        for _ in range(6):
            bench.run(K_MS)
            others["b"].say(interface="eth1")
        assert bench.node.report().peers[0].links == ("eth1",)
        assert bench.node.revision > revision

    def test_a_copy_over_another_link_counts_for_that_link_only(self) -> None:
        bench, others = owner("ab", interfaces=TWO_LINKS)
        frame = others["b"].frame("eth0")
        bench.step(Woke((frame,)))
        bench.step(Woke((dataclasses.replace(frame, interface="eth1"),)))
        assert bench.node.report().peers[0].links == ("eth0",), "sent on eth0, recorded and played on eth1"
        assert bench.node.drops[Drop.OLD] == 1
        others["b"].sequence -= 1
        bench.step(Woke((others["b"].frame("eth1"),)))
        assert bench.node.report().peers[0].links == TWO_LINKS
        assert bench.node.drops[Drop.OLD] == 1

    def test_a_frame_of_an_interface_that_is_configured_no_more(self) -> None:
        bench, others = owner("ab")
        frame = others["b"].frame()
        bench.step(Woke((dataclasses.replace(frame, interface="eth9"),)))
        assert bench.node.report().peers[0].links == ("eth0",)


class TestAnnouncements:
    def test_once_when_a_rival_is_heard_and_in_full_when_it_has_let_go(self) -> None:
        bench, others = owner("ab")
        bench.run(2_000)
        effects = others["b"].say(state=State.OWNER, epoch=0)
        assert names(effects).count("Announce") == 1
        assert not any(isinstance(e, Announce) for e in bench.run(900))
        others["b"].say(state=State.STANDBY, epoch=3)
        assert sum(isinstance(e, Announce) for e in bench.run(1_000)) == 4

    def test_in_full_when_it_does_not_let_go(self) -> None:
        bench, others = owner("ab")
        bench.run(2_000)
        others["b"].say(state=State.OWNER, epoch=0)
        mark = len(bench.effects)
        keep_saying(others, 4_000)
        assert sum(isinstance(e, Announce) for e in bench.effects[mark:]) == 5

    def test_in_full_when_one_is_met_that_may_have_owned(self) -> None:
        bench, others = owner("ab")
        bench.run(D_MS + 3_000)
        mark = len(bench.effects)
        others["b"].say()
        bench.run(1_000)
        assert sum(isinstance(e, Announce) for e in bench.effects[mark:]) == 5

    def test_one_that_was_late_and_one_that_adopted_announce_and_refresh(self) -> None:
        bench, others = owner("ab")
        bench.run(2_000)
        bench.now += 1_500
        mark = len(bench.effects)
        bench.step(Woke())
        others["b"].say()
        keep_saying(others, 70_000)
        assert sum(isinstance(e, Announce) for e in bench.effects[mark:]) == 6
        bench = Bench(config("a", [group(members="ab")]), left_ms={VIP: 1_000})
        bench.run(70_000)
        assert sum(isinstance(e, Announce) for e in bench.effects) == 6

    def test_what_may_not_be_told_yet_stays_due(self) -> None:
        bench, others = owner("ab")
        bench.run(2_000)
        bench.now += 1_500
        bench.step(Woke())
        bench.mute = True
        effects = others["b"].say()
        assert bench.state() is State.OWNER
        assert not any(isinstance(e, Announce) for e in effects), "its authority has not come back"
        bench.mute = False
        assert any(isinstance(e, Announce) for e in bench.run(K_MS + 1))


class TestReport:
    def test_the_table_behind_an_owner(self) -> None:
        core = config("a", [group(members="abcd", monitors=("10.0.0.1", "10.0.0.2"))])
        bench = Bench(core)
        bench.step(Monitored({"10.0.0.1": True, "10.0.0.2": False}))
        hashed = bench.entry().list_hash
        others = all_heard(bench, "b", "c", list_hash=hashed)
        others["b"].say(monitors=2)
        others["c"].say(monitors=1, candidate=False, list_hash=3)
        assert bench.group().candidates == (
            CandidateReport("b", State.STANDBY, 1, True, True, 2),
            CandidateReport("a", State.LISTENING, 0, True, False, 1),
            CandidateReport("c", State.STANDBY, 2, False, False, None),
            CandidateReport("d", None, 3, False, False, None),
        )
        assert bench.node.report().monitors == {"10.0.0.1": True, "10.0.0.2": False}

    def test_an_undecided_monitor_is_neither(self) -> None:
        bench = Bench(config("a", [group(monitors=("10.0.0.1",))]))
        assert bench.node.report().monitors == {"10.0.0.1": None}
        assert (bench.entry().monitors, bench.entry().ready) == (1, False)

    @pytest.mark.parametrize(
        ("heard", "state"),
        [
            ("nothing", "Unheard"),
            ("frames", "Alive"),
            ("listening", "Listening"),
            ("leaving", "Left"),
            ("died", "Dead"),
        ],
    )
    def test_peers(self, heard: str, state: str) -> None:
        bench = Bench(config("a", [group(members="ab")]))
        b = Puppet(bench, "b")
        if heard != "nothing":
            b.say(state=State.LISTENING if heard == "listening" else State.STANDBY)
        if heard == "leaving":
            b.header["leaving"] = True
            b.say()
        if heard == "died":
            bench.run(D_MS)
        assert bench.node.report().peers[0].state == state
        if heard == "leaving":
            bench.run(D_MS)
            assert bench.node.report().peers[0].state == "Left"

    def test_services_of_a_group_that_has_none_are_none(self) -> None:
        bench, _ = owner("ab")
        assert (bench.group().services, bench.group().message) == (None, "")
        bench = Bench(config("a", [group(units=UNITS)]))
        bench.step(Served("g", Serving.ABSENT, "no ssh.service"))
        assert (bench.group().services, bench.group().message) == (Serving.ABSENT, "no ssh.service")
        all_heard(bench, "b")
        assert bench.state() is State.STANDBY
        assert not bench.entry().candidate


def test_an_address_with_its_interface_is_written_as_vyos_writes_it() -> None:
    assert VIP.text == "192.168.0.123/24/eth0"
    assert Vip("192.168.0.123", 24, "eth0", "192.168.0.255").text == "192.168.0.123/24/eth0/192.168.0.255"


def test_two_groups_decide_each_for_itself() -> None:
    groups: list[Group] = [group("g", "ab"), group("h", "ba", vip=OTHER)]
    bench = Bench(config("a", groups))
    b = Puppet(bench, "b")
    bench.step(Woke((b.frame(groups=False),)))
    bench.run(2 * K_MS + K_MS + 50)
    assert {g.name: g.state for g in bench.node.report().groups} == {"g": State.OWNER, "h": State.OWNER}


def test_who_is_alone_and_when_a_member_was_heard() -> None:
    bench, others = owner()
    others["b"].say()
    heard_ms = bench.now
    assert not bench.node.alone
    assert bench.node.last_heard_ms("b") == heard_ms
    assert bench.node.last_heard_ms("stranger") is None
    assert bench.node.newest_frame(others["b"].id) == (others["b"].incarnation, others["b"].sequence)
    assert bench.node.newest_frame(MemberId(1)) is None
    others["b"].header["leaving"] = True
    others["b"].say()
    assert not bench.node.alone, "c lives"
    bench.run(4_000)
    assert bench.node.alone
