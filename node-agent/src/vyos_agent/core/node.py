"""One member of one cluster: the only stateful door of the core.

The shell calls `step(event, now)` and performs the effects in their order; `deadline` says when it must call again with
nothing else to tell. A turn's order is fixed (shared/protocol section 6): apply what was heard, am I late?, judge who
lives, decide, send, renew. A frame only notes facts; decisions come after all queued frames are in.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import assert_never

from vyos_agent.core import reporting, speak, wire
from vyos_agent.core.announce import NEVER_MS
from vyos_agent.core.answers import Answers
from vyos_agent.core.contact import Contact
from vyos_agent.core.effects import Effect, Hold, Persist, Serve, Stopped
from vyos_agent.core.events import (
    Configured,
    Event,
    Forced,
    Frame,
    Held,
    Hinted,
    LinkChanged,
    Monitored,
    Occupied,
    Sent,
    Served,
    Stopping,
    Told,
    Woke,
)
from vyos_agent.core.farewell import Farewell
from vyos_agent.core.groups import Groups
from vyos_agent.core.handover import RESEND_MS
from vyos_agent.core.holding import Holding
from vyos_agent.core.model import Config, Drop, Ending, MemberId, Vip, wire_id
from vyos_agent.core.peer import FOREVER_AGO
from vyos_agent.core.peers import Peers
from vyos_agent.core.report import Report
from vyos_agent.core.senses import Senses
from vyos_agent.core.staging import Staging
from vyos_agent.core.turn import Instant
from vyos_agent.core.vigil import Vigil

SEQUENCE_MAX = wire.LOW_32 - 256
"""After so many frames a node starts over as another life: a list of peers has the low half of a sequence only, and a
recording that is one turn of it old would prove itself (16 months at 100 frames a second)."""
FORMER_MAX = 256
"""Epochs remembered of groups that are configured no more: one that comes back by its name goes on counting."""


class Node:
    """See the module's text."""

    def __init__(self, config: Config, *, incarnation: int, epochs: Mapping[str, int], now: int) -> None:
        self.config = config
        self.deadline = now
        """When `step(Woke())` is due at the latest; after a step always later than its `now`."""
        self.revision = 0
        """Rises when the report says something else than counters."""
        self.drops: collections.Counter[Drop] = collections.Counter()
        self._me = MemberId(wire_id(config.me))
        self._peers = Peers(self._me, incarnation)
        self._holding = Holding()
        self._vigil = Vigil()
        self._contact = Contact(now)
        self._farewell = Farewell()
        self.staging = Staging()
        self._ending: Ending | None = None
        self._started_ms = now
        self._listened = False
        self._senses = Senses()
        self._serving: dict[str, tuple[str, ...]] = {}
        self._epochs = dict(epochs)
        self._next_beat_ms = now
        self._answers = Answers(now)
        self._decide_ms = now
        self._groups = Groups(self._senses)
        self._first = True
        self._configure(config, now)

    # -- the door

    def step(self, event: Event, now: int) -> tuple[Effect, ...]:
        """Take in one event; what must be done about it, in order."""
        if isinstance(event, Sent):
            return self._sent(event.accepted, now)
        late = self._is_late(event, now)
        told = self._take_in(event, now)
        if late:
            self._fall_asleep(now, spare_linked=False)
        if self._ending is not None:
            self.deadline = NEVER_MS
            return self._end(self._ending)
        self._judge(now)
        self.staging.look(self._peers, now)
        out: list[Effect] = [self._holding.first(self.config)] if self._first else []
        told = told or late or self._first or not self._vigil.awake or self._peers.changed
        self._first = False
        looked = told or self._groups.watchful or now >= self._decide_ms
        news = self._decide(now, out) if looked else False
        self._speak(now, out, news=news)
        self._act(now, out, looked=looked)
        self.deadline = self._next_deadline(now)
        return tuple(out)

    def may_hold(self, now: int) -> bool:
        """The one gate before every add, renewal and announcement: is this node's authority still good?"""
        return self._holding.may_hold(now)

    @property
    def alone(self) -> bool:
        """Whether no other member of the configuration lives that could serve its groups."""
        return not any(p.id in self._peers.members and not p.leaving for p in self._peers.living())

    def last_heard_ms(self, member: str) -> int | None:
        """When the newest frame of a member that counted was received; None: there was none in this life."""
        found = self._peers.table.get(MemberId(wire_id(member)))
        return None if found is None or found.last_ms == FOREVER_AGO else found.last_ms

    def newest_frame(self, member: MemberId) -> tuple[int, int] | None:
        """Incarnation and sequence of the newest frame of a member that counted; None: the member is not known."""
        found = self._peers.table.get(member)
        return None if found is None else (found.incarnation, found.newest)

    @property
    def relocated(self) -> frozenset[Vip]:
        """Addresses that this node holds until the owner of another group, which they belong to now, has them."""
        return frozenset(vip for machine in self._groups.all for vip in machine.relocated)

    def report(self) -> Report:
        """What this node says of itself now."""
        held = self._holding.held or frozenset()
        return Report(
            revision=self.revision,
            generation=self.config.generation,
            groups=reporting.groups(self._groups.pairs(), held),
            peers=reporting.peers(self.config, self._peers),
            links=self._senses.links(self.config),
            failed=dict(self._holding.failed),
            drops={drop.value: count for drop, count in sorted(self.drops.items())},
            mute=self._contact.mute,
            monitors={address: self._senses.monitors.get(address) for address in self.config.monitors},
        )

    # -- taking in

    def _take_in(self, event: Told, now: int) -> bool:
        """Note what happened; whether it is for certain something new."""
        match event:
            case Woke(frames):
                for frame in frames:
                    self._hear(frame)
                return False
            case Held():
                self._note_held(event, now)
            case LinkChanged(interface, up, carries):
                self._senses.see_link(interface, up=up, carries=carries)
                self._see_carrier(now)
            case Occupied(addresses):
                self._senses.occupied = addresses
            case Monitored(reachable):
                self._senses.monitors = dict(reachable)
            case Served(group, state, message):
                machine = self._groups.get(group)
                if machine is not None:
                    machine.served(state, message, now)
            case Forced(command, group):
                for machine in self._groups.all:
                    if group in (None, machine.group.name):
                        machine.force(command, now, self.config.keepalive_ms)
            case Configured(config):
                self._configure(config, now)
                self._see_carrier(now)
            case Hinted(hints):
                self._groups.hint(hints, self.config.me, now)
            case Stopping():
                self._farewell.begin(now)
                self._groups.stop(now, at_once=False)
            case _:
                assert_never(event)
        self.revision += 1
        return True

    def _hear(self, frame: Frame) -> None:
        beat = wire.unseal(frame.data, self.config.cluster_id, self.config.keyring)
        if isinstance(beat, Drop):
            self.drops[beat] += 1
            return
        peer = self._peers.table.get(beat.sender)
        before = (peer.believed, peer.incarnation, peer.leaving) if peer else None
        drop = self._peers.take(beat, frame.at_ms, self._link_of(frame.interface), dead_ms=self.config.dead_ms)
        if drop is not None:
            self.drops[drop] += 1
        peer = self._peers.table.get(beat.sender)
        after = (peer.believed, peer.incarnation, peer.leaving) if peer else None
        if before != after:
            self.revision += 1
        if drop in (Drop.UNPROVED, Drop.OWN_NAME) or (drop is None and (beat.answer_please or before != after)):
            self._answers.ask(frame.at_ms)
        if drop is Drop.NEVER_SENT:
            self._ending = Ending.ROLLED_BACK
        twin = self._peers.twin
        if twin is not None and (twin.settled, twin.incarnation) > (self._listened, self._peers.incarnation):
            self._ending = Ending.TWIN

    def _note_held(self, held: Held, now: int) -> None:
        before, first = self._holding.held or frozenset(), self._holding.held is None
        self._holding.answer(held)
        for machine in self._groups.all:
            if first:
                machine.find(held.left_ms, now)
            if not held.failed.keys().isdisjoint(machine.wanted):
                machine.failed(now)
            elif not (held.vips - before).isdisjoint(machine.announced):
                machine.announcer.burst(now, self.config.announce_count)

    def _see_carrier(self, now: int) -> None:
        up = bool(self._senses.up_links(self.config.interfaces))
        if self._vigil.see_carrier(up=up, now=now, dead_ms=self.config.dead_ms):
            self._fall_asleep(now, spare_linked=True)

    def _configure(self, config: Config, now: int) -> None:
        before = self.config
        self.config, self._configured_ms = config, now
        self.revision += 1
        self.staging.configure(config, now)
        self._names = {MemberId(wire_id(m)): m for m in config.members}
        self._peers.configure(frozenset(self._names), now, frozenset(g.id for g in config.groups))
        numbered = config.generation > before.generation
        self._groups.configure(config, self._epochs, now, running=self._listened, numbered=numbered)
        if self._farewell.begun:
            self._groups.stop(now, at_once=False)
        self._next_beat_ms = min(self._next_beat_ms, now + config.keepalive_ms)

    # -- judging

    def _is_late(self, event: Told, now: int) -> bool:
        """Did this process sleep through a deadline, or through the life of its addresses?"""
        slept_ms = event.slept_ms if isinstance(event, Woke) else 0
        slipped = self._vigil.is_late(now - self.deadline, slept_ms, self.config.dead_ms)
        return slipped or self._holding.lapsed(self._groups.all, now + slept_ms)

    def _fall_asleep(self, now: int, *, spare_linked: bool) -> None:
        """Listen first. `spare_linked`: owners whose addresses' links have a carrier were deaf, not absent."""
        self._vigil.fall_asleep(self._peers, self.config.dead_ms, now)
        if not spare_linked:
            self._holding.lease.lapse()
        self._groups.sleep(now, spare_linked=spare_linked)

    def _judge(self, now: int) -> None:
        self._peers.changed |= self._vigil.wake(now)
        self._peers.judge(now, awake=self._vigil.awake)
        self.revision += self._peers.revised
        self._peers.revised = False
        if not self._listened:
            over = now - self._started_ms >= self.config.init_dead_ms
            self._listened = over or self._peers.all_members_believed()
            self._peers.changed |= self._listened
        changed = self._contact.look(self.config, self._senses, self._peers, now)
        self._peers.changed |= changed
        self.revision += changed
        if self._vigil.dark(now, self.config.dead_ms):
            self._groups.darken(now)
        if self._farewell.is_over_time(now):
            self._groups.stop(now, at_once=True)
            self._peers.changed = True

    # -- deciding

    def _instant(self, now: int) -> Instant:
        others = [p for p in self._peers.table.values() if p.id in self._peers.members]
        living = [p for p in others if p.believed]
        heard = [p for p in others if p.believed or p.unproved]
        roused = self._vigil.acknowledged(self._peers)
        return Instant(
            now=now,
            me=self._me,
            config=self.config,
            names=self._names,
            listened=self._listened and roused,
            roused=roused,
            awake=self._vigil.awake,
            dark=self._vigil.dark(now, self.config.dead_ms),
            heard=bool(heard),
            acknowledged=all(p.believed or any(life.acked for life in p.unproved.values()) for p in heard),
            configured_ms=self._configured_ms,
            may_claim_first=self._contact.may_claim_first(self.config.init_dead_ms, now),
            same_generation=all(p.generation >= self.config.generation for p in living),
            dead=frozenset(p.id for p in self._peers.table.values() if not p.believed and not p.leaving),
            left=frozenset(p.id for p in self._peers.table.values() if p.leaving),
            sent=self._peers.sent,
            held=self._holding.held or frozenset(),
            maybe_held=self._holding.maybe_held,
            relocated=self.relocated,
        )

    def _decide(self, now: int, out: list[Effect]) -> bool:
        """Let every group look at this instant; whether anything is to be told at once."""
        self._peers.changed = False
        outcome = self._groups.decide(self._instant(now), self._peers)
        out.extend(outcome.decided)
        self.revision += outcome.moved
        if outcome.relayed:
            self._answers.ask(now)
        self._decide_ms = self._groups.deadline_ms()
        if (heard_ms := self._contact.due_ms(self.config.init_dead_ms)) > now:
            self._decide_ms = min(self._decide_ms, heard_ms)
        epochs = self._groups.epochs()
        if not epochs.items() <= self._epochs.items():
            former = {name: epoch for name, epoch in self._epochs.items() if name not in epochs}
            self._epochs = dict([*former.items()][-FORMER_MAX:]) | epochs
            out.append(Persist(dict(self._epochs)))
        return outcome.news

    # -- acting

    def _speak(self, now: int, out: list[Effect], *, news: bool) -> None:
        answer = self._answers.take(now)
        self.staging.proving = False
        if not (news or answer or now >= self._next_beat_ms):
            if now < self.staging.due_ms or self._farewell.begun:
                return
            self.staging.proving = True
        # An answer asks for none, or two that ask would go on answering each other.
        curious = not answer and (not self._vigil.awake or any(m.curious for m in self._groups.all))
        send, newest = speak.frame(
            self.config,
            self._peers,
            self._groups.entries.values(),
            now,
            leaving=self._farewell.begun,
            answer_please=curious,
            former=self.staging.speaks and not self.staging.proving,
        )
        if newest > SEQUENCE_MAX:
            self._ending = Ending.ROLLED_BACK
        self.staging.sent(self._peers.sent.newest + 1, newest, now, proof=self.staging.proving)
        self._peers.sent.sent(newest, now)
        out.append(send)
        if self.staging.proving:
            return
        hurried = any(m.hurried for m in self._groups.all)
        self._next_beat_ms = now + (min(RESEND_MS, self.config.keepalive_ms) if hurried else self.config.keepalive_ms)

    def _sent(self, accepted: bool, now: int) -> tuple[Effect, ...]:
        """Renew right after a frame went out; one that nobody took renews only for a node that is alone."""
        if self.staging.proving:  # a member that hears the former links only counts from the frame before
            self.staging.proving = False
            return ()
        if accepted != self._contact.accepted:
            self._contact.accepted, self._decide_ms = accepted, now + 1
        if accepted:
            self._holding.lease.frame_sent(now, self.config.dead_ms)
        elif self._peers.living():
            return ()
        hold = self._holding.renewal(self._groups.all, self.config, now)
        # What had to wait for this renewal, after a sleep or a restart, is told with it.
        announcement = self._holding.announcement(self._groups.all, self.config, now) if hold is not None else None
        self.deadline = self._next_deadline(now)
        return tuple(effect for effect in (hold, announcement) if effect is not None)

    def _act(self, now: int, out: list[Effect], *, looked: bool) -> None:
        """`looked`: the groups did, so that they may want something else."""
        machines = self._groups.all
        removal = self._holding.removal(machines) if looked else None
        if removal is not None:
            out.insert(0, removal)  # before the frame that says so
        elif self._holding.top_up_due(machines, self.config, now, alone=not self._peers.living()):
            hold = self._holding.renewal(machines, self.config, now)
            out.extend([] if hold is None else [hold])
        announcement = self._holding.announcement(machines, self.config, now)
        out.extend([] if announcement is None else [announcement])
        serving = self._groups.serving() if looked else self._serving
        if serving != self._serving:
            self._serving = serving
            out.append(Serve(serving))
        if self._farewell.begun:
            self._leave(now, out)

    def _leave(self, now: int, out: list[Effect]) -> None:
        if self._farewell.say(busy=any(m.busy for m in self._groups.all), now=now):
            self._speak(now, out, news=True)
        if self._farewell.over:
            out.append(Stopped())

    def _end(self, ending: Ending) -> tuple[Effect, ...]:
        """At once and with no farewell: what this node says now, the others would take for the word of its twin."""
        if ending is Ending.ROLLED_BACK:
            return (Stopped(ending),)  # its next life adopts what is held
        serving = dict.fromkeys(self._groups.serving(), ())
        return (Hold({}), *([Serve(serving)] if serving else []), Stopped(ending))

    # -- time

    def _next_deadline(self, now: int) -> int:
        due = [self._next_beat_ms, self._decide_ms, self._answers.due_ms, self.staging.due_ms]
        due += self._vigil.due_ms(self.config.dead_ms)
        due += self._farewell.due_ms()
        if self._vigil.awake:
            due.append(self._peers.judge_ms)
        if self._holding.lease.end_ms and any(m.renewed for m in self._groups.all):
            due.append(self._holding.lease.top_up_ms())
        if not self._listened:
            due.append(self._started_ms + self.config.init_dead_ms)
        due += [m.announcer.due_ms for m in self._groups.all]
        return max(now + 1, min((d for d in due if d > now), default=NEVER_MS))

    # -- small answers

    def _link_of(self, interface: str) -> int:
        return self.config.interfaces.index(interface) if interface in self.config.interfaces else -1
