"""Who owns a group: pure functions over what was heard. The same input gives the same answer on every node."""

from __future__ import annotations

import dataclasses
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
    """Somebody that could take a group."""

    member: MemberId
    rank: int

    @property
    def place(self) -> tuple[int, int]:
        """The one ranking for takeover and failback; lower is better."""
        return (self.rank, self.member)


def strongest(claims: Iterable[Claim]) -> Claim | None:
    """The claim that stays when all of them are heard."""
    return max(claims, key=lambda c: c.strength, default=None)


def turn(candidates: Sequence[Candidate], me: Candidate) -> int:
    """How many others come before me."""
    return sum(c.place < me.place for c in candidates if c.member != me.member)


def wait_ms(place: int, keepalive_ms: int) -> int:
    """How long the candidate in this place leaves the group to the better ones."""
    return place * (keepalive_ms + STAGGER_MS)
