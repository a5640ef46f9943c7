"""Configurations that change while a node runs."""

from __future__ import annotations

import dataclasses

from core.bench import Bench, Puppet, all_heard, decided, keep_saying
from core.members import OTHER, UNITS, owner, standby
from sim.build import KEY, VIP, config, group
from vyos_agent.core import wire
from vyos_agent.core.effects import Persist, Serve
from vyos_agent.core.events import Configured, Frame, Served, Stopping, Woke
from vyos_agent.core.model import GroupId, Keyring, MemberId, Serving, State, wire_id

D_MS, K_MS, INIT_MS = 3_000, 500, 6_000


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
