"""What is known of one other member: values, filled by `peers`."""

from __future__ import annotations

import dataclasses

from vyos_agent.core import wire
from vyos_agent.core.model import GroupId, MemberId

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
    """The newest frame of the life that is, or was, believed."""
    acked: int = 0
    """My newest sequence that the believed life acknowledged, in a frame all of whose parts are in."""
    acking: int = 0
    """The same, the newest part included: its entries about groups may be older than the acknowledgement."""
    mark: tuple[int, int] = (0, 0)
    """The newest of my sequences that it acknowledged, and when that was sent: dates what it says later."""
    contacts: int = 0
    """How often it has begun to hear this node, after a while in which it did not."""
    groups: dict[GroupId, wire.GroupEntry] = dataclasses.field(default_factory=dict)
    told_in: dict[GroupId, int] = dataclasses.field(default_factory=dict)
    """The sequence of the newest part that spoke of each of these groups: a member that a group was taken from says
    nothing of it any more, and what it said once is not what it knows now."""
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
    unproved: dict[int, Heard] = dataclasses.field(default_factory=dict)
    """Other lives with this name that were heard since the last one was believed, by incarnation."""


def fresher(about: Peer | None, entry: wire.PeerEntry) -> bool:
    """Whether a teller has heard a later frame of that member than the last one that came here whole.

    Of two lives nobody can say which is the later one: then its word counts beside what this node has heard.
    """
    if entry.state is not wire.PeerState.ALIVE:
        return False
    if about is None or not about.believed:
        return True
    return entry.incarnation != about.incarnation or ahead(entry.sequence, about.whole) > 0


def ahead(low: int, sequence: int) -> int:
    """By how much a sequence, of which these are the low 32 bits, is ahead of another: negative when it is behind."""
    forward = (low - sequence) & wire.LOW_32
    return forward if forward < HALF else forward - (wire.LOW_32 + 1)
