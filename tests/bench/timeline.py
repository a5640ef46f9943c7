"""What one trial says, worked out from what was seen. Pure: no clock, no socket.

A trial has a fault at `fault_ns` and, where both daemons live on, a healing at `heal_ns`. What the client suffers is
counted in two windows, up to the healing and from it, because a takeover and its undoing are two questions.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence

from bench.lan import Change
from bench.probe import Seen
from bench.words import JUDGED, OFF, Fault

MS = 1_000_000
EARLY_NS = 200 * MS
"""The gap that holds the fault begins with an answer from before it."""
RETURN_NS = 500 * MS
"""A probe is lost when it has no answer so much later; those sent later yet are not judged."""
FAREWELL_NS = 2 * MS
"""A frame so shortly after the fault had been sent before it, the harness' own step considered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """One trial as it went. Times are nanoseconds of the wall clock."""

    fault: Fault
    dead_ms: float
    """What the system really waits."""
    fault_ns: int
    heal_ns: int | None
    old: str
    new: str
    held: frozenset[str]
    """Who held the address when the fault came."""
    changes: Sequence[Change]
    seen: Seen


def measure(course: Course) -> dict[str, float | int | bool | None]:
    """Every figure of a trial, in milliseconds unless it is a count."""
    seen, since, end = course.seen, course.fault_ns, course.heal_ns or course.seen.end_ns
    answers = sorted(when for when, _, _ in seen.answers)
    held = course.held - ({course.old} if course.fault in OFF else set())
    changes = [c for c in course.changes if c.at_ns >= since - EARLY_NS]
    if course.fault in OFF:  # what a machine without power still has in its kernel holds nothing
        changes = [c for c in changes if c.node != course.old]
    added_ns = next((c.at_ns for c in changes if c.node == course.new and c.holds and c.at_ns >= since), None)
    both, nobody, open_ = spans(held, changes, since, end)
    found: dict[str, float | int | bool | None] = {
        "outage_ms": _ms(longest_gap(answers, since - EARLY_NS, end)),
        "lost": lost(seen, since, end),
        "took_ms": None if added_ns is None else _ms(added_ns - since),
        "floor_ms": _ms(longest_gap(answers, seen.begin_ns + EARLY_NS, since)),
        "stalls": seen.stalls,
        "both_ms": _ms(both),
        "both_open": open_,
        "nobody_ms": _ms(nobody),
        "announced_ms": _announced(course),
    }
    last_ns = last_frame(seen, course.old, since)
    if course.fault in JUDGED and added_ns is not None and last_ns is not None:
        found["over_dead_ms"] = round(_ms(added_ns - last_ns) - course.dead_ms, 2)
    if course.heal_ns is not None:
        found |= _healing(course, answers, held, changes, course.heal_ns)
    return found


def longest_gap(answers: Sequence[int], since: int, until: int) -> int:
    """The longest time without an answer that touches the window, from answer to answer; its end counts as one."""
    before = max((a for a in answers if a < since), default=since)
    inside = [a for a in answers if since <= a <= until]
    return max((b - a for a, b in itertools.pairwise([before, *inside, until])), default=0)


def lost(seen: Seen, since: int, until: int) -> int:
    """Probes of this window that were never answered."""
    answered = {number for _, number, _ in seen.answers}
    last = min(until, seen.end_ns - RETURN_NS)
    return sum(since <= at <= last and number not in answered for number, at in enumerate(seen.sent_ns))


def spans(held: Iterable[str], changes: Iterable[Change], since: int, until: int) -> tuple[int, int, bool]:
    """For how long both held the address, for how long nobody did, and whether both still do at the end."""
    holders, at, both, nobody = set(held), since, 0, 0
    for change in [*sorted(changes, key=lambda c: c.at_ns), None]:
        now = until if change is None else min(max(change.at_ns, since), until)
        both += (now - at) * (len(holders) > 1)
        nobody += (now - at) * (not holders)
        at = now
        if change is None or change.at_ns > until:
            break
        (holders.add if change.holds else holders.discard)(change.node)
    return both, nobody, len(holders) > 1


def last_frame(seen: Seen, node: str, fault_ns: int) -> int | None:
    """When the client heard the last frame that the node sent before the fault."""
    return max(
        (w for w, n, what in seen.frames if n == node and what == "frame" and w < fault_ns + FAREWELL_NS), default=None
    )


def _healing(
    course: Course, answers: Sequence[int], held: Iterable[str], changes: Sequence[Change], heal_ns: int
) -> Mapping[str, float | int | bool | None]:
    owners = set(held)
    for change in changes:
        if change.at_ns < heal_ns:
            (owners.add if change.holds else owners.discard)(change.node)
    after = [c for c in changes if c.at_ns >= heal_ns]
    end = course.seen.end_ns
    both, nobody, open_ = spans(owners, after, heal_ns, end)
    found: dict[str, float | int | bool | None] = {}
    if course.fault is Fault.FREEZE:
        # what a thawed owner does wrong it does at once; a failback, whose holders overlap by design, comes later
        found["thaw_both_ms"] = _ms(spans(owners, after, heal_ns, min(end, heal_ns + round(course.dead_ms * MS)))[0])
    return found | {
        "heal_outage_ms": _ms(longest_gap(answers, heal_ns, end)),
        "heal_lost": lost(course.seen, heal_ns, end),
        "heal_both_ms": _ms(both),
        "heal_both_open": open_,
        "heal_nobody_ms": _ms(nobody),
        "heal_changes": len(after),
        "heal_settled_ms": _ms(after[-1].at_ns - heal_ns) if after else 0.0,
    }


def _announced(course: Course) -> float | None:
    found = (w for w, n, what in course.seen.frames if n == course.new and what == "announcement")
    first = min((w for w in found if w >= course.fault_ns), default=None)
    return None if first is None else _ms(first - course.fault_ns)


def _ms(ns: int) -> float:
    return round(ns / MS, 2)
