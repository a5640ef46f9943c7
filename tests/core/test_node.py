"""One node among peers by hand: takeover, links, lateness, configurations, and what it reports."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from core.bench import Bench, Puppet, all_heard, decided, keep_saying, names
from sim.build import KEY, VIP, config, group
from vyos_agent.core import wire
from vyos_agent.core.effects import Announce, Hold, Persist, Serve
from vyos_agent.core.events import Configured, Forced, Frame, Held, LinkChanged, Monitored, Served, Stopping, Woke
from vyos_agent.core.model import Drop, Force, Group, GroupId, Keyring, MemberId, Reason, Serving, State, Vip, wire_id
from vyos_agent.core.report import CandidateReport

D_MS, K_MS, INIT_MS = 3_000, 500, 6_000
UNITS = ("ssh.service",)
OTHER = Vip("192.168.0.124", 24, "eth0")
TWO_LINKS = ("eth0", "eth1")


def standby(members: str = "abc", me: str = "b", **settings: object) -> tuple[Bench, dict[str, Puppet]]:
    """Member b stands by, a owns with epoch 1."""
    bench = Bench(config(me, [group(members=members)], **settings))  # type: ignore[arg-type]
    others = all_heard(bench, *(m for m in members if m != me))
    others["a"].say(state=State.OWNER, epoch=1, ready=False)
    keep_saying(others, 600)
    assert bench.state() is State.STANDBY
    return bench, others


def owner(members: str = "abc", **settings: object) -> tuple[Bench, dict[str, Puppet]]:
    """Member a owns."""
    bench = Bench(config("a", [group(members=members)], **settings))  # type: ignore[arg-type]
    others = all_heard(bench, *members[1:])
    keep_saying(others, 600)
    assert bench.state() is State.OWNER
    return bench, others


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


class TestLateness:
    def test_an_owner_that_was_late_waits_for_an_acknowledgement(self) -> None:
        bench, others = owner("ab")
        bench.now += 1_500
        effects = bench.step(Woke())
        assert decided(effects) == [(State.OWNER, State.SUSPENDED, "Slept")]
        assert not bench.node.may_hold(bench.now)
        assert not any(isinstance(e, Hold) and e.lifetimes_ms.get(VIP) for e in effects)
        assert bench.said is not None
        assert bench.said.answer_please
        others["b"].say()
        assert bench.state() is State.OWNER
        assert bench.node.may_hold(bench.now)

    def test_a_machine_that_was_suspended_is_late_by_its_other_clock(self) -> None:
        bench, _ = owner("ab")
        assert decided(bench.step(Woke(slept_ms=800))) == []
        assert decided(bench.step(Woke(slept_ms=1_000))) == [(State.OWNER, State.SUSPENDED, "Slept")]

    def test_with_nobody_heard_it_goes_on_after_the_largest_dead_interval(self) -> None:
        bench, others = owner("ab")
        others["b"].header |= {"dead_ms": 9_000}
        others["b"].say()
        bench.now += 1_500
        bench.step(Woke())
        bench.run(8_999)
        assert bench.state() is State.SUSPENDED
        bench.run(1)
        assert bench.state() is State.OWNER

    def test_a_stronger_claim_deposes_it_at_once(self) -> None:
        bench, others = owner("ab")
        bench.now += 1_500
        bench.step(Woke())
        others["b"].say(state=State.OWNER, epoch=2)
        assert bench.state() is State.STANDBY

    def test_what_the_kernel_refused_before_is_no_news_to_one_that_holds_back(self) -> None:
        bench, _ = owner("ab")
        bench.now += 1_500
        bench.step(Woke())
        bench.step(Held(frozenset(), {VIP: "no room"}))
        assert bench.state() is State.SUSPENDED

    def test_a_weaker_one_does_not(self) -> None:
        bench, others = owner("ab")
        bench.now += 1_500
        bench.step(Woke())
        others["b"].say(state=State.SUSPENDED, epoch=0)
        assert bench.state() is State.OWNER

    def test_one_that_slept_after_go_comes_back_above_what_may_have_been_claimed(self) -> None:
        bench, others = owner("ab")
        bench.step(Forced(Force.STANDBY))
        others["b"].say(handover=wire.Handover.READY, target=MemberId(wire_id("a")))
        bench.run(20)
        assert bench.entry().handover is wire.Handover.GO
        bench.now += 1_500
        bench.step(Woke())
        assert decided(others["b"].say())[0] == (State.SUSPENDED, State.OWNER, "Resumed")
        assert bench.entry().epoch == 3

    def test_it_leaves_at_once_when_it_is_told_to(self) -> None:
        bench, _ = owner("ab")
        bench.now += 1_500
        bench.step(Woke())
        bench.step(Stopping())
        assert decided(bench.effects)[-1] == (State.YIELDING, State.STANDBY, "Leaving")

    def test_a_standby_listens_first(self) -> None:
        bench, _ = standby("ab")
        bench.now += 4_000
        assert decided(bench.step(Woke())) == [(State.STANDBY, State.LISTENING, "Slept")]
        bench.run(D_MS - 1)
        assert bench.state() is State.LISTENING
        bench.run(1)
        assert bench.state() is State.OWNER

    def test_and_takes_nothing_before_it_may_judge(self) -> None:
        bench, others = standby("ab")
        bench.now += 4_000
        bench.step(Woke())
        others["a"].say(state=State.ASKING, handover=wire.Handover.ASK, target=MemberId(wire_id("b")))
        assert bench.state() is State.STANDBY
        assert (bench.entry().handover, bench.entry().ready) == (wire.Handover.REFUSE, False)
        keep_saying(others, D_MS)
        assert bench.entry().handover is wire.Handover.READY

    def test_two_that_ask_for_answers_do_not_go_on_answering_each_other(self) -> None:
        bench, others = standby("ab")
        bench.now += 4_000
        bench.step(Woke())
        bench.run(20)
        others["a"].header["answer_please"] = True
        others["a"].say()
        bench.run(10)
        assert bench.said is not None
        assert not bench.said.answer_please

    def test_no_carrier_anywhere_for_the_dead_interval_is_like_sleep(self) -> None:
        bench, others = owner("ab")
        bench.step(LinkChanged("eth0", False))
        bench.run(D_MS - 1)
        assert bench.state() is State.OWNER
        bench.run(1)
        assert decided(bench.effects)[-1] == (State.OWNER, State.SUSPENDED, "Slept")
        bench.run(D_MS)
        assert bench.state() is State.SUSPENDED
        bench.step(LinkChanged("eth0", True))
        assert bench.state() is State.SUSPENDED, "first it listens"
        others["b"].say()
        assert bench.state() is State.OWNER

    def test_but_addresses_on_a_link_that_has_one_are_served_on(self) -> None:
        bench, _ = owner("ab", interfaces=("eth1",))
        bench.step(LinkChanged("eth1", False))
        bench.run(3 * D_MS)
        assert bench.state() is State.OWNER
        bench.step(LinkChanged("eth1", True))
        bench.run(D_MS)
        assert bench.state() is State.OWNER

    def test_a_short_loss_is_none(self) -> None:
        bench, _ = standby("ab")
        bench.step(LinkChanged("eth0", False))
        bench.run(1_000)
        bench.step(LinkChanged("eth0", True))
        assert bench.state() is State.STANDBY

    def test_a_frame_that_nobody_took_renews_nothing_while_a_peer_lives(self) -> None:
        bench, _ = owner("ab")
        bench.run(100)
        bench.mute = True
        effects = bench.run(400)
        assert not any(isinstance(e, Hold) for e in effects)
        bench.run(D_MS)
        assert any(isinstance(e, Hold) for e in bench.run(K_MS)), "alone, it holds on"


class TestConfiguration:
    def test_a_removed_group_is_let_go_and_its_services_stopped(self) -> None:
        bench = Bench(config("a", [group(members="ab", units=UNITS), group("h", "ab", vip=OTHER)]))
        others = {"b": Puppet(bench, "b")}
        others["b"].say()
        bench.step(Served("g", Serving.STOPPED))
        bench.run(2 * K_MS)
        bench.step(Served("g", Serving.RUNNING))
        assert bench.state() is State.OWNER
        effects = bench.step(Configured(dataclasses.replace(bench.config, groups=bench.config.groups[1:])))
        assert VIP not in bench.kernel
        assert [e.running for e in effects if isinstance(e, Serve)] == [{"g": ()}]
        assert wire_id("g") in {e.group for e in bench.said.groups}, "until they are stopped"  # type: ignore[union-attr]
        bench.step(Served("g", Serving.STOPPED))
        bench.run(K_MS)
        assert wire_id("g") not in {e.group for e in bench.said.groups}  # type: ignore[union-attr]
        bench.step(Served("g", Serving.STOPPED))

    def test_an_owner_that_is_a_member_no_more_gives_the_group_away(self) -> None:
        bench, others = owner()
        groups = (dataclasses.replace(bench.config.groups[0], members=("b", "c")),)
        bench.step(Configured(dataclasses.replace(bench.config, groups=groups)))
        assert (bench.entry().state, bench.entry().cause.name) == (State.ASKING, "REMOVED")
        others["b"].say(handover=wire.Handover.READY, target=MemberId(wire_id("a")))
        bench.run(20)
        others["b"].say(state=State.OWNER, epoch=2, handover=wire.Handover.NONE)
        bench.run(20)
        assert bench.entry().state is State.NONE
        assert bench.node.report().groups == ()

    def test_a_standby_that_is_a_member_no_more_and_comes_back(self) -> None:
        bench, others = standby()
        groups = (dataclasses.replace(bench.config.groups[0], members=("a", "c")),)
        bench.step(Configured(dataclasses.replace(bench.config, groups=groups)))
        assert bench.entry().state is State.NONE
        assert bench.entry().claim_owner == others["a"].id, "it passes on who owns the group"
        bench.step(Configured(bench.config))
        assert bench.state() is State.STANDBY

    def test_a_leaving_member_stays_one_whatever_comes(self) -> None:
        bench, _ = owner("ab")
        bench.step(Stopping())
        assert bench.state() is State.ASKING
        bench.step(Configured(bench.config))
        assert bench.state() is State.ASKING

    def test_two_keys_open_and_one_seals(self) -> None:
        old, new = KEY, bytes(range(1, 33))
        bench = Bench(config("a", [group()], keyring=Keyring(1, {1: old, 2: new})))
        for id_, key in ((1, old), (2, new), (3, new)):
            ring = Keyring(id_, {id_: key})
            b = Puppet(bench, "b")
            b.sequence = id_
            beat = wire.unseal(b.frame().data, bench.config.cluster_id, bench.config.keyring)
            assert isinstance(beat, wire.Beat)
            bench.step(Woke((Frame(wire.seal(beat, bench.config.cluster_id, ring), "eth0", bench.now),)))
        assert bench.node.report().drops == {"UnknownKey": 1}
        assert bench.node.report().peers[0].state == "Alive"
        bench.config = dataclasses.replace(bench.config, keyring=Keyring(2, {1: old, 2: new}))
        bench.step(Configured(bench.config))
        bench.run(K_MS)
        assert bench.said is not None

    def test_a_stranger_counts_as_an_owner_never_as_a_candidate(self) -> None:
        bench = Bench(config("a", [group(members="ab")]))
        stranger = Puppet(bench, "x", state=State.OWNER, epoch=3, rank=9)
        others = all_heard(bench, "b")
        assert bench.state() is State.OWNER
        stranger.say()
        assert bench.state() is State.STANDBY
        assert bench.group().owner == f"{stranger.id:08x}"
        stranger.say(state=State.STANDBY, rank=0)  # and it would come first if it counted
        keep_saying(others, 600)
        assert bench.state() is State.OWNER

    def test_a_group_that_is_gone_says_so_once_more(self) -> None:
        """Else whoever heard that it was being let go would wait for ever."""
        bench = Bench(config("a", [group(members="ab"), group("h", "ab", vip=OTHER)]))
        all_heard(bench, "b")
        bench.run(2 * K_MS)
        effects = bench.step(Configured(dataclasses.replace(bench.config, groups=bench.config.groups[1:])))
        assert decided(effects)[-1] == (State.YIELDING, State.NONE, "Removed")
        assert bench.entry().state is State.NONE
        bench.run(2 * K_MS)
        assert bench.said is not None
        assert wire_id("g") not in {e.group for e in bench.said.groups}

    def test_what_a_peer_says_of_unknown_groups_is_kept_within_bounds(self) -> None:
        bench = Bench(config("a", [group(members="ab")]))
        b = Puppet(bench, "b")
        for i in range(200):
            many = tuple(wire.GroupEntry(GroupId(1000 * i + j + 1), 1, State.OWNER, 0, True, True) for j in range(30))
            b.header["groups"] = many
            b.say()
        kept = bench.node._peers.table[b.id].groups
        assert len(kept) == 64
        del b.header["groups"]
        b.say(state=State.OWNER, epoch=4)
        assert bench.group().owner == "b", "a group of the configuration always counts"
        name = "late"
        bench.config = dataclasses.replace(bench.config, groups=(group(name, "ab"),))
        bench.step(Configured(bench.config))
        assert bench.config.groups[0].id not in kept

    def test_a_group_that_comes_back_goes_on_counting(self) -> None:
        bench = Bench(config("a", [group(members="ab")]), epochs={f"old{i}": 7 for i in range(300)})
        all_heard(bench, "b")
        saved = [e.epochs for e in bench.effects if isinstance(e, Persist)][-1]
        assert len(saved) == 257
        assert (saved["g"], saved["old299"]) == (1, 7)


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
