"""What an earlier life left, another node of the same name, a machine that was rolled back, and epochs."""

from __future__ import annotations

import pytest

from core.bench import LIFE, Bench, Puppet, all_heard, decided, keep_saying, names
from sim.build import VIP, config, group
from vyos_agent.core import wire
from vyos_agent.core.effects import Hold, Serve, Stopped
from vyos_agent.core.events import Hint, Hinted, Stopping
from vyos_agent.core.model import Drop, Ending, MemberId, Reason, State, Vip, wire_id
from vyos_agent.core.node import SEQUENCE_MAX

UNITS = ("ssh.service",)
OTHER = Vip("192.168.0.124", 24, "eth0")


def restarted(left_ms: int = 2_000, *, units: tuple[str, ...] = (), members: str = "ab") -> Bench:
    """A life that finds an address of the one before it."""
    core = config("a", [group(members=members, units=units)])
    return Bench(core, epochs={"g": 7}, left_ms={VIP: left_ms})


class TestAdoption:
    def test_nothing_is_removed_before_it_is_known_what_there_is(self) -> None:
        bench = restarted()
        assert [e.lifetimes_ms for e in bench.effects if isinstance(e, Hold)] == [{VIP: 0}]
        assert (bench.state(), bench.entry().services_stopped) == (State.LISTENING, True)

    def test_it_goes_on_when_all_that_are_heard_acknowledge_it(self) -> None:
        bench = restarted()
        b = Puppet(bench, "b", epoch=7)
        b.acks = 0
        b.say()
        assert bench.state() is State.LISTENING
        b.acks = None
        effects = b.say()
        assert decided(effects) == [(State.LISTENING, State.OWNER, "Adopted")]
        assert bench.entry().epoch == 7
        assert [e for e in effects if isinstance(e, Hold)][-1].lifetimes_ms[VIP] > 0

    def test_it_goes_on_alone_with_400_ms_left(self) -> None:
        bench = restarted()
        bench.run(1_599)
        assert bench.state() is State.LISTENING
        bench.run(1)
        assert decided(bench.effects) == [(State.LISTENING, State.OWNER, "Adopted")]

    def test_it_lets_go_when_somebody_heard_does_not_acknowledge_it(self) -> None:
        bench = restarted()
        b = Puppet(bench, "b", epoch=7)
        b.acks = 0
        b.say()
        bench.run(1_600)
        assert bench.kernel == {}
        assert bench.state() is State.LISTENING

    @pytest.mark.parametrize(("epoch", "state"), [(8, State.STANDBY), (6, State.OWNER)])
    def test_a_higher_claim_ends_it(self, epoch: int, state: State) -> None:
        bench = restarted()
        Puppet(bench, "b", state=State.OWNER, epoch=epoch).say()
        assert bench.state() is state
        assert bench.kernel.keys() == ({VIP} if state is State.OWNER else set())

    def test_an_epoch_that_was_lost_is_one_at_least(self) -> None:
        bench = Bench(config("a", [group()]), left_ms={VIP: 1_500})
        bench.run(1_200)
        assert (bench.state(), bench.entry().epoch) == (State.OWNER, 1)

    def test_services_are_left_as_they_are_until_then(self) -> None:
        bench = restarted(units=UNITS)
        assert not any(isinstance(e, Serve) for e in bench.effects)
        assert not bench.entry().services_stopped
        effects = Puppet(bench, "b", epoch=7).say()
        assert [e.running for e in effects if isinstance(e, Serve)] == [{"g": UNITS}]

    def test_and_swept_when_there_is_nothing_to_adopt(self) -> None:
        bench = Bench(config("a", [group(units=UNITS)]), left_ms={OTHER: 2_000})
        assert [e.running for e in bench.effects if isinstance(e, Serve)] == [{"g": ()}]
        assert bench.kernel == {}

    def test_standby_is_said_only_after_the_sweep(self) -> None:
        bench = Bench(answers_holds=False)
        all_heard(bench, "b", "c")
        assert bench.state() is State.LISTENING
        assert decided(bench.effects) == []

    def test_a_member_that_is_told_to_leave_adopts_nothing(self) -> None:
        bench = restarted()
        bench.step(Stopping())
        assert bench.kernel == {}
        bench.run(100)
        assert bench.over


class TestTwin:
    @staticmethod
    def twin(bench: Bench, incarnation: int, state: State) -> Puppet:
        return Puppet(bench, "a", incarnation=incarnation, state=state)

    def test_an_own_frame_looped_back_is_nothing(self) -> None:
        bench = Bench()
        twin = self.twin(bench, LIFE, State.STANDBY)
        twin.say()
        assert (bench.node.drops[Drop.OWN], bench.over) == (1, False)

    def test_a_recording_of_an_earlier_life_is_nothing_but_is_answered(self) -> None:
        bench = Bench()
        keep_saying(all_heard(bench, "b", "c"), 1_000)
        twin = self.twin(bench, 99, State.OWNER)
        twin.acks = 0
        bench.run(20)
        effects = twin.say()
        assert (bench.node.drops[Drop.OWN_NAME], bench.over) == (1, False)
        assert names(effects)[0] == "Send"
        assert bench.said is not None
        assert [p.incarnation for p in bench.said.peers if p.member == wire_id("a")] == [99]

    def test_a_newcomer_gives_way(self) -> None:
        bench = Bench(config("a", [group(units=UNITS)]))
        effects = self.twin(bench, 1, State.OWNER).say()
        assert effects == [Hold({}), Serve({"g": ()}), Stopped(Ending.TWIN)]

    def test_to_a_newcomer_nobody_does(self) -> None:
        bench = Bench()
        keep_saying(all_heard(bench, "b", "c"), 1_000)
        self.twin(bench, 99, State.LISTENING).say()
        assert not bench.over

    @pytest.mark.parametrize(("incarnation", "stops"), [(LIFE + 1, True), (LIFE - 1, False)])
    def test_of_two_settled_ones_the_higher_incarnation_stays(self, incarnation: int, stops: bool) -> None:
        bench = Bench()
        keep_saying(all_heard(bench, "b", "c"), 1_000)
        self.twin(bench, incarnation, State.OWNER).say()
        assert bench.over is stops

    def test_without_services_there_is_nothing_to_stop(self) -> None:
        bench = Bench()
        assert self.twin(bench, 1, State.STANDBY).say() == [Hold({}), Stopped(Ending.TWIN)]


class TestRolledBack:
    def test_an_acknowledgement_of_what_was_never_sent(self) -> None:
        bench = Bench()
        b = Puppet(bench, "b")
        b.acks = 1_000
        assert b.say() == [Stopped(Ending.ROLLED_BACK)]
        assert bench.node.drops[Drop.NEVER_SENT] == 1

    def test_a_frame_of_this_life_that_it_never_sent(self) -> None:
        bench = Bench()
        clone = Puppet(bench, "a", incarnation=LIFE)
        clone.sequence = 1_000
        assert clone.say() == [Stopped(Ending.ROLLED_BACK)]

    def test_at_the_very_instant_of_a_deadline(self) -> None:
        bench = Bench()
        b = Puppet(bench, "b")
        b.acks = 1_000
        bench.now = bench.node.deadline
        assert b.say() == [Stopped(Ending.ROLLED_BACK)]
        assert bench.node.deadline > bench.now, "even then"

    def test_sequences_that_are_used_up(self) -> None:
        """Their low half is what a list of peers has: a second turn of it would let old recordings prove themselves."""
        bench = Bench(config("a", [group(members="ab")]))
        bench.node._peers.sent.newest = SEQUENCE_MAX - 1
        bench.run(500)
        assert not bench.over
        bench.run(500)
        bench.run(500)
        assert next(e for e in bench.effects if isinstance(e, Stopped)) == Stopped(Ending.ROLLED_BACK)


class TestEpochs:
    def test_an_owner_goes_above_a_hint_with_no_move(self) -> None:
        bench = Bench(config("a", [group()]))
        keep_saying(all_heard(bench, "b"), 600)
        effects = bench.step(Hinted({"g": Hint(57), "other": Hint(3)}))
        assert decided(effects) == [(State.OWNER, State.OWNER, "EpochRaised")]
        assert bench.entry().epoch == 58
        assert bench.group().reason is Reason.FIRST_CLAIM, "why it owns the group is the same"
        assert decided(bench.step(Hinted({"g": Hint(57)}))) == []

    def test_a_standby_remembers_it(self) -> None:
        bench = Bench(config("b", [group()]))
        all_heard(bench, "a", state=State.OWNER, epoch=1)
        bench.step(Hinted({"g": Hint(57)}))
        bench.run(500)
        assert (bench.state(), bench.entry().epoch) == (State.STANDBY, 57)

    def test_an_owner_goes_above_what_others_tell(self) -> None:
        bench = Bench(config("a", [group()]))
        others = all_heard(bench, "b")
        others["b"].say(epoch=9)
        assert bench.entry().epoch == 10

    def test_and_above_a_weaker_claim_of_its_epoch(self) -> None:
        bench = Bench(config("a", [group()]), epochs={"g": 6})
        others = all_heard(bench, "b")
        assert bench.entry().epoch == 7
        others["b"].say(state=State.OWNER, epoch=7)
        assert bench.entry().epoch == 8


def test_a_peer_is_named_by_all_its_lives_until_one_is_believed() -> None:
    """Listing one life only would let recordings of others keep the living one from proving itself for ever."""
    bench = Bench()
    lives = [Puppet(bench, "b", incarnation=i) for i in range(100, 112)]
    for life in lives:
        life.acks = 0
        life.say()
        bench.run(15)
    assert bench.said is not None
    listed = {p.incarnation for p in bench.said.peers if p.member == wire_id("b")}
    assert listed == set(range(104, 112)), "the last eight"
    assert all(p.state is wire.PeerState.UNPROVED for p in bench.said.peers)
    lives[-1].acks = None
    lives[-1].say()
    bench.run(15)
    assert bench.said is not None
    assert [p.incarnation for p in bench.said.peers if p.member == wire_id("b")] == [111]


def test_strangers_are_kept_up_to_a_number_and_believed_ones_longer() -> None:
    bench = Bench()
    first = Puppet(bench, "stranger")
    first.say()
    for i in range(40):
        puppet = Puppet(bench, f"s{i}")
        puppet.acks = 0
        puppet.say()
        bench.run(1)
    assert bench.node.drops[Drop.TABLE_FULL] == 0
    believed = [Puppet(bench, f"t{i}") for i in range(20)]
    for puppet in believed:
        puppet.say()
        first.say()
    assert bench.node.drops[Drop.TABLE_FULL] == 5
    assert MemberId(first.id) in bench.node._peers.table
