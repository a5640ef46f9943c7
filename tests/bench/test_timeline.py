"""What a trial says, from made-up sights of it."""

from __future__ import annotations

import array

import pytest

from bench import timeline
from bench.lan import Change
from bench.probe import Seen
from bench.timeline import Course
from bench.words import Fault

MS = 1_000_000
BEGIN, FAULT, BACK, END = 0, 1_000, 1_300, 3_000
"""Milliseconds: the probe starts, r1 dies, r2 serves, the probe stops."""


def seen(unanswered: range, *, end: int = END, late: int = 0) -> Seen:
    """A probe each millisecond; those in `unanswered` have no answer, those before it r1's, those after it r2's."""
    sent = array.array("q", [at * MS for at in range(end)])
    answers = [
        (at * MS + 100_000 + late * MS, at, "r1" if at < unanswered.start else "r2")
        for at in range(end)
        if at not in unanswered
    ]
    frames = [(at * MS, "r1", "frame") for at in range(50, FAULT, 100)]
    frames += [((BACK + 1) * MS, "r2", "announcement"), (BACK * MS, "r2", "frame")]
    return Seen(BEGIN, end * MS, sent, answers, frames, 0)


def course(fault: Fault, changes: list[Change], watched: Seen, heal: int | None = None) -> Course:
    heal_ns = None if heal is None else heal * MS
    return Course(fault, 300.0, FAULT * MS, heal_ns, "r1", "r2", frozenset({"r1"}), changes, watched)


def at(ms: int, node: str, holds: bool) -> Change:
    return Change(ms * MS, node, holds)


def test_a_power_off() -> None:
    found = timeline.measure(course(Fault.POWER_OFF, [at(BACK, "r2", True)], seen(range(FAULT, BACK))))
    assert found["outage_ms"] == pytest.approx(301, abs=0.01)
    assert found["lost"] == 300
    assert found["took_ms"] == 300
    assert found["over_dead_ms"] == 1_300 - 950 - 300
    assert found["announced_ms"] == 301
    assert (found["both_ms"], found["both_open"]) == (0, False), "the address in a dead machine's kernel is nobody's"
    assert found["nobody_ms"] == 300
    assert found["floor_ms"] == 1
    assert "heal_lost" not in found


def test_a_late_answer_is_not_lost_but_is_a_gap() -> None:
    watched = seen(range(0))
    watched.answers = [
        (max(when, 1_200 * MS) if when > FAULT * MS else when, n, who) for when, n, who in watched.answers
    ]
    found = timeline.measure(course(Fault.STOP, [at(1_001, "r1", False), at(1_002, "r2", True)], watched))
    assert found["lost"] == 0
    assert found["outage_ms"] == pytest.approx(201, abs=1)
    assert (found["nobody_ms"], found["both_ms"]) == (1, 0)
    assert "over_dead_ms" not in found, "a stop is told, not found out"


def test_a_kill_leaves_two_owners() -> None:
    changes = [at(BACK, "r2", True)]
    found = timeline.measure(course(Fault.KILL, changes, seen(range(0))))
    assert (found["both_ms"], found["both_open"]) == (END - BACK, True)
    changes.append(at(2_000, "r1", False))
    found = timeline.measure(course(Fault.KILL, changes, seen(range(0))))
    assert (found["both_ms"], found["both_open"]) == (700, False)


def test_a_freeze_and_the_thaw_are_two_windows() -> None:
    changes = [at(BACK, "r2", True), at(2_050, "r2", False), at(2_080, "r1", False), at(2_180, "r1", True)]
    watched = seen(range(2_100, 2_200))
    found = timeline.measure(course(Fault.FREEZE, changes, watched, heal=2_000))
    assert found["lost"] == 0
    assert (found["both_ms"], found["both_open"]) == (700, True)
    assert found["heal_both_ms"] == found["thaw_both_ms"] == 50
    assert found["heal_nobody_ms"] == 100
    assert found["heal_outage_ms"] == pytest.approx(101, abs=0.01)
    assert found["heal_lost"] == 100
    assert found["heal_settled_ms"] == 180


def test_no_takeover_at_all() -> None:
    found = timeline.measure(course(Fault.POWER_OFF, [], seen(range(FAULT, END))))
    assert found["took_ms"] is None
    assert found["outage_ms"] == pytest.approx(END - FAULT + 1, abs=1), "to the end of the watch"
    assert found["lost"] == END - FAULT - 500 + 1, "the last half second is not judged"
    assert "over_dead_ms" not in found


def test_what_happened_before_the_fault_does_not_count() -> None:
    changes = [at(100, "r2", True), at(200, "r2", False), at(BACK, "r2", True), at(BACK + 5, "r1", False)]
    found = timeline.measure(course(Fault.SWITCHOVER, changes, seen(range(0))))
    assert found["took_ms"] == 300
    assert found["both_ms"] == 5


def test_a_failback_after_the_thaw_is_no_fault_of_the_thaw() -> None:
    changes = [at(1_200, "r1", False), at(BACK, "r2", True), at(2_400, "r1", True), at(2_420, "r2", False)]
    found = timeline.measure(course(Fault.FREEZE, changes, seen(range(0)), heal=2_000))
    assert (found["both_ms"], found["thaw_both_ms"], found["heal_both_ms"]) == (0, 0, 20)
    assert found["nobody_ms"] == 100
