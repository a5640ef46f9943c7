"""Which members live, judged from what the agents last said of each other. Pure.

An agent writes its entry on change only, and a dead one writes nothing: its last words stay, and may be wrong.
So the question is not who spoke last, but whose word counts. A member lives when it has spoken at all and no living
member says that it is dead. That is a circle; it is walked from its safe end: whom nobody accuses, lives; whom the
living accuse, is dead; the word of the dead counts for nothing; and so on. This is no substitute for heartbeats, and
nothing in the data plane depends on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Death:
    """`reporter` says that `subject` is dead since then."""

    reporter: str
    subject: str
    since_ms: int


def living(speakers: Collection[str], deaths: Iterable[Death], dead_ms: int) -> frozenset[str]:
    """The members that live, of those that have an entry (`speakers`)."""
    accused = _standing(speakers, deaths, dead_ms)
    alive: set[str] = set()
    dead: set[str] = set()
    open_ = set(speakers)
    while open_:
        cleared = {m for m in open_ if all(reporter in dead for reporter, subject in accused if subject == m)}
        if cleared:
            alive |= cleared
            dead |= {subject for reporter, subject in accused if reporter in cleared and subject in open_}
        else:
            # A ring of accusations is cut at its newest: whoever wrote that one lived when all others were written.
            ring = {pair: at for pair, at in accused.items() if set(pair) <= open_}
            dead.add(max(ring, key=lambda pair: (ring[pair], pair))[1])
        open_ -= alive | dead
    return frozenset(alive)


def _standing(speakers: Collection[str], deaths: Iterable[Death], dead_ms: int) -> dict[tuple[str, str], int]:
    """The reports that may count: between two that accuse each other, only one much later than the other.

    One that is later by more than two dead intervals was written by the survivor, over the last words of the other;
    closer together, both can be true: each heard the other no more, as in a partition.
    """
    at = {
        (d.reporter, d.subject): d.since_ms
        for d in deaths
        if d.reporter != d.subject and d.reporter in speakers and d.subject in speakers
    }
    return {
        (reporter, subject): since
        for (reporter, subject), since in at.items()
        if since > at.get((subject, reporter), -1 << 62) + 2 * dead_ms
    }
