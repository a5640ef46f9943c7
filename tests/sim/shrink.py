"""Make a failing schedule short: leave out bursts, then faults, while it fails in the same way."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from sim.episode import Outcome, play
from sim.scenario import Burst, Scenario
from sim.words import Broken


def cause(outcome: Outcome) -> str | None:
    """What is wrong, in a word: two runs that fail with the same word fail alike."""
    if isinstance(outcome.broken, Broken):
        return outcome.broken.name
    return type(outcome.broken).__name__ if outcome.broken is not None else None


def shrink(scenario: Scenario, bursts: Sequence[Burst], *, tries: int = 300, off: Iterable[str] = ()) -> Outcome:
    """The shortest that was found; the last outcome has its transcript."""
    best = play(scenario, bursts, off=off)
    word = cause(best)
    assert word is not None, "the schedule does not fail"
    size = max(1, len(best.bursts) // 2)
    while size:
        at = 0
        while at < len(best.bursts) and tries > 0:
            tries -= 1
            less = play(scenario, best.bursts[:at] + best.bursts[at + size :], off=off)
            if cause(less) == word:
                best = less
            else:
                at += size
        size //= 2
    for b in range(len(best.bursts) - 1, -1, -1):
        for f in range(len(best.bursts[b].faults) - 1, -1, -1):
            burst = best.bursts[b]
            shorter = dataclasses.replace(burst, faults=burst.faults[:f] + burst.faults[f + 1 :])
            less = play(scenario, [*best.bursts[:b], shorter, *best.bursts[b + 1 :]], off=off)
            if cause(less) == word and len(less.bursts) == len(best.bursts):
                best = less
    return best
