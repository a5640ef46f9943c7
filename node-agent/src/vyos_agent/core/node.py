"""One member of one cluster: the only stateful door of the core.

The shell calls `step(event, now)` and performs the effects in their order; `deadline` says when it must call again with
nothing else to tell. A turn's order is fixed (shared/protocol section 6): apply what was heard, am I late?, judge who
lives, decide, send, renew. A frame only notes facts; decisions come after all queued frames are in.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping
from typing import assert_never

from vyos_agent.core import lease, speak, wire
from vyos_agent.core.announce import NEVER_MS
from vyos_agent.core.effects import Announce, Effect, Hold, Persist, Stopped
from vyos_agent.core.events import (
    Configured,
    Event,
    Forced,
    Frame,
    Held,
    Hinted,
    LinkChanged,
    Monitored,
    Sent,
    Served,
    Stopping,
    Woke,
)
from vyos_agent.core.group import GroupMachine, Turn
from vyos_agent.core.model import OWNING, Config, Drop, MemberId, Reason, Serving, State, Vip, wire_id
from vyos_agent.core.peers import Peer, Peers
from vyos_agent.core.report import GroupReport, PeerReport, Report
from vyos_agent.core.view import view

ANSWER_GAP_MS = 10
"""At most one immediate answer in this time, however many unproved frames come (shared/protocol section 3)."""
LEAVING_FRAMES = 3
LEAVING_GAP_MS = 20
"""A farewell is said three times, for one frame may be lost (shared/protocol, state table)."""
STOP_LIMIT_MS = 3_000
"""After this a stopping node leaves whatever the kernel says: a lifetime of 1 s and its lateness, and some more."""
SHORT_DEAD_MS = 2_000
"""Below this dead interval half of it is already late (shared/protocol section 6)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sleep:
    """This process was late: until `until_ms` it judges nobody, and owns only what its peers acknowledged since."""

    since_ms: int
    until_ms: int
    floor: int
    """The newest sequence sent before it slept."""


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
        self._started_ms = now
        self._listened = False
        self._sleep: Sleep | None = None
        self._lease = lease.Lease()
        self._held: frozenset[Vip] | None = None
        self._failed: Mapping[Vip, str] = {}
        self._links: dict[str, bool] = {}
        self._monitors: dict[str, bool] = {}
        self._services: dict[str, tuple[Serving, str]] = {}
        self._epochs = dict(epochs)
        self._persisted = dict(epochs)
        self._next_beat_ms = now
        self._answer_ms: int | None = None
        self._answered_ms = now - ANSWER_GAP_MS
        self._stopping_ms: int | None = None
        self._farewells = 0
        self._decide_ms = now
        self._asked_hold: frozenset[Vip] | None = None
        self._groups: dict[str, GroupMachine] = {}
        self._configure(config, now)
        self._turns = {name: self._turn(machine, now) for name, machine in self._groups.items()}

    # -- the door

    def step(self, event: Event, now: int) -> tuple[Effect, ...]:
        """Take in one event; what must be done about it, in order."""
        if isinstance(event, Sent):
            return self._sent(event.accepted, now)
        late = self._late(now)
        match event:
            case Woke(frames):
                for frame in frames:
                    self._take(frame)
            case Held(vips, failed):
                self._note_held(vips, failed, now)
            case LinkChanged(interface, up):
                self._links[interface] = up
                self.revision += 1
            case Monitored(reachable):
                self._monitors = dict(reachable)
                self.revision += 1
            case Served(group, state, message):
                self._services[group] = (state, message)
                self.revision += 1
            case Forced():
                pass
            case Configured(config):
                self._configure(config, now)
            case Hinted(epochs):
                self._hint(epochs)
            case Stopping():
                self._stop(now)
            case _:
                assert_never(event)
        if late:
            self._fall_asleep(now)
        self._judge(now)
        out: list[Effect] = []
        told = not isinstance(event, Woke) or late or self._sleep is not None or self._peers.changed
        changed = self._decide(now, out) if told or now >= self._decide_ms else False
        self._speak(now, out, changed=changed)
        self._renew(now, out)
        self._farewell(now, out)
        self.deadline = self._next_deadline(now)
        return tuple(out)

    def may_hold(self, now: int) -> bool:
        """The one gate before every add, renewal and announcement: is this node's authority still good?"""
        return now < self._lease.end_ms

    def report(self) -> Report:
        """What this node says of itself now."""
        names = self._names
        held = self._held or frozenset()
        return Report(
            revision=self.revision,
            generation=self.config.generation,
            groups=tuple(
                GroupReport(
                    name=m.group.name,
                    state=m.state,
                    owner=names.get(m.owner.owner, f"{m.owner.owner:08x}") if m.owner else None,
                    epoch=m.owner.epoch if m.owner else m.epoch,
                    reason=m.reason,
                    since_ms=m.since_ms,
                    vips=tuple(v for v in m.group.vips if v in held),
                    services=self._services.get(m.group.name, (None, ""))[0],
                    message=self._services.get(m.group.name, (None, ""))[1],
                )
                for m in self._groups.values()
                if m.rank >= 0
            ),
            peers=tuple(self._peer_report(name) for name in self.config.members if name != self.config.me),
            links={i: self._links.get(i, True) for i in self._interfaces()},
            failed=dict(self._failed),
            drops={drop.value: count for drop, count in sorted(self.drops.items())},
            monitors={address: self._monitors.get(address) for address in self.config.monitors},
        )

    # -- taking in

    def _take(self, frame: Frame) -> None:
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
        if drop is Drop.UNPROVED or (drop is None and (beat.answer_please or before != after)):
            self._answer_ms = max(frame.at_ms, self._answered_ms + ANSWER_GAP_MS)

    def _note_held(self, vips: frozenset[Vip], failed: Mapping[Vip, str], now: int) -> None:
        before = self._held or frozenset()
        self._held, self._failed = vips, failed
        self.revision += 1
        for machine in self._groups.values():
            if not failed.keys().isdisjoint(machine.wanted):
                machine.failed(now)
            elif machine.state is State.OWNER and not (vips - before).isdisjoint(machine.wanted):
                machine.announcer.burst(now, self.config.announce_count)

    def _hint(self, epochs: Mapping[str, int]) -> None:
        for name, epoch in epochs.items():
            machine = self._groups.get(name)
            if machine is None or epoch <= machine.epoch:
                continue
            if machine.state in OWNING:
                machine.raise_epoch(epoch)
            else:
                machine.epoch = epoch

    def _configure(self, config: Config, now: int) -> None:
        self.config = config
        self.revision += 1
        self._names = {MemberId(wire_id(m)): m for m in config.members}
        self._peers.configure(frozenset(self._names), now)
        for machine in self._groups.values():
            if machine.group.name not in {g.name for g in config.groups}:
                machine.rank = -1
                machine.stop(now, Reason.REMOVED)
        for group in config.groups:
            machine_or_none = self._groups.get(group.name)
            if machine_or_none is not None:
                machine_or_none.reconfigure(group, config.me, now, running=self._listened)
                continue
            epoch = self._epochs.get(group.name, 0)
            fresh_ms = now if self._listened else None
            self._groups[group.name] = GroupMachine(group, config.me, now, epoch=epoch, fresh_since_ms=fresh_ms)
        self._next_beat_ms = min(self._next_beat_ms, now + config.keepalive_ms)

    def _stop(self, now: int) -> None:
        if self._stopping_ms is None:
            self._stopping_ms = now
            for machine in self._groups.values():
                machine.stop(now, Reason.LEAVING)

    # -- judging

    def _late(self, now: int) -> bool:
        """Did this process sleep through a deadline, or through the life of its addresses?"""
        limit_ms = self.config.dead_ms if self.config.dead_ms >= SHORT_DEAD_MS else self.config.dead_ms // 2
        lapsed = bool(self._renewed()) and 0 < self._lease.end_ms <= now
        return lapsed or now - self.deadline > limit_ms

    def _fall_asleep(self, now: int) -> None:
        largest_ms = max([self.config.dead_ms, *(p.dead_ms for p in self._peers.living())])
        self._sleep = Sleep(since_ms=now, until_ms=now + largest_ms, floor=self._peers.sent.newest)
        self._lease.lapse()
        for machine in self._groups.values():
            machine.sleep(now)

    def _judge(self, now: int) -> None:
        if self._sleep is not None and now >= self._sleep.until_ms:
            self._sleep = None
        if self._sleep is None and self._peers.expire(now):
            self.revision += 1
        if not self._listened:
            over = now - self._started_ms >= self.config.init_dead_ms
            self._listened = over or self._peers.all_members_believed()
            self._peers.changed |= self._listened

    def _awake(self) -> bool:
        """Has everybody who was heard since the sleep acknowledged a frame sent since?"""
        if self._sleep is None:
            return True
        heard = [p for p in self._peers.living() if p.last_ms >= self._sleep.since_ms]
        return bool(heard) and all(p.acked > self._sleep.floor for p in heard)

    # -- deciding

    def _turn(self, machine: GroupMachine, now: int) -> Turn:
        living = [p for p in self._peers.living() if p.id in self._peers.members]
        return Turn(
            now=now,
            view=view(self._peers, machine.group.id, now),
            me=self._me,
            listened=self._listened and self._awake(),
            awake=self._sleep is None,
            swept=self._held is not None,
            same_generation=all(p.generation >= self.config.generation for p in living),
            linked=all(self._links.get(v.interface, True) for v in machine.group.vips),
            keepalive_ms=self.config.keepalive_ms,
            init_dead_ms=self.config.init_dead_ms,
            announce_count=self.config.announce_count,
            names=self._names,
            reachable=frozenset(p.id for p in living if self._reaches(p, now)),
            ready_targets=frozenset(p.id for p in living if p.generation == self.config.generation),
        )

    def _decide(self, now: int, out: list[Effect]) -> bool:
        """Let every group look at this instant; whether anything is to be told at once."""
        changed = self._peers.changed = False
        for machine in list(self._groups.values()):
            before = (machine.epoch if machine.state in OWNING else 0, machine.owner)
            turn = self._turn(machine, now)
            if self._stopping_ms is None or machine.state is State.YIELDING:
                machine.decide(turn, self._held or frozenset())
            self._turns[machine.group.name] = turn
            if machine.decided or (machine.epoch if machine.state in OWNING else 0) != before[0]:
                changed = True
            if machine.decided or machine.owner != before[1]:
                self.revision += 1
            out.extend(machine.decided)
            machine.decided.clear()
            if machine.rank < 0 and machine.state is State.NONE and machine.group not in self.config.groups:
                del self._groups[machine.group.name], self._turns[machine.group.name]
        self._decide_ms = min((m.deadline_ms(self._turns[n]) for n, m in self._groups.items()), default=NEVER_MS)
        epochs = {name: machine.epoch for name, machine in self._groups.items() if machine.epoch}
        if not epochs.items() <= self._persisted.items():
            self._persisted.update(epochs)
            self._epochs.update(epochs)
            out.append(Persist(dict(self._persisted)))
        return changed

    # -- acting

    def _speak(self, now: int, out: list[Effect], *, changed: bool) -> None:
        answer = self._answer_ms is not None and now >= self._answer_ms
        if answer:
            self._answer_ms, self._answered_ms = None, now
        if not (changed or answer or now >= self._next_beat_ms):
            return
        groups = [(m, self._turns[name]) for name, m in self._groups.items()]
        leaving = self._stopping_ms is not None
        asleep = self._sleep is not None
        send, newest = speak.frame(self.config, self._peers, groups, now, leaving=leaving, answer_please=asleep)
        self._peers.sent.sent(newest, now, self.config.dead_ms)
        self._next_beat_ms = now + self.config.keepalive_ms
        out.append(send)

    def _sent(self, accepted: bool, now: int) -> tuple[Effect, ...]:
        """Renew right after a frame went out; one that nobody took renews only for a node that is alone."""
        if accepted:
            self._lease.frame_sent(now, self.config.dead_ms)
        if not self._renewed() or not (accepted or self._alone()):
            return ()
        hold = self._hold(now)
        self.deadline = self._next_deadline(now)
        return (hold,)

    def _renew(self, now: int, out: list[Effect]) -> None:
        wanted = self._wanted()
        if self._asked_hold is None or self._asked_hold - wanted:
            self._asked_hold = wanted
            out.insert(0, Hold(dict.fromkeys(wanted, 0)))  # removal, and leave the rest as it is
        elif self._renewed() and self._lease.top_up_due(now, self.config.keepalive_ms, self._alone()):
            out.append(self._hold(now))
        due = tuple(v for m in self._groups.values() for v in self._due(m, now))
        if due:
            out.append(Announce(due))

    def _due(self, machine: GroupMachine, now: int) -> tuple[Vip, ...]:
        config = self.config
        if machine.state is not State.OWNER or not machine.announcer.take(
            now, interval_ms=config.announce_interval_ms, refresh_ms=config.announce_refresh_ms
        ):
            return ()
        return tuple(v for v in machine.wanted if v in (self._held or ()) and self.may_hold(now))

    def _hold(self, now: int) -> Hold:
        self._asked_hold = self._wanted()
        length_ms = self._lease.renew(now, dead_ms=self.config.dead_ms, keepalive_ms=self.config.keepalive_ms)
        renewed = self._renewed()
        return Hold({v: length_ms if v in renewed else 0 for v in self._asked_hold})

    def _farewell(self, now: int, out: list[Effect]) -> None:
        """When nothing is held any more: say so three times, and be gone."""
        if self._stopping_ms is None or self._farewells > LEAVING_FRAMES:
            return
        yielding = any(m.state is State.YIELDING for m in self._groups.values())
        if yielding and now - self._stopping_ms < STOP_LIMIT_MS:
            return
        if self._farewells == LEAVING_FRAMES:
            self._farewells += 1
            out.append(Stopped())
        elif self._farewells == 0 or now >= self._next_beat_ms - self.config.keepalive_ms + LEAVING_GAP_MS:
            if self._farewells:
                self._next_beat_ms = now
                self._speak(now, out, changed=True)
            self._farewells += 1

    # -- time

    def _next_deadline(self, now: int) -> int:
        due = [self._next_beat_ms]
        if self._answer_ms is not None:
            due.append(self._answer_ms)
        if self._sleep is not None:
            due.append(self._sleep.until_ms)
        else:
            due += self._peers.expiry_ms()
        if self._renewed() and self._lease.end_ms:
            due.append(self._lease.top_up_ms())
        if not self._listened:
            due.append(self._started_ms + self.config.init_dead_ms)
        if self._stopping_ms is not None:
            due += [now + LEAVING_GAP_MS, self._stopping_ms + STOP_LIMIT_MS]
        due.append(self._decide_ms)
        due += [m.announcer.due_ms for m in self._groups.values()]
        return max(now + 1, min((d for d in due if d > now), default=NEVER_MS))

    # -- small answers

    def _wanted(self) -> frozenset[Vip]:
        return frozenset(v for m in self._groups.values() for v in m.wanted)

    def _renewed(self) -> frozenset[Vip]:
        return frozenset(v for m in self._groups.values() for v in m.renewed)

    def _alone(self) -> bool:
        return not self._peers.living()

    def _link_of(self, interface: str) -> int:
        return self.config.interfaces.index(interface) if interface in self.config.interfaces else -1

    def _reaches(self, peer: Peer, now: int) -> bool:
        """Whether it was heard within its dead interval over a link that is up."""
        up = [i for i, interface in enumerate(self.config.interfaces) if self._links.get(interface, True)]
        return any(now - peer.links[i][1] < peer.dead_ms for i in up if i in peer.links)

    def _interfaces(self) -> tuple[str, ...]:
        wanted = {v.interface for g in self.config.groups if self.config.me in g.members for v in g.vips}
        return tuple(dict.fromkeys([*self.config.interfaces, *sorted(wanted)]))

    def _peer_report(self, name: str) -> PeerReport:
        peer = self._peers.table[MemberId(wire_id(name))]
        if peer.believed:
            listening = any(e.state is State.LISTENING for e in peer.groups.values())
            state = "Left" if peer.leaving else "Listening" if listening else "Alive"
        else:
            state = "Left" if peer.leaving else "Dead" if peer.ever else "Unheard"
        return PeerReport(name, state, peer.since_ms)
