"""Who is believed, and who is alive: what was heard of every other member, and how fresh it provably is.

Two facts that must not be mixed. *Believed*: the newest frame proved that it is no recording, for it acknowledges
a frame that this node sent lately (the list of peers in a frame is the acknowledgement). *Alive*: a believed peer
is not older than its own dead interval, here or at any member that is heard (one hop of relay). Freshness outlives
liveness: a dead peer's sequence and the floor of its next proof are kept.
"""

from __future__ import annotations

import collections
import dataclasses

from vyos_agent.core import wire
from vyos_agent.core.model import OWNING, Drop, GroupId, MemberId, State

STRANGERS_MAX = 16
"""Senders outside the configuration that are kept: members removed lately, at most a few at a time."""
LIVES_MAX = 8
"""Lives remembered of one peer, so that a recording of an old life is not taken for a new one."""
FOREVER_AGO = -(2**62)


@dataclasses.dataclass(slots=True)
class Heard:
    """The newest frame heard of one life of a peer, believed or not."""

    incarnation: int
    sequence: int
    at_ms: int
    acked: int
    """My newest sequence that it acknowledged; 0: none of this life of mine."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ghost:
    """What an earlier life of a peer owned: its addresses may be up until that life's dead interval is over."""

    epoch: int
    rank: int
    until_ms: int


@dataclasses.dataclass(slots=True)
class Peer:
    """All that is known of one other member."""

    id: MemberId
    since_ms: int
    """When belief began or ended."""
    believed: bool = False
    ever: bool = False
    incarnation: int = 0
    newest: int = 0
    last_ms: int = FOREVER_AGO
    dead_ms: int = 0
    keepalive_ms: int = 0
    generation: int = 0
    leaving: bool = False
    floor: int = 0
    """My newest sequence when belief ended or the incarnation changed: only a later one proves anything."""
    listed: Heard | None = None
    acked: int = 0
    """My newest sequence that the believed life acknowledged."""
    groups: dict[GroupId, wire.GroupEntry] = dataclasses.field(default_factory=dict)
    peers: dict[MemberId, tuple[wire.PeerEntry, int]] = dataclasses.field(default_factory=dict)
    """What it lists, with the time when that came."""
    ghosts: dict[GroupId, Ghost] = dataclasses.field(default_factory=dict)
    links: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """By link number: newest sequence and when it came."""
    lives: dict[int, int] = dataclasses.field(default_factory=dict)
    """When each life was heard first."""


class SentLog:
    """When this node sent which sequence: the other half of a proof."""

    def __init__(self) -> None:
        self.newest = 0
        self._forgotten = 0
        self._log: collections.deque[tuple[int, int]] = collections.deque()

    def sent(self, newest: int, now: int, keep_ms: int) -> None:
        """Sequences up to `newest` have gone out now; those older than `keep_ms` prove nothing any more."""
        self.newest = newest
        self._log.append((newest, now))
        while self._log[0][1] < now - keep_ms:
            self._forgotten, _ = self._log.popleft()

    def at_ms(self, sequence: int) -> int | None:
        """When it went out; None: too long ago, or never."""
        if not self._forgotten < sequence <= self.newest:
            return None
        found = None
        for newest, at_ms in reversed(self._log):
            if newest < sequence:
                break
            found = at_ms
        return found

    def whole(self, low: int) -> int | None:
        """The sequence whose low 32 bits these are; None: this life has sent no such frame."""
        sequence = self.newest - ((self.newest - low) & wire.LOW_32)
        return sequence if sequence > 0 else None


class Peers:
    """The table of all other members. Bounded: the configuration's members and STRANGERS_MAX others."""

    def __init__(self, me: MemberId, incarnation: int) -> None:
        self.me = me
        self.incarnation = incarnation
        self.sent = SentLog()
        self.table: dict[MemberId, Peer] = {}
        self.members: frozenset[MemberId] = frozenset()

    def configure(self, members: frozenset[MemberId], now: int) -> None:
        """Members of the configuration; one that left stays in the table for as long as it is believed."""
        self.members = members - {self.me}
        for member in self.members - self.table.keys():
            self.table[member] = Peer(id=member, since_ms=now)
        self._forget_strangers()

    # -- belief

    def take(self, beat: wire.Beat, at_ms: int, *, dead_ms: int) -> Drop | None:
        """Note one authentic frame that came at `at_ms`. None: it counts; else why it does not."""
        if beat.sender == self.me:
            return Drop.OWN if beat.incarnation == self.incarnation else Drop.OWN_NAME
        peer = self._admit(beat.sender, at_ms)
        if peer is None:
            return Drop.TABLE_FULL
        entry = next((p for p in beat.peers if p.member == self.me and p.incarnation == self.incarnation), None)
        acked = 0
        if entry is not None:
            whole = self.sent.whole(entry.sequence)
            if whole is None:
                return Drop.NEVER_SENT
            acked = whole
        if peer.believed and beat.incarnation == peer.incarnation:
            if beat.sequence <= peer.newest:
                return self._copy(peer, beat, at_ms)
        else:
            if beat.incarnation == peer.incarnation and beat.sequence <= peer.newest:
                return Drop.OLD
            if not self._proves(acked, peer.floor, at_ms, dead_ms):
                self._list(peer, beat, at_ms, acked)
                return Drop.UNPROVED
            self._believe(peer, beat, at_ms)
        self._accept(peer, beat, at_ms, acked)
        return None

    def _proves(self, acked: int, floor: int, at_ms: int, dead_ms: int) -> bool:
        """Whether it acknowledges a frame sent after belief ended, and within the last dead interval."""
        if acked <= floor:
            return False
        sent_ms = self.sent.at_ms(acked)
        return sent_ms is not None and at_ms - sent_ms <= dead_ms

    def _believe(self, peer: Peer, beat: wire.Beat, at_ms: int) -> None:
        if peer.believed:  # an old life that may have left its addresses behind
            until_ms = peer.last_ms + peer.dead_ms
            for group, entry in peer.groups.items():
                if entry.state in OWNING:
                    peer.ghosts[group] = Ghost(entry.epoch, entry.rank, until_ms)
        peer.believed = peer.ever = True
        peer.incarnation = beat.incarnation
        peer.floor = self.sent.newest
        peer.acked = 0
        peer.since_ms = at_ms
        peer.groups, peer.peers, peer.links = {}, {}, {}

    def _accept(self, peer: Peer, beat: wire.Beat, at_ms: int, acked: int) -> None:
        peer.newest, peer.last_ms = beat.sequence, at_ms
        peer.dead_ms, peer.keepalive_ms, peer.generation = beat.dead_ms, beat.keepalive_ms, beat.generation
        peer.leaving = beat.leaving
        peer.acked = max(peer.acked, acked) if acked else peer.acked
        peer.listed = Heard(beat.incarnation, beat.sequence, at_ms, acked)
        peer.links[beat.link] = (beat.sequence, at_ms)
        peer.peers.update({p.member: (p, at_ms) for p in beat.peers})
        for entry in beat.groups:
            peer.groups[entry.group] = entry
            if entry.state is not State.LISTENING:
                peer.ghosts.pop(entry.group, None)

    def _copy(self, peer: Peer, beat: wire.Beat, at_ms: int) -> Drop | None:
        """The same frame over another link counts for that link only; over the same one it is a recording."""
        newest, _ = peer.links.get(beat.link, (0, 0))
        if beat.sequence <= newest:
            return Drop.OLD
        peer.links[beat.link] = (beat.sequence, at_ms)
        return None

    def _list(self, peer: Peer, beat: wire.Beat, at_ms: int, acked: int) -> None:
        """Which unproved life is acknowledged: the one that heard me last, then the one first heard last."""
        first_ms = peer.lives.setdefault(beat.incarnation, at_ms)
        if len(peer.lives) > LIVES_MAX:
            peer.lives.pop(min(peer.lives, key=lambda life: (peer.lives[life], life)))
        old, new = peer.listed, Heard(beat.incarnation, beat.sequence, at_ms, acked)
        if old is None or (old.incarnation == new.incarnation and new.sequence > old.sequence):
            peer.listed = new
        elif old.incarnation != new.incarnation:
            old_first_ms = peer.lives.get(old.incarnation, FOREVER_AGO)
            if (new.acked, first_ms) > (old.acked, old_first_ms):
                peer.listed = new

    def _admit(self, sender: MemberId, at_ms: int) -> Peer | None:
        peer = self.table.get(sender)
        if peer is None:
            if len(self.table.keys() - self.members) >= STRANGERS_MAX:
                self._forget_strangers()
            if len(self.table.keys() - self.members) < STRANGERS_MAX:
                peer = self.table[sender] = Peer(id=sender, since_ms=at_ms)
        return peer

    def _forget_strangers(self) -> None:
        strangers = [p for p in self.table.values() if p.id not in self.members and not p.believed]
        for peer in strangers:
            del self.table[peer.id]

    # -- life

    def evidence_ms(self, peer: Peer) -> int:
        """When the newest frame of a believed peer was heard, here or by a member that is heard directly."""
        newest = peer.last_ms
        for other in self.table.values():
            if other is peer or not other.believed:
                continue
            told = other.peers.get(peer.id)
            if told is not None and told[0].incarnation == peer.incarnation:
                entry, at_ms = told
                newest = max(newest, at_ms - entry.age_ms)
        return newest

    def expire(self, now: int) -> list[Peer]:
        """Stop believing those whose dead interval is over; they are answered."""
        dead = [p for p in self.table.values() if p.believed and now >= self.evidence_ms(p) + p.dead_ms]
        for peer in dead:
            peer.believed = False
            peer.floor = self.sent.newest
            peer.since_ms = now
        return dead

    def expiry_ms(self) -> list[int]:
        """When each believed peer will be dead if nothing more is heard."""
        return [self.evidence_ms(p) + p.dead_ms for p in self.table.values() if p.believed]

    def living(self) -> list[Peer]:
        """Those that are believed (and therefore alive, right after `expire`)."""
        return [p for p in self.table.values() if p.believed]

    def all_members_believed(self) -> bool:
        """Whether every other member of the configuration is believed."""
        return all(self.table[m].believed for m in self.members)

    def entries(self, now: int) -> tuple[wire.PeerEntry, ...]:
        """What my frame says of the peers: the newest frame heard of each, believed or not."""
        return tuple(
            wire.PeerEntry(
                member=p.id,
                incarnation=p.listed.incarnation,
                sequence=p.listed.sequence & wire.LOW_32,
                age_ms=min(wire.AGE_MS_MAX, now - p.listed.at_ms + 1),  # rounded up: both stamps were cut
                state=wire.PeerState.ALIVE
                if p.believed and p.incarnation == p.listed.incarnation
                else wire.PeerState.UNPROVED,
            )
            for p in sorted(self.table.values(), key=lambda p: p.id)
            if p.listed is not None
        )
