"""Who is believed, and who is alive: what was heard of every other member, and how fresh it provably is.

Two facts that must not be mixed. *Believed*: the newest frame proved that it is no recording, for it acknowledges
a frame that this node sent lately (the list of peers in a frame is the acknowledgement). *Alive*: a believed peer
is not older than its own dead interval, here or at any member that is heard (one hop of relay). Freshness outlives
liveness: a dead peer's sequence and the floor of its next proof are kept.
"""

from __future__ import annotations

from vyos_agent.core import wire
from vyos_agent.core.announce import NEVER_MS
from vyos_agent.core.model import OWNING, Drop, GroupId, MemberId, State
from vyos_agent.core.peer import FOREVER_AGO, Ghost, Heard, Peer, Relay, Twin, fresher
from vyos_agent.core.sent import SentLog

STRANGERS_MAX = 16
"""Senders outside the configuration that are kept: members removed lately, at most a few at a time."""
LIVES_MAX = 8
"""Lives of one peer that are remembered while none of them is believed: recordings of old ones, and the one that goes
on."""
CLOCK_ERROR = 1_000
"""Two clocks drift apart by less than one part in this: ten times what a crystal does."""
GROUPS_MAX = 64
"""Groups of which a peer's word is kept: 32 of a configuration, and as many of one that this node has not got yet."""
DEAF_KEEPALIVES = 3
"""A member that acknowledged nothing new in so many of its keepalives may have missed an announcement, too: one or two
frames are lost now and then."""
UNPROVED_MAX = 32
"""Unproved lives in one frame: the byte that counts its peers holds 64 members, 16 strangers and these."""


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
        self._groups: frozenset[GroupId] = frozenset()
        self.changed = True
        """Whether something was noted since the node last decided that a decision could depend on."""
        self.revised = False
        """Whether the report says something new."""
        self.judge_ms = NEVER_MS
        """Until then nobody dies and no link falls silent, however little is heard: looked at again only then."""

    def configure(self, members: frozenset[MemberId], now: int, groups: frozenset[GroupId] = frozenset()) -> None:
        """Members and groups of the configuration; a member that left stays in the table while it is believed."""
        for peer in self.table.values():
            peer.groups = {g: e for g, e in peer.groups.items() if g in groups or g not in self._groups}
            peer.told_in = {g: sequence for g, sequence in peer.told_in.items() if g in peer.groups}
        self._groups = groups
        self.members = members - {self.me}
        for member in self.members.difference(self.table):
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
            recent = entry is None or self._is_recent(peer, beat, entry.age_ms, acked, at_ms, dead_ms)
            if beat.sequence <= peer.newest:
                return self._copy(peer, beat, at_ms, link) if recent else Drop.OLD
            if not recent:
                self._list(peer, beat, at_ms, acked)
                return Drop.UNPROVED
        else:
            if beat.incarnation == peer.incarnation and beat.sequence <= peer.newest:
                return Drop.OLD
            if not self._proves(acked, peer.floor, at_ms, dead_ms):
                self._list(peer, beat, at_ms, acked)
                return Drop.UNPROVED
            self._believe(peer, beat, at_ms)
        self._accept(peer, beat, at_ms, acked)
        if acked or beat.parts == 1:  # a part that does not name me cannot be dated
            peer.last_ms = at_ms
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

    def _is_recent(self, peer: Peer, beat: wire.Beat, age_ms: int, acked: int, at_ms: int, dead_ms: int) -> bool:
        """Whether a believed member made this frame within the last dead interval: else somebody held it back.

        It heard the sequence that it names after that was sent, and made the frame `age_ms` later, by its own clock.
        """
        if age_ms == wire.AGE_MS_MAX:
            return True  # that long ago, or longer: it does not hear me, and no frame of it can be dated
        known, sent_ms = peer.mark
        sent = sent_ms if acked == known else self.sent.at_ms(acked)
        if sent is None:
            return False
        return at_ms - (sent + age_ms + age_ms // CLOCK_ERROR) <= max(dead_ms, beat.dead_ms)

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
        peer.groups, peer.told_in, peer.fresher, peer.links, peer.heard_on = {}, {}, {}, {}, frozenset()
        peer.run = peer.whole = 0
        peer.unproved.clear()

    def _accept(self, peer: Peer, beat: wire.Beat, at_ms: int, acked: int) -> None:
        news = [e for e in beat.groups if peer.groups.get(e.group) != e]
        if news or (peer.generation, peer.dead_ms, peer.leaving) != (beat.generation, beat.dead_ms, beat.leaving):
            self.changed = True
        self.judge_ms = min(self.judge_ms, at_ms + beat.dead_ms if beat.dead_ms == peer.dead_ms else at_ms)
        self._note_part(peer, beat, acked)
        sent_ms = self.sent.at_ms(acked)
        if sent_ms is not None:
            if sent_ms - peer.mark[1] > DEAF_KEEPALIVES * beat.keepalive_ms:
                peer.contacts += 1
                self.changed = True
            peer.mark = (acked, sent_ms)
        peer.newest = beat.sequence
        peer.dead_ms, peer.keepalive_ms, peer.generation = beat.dead_ms, beat.keepalive_ms, beat.generation
        peer.leaving = beat.leaving
        peer.listed = Heard(beat.incarnation, beat.sequence, at_ms, acked)
        best: dict[MemberId, wire.PeerEntry] = {}
        for listed in beat.peers:
            self._note_evidence(listed, at_ms)
            if listed.member not in best or listed.state is wire.PeerState.ALIVE:
                best[listed.member] = listed
        if beat.parts == 1:
            peer.fresher = {m: relay for m, relay in peer.fresher.items() if m in best}
        for listed in best.values():
            self._relay(peer, listed, at_ms, beat.sequence)
        for entry in news:
            if entry.group not in self._groups and len(peer.groups) >= GROUPS_MAX:
                continue
            peer.groups[entry.group] = entry
            if entry.state is not State.LISTENING:
                peer.ghosts.pop(entry.group, None)

        peer.told_in |= {e.group: beat.sequence for e in beat.groups if e.group in peer.groups}

    def _note_part(self, peer: Peer, beat: wire.Beat, acked: int) -> None:
        """A frame is whole when all its parts came, one after the other; an acknowledgement counts from then on."""
        follows = beat.part == 0 or (beat.sequence == peer.newest + 1 and peer.run == beat.part)
        peer.run, peer.parts = (beat.part + 1 if follows else 0), beat.parts
        peer.acking = max(peer.acking, acked)
        if peer.run == beat.parts:
            peer.acked, peer.whole = peer.acking, beat.sequence
            self.changed |= beat.parts > 1 and bool(peer.fresher)  # its word about others counts from now on

    def _note_evidence(self, entry: wire.PeerEntry, at_ms: int) -> None:
        """What one member says of another's life: heard there is as good as heard here."""
        about = self.table.get(entry.member)
        alive = entry.state is wire.PeerState.ALIVE
        if alive and about is not None and about.believed and about.incarnation == entry.incarnation:
            about.told_ms = max(about.told_ms, at_ms - entry.age_ms)

    def _relay(self, teller: Peer, entry: wire.PeerEntry, at_ms: int, sequence: int) -> None:
        """Whether a member that this node hears knows another one better than this node does."""
        about = self.table.get(entry.member)
        if entry.member == teller.id:  # another life with its name: its word about its own death is none
            return
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
        """Acknowledge a frame that is not believed: any of the lives heard may be the one that goes on.

        Listing one life only would let recordings of others keep the living one from proving itself for ever.
        """
        heard = Heard(beat.incarnation, beat.sequence, at_ms, acked)
        if peer.ever and beat.incarnation == peer.incarnation:
            assert peer.listed is not None
            peer.listed = heard if heard.sequence > peer.listed.sequence else peer.listed
            return
        old = peer.unproved.get(beat.incarnation)
        if old is None or heard.sequence > old.sequence:
            peer.unproved[beat.incarnation] = heard
        if len(peer.unproved) > LIVES_MAX:
            del peer.unproved[
                min(peer.unproved, key=lambda life: (peer.unproved[life].acked, peer.unproved[life].at_ms))
            ]

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

    def judge(self, now: int, *, awake: bool) -> None:
        """Stop believing those whose dead interval is over (`awake`), and note links that have fallen silent."""
        if now < self.judge_ms and awake:
            return
        if awake:
            self._expire(now)
        self._mute(now)
        due = [self.evidence_ms(p) + p.dead_ms for p in self.table.values() if p.believed]
        due += [p.links[i][1] + p.dead_ms for p in self.table.values() for i in p.heard_on]
        self.judge_ms = min(due, default=NEVER_MS)

    def _expire(self, now: int) -> None:
        dead = [p for p in self.table.values() if p.believed and now >= self.evidence_ms(p) + p.dead_ms]
        for peer in dead:
            self.changed = True
            peer.believed = False
            peer.floor = self.sent.newest
            peer.since_ms = now
        self.revised |= bool(dead)

    def _mute(self, now: int) -> None:
        for peer in self.table.values():
            heard_on = frozenset(i for i in peer.heard_on if now - peer.links[i][1] < peer.dead_ms)
            if heard_on != peer.heard_on:
                peer.heard_on = heard_on
                self.revised = self.changed = True

    def living(self) -> list[Peer]:
        """Those that are believed (and therefore alive, right after `expire`)."""
        return [p for p in self.table.values() if p.believed]

    def all_members_believed(self) -> bool:
        """Whether every other member of the configuration is believed."""
        return all(self.table[m].believed for m in self.members)

    def largest_dead_ms(self, mine_ms: int) -> int:
        """The largest dead interval of any member, dead or alive, and this node's own."""
        return max(mine_ms, *(p.dead_ms for p in self.table.values()), 0)

    def entries(self, now: int, dead_ms: int) -> tuple[wire.PeerEntry, ...]:
        """What my frame says of the peers: the newest frame heard of each, believed or not.

        Of lives that are not believed those that were heard within the last dead interval: an older proof is none.
        """
        listed = [
            _entry(p.id, p.listed, now, alive=p.believed and p.listed.sequence == p.newest)
            for p in self.table.values()
            if p.listed is not None
        ]
        others = [(p.id, h) for p in self.table.values() for h in p.unproved.values()]
        if self._namesake is not None:
            others.append((self.me, self._namesake))
        late = sorted((o for o in others if now - o[1].at_ms <= dead_ms), key=lambda o: -o[1].at_ms)
        unproved = [_entry(member, heard, now, alive=False) for member, heard in late[:UNPROVED_MAX]]
        return tuple(sorted(listed + unproved, key=lambda e: (e.member, e.incarnation)))


def _entry(member: MemberId, heard: Heard, now: int, *, alive: bool) -> wire.PeerEntry:
    return wire.PeerEntry(
        member=member,
        incarnation=heard.incarnation,
        sequence=heard.sequence & wire.LOW_32,
        age_ms=min(wire.AGE_MS_MAX, now - heard.at_ms + 1),  # rounded up: both stamps were cut
        state=wire.PeerState.ALIVE if alive else wire.PeerState.UNPROVED,
    )
