"""A node that was late, asleep, or without a carrier."""

from __future__ import annotations

from core.bench import decided, keep_saying
from core.members import owner, standby
from sim.build import VIP
from vyos_agent.core import wire
from vyos_agent.core.effects import Hold
from vyos_agent.core.events import Forced, Held, LinkChanged, Stopping, Woke
from vyos_agent.core.model import Force, MemberId, State, wire_id

D_MS, K_MS, INIT_MS = 3_000, 500, 6_000


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
