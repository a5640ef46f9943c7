"""What this node knows of one group, gathered from all peers: the input of every decision. Pure reading, no state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_agent.core import wire
from vyos_agent.core.election import Candidate, Claim, strongest
from vyos_agent.core.model import OWNING, Group, GroupId, MemberId, State
from vyos_agent.core.peer import Peer, Relay, ahead, fresher
from vyos_agent.core.peers import Peers

LETTING_GO_EPOCH = 0
"""Passed on as the epoch of who lets go ([LIFE-9]): below every true claim, which begins at 1."""


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """One living peer and what its newest frame says of the group."""

    peer: Peer
    entry: wire.GroupEntry
    candidate: Candidate
    direct: bool
    """Heard within its dead interval over a link that is up, not only by another's word."""


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """One group at one instant, without this node itself."""

    claims: tuple[Claim, ...]
    """Living owners, heard directly or by one relay."""
    letting_go_until_ms: int | None
    """Somebody may still hold an address (it is letting go, or its earlier life held it): until then nobody claims."""
    unknown_until_ms: int | None
    """A member's frame has not said yet what it is to the group: until then nobody claims."""
    candidates: tuple[Candidate, ...]
    """Members that could take the group now."""
    silent: tuple[Candidate, ...]
    """Living members of the group, by this node's configuration, that never said what they are to it."""
    coming: tuple[Candidate, ...]
    """Members that are still listening: they count before a first claim only."""
    heard_claim: Claim | None
    """The strongest claim heard directly, or else who still lets go: what this node passes on."""
    epoch: int
    """The highest epoch that any believed member tells."""
    standings: Mapping[MemberId, Standing]
    occupied: frozenset[MemberId]
    """Living members whose machines have one of its addresses for good: nobody makes a first claim."""

    @property
    def blocked_until_ms(self) -> int | None:
        """Until when nobody claims, if nothing more is heard."""
        blocked = (self.letting_go_until_ms, self.unknown_until_ms)
        return max((b for b in blocked if b is not None), default=None)

    def direct(self, member: MemberId) -> Standing | None:
        """A member that is heard directly: the only kind that can be a partner of a handover."""
        standing = self.standings.get(member)
        return standing if standing is not None and standing.direct else None


def view(peers: Peers, group: Group, reachable: frozenset[MemberId], generation: int, now: int) -> View:
    """Gather it. `reachable`: whom this node hears over a link that is up; `generation`: its configuration's."""
    living = peers.living()
    ranks = {p.id: group.rank(p.id) for p in living if p.id in group.member_ids and p.generation != generation}
    standings = {
        p.id: _standing(p, e, ranks.get(p.id, e.rank), reachable)
        for p in living
        if (e := p.groups.get(group.id)) is not None
    }
    claims = {m: Claim(m, s.entry.epoch, s.entry.rank) for m, s in standings.items() if s.entry.state in OWNING}
    yielding = [s for s in standings.values() if s.entry.state is State.YIELDING]
    heard_claim = strongest([*claims.values(), *(Claim(s.peer.id, LETTING_GO_EPOCH, s.entry.rank) for s in yielding)])
    _relayed(peers, living, group.id, generation, now, claims)
    going = [g.until_ms for p in living if (g := p.ghosts.get(group.id)) is not None]
    going += [s.peer.last_ms + s.peer.dead_ms for s in yielding]
    # What a member's frame did not say yet is unknown, not "no": its other parts come within a keepalive or two.
    silent = [p for p in living if p.id in group.member_ids and p.id not in standings]
    unknown = [p.since_ms + 2 * p.keepalive_ms for p in silent]
    able = [s for m, s in standings.items() if m in peers.members and not s.peer.leaving and s.entry.candidate]
    return View(
        claims=tuple(claims.values()),
        letting_go_until_ms=max((ms for ms in going if ms > now), default=None),
        unknown_until_ms=max((ms for ms in unknown if ms > now), default=None),
        candidates=tuple(s.candidate for s in able if s.entry.state is State.STANDBY),
        silent=tuple(Candidate(p.id, group.rank(p.id)) for p in silent),
        coming=tuple(s.candidate for s in able if s.entry.state is State.LISTENING),
        heard_claim=heard_claim,
        epoch=max([s.entry.epoch for s in standings.values()] + [c.epoch for c in claims.values()], default=0),
        standings=standings,
        occupied=frozenset(m for m, s in standings.items() if s.entry.occupied),
    )


def _standing(peer: Peer, entry: wire.GroupEntry, rank: int, reachable: frozenset[MemberId]) -> Standing:
    """`rank`: what it states, or, of a member with another configuration, its rank in this node's."""
    candidate = Candidate(peer.id, rank, entry.monitors, entry.list_hash)
    return Standing(peer, entry, candidate, peer.id in reachable)


def _relayed(
    peers: Peers, living: list[Peer], group: GroupId, generation: int, now: int, claims: dict[MemberId, Claim]
) -> None:
    """What a peer says of another member counts where it has heard that one later than this node has.

    Of two lives nobody can say which is the later one: then the higher claim counts, this node's or the peer's.
    That there is no claim counts only from one with the same configuration: in another the group may be gone, and who
    has no such group looks after no claims.
    """
    for teller in living:
        told = teller.groups.get(group)
        if told is None:
            continue
        for about, relay in teller.fresher.items():
            peer = peers.table.get(about)
            if not fresher(peer, relay.entry) or not _lately(peer, teller, relay, now):
                continue
            if teller.told_in.get(group, 0) <= relay.sequence - teller.parts:
                continue  # it says nothing of the group in that frame
            if told.claim_owner == about:
                heard = claims.get(about)
                same_life = peer is None or peer.incarnation == relay.entry.incarnation
                if same_life or heard is None or told.claim_epoch > heard.epoch:
                    claims[about] = Claim(about, told.claim_epoch, told.claim_rank)
            elif not told.claim_owner and teller.generation == generation and _knows_better(peer, teller, relay):
                claims.pop(about, None)


def _lately(peer: Peer | None, teller: Peer, relay: Relay, now: int) -> bool:
    """One that this node does not believe counts only while the teller's frame of it is within its dead interval."""
    if peer is not None and peer.believed:
        return True
    dead_ms = max(teller.dead_ms, peer.dead_ms if peer is not None else 0)
    return now - (relay.at_ms - relay.entry.age_ms) < dead_ms


def _knows_better(peer: Peer | None, teller: Peer, relay: Relay) -> bool:
    """Whether the teller has a later frame, and all that it said about it is in.

    Parts come one by one, and one that comes too early costs the one before it: of a frame in parts the teller must be
    two ahead, for the part that matters may be missing there in the newest.
    """
    if peer is None or peer.incarnation != relay.entry.incarnation:
        return False
    parts = max(peer.parts, teller.parts)
    margin = 1 if parts == 1 else 2 * parts
    return teller.whole >= relay.sequence and ahead(relay.entry.sequence, peer.newest) >= margin
