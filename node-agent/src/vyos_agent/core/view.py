"""What this node knows of one group, gathered from all peers: the input of every decision. Pure reading, no state."""

from __future__ import annotations

import dataclasses

from vyos_agent.core import wire
from vyos_agent.core.election import Candidate, Claim, strongest
from vyos_agent.core.model import OWNING, GroupId, MemberId, State
from vyos_agent.core.peers import Peer, Peers, fresher


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """One group at one instant, without this node itself."""

    claims: tuple[Claim, ...]
    """Living owners, heard directly or by one relay."""
    blocked_until_ms: int | None
    """Somebody may still hold an address (it is letting go, or its earlier life held it): until then nobody claims."""
    candidates: tuple[Candidate, ...]
    """Members heard directly that could take the group now."""
    coming: tuple[Candidate, ...]
    """Members heard directly that are still listening: they count before a first claim only."""
    epoch: int
    """The highest epoch that any believed member tells."""
    dead: frozenset[MemberId]
    left: frozenset[MemberId]
    """Members that are gone: silent beyond their dead interval, or by their own word."""


def view(peers: Peers, group: GroupId, now: int) -> View:
    """Gather it."""
    living = peers.living()
    entries = [(p, p.groups[group]) for p in living if group in p.groups]
    claims = {p.id: Claim(p.id, e.epoch, e.rank) for p, e in entries if e.state in OWNING}
    _relayed(peers, living, group, now, claims)
    blocked = [g.until_ms for p in living if (g := p.ghosts.get(group)) is not None and g.until_ms > now]
    blocked += [p.last_ms + p.dead_ms for p, e in entries if e.state is State.YIELDING]
    able = [(p, e) for p, e in entries if p.id in peers.members and not p.leaving and e.candidate]
    return View(
        claims=tuple(claims.values()),
        blocked_until_ms=max(blocked, default=None),
        candidates=tuple(Candidate(p.id, e.rank) for p, e in able if e.state is State.STANDBY),
        coming=tuple(Candidate(p.id, e.rank) for p, e in able if e.state is State.LISTENING),
        epoch=max([e.epoch for _, e in entries] + [c.epoch for c in claims.values()], default=0),
        dead=frozenset(p.id for p in peers.table.values() if not p.believed and not p.leaving),
        left=frozenset(p.id for p in peers.table.values() if p.leaving),
    )


def direct_claim(peers: Peers, group: GroupId) -> Claim | None:
    """The strongest claim heard directly from another: what this node passes on."""
    entries = [(p.id, p.groups[group]) for p in peers.living() if group in p.groups]
    return strongest(Claim(m, e.epoch, e.rank) for m, e in entries if e.state in OWNING)


def _relayed(peers: Peers, living: list[Peer], group: GroupId, now: int, claims: dict[MemberId, Claim]) -> None:
    """What a peer says of another member counts where it has heard that one later than this node has."""
    for teller in living:
        told = teller.groups.get(group)
        if told is None:
            continue
        for about, (entry, at_ms) in teller.fresher.items():
            peer = peers.table.get(about)
            if not fresher(peer, entry) or not _lately(peer, teller, entry, at_ms, now):
                continue
            if told.claim_owner == about:
                claims[about] = Claim(about, told.claim_epoch, told.claim_rank)
            elif not told.claim_owner:
                claims.pop(about, None)


def _lately(peer: Peer | None, teller: Peer, entry: wire.PeerEntry, at_ms: int, now: int) -> bool:
    """One that this node does not believe counts only while the teller's frame of it is within its dead interval."""
    if peer is not None and peer.believed:
        return True
    dead_ms = max(teller.dead_ms, peer.dead_ms if peer is not None else 0)
    return now - (at_ms - entry.age_ms) < dead_ms
