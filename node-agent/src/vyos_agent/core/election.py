"""Who owns a group: pure functions over what was heard. The same input gives the same answer on every node.

Two orders that must not be mixed. *Claims* settle by the two frames alone (epoch, rank, identity). *Candidates* are
ranked by the monitors that they reach, then by rank; that one ranking serves takeover, monitors and failback.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

from vyos_agent.core.model import MemberId

STAGGER_MS = 50
"""Candidate i waits i x (keepalive + this): a frame of the better one and its way (shared/protocol section 4)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that it owns a group."""

    owner: MemberId
    epoch: int
    rank: int
    """As the owner states it in its own frame."""

    @property
    def strength(self) -> tuple[int, int, int]:
        """Higher epoch, then lower rank, then lower identity: a total order over claims."""
        return (self.epoch, -self.rank, -self.owner)


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """One member by the criteria of the ranking, as it states them itself."""

    member: MemberId
    rank: int
    monitors: int = 0
    """Monitors that it reaches; one without a verdict yet counts as reachable (shared/protocol section 4)."""
    list_hash: int = 0
    """Of its list of monitors: counts of different lists say nothing about each other."""

    def reaches_more(self, other: Candidate) -> bool:
        """More of the same monitors."""
        return self.list_hash == other.list_hash and self.monitors > other.monitors

    def outranks(self, other: Candidate) -> bool:
        """As many monitors, or other ones, and a better rank: never so of a member with an equal rank."""
        return not other.reaches_more(self) and not self.reaches_more(other) and self.rank < other.rank

    def comes_before(self, other: Candidate) -> bool:
        """The ranking, with the identity where the two stand equal."""
        if self.reaches_more(other) or other.reaches_more(self):
            return self.monitors > other.monitors
        return (self.rank, self.member) < (other.rank, other.member)


def strongest(claims: Iterable[Claim]) -> Claim | None:
    """The claim that stays when all of them are heard."""
    return max(claims, key=lambda c: c.strength, default=None)


def turn(candidates: Sequence[Candidate], me: Candidate) -> int:
    """How many others come before me."""
    return sum(c.comes_before(me) for c in candidates if c.member != me.member)


def wait_ms(place: int, keepalive_ms: int) -> int:
    """How long the candidate in this place leaves the group to the better ones."""
    return place * (keepalive_ms + STAGGER_MS)


def list_hash(monitors: Iterable[str]) -> int:
    """16 bits that name a list of monitors, whatever its order; 0: there are none."""
    names = sorted(monitors)
    if not names:
        return 0
    return int.from_bytes(hashlib.sha256("\n".join(names).encode()).digest()[:2], "big") or 1


class Watch:
    """Since when, without a break, which member has been better: what a planned move waits for."""

    def __init__(self) -> None:
        self._since_ms: dict[MemberId, int] = {}

    def see(self, better: Iterable[MemberId], now: int) -> None:
        """Those that are better now; whoever is not begins anew."""
        self._since_ms = {member: self._since_ms.get(member, now) for member in better}

    def restart(self) -> None:
        """Every wait begins anew: a move was tried, or this member owns nothing."""
        self._since_ms.clear()

    def since_ms(self, member: MemberId) -> int | None:
        """When the wait for this one began."""
        return self._since_ms.get(member)
