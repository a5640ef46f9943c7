"""A planned move, at its target: what is answered, taken, and let go."""

from __future__ import annotations

import dataclasses

import pytest

from core.bench import Bench, Puppet, all_heard, decided, keep_saying, names
from core.moves import UNITS, V_MS, ask, me, owner
from sim.build import VIP, config, group
from vyos_agent.core.effects import Announce, Hold, Serve
from vyos_agent.core.events import Configured, Forced, Held, Served
from vyos_agent.core.model import Cause, Force, Reason, Serving, State
from vyos_agent.core.wire import Handover


class TestTarget:
    @staticmethod
    def target(**settings: object) -> tuple[Bench, dict[str, Puppet]]:
        """Member a stands by, b owns."""
        core = config("a", [group(members="abc", **settings)])  # type: ignore[arg-type]
        bench = Bench(core)
        others = all_heard(bench, "b", state=State.OWNER, epoch=4) | all_heard(bench, "c")
        if core.groups[0].units:
            bench.step(Served("g", Serving.STOPPED))
        others["b"].say()
        assert bench.state() is State.STANDBY
        return bench, others

    def test_ready_is_said_at_once_and_repeated(self) -> None:
        bench, others = self.target()
        others["b"].say(state=State.ASKING, handover=Handover.ASK, target=me(bench), cause=Cause.FAILBACK)
        assert (bench.entry().handover, bench.entry().target) == (Handover.READY, others["b"].id)
        assert names(bench.run(200)).count("Send") == 4

    def test_a_fresh_go_is_taken(self) -> None:
        bench, others = self.target(units=UNITS)
        others["b"].say(state=State.ASKING, handover=Handover.ASK, target=me(bench), cause=Cause.FAILBACK)
        effects = others["b"].say(state=State.GIVING, handover=Handover.GO)
        assert (bench.entry().state, bench.entry().epoch) == (State.OWNER, 5)
        assert bench.group().reason is Reason.FAILBACK
        assert [e for e in effects if isinstance(e, Hold)][-1].lifetimes_ms == {VIP: 1_000}
        order = list(dict.fromkeys(n for n in names(effects) if n in ("Send", "Announce", "Serve")))
        assert order == ["Send", "Announce", "Serve"]

    def test_it_says_when_its_kernel_holds_them_and_gives_up_when_it_does_not(self) -> None:
        bench, others = self.target()
        bench.answers_holds = False
        others["b"].say(state=State.GIVING, handover=Handover.GO, target=me(bench), cause=Cause.REQUESTED)
        assert (bench.entry().state, bench.entry().ready) == (State.OWNER, False)
        bench.step(Held(frozenset({VIP})))
        assert bench.entry().ready
        bench, others = self.target()
        bench.answers_holds = False
        others["b"].say(state=State.GIVING, handover=Handover.GO, target=me(bench), cause=Cause.REQUESTED)
        keep_saying(others, V_MS)
        assert decided(bench.effects)[-1] == (State.OWNER, State.YIELDING, "AddFailed")

    def test_after_that_it_refuses_the_same_giver_until_it_stops_giving(self) -> None:
        bench, others = self.target()
        bench.refuses = {VIP: "EPERM"}
        give = {"state": State.GIVING, "handover": Handover.GO, "target": me(bench), "cause": Cause.LEAVING}
        others["b"].say(**give)
        keep_saying(others, 500)
        others["b"].say(epoch=6, **give)
        assert [d for d in decided(bench.effects) if d[1] is State.OWNER] == [(State.STANDBY, State.OWNER, "PeerLeft")]
        assert (bench.state(), bench.entry().handover) == (State.STANDBY, Handover.REFUSE)
        bench.refuses = {}
        others["b"].say(state=State.OWNER, handover=Handover.NONE, target=0)
        others["b"].say(state=State.ASKING, handover=Handover.ASK, target=me(bench), cause=Cause.LEAVING)
        assert bench.entry().handover is Handover.READY

    def test_lives_grow_and_the_lan_is_told_again_when_the_giver_has_let_go(self) -> None:
        bench, others = self.target()
        others["b"].say(state=State.GIVING, handover=Handover.GO, target=me(bench), cause=Cause.REQUESTED)
        bench.run(10)
        effects = others["b"].say(state=State.STANDBY, epoch=5, handover=Handover.NONE, target=0)
        assert any(isinstance(e, Announce) for e in effects)
        assert bench.node.report().groups[0].handover is None

    def test_or_after_some_time(self) -> None:
        bench, others = self.target()
        others["b"].say(state=State.GIVING, handover=Handover.GO, target=me(bench), cause=Cause.REQUESTED)
        report = bench.group().handover
        assert report is not None
        assert (report.target, report.reason, report.given) == ("a", Reason.HANDOVER_REQUESTED, True)
        keep_saying(others, 2 * V_MS)
        assert bench.group().handover is None

    def test_services_wait_until_the_giver_has_stopped_them(self) -> None:
        bench, others = self.target(units=UNITS)
        others["b"].say(
            state=State.GIVING,
            handover=Handover.GO,
            target=me(bench),
            cause=Cause.LEAVING,
            services_stopped=False,
        )
        bench.run(500)
        assert bench.state() is State.OWNER
        assert bench.group().reason is Reason.PEER_LEFT
        assert bench.group().message == "waiting for b to stop them"
        effects = others["b"].say(state=State.STANDBY, handover=Handover.NONE, services_stopped=True)
        assert [e for e in effects if isinstance(e, Serve)][-1].running == {"g": UNITS}
        assert bench.group().message == ""

    def test_an_old_go_is_not(self) -> None:
        bench, others = self.target()
        others["b"].acks = bench.said.sequence if bench.said else 0
        keep_saying({"c": others["c"]}, V_MS + 100)
        others["b"].say(state=State.GIVING, handover=Handover.GO, target=me(bench), cause=Cause.REQUESTED)
        assert bench.state() is State.STANDBY
        others["b"].acks = None
        others["b"].say()
        assert bench.state() is State.OWNER

    def test_a_go_of_one_that_does_not_own_is_not(self) -> None:
        bench, others = self.target()
        others["c"].say(state=State.OWNER, epoch=9)
        others["b"].say(state=State.GIVING, handover=Handover.GO, target=me(bench), cause=Cause.REQUESTED)
        assert bench.state() is State.STANDBY

    @pytest.mark.parametrize(
        ("settings", "cause", "answer", "why"),
        [
            ({"maintenance": "a"}, Cause.FAILBACK, Handover.REFUSE, Cause.NOT_ABLE),
            ({"maintenance": "a"}, Cause.LEAVING, Handover.REFUSE, Cause.NOT_ABLE),
            ({}, Cause.FAILBACK, Handover.READY, Cause.NONE),
        ],
    )
    def test_what_is_answered(self, settings: dict[str, object], cause: Cause, answer: Handover, why: Cause) -> None:
        bench, others = self.target(**settings)
        others["b"].say(state=State.ASKING, handover=Handover.ASK, target=me(bench), cause=cause)
        assert (bench.entry().handover, bench.entry().cause) == (answer, why)

    @pytest.mark.parametrize(("cause", "answer"), [(Cause.CORDON, Handover.REFUSE), (Cause.LEAVING, Handover.READY)])
    def test_a_cordoned_member_takes_only_what_would_be_let_go(self, cause: Cause, answer: Handover) -> None:
        bench, others = self.target()
        bench.step(Configured(dataclasses.replace(bench.config, standby=True)))
        others["b"].say(state=State.ASKING, handover=Handover.ASK, target=me(bench), cause=cause)
        assert bench.entry().handover is answer

    def test_one_that_still_listens_refuses(self) -> None:
        bench = Bench(answers_holds=False)
        b = Puppet(bench, "b", state=State.ASKING, handover=Handover.ASK, epoch=4, cause=Cause.FAILBACK)
        b.say(target=me(bench))
        assert bench.state() is State.LISTENING
        assert (bench.entry().handover, bench.entry().cause) == (Handover.REFUSE, Cause.NOT_STANDBY)

    def test_force_active_asks_the_owner_and_is_over_in_time(self) -> None:
        bench, others = self.target()
        bench.step(Forced(Force.ACTIVE, "g"))
        assert (bench.entry().handover, bench.entry().target) == (Handover.WANT, others["b"].id)
        keep_saying(others, V_MS)
        assert bench.entry().handover is Handover.NONE
        assert decided(bench.effects)[-1] == (State.STANDBY, State.STANDBY, "Cancelled")

    def test_force_active_of_another_group_or_at_the_owner_is_nothing(self) -> None:
        bench, _ = self.target()
        bench.step(Forced(Force.ACTIVE, "other"))
        assert bench.entry().handover is Handover.NONE
        bench, _ = owner()
        bench.step(Forced(Force.ACTIVE))
        assert bench.entry().handover is Handover.NONE

    def test_force_standby_of_a_standby_is_nothing(self) -> None:
        bench, _ = self.target()
        assert decided(bench.step(Forced(Force.STANDBY))) == []

    def test_the_report_tells_of_it(self) -> None:
        bench, others = self.target()
        others["b"].say(state=State.ASKING, handover=Handover.ASK, target=me(bench), cause=Cause.MONITORS)
        seen = bench.group().handover
        assert seen is not None
        assert (seen.target, seen.reason, seen.given) == ("a", Reason.MONITORS_LOST, False)
        bench, _ = ask()
        seen = bench.group().handover
        assert seen is not None
        assert (seen.target, seen.reason, seen.given) == ("b", Reason.HANDOVER_REQUESTED, False)
