"""Both sides of a planned move, frame by frame (shared/protocol section 5)."""

from __future__ import annotations

import dataclasses

import pytest

from core.bench import Bench, Puppet, all_heard, decided, keep_saying, names
from core.moves import UNITS, V_MS, ask, give, me, owner
from sim.build import VIP, config, group
from vyos_agent.core.effects import Announce, Hold, Serve, Stopped
from vyos_agent.core.events import Configured, Forced, LinkChanged, Monitored, Served, Stopping
from vyos_agent.core.model import Cause, Force, Serving, State
from vyos_agent.core.wire import Handover


class TestOwner:
    def test_nothing_is_touched_before_the_target_is_ready(self) -> None:
        bench, _ = ask(units=UNITS)
        assert bench.kernel[VIP] > 0
        assert not any(isinstance(e, Serve) and e.running["g"] == () for e in bench.run(400)[1:])
        assert bench.entry().cause is Cause.REQUESTED

    def test_the_question_is_repeated_every_50_ms(self) -> None:
        bench, _ = ask()
        assert names(bench.run(500)).count("Send") == 10

    def test_from_ready_on_lives_are_of_one_second_and_nothing_is_announced(self) -> None:
        bench, others = ask(units=UNITS)
        bench.run(10)
        effects = others["b"].say(handover=Handover.READY, target=me(bench))
        assert [e for e in effects if isinstance(e, Hold)][-1].lifetimes_ms == {VIP: 1_000}
        assert [e for e in effects if isinstance(e, Serve)][-1].running == {"g": ()}
        assert bench.entry().handover is Handover.ASK
        bench.run(100)
        assert bench.entry().handover is Handover.ASK, "services run still"
        assert not bench.entry().services_stopped
        effects = bench.step(Served("g", Serving.STOPPED))
        assert (bench.entry().handover, bench.entry().services_stopped) == (Handover.GO, True)
        assert not any(isinstance(e, Announce) for e in effects + bench.run(300))

    def test_go_comes_after_the_kernel_had_time_to_shorten_the_lives(self) -> None:
        bench, others = ask()
        others["b"].say(handover=Handover.READY, target=me(bench))
        bench.run(19)
        assert bench.entry().handover is Handover.ASK
        bench.run(1)
        assert bench.entry().handover is Handover.GO

    def test_the_addresses_stay_20_ms_after_the_claim_is_heard(self) -> None:
        bench, others = give()
        others["b"].say(state=State.OWNER, epoch=2, handover=Handover.NONE, ready=False)
        bench.run(100)
        assert VIP in bench.kernel, "the new owner's kernel does not hold them yet"
        others["b"].say(ready=True)
        bench.run(19)
        assert VIP in bench.kernel
        effects = bench.run(1)
        assert VIP not in bench.kernel
        assert decided(effects) == [
            (State.GIVING, State.YIELDING, "HandedOver"),
            (State.YIELDING, State.STANDBY, "HandedOver"),
        ]
        assert bench.entry().epoch == 2

    def test_a_target_that_cannot_add_them_gives_the_group_back(self) -> None:
        bench, others = give()
        others["b"].say(state=State.OWNER, epoch=2, handover=Handover.NONE, ready=False)
        bench.run(500)
        others["b"].say(state=State.YIELDING)
        assert decided(bench.effects)[-1] == (State.GIVING, State.OWNER, "TakenBack")
        assert bench.entry().epoch == 3

    def test_one_that_is_not_heard_itself_is_waited_for_only_so_long(self) -> None:
        bench, others = give()
        others["b"].say(state=State.OWNER, epoch=2, handover=Handover.NONE, ready=False)
        keep_saying(others, 2 * V_MS - 100)
        assert bench.state() is State.GIVING
        keep_saying(others, 200)
        assert bench.state() is State.STANDBY

    def test_an_old_ready_is_no_answer(self) -> None:
        bench, others = owner()
        others["b"].acks = bench.said.sequence if bench.said else 0
        bench.step(Forced(Force.STANDBY))
        others["b"].say(handover=Handover.READY, target=me(bench))
        assert bench.state() is State.ASKING

    @pytest.mark.parametrize("answer", ["refuse", "silence", "death", "left"])
    def test_a_soft_move_that_nobody_takes_is_over(self, answer: str) -> None:
        bench, others = ask("ab")
        if answer == "refuse":
            others["b"].say(handover=Handover.REFUSE, target=me(bench), cause=Cause.NOT_ABLE)
        elif answer == "silence":
            keep_saying(others, V_MS)
        elif answer == "left":
            others["b"].header["leaving"] = True
            others["b"].say(candidate=False)
            keep_saying(others, V_MS)
        else:
            bench.run(V_MS)
        assert bench.state() is State.OWNER
        assert decided(bench.effects)[-1] == (State.ASKING, State.OWNER, "Cancelled")
        assert bench.entry().epoch == 1
        assert VIP in bench.kernel

    def test_a_leaving_member_asks_the_next_one(self) -> None:
        bench, others = owner()
        bench.step(Stopping())
        assert (bench.entry().target, bench.entry().cause) == (others["b"].id, Cause.LEAVING)
        others["b"].say(handover=Handover.REFUSE, target=me(bench))
        assert (bench.state(), bench.entry().target) == (State.ASKING, others["c"].id)
        others["c"].say(handover=Handover.REFUSE, target=me(bench))
        assert bench.entry().state is State.STANDBY
        effects = bench.run(100)
        assert [e for e in bench.effects if isinstance(e, Stopped)] == [Stopped()]
        assert names(effects).count("Send") == 2, "the third farewell went with the release"

    def test_a_leaving_member_asks_one_that_is_no_candidate_last(self) -> None:
        bench, others = owner()
        others["b"].say(candidate=False, ready=False)
        bench.step(Stopping())
        assert bench.entry().target == others["c"].id
        others["c"].say(handover=Handover.REFUSE, target=me(bench))
        assert bench.entry().target == others["b"].id

    def test_a_failed_service_with_no_candidate_is_said_once_and_kept(self) -> None:
        bench, others = owner("ab", units=UNITS)
        others["b"].say(candidate=False, ready=False)
        bench.step(Served("g", Serving.FAILED, "x"))
        keep_saying(others, 3_000)
        assert VIP in bench.kernel
        assert [d for d in decided(bench.effects) if d[2] == "ServiceFailed"] == [
            (State.OWNER, State.OWNER, "ServiceFailed")
        ]

    def test_a_leaving_member_waits_for_one_that_lets_go_still(self) -> None:
        bench, others = owner("ab")
        others["b"].say(state=State.YIELDING)
        bench.step(Stopping())
        assert bench.state() is State.OWNER
        keep_saying(others, 1_900)
        assert bench.state() is State.OWNER
        others["b"].say(state=State.STANDBY)
        assert (bench.state(), bench.entry().target) == (State.ASKING, others["b"].id)

    def test_but_waits_2_s_at_most(self) -> None:
        bench, others = owner("ab")
        others["b"].say(state=State.YIELDING)
        bench.step(Stopping())
        keep_saying(others, 2_100)
        assert VIP not in bench.kernel

    def test_a_leaving_member_lets_go_at_its_limit(self) -> None:
        bench, others = owner("ab")
        bench.step(Stopping())
        others["b"].say(handover=Handover.READY, target=me(bench))
        keep_saying(others, 10_000)
        assert bench.over
        assert VIP not in bench.kernel

    def test_a_soft_question_becomes_a_hard_one(self) -> None:
        bench, _ = ask()
        bench.step(Stopping())
        assert (bench.state(), bench.entry().cause) == (State.ASKING, Cause.LEAVING)

    @pytest.mark.parametrize("ending", ["death", "refusal", "proof"])
    def test_taken_back_above_the_epoch_that_was_given(self, ending: str) -> None:
        bench, others = give("ab")
        mark = len(bench.effects)
        if ending == "death":
            bench.run(bench.config.dead_ms)
        elif ending == "refusal":
            others["b"].say(handover=Handover.REFUSE, target=me(bench), cause=Cause.NOT_ABLE)
        else:
            others["b"].acks = bench.said.sequence if bench.said else 0
            keep_saying(others, V_MS + 100)
            assert bench.state() is State.GIVING, "it has not proved that it will not act"
            others["b"].acks = None
            others["b"].say()
        assert decided(bench.effects)[-1] == (State.GIVING, State.OWNER, "TakenBack")
        assert bench.entry().epoch == 3
        assert "Announce" in names(bench.effects[mark:])

    def test_a_claim_of_somebody_else_wins_even_then(self) -> None:
        bench, others = give()
        others["c"].say(state=State.OWNER, epoch=5)
        assert bench.state() is State.STANDBY
        assert decided(bench.effects)[-2] == (State.GIVING, State.YIELDING, "Settled")

    @pytest.mark.parametrize("state", ["asking", "before go"])
    def test_a_stronger_claim_ends_it(self, state: str) -> None:
        bench, others = ask()
        if state == "before go":
            others["b"].say(handover=Handover.READY, target=me(bench))
        others["c"].say(state=State.OWNER, epoch=5)
        assert bench.state() is State.STANDBY

    def test_a_lost_link_ends_the_question(self) -> None:
        core = config("a", [group(members="ab")], interfaces=("eth1",))
        bench = Bench(core)
        others = {"b": Puppet(bench, "b")}
        others["b"].say(interface="eth1")
        bench.step(Forced(Force.STANDBY))
        bench.step(LinkChanged("eth0", False))
        bench.run(20)
        assert bench.state() is State.ASKING, "it has not heard whether the other one lost its link too"
        others["b"].say(interface="eth1")
        assert decided(bench.effects)[-2] == (State.ASKING, State.YIELDING, "LinkLost")

    def test_services_that_do_not_stop_cancel_a_soft_move(self) -> None:
        bench, others = ask(units=UNITS)
        others["b"].say(handover=Handover.READY, target=me(bench))
        bench.run(30)
        effects = bench.step(Served("g", Serving.FAILED, "ssh.service did not stop"))
        assert (bench.state(), bench.entry().epoch) == (State.OWNER, 1)
        assert [e for e in effects if isinstance(e, Serve)][-1].running == {"g": UNITS}

    def test_services_that_do_not_stop_are_told_in_a_hard_one(self) -> None:
        bench, others = owner(units=UNITS)
        bench.step(Stopping())
        others["b"].say(handover=Handover.READY, target=me(bench))
        bench.run(30)
        bench.step(Served("g", Serving.FAILED, "ssh.service did not stop"))
        assert (bench.entry().handover, bench.entry().services_stopped) == (Handover.GO, False)

    def test_a_target_that_refuses_before_go_is_not_given(self) -> None:
        bench, others = ask(units=UNITS)
        others["b"].say(handover=Handover.READY, target=me(bench))
        others["b"].say(handover=Handover.REFUSE, target=me(bench))
        assert (bench.state(), bench.entry().epoch) == (State.OWNER, 1)

    def test_nobody_to_move_to_is_said(self) -> None:
        bench, others = owner("ab")
        others["b"].say(ready=False)
        assert decided(bench.step(Forced(Force.STANDBY))) == [(State.OWNER, State.OWNER, "Cancelled")]
        others["b"].say(ready=True)
        assert bench.state() is State.OWNER, "a command is over when it could not be carried out"


class TestMotives:
    def test_maintenance_with_nobody_to_move_to_lets_go(self) -> None:
        bench, others = owner("ab")
        others["b"].say(candidate=False, ready=False, state=State.LISTENING)
        groups = (dataclasses.replace(bench.config.groups[0], maintenance=frozenset("a")),)
        bench.step(Configured(dataclasses.replace(bench.config, groups=groups)))
        assert decided(bench.effects)[-2] == (State.OWNER, State.YIELDING, "Maintenance")

    def test_a_new_configuration_waits_for_a_better_target_to_know_it(self) -> None:
        bench, others = owner()
        core = dataclasses.replace(bench.config, standby=True, generation=2)
        bench.step(Configured(core))
        others["c"].header["generation"] = 2
        others["c"].say()
        assert bench.state() is State.OWNER, "b does not carry the generation yet"
        others["b"].header["generation"] = 2
        others["b"].say()
        assert (bench.state(), bench.entry().target) == (State.ASKING, others["b"].id)

    def test_and_so_does_maintenance(self) -> None:
        bench, others = owner()
        groups = (dataclasses.replace(bench.config.groups[0], maintenance=frozenset("a")),)
        bench.step(Configured(dataclasses.replace(bench.config, groups=groups, generation=2)))
        assert bench.state() is State.OWNER
        keep_saying(others, 3_000)
        assert (bench.state(), bench.entry().cause) == (State.ASKING, Cause.MAINTENANCE)

    def test_but_not_for_ever(self) -> None:
        bench, others = owner()
        bench.step(Configured(dataclasses.replace(bench.config, standby=True, generation=2)))
        others["c"].header["generation"] = 2
        keep_saying(others, 2_999)
        assert bench.state() is State.OWNER
        keep_saying(others, 1)
        assert (bench.state(), bench.entry().target) == (State.ASKING, others["c"].id)
        assert bench.entry().cause is Cause.CORDON

    def test_a_refused_cordon_tries_again_later_only(self) -> None:
        bench, others = owner("ab")
        bench.step(Configured(dataclasses.replace(bench.config, standby=True)))
        others["b"].say(handover=Handover.REFUSE, target=me(bench))
        others["b"].say(handover=Handover.NONE)
        keep_saying(others, 29_000)
        assert bench.state() is State.OWNER
        keep_saying(others, 1_500)
        assert bench.state() is State.ASKING

    def test_a_cordon_that_ends_ends_the_question(self) -> None:
        bench, _ = owner("ab")
        bench.step(Configured(dataclasses.replace(bench.config, standby=True)))
        assert bench.state() is State.ASKING
        bench.step(Configured(dataclasses.replace(bench.config, standby=False)))
        assert bench.state() is State.OWNER

    @pytest.mark.parametrize("units", [(), UNITS])
    def test_a_failed_service_moves_the_group_and_stands_back(self, units: tuple[str, ...]) -> None:
        bench, _ = owner(units=units)
        if not units:
            bench.step(Served("g", Serving.FAILED, "of no group that has services"))
            return
        bench.step(Served("g", Serving.FAILED, "ssh.service ended"))
        assert (bench.state(), bench.entry().cause) == (State.ASKING, Cause.SERVICE)
        assert not bench.entry().candidate
        bench.step(Served("g", Serving.FAILED, "ssh.service ended again"))
        bench.run(V_MS + 100)
        assert bench.group().message == "ssh.service ended again"

    def test_more_monitors_elsewhere_for_two_keepalives(self) -> None:
        bench, others = owner(monitors=("10.0.0.1", "10.0.0.2"))
        bench.step(Monitored({"10.0.0.1": True, "10.0.0.2": False}))
        hashed = bench.entry().list_hash
        others["c"].say(monitors=2, list_hash=hashed)
        keep_saying(others, 900)
        assert bench.state() is State.OWNER
        keep_saying(others, 100)
        assert (bench.state(), bench.entry().target) == (State.ASKING, others["c"].id)
        assert bench.entry().cause is Cause.MONITORS
        bench.step(Monitored({"10.0.0.1": True, "10.0.0.2": True}))
        assert bench.state() is State.OWNER, "no reason any more"

    def test_a_tie_moves_nothing(self) -> None:
        bench, others = owner(monitors=("10.0.0.1",), auto_failback=True)
        bench.step(Monitored({"10.0.0.1": False}))
        others["b"].say(monitors=0, list_hash=bench.entry().list_hash)
        keep_saying(others, 10_000)
        assert decided(bench.effects)[-1][1] is State.OWNER

    def test_failback_waits_for_its_delay_and_ends_with_its_reason(self) -> None:
        bench = Bench(config("b", [group(members="abc", auto_failback=True)]))
        others = all_heard(bench, "c")
        bench.run(6_000)
        keep_saying(others, 600)
        assert bench.state() is State.OWNER
        others |= all_heard(bench, "a")
        keep_saying(others, 900)
        assert bench.state() is State.OWNER
        keep_saying(others, 100)
        assert bench.entry().cause is Cause.FAILBACK
        groups = (dataclasses.replace(bench.config.groups[0], auto_failback=False),)
        bench.step(Configured(dataclasses.replace(bench.config, groups=groups)))
        assert bench.state() is State.OWNER

    def test_the_owner_gives_to_who_wants_it(self) -> None:
        bench, others = owner()
        others["c"].say(handover=Handover.WANT, target=me(bench), cause=Cause.REQUESTED)
        assert (bench.state(), bench.entry().target) == (State.ASKING, others["c"].id)

    def test_who_wants_it_must_be_able(self) -> None:
        bench, others = owner()
        others["c"].say(handover=Handover.WANT, target=me(bench), ready=False)
        assert bench.state() is State.OWNER
