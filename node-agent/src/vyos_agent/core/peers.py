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
HALF = 1 << 31
"""Serial numbers closer than half their range apart have an order (RFC 1982)."""


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
    told_ms: int = FOREVER_AGO
    """When the newest frame of this life was heard by another member, by that one's word."""
    fresher: dict[MemberId, tuple[wire.PeerEntry, int]] = dataclasses.field(default_factory=dict)
    """Others of whom it had a newer frame than this node when it said so, with the time when that came."""
    ghosts: dict[GroupId, Ghost] = dataclasses.field(default_factory=dict)
    links: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """By link number, of those that came in where the sender sent them out: newest sequence, and when."""
    lives: dict[int, int] = dataclasses.field(default_factory=dict)
    """When each life was heard first."""


def fresher(about: Peer | None, entry: wire.PeerEntry) -> bool:
    """Whether a teller has heard a later frame of that member than this node has."""
    if entry.state is not wire.PeerState.ALIVE:
        return False
    if about is None or not about.believed:
        return True
    newer = (entry.sequence - about.newest) & wire.LOW_32
    return entry.incarnation == about.incarnation and 0 < newer < HALF


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
        self.changed = True
        """Whether something was noted since the node last decided that a decision could depend on."""

    def configure(self, members: frozenset[MemberId], now: int) -> None:
        """Members of the configuration; one that left stays in the table for as long as it is believed."""
        self.members = members - {self.me}
        for member in self.members - self.table.keys():
            self.table[member] = Peer(id=member, since_ms=now)
        self._forget_strangers()

    # -- belief

    def take(self, beat: wire.Beat, at_ms: int, link: int, *, dead_ms: int) -> Drop | None:
        """Note one authentic frame, come at `at_ms` over my link `link`. None: it counts; else why it does not."""
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
                return self._copy(peer, beat, at_ms, link)
        else:
            if beat.incarnation == peer.incarnation and beat.sequence <= peer.newest:
                return Drop.OLD
            if not self._proves(acked, peer.floor, at_ms, dead_ms):
                self._list(peer, beat, at_ms, acked)
                return Drop.UNPROVED
            self._believe(peer, beat, at_ms)
        self._accept(peer, beat, at_ms, acked)
        self._note_link(peer, beat, at_ms, link)
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
        self.changed = True
        peer.believed = peer.ever = True
        peer.incarnation = beat.incarnation
        peer.floor = self.sent.newest
        peer.acked = 0
        peer.since_ms = at_ms
        peer.told_ms = FOREVER_AGO
        peer.groups, peer.fresher, peer.links = {}, {}, {}

    def _accept(self, peer: Peer, beat: wire.Beat, at_ms: int, acked: int) -> None:
        news = [e for e in beat.groups if peer.groups.get(e.group) != e]
        if news or (peer.generation, peer.dead_ms, peer.leaving) != (beat.generation, beat.dead_ms, beat.leaving):
            self.changed = True
        peer.newest, peer.last_ms = beat.sequence, at_ms
        peer.dead_ms, peer.keepalive_ms, peer.generation = beat.dead_ms, beat.keepalive_ms, beat.generation
        peer.leaving = beat.leaving
        peer.acked = max(peer.acked, acked) if acked else peer.acked
        peer.listed = Heard(beat.incarnation, beat.sequence, at_ms, acked)
        for listed in beat.peers:
            self._relay(peer, listed, at_ms)
        for entry in news:
            peer.groups[entry.group] = entry
            if entry.state is not State.LISTENING:
                peer.ghosts.pop(entry.group, None)

    def _relay(self, teller: Peer, entry: wire.PeerEntry, at_ms: int) -> None:
        """What one member says of another: evidence of its life, and whether the teller knows it better than I do."""
        about = self.table.get(entry.member)
        if about is not None and about.believed and about.incarnation == entry.incarnation:
            about.told_ms = max(about.told_ms, at_ms - entry.age_ms)
        if entry.member != self.me and fresher(about, entry):
            teller.fresher[entry.member] = (entry, at_ms)
            self.changed = True
        elif teller.fresher.pop(entry.member, None) is not None:
            self.changed = True

    def _note_link(self, peer: Peer, beat: wire.Beat, at_ms: int, link: int) -> None:
        if beat.link == link:  # else it was recorded on another one, or the lists of interfaces differ just now
            peer.links[link] = (beat.sequence, at_ms)

    def _copy(self, peer: Peer, beat: wire.Beat, at_ms: int, link: int) -> Drop | None:
        """The same frame over another link counts for that link only; over the same one it is a recording."""
        newest, _ = peer.links.get(beat.link, (0, 0))
        if beat.sequence <= newest:
            return Drop.OLD
        self._note_link(peer, beat, at_ms, link)
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
        return max(peer.last_ms, peer.told_ms)

    def expire(self, now: int) -> list[Peer]:
        """Stop believing those whose dead interval is over; they are answered."""
        dead = [p for p in self.table.values() if p.believed and now >= self.evidence_ms(p) + p.dead_ms]
        for peer in dead:
            self.changed = True
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
