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
class Twin:
    """Another life with this member's name, that provably goes on."""

    incarnation: int
    settled: bool
    """It has stopped listening: it was here before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ghost:
    """What an earlier life of a peer owned: its addresses may be up until that life's dead interval is over."""

    epoch: int
    rank: int
    until_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class Relay:
    """A later frame of somebody else than this node has heard, by one peer's word."""

    entry: wire.PeerEntry
    at_ms: int
    """When the word came."""
    sequence: int
    """Of the word: its entries about groups may come in a later part of the same frame."""


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
    """My newest sequence that the believed life acknowledged, in a frame all of whose parts are in."""
    acking: int = 0
    """The same, the newest part included: its entries about groups may be older than the acknowledgement."""
    groups: dict[GroupId, wire.GroupEntry] = dataclasses.field(default_factory=dict)
    told_ms: int = FOREVER_AGO
    """When the newest frame of this life was heard by another member, by that one's word."""
    parts: int = 1
    """Of its newest frame."""
    run: int = 0
    """How many parts of it came, one after the other."""
    whole: int = 0
    """The sequence of the last part of its newest frame that came whole."""
    fresher: dict[MemberId, Relay] = dataclasses.field(default_factory=dict)
    """Others of whom it had a newer frame than this node when it said so."""
    ghosts: dict[GroupId, Ghost] = dataclasses.field(default_factory=dict)
    links: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """By link number, of those that came in where the sender sent them out: newest sequence, and when."""
    heard_on: frozenset[int] = frozenset()
    """Links of which the newest frame is not older than its dead interval."""
    lives: dict[int, int] = dataclasses.field(default_factory=dict)
    """When each life was heard first."""


def fresher(about: Peer | None, entry: wire.PeerEntry) -> bool:
    """Whether a teller has heard a later frame of that member than the last one that came here whole."""
    if entry.state is not wire.PeerState.ALIVE:
        return False
    if about is None or not about.believed:
        return True
    return entry.incarnation == about.incarnation and ahead(entry.sequence, about.whole) > 0


def ahead(low: int, sequence: int) -> int:
    """By how much a sequence, of which these are the low 32 bits, is ahead of another: negative when it is behind."""
    forward = (low - sequence) & wire.LOW_32
    return forward if forward < HALF else forward - (wire.LOW_32 + 1)


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
        self.twin: Twin | None = None
        """A living node that calls itself by this member's name."""
        self._namesake: Heard | None = None
        self.changed = True
        """Whether something was noted since the node last decided that a decision could depend on."""
        self.revised = False
        """Whether the report says something new."""

    def configure(self, members: frozenset[MemberId], now: int) -> None:
        """Members of the configuration; one that left stays in the table for as long as it is believed."""
        self.members = members - {self.me}
        for member in self.members - self.table.keys():
            self.table[member] = Peer(id=member, since_ms=now)
        self._forget_strangers()

    # -- belief

    def take(self, beat: wire.Beat, at_ms: int, link: int, *, dead_ms: int) -> Drop | None:
        """Note one authentic frame, come at `at_ms` over my link `link`. None: it counts; else why it does not."""
        if beat.sender == self.me and beat.incarnation == self.incarnation:
            return Drop.OWN if beat.sequence <= self.sent.newest else Drop.NEVER_SENT
        entry = next((p for p in beat.peers if p.member == self.me and p.incarnation == self.incarnation), None)
        acked = 0
        if entry is not None:
            whole = self.sent.whole(entry.sequence)
            if whole is None:
                return Drop.NEVER_SENT
            acked = whole
        if beat.sender == self.me:
            self._note_twin(beat, at_ms, acked, dead_ms)
            return Drop.OWN_NAME
        peer = self._admit(beat.sender, at_ms)
        if peer is None:
            return Drop.TABLE_FULL
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

    def _note_twin(self, beat: wire.Beat, at_ms: int, acked: int, dead_ms: int) -> None:
        """Another life with this member's name: listed, so that it can prove itself, and told when it has."""
        old = self._namesake
        if old is None or old.incarnation != beat.incarnation or beat.sequence > old.sequence:
            self._namesake = Heard(beat.incarnation, beat.sequence, at_ms, acked)
        if self._proves(acked, 0, at_ms, dead_ms):
            settled = any(e.state not in (State.LISTENING, State.NONE) for e in beat.groups)
            self.twin = Twin(beat.incarnation, settled)

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
        peer.acked = peer.acking = 0
        peer.since_ms = at_ms
        peer.told_ms = FOREVER_AGO
        peer.groups, peer.fresher, peer.links, peer.heard_on = {}, {}, {}, frozenset()
        peer.run = peer.whole = 0

    def _accept(self, peer: Peer, beat: wire.Beat, at_ms: int, acked: int) -> None:
        news = [e for e in beat.groups if peer.groups.get(e.group) != e]
        if news or (peer.generation, peer.dead_ms, peer.leaving) != (beat.generation, beat.dead_ms, beat.leaving):
            self.changed = True
        self._note_part(peer, beat, acked)
        peer.newest, peer.last_ms = beat.sequence, at_ms
        peer.dead_ms, peer.keepalive_ms, peer.generation = beat.dead_ms, beat.keepalive_ms, beat.generation
        peer.leaving = beat.leaving
        peer.listed = Heard(beat.incarnation, beat.sequence, at_ms, acked)
        for listed in beat.peers:
            self._relay(peer, listed, at_ms, beat.sequence)
        for entry in news:
            peer.groups[entry.group] = entry
            if entry.state is not State.LISTENING:
                peer.ghosts.pop(entry.group, None)

    def _note_part(self, peer: Peer, beat: wire.Beat, acked: int) -> None:
        """A frame is whole when all its parts came, one after the other; an acknowledgement counts from then on."""
        follows = beat.part == 0 or (beat.sequence == peer.newest + 1 and peer.run == beat.part)
        peer.run, peer.parts = (beat.part + 1 if follows else 0), beat.parts
        peer.acking = max(peer.acking, acked)
        if peer.run == beat.parts:
            peer.acked, peer.whole = peer.acking, beat.sequence

    def _relay(self, teller: Peer, entry: wire.PeerEntry, at_ms: int, sequence: int) -> None:
        """What one member says of another: evidence of its life, and whether the teller knows it better than I do."""
        if entry.member == teller.id:  # another life with its name: its word about its own death is none
            return
        about = self.table.get(entry.member)
        if about is not None and about.believed and about.incarnation == entry.incarnation:
            about.told_ms = max(about.told_ms, at_ms - entry.age_ms)
        if entry.member != self.me and fresher(about, entry):
            teller.fresher[entry.member] = Relay(entry, at_ms, sequence)
            self.changed = True
        elif teller.fresher.pop(entry.member, None) is not None:
            self.changed = True

    def _note_link(self, peer: Peer, beat: wire.Beat, at_ms: int, link: int) -> None:
        if beat.link == link:  # else it was recorded on another one, or the lists of interfaces differ just now
            peer.links[link] = (beat.sequence, at_ms)
            if link not in peer.heard_on:
                peer.heard_on |= {link}
                self.revised = self.changed = True

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

    def expire(self, now: int) -> None:
        """Stop believing those whose dead interval is over."""
        dead = [p for p in self.table.values() if p.believed and now >= self.evidence_ms(p) + p.dead_ms]
        for peer in dead:
            self.changed = True
            peer.believed = False
            peer.floor = self.sent.newest
            peer.since_ms = now
        self.revised |= bool(dead)

    def mute(self, now: int) -> None:
        """Links over which a peer was not heard for its dead interval."""
        for peer in self.table.values():
            heard_on = frozenset(i for i in peer.heard_on if now - peer.links[i][1] < peer.dead_ms)
            if heard_on != peer.heard_on:
                peer.heard_on = heard_on
                self.revised = self.changed = True

    def expiry_ms(self) -> list[int]:
        """When each believed peer will be dead, and each link silent, if nothing more is heard."""
        due = [self.evidence_ms(p) + p.dead_ms for p in self.table.values() if p.believed]
        return due + [p.links[i][1] + p.dead_ms for p in self.table.values() for i in p.heard_on]

    def living(self) -> list[Peer]:
        """Those that are believed (and therefore alive, right after `expire`)."""
        return [p for p in self.table.values() if p.believed]

    def all_members_believed(self) -> bool:
        """Whether every other member of the configuration is believed."""
        return all(self.table[m].believed for m in self.members)

    def largest_dead_ms(self, mine_ms: int) -> int:
        """The largest dead interval of any member, dead or alive, and this node's own."""
        return max(mine_ms, *(p.dead_ms for p in self.table.values()), 0)

    def entries(self, now: int) -> tuple[wire.PeerEntry, ...]:
        """What my frame says of the peers: the newest frame heard of each, believed or not."""
        heard = [(p.id, p.listed, p.believed) for p in self.table.values() if p.listed is not None]
        if self._namesake is not None:
            heard.append((self.me, self._namesake, False))
        return tuple(
            wire.PeerEntry(
                member=member,
                incarnation=newest.incarnation,
                sequence=newest.sequence & wire.LOW_32,
                age_ms=min(wire.AGE_MS_MAX, now - newest.at_ms + 1),  # rounded up: both stamps were cut
                state=wire.PeerState.ALIVE
                if believed and newest.incarnation == self.table[member].incarnation
                else wire.PeerState.UNPROVED,
            )
            for member, newest, believed in sorted(heard, key=lambda entry: entry[0])
        )
