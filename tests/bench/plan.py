"""What is to be measured, in which order. Pure.

A run is cut into jobs of one system at one setting, and these into rounds, so that the systems take turns through the
whole run and none of them has the quiet quarter of an hour to itself.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence

from bench.systems import SYSTEMS
from bench.words import SETTINGS, STORMS, Fault

OURS = "vyoscluster"
ROUND, LONG_ROUND, LONG_MS = 2, 1, 10_000
"""About so many trials of each fault in one round: one where the dead interval is long. A round of heartbeat takes
minutes, and the run ends with its last job."""
BENCH_N = {"A": 4, "B": 12, "C": 12}
DEFAULTS_N = {"default": 5}
PROMISE_N = {"D3": 20}
"""The setting at which our promise is counted ..."""
PROMISE_FAULTS = (Fault.KILL, Fault.FREEZE, Fault.STOP, Fault.SWITCHOVER)
BESIDE_N = 4
"""... and how often the others get the same, at kill and freeze."""
BESIDE_FAULTS = (Fault.KILL, Fault.FREEZE)
STORM_SETTING, STORM_N, STORM_BESIDE_N = "B", 6, 2
"""Where a stranger joins in, and how often; the others get recordings alone, and those are long trials."""
LOUD = ("keepalived-v3", "C", Fault.FREEZE)
"""At 10 ms a thawed keepalived and its heir send advertisements as fast as they can for a second or two: the probes of
the lanes beside them were up to 14 times more than 20 ms late, and other systems' trials were late with them."""
GROUPS = (1, 10, 32)


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """Trials of one system, without a new start between them where that can be."""

    system: str
    setting: str
    links: int
    wanted: tuple[tuple[Fault, int], ...]
    round: int

    def __str__(self) -> str:
        links = ", two links" if self.links > 1 else ""
        return f"{self.system} {self.setting}{links}, round {self.round + 1}"

    @property
    def trials(self) -> int:
        """How many there are in it."""
        return sum(n for _, n in self.wanted)

    @property
    def loud(self) -> bool:
        """Whether a stranger storms in it, or a system does: that keeps processors busy, for other lanes as well."""
        return any(fault in STORMS or (self.system, self.setting, fault) == LOUD for fault, _ in self.wanted)


@dataclasses.dataclass(frozen=True, slots=True)
class Rest:
    """One system at rest, for the cost of it."""

    system: str
    setting: str
    groups: int

    def __str__(self) -> str:
        return f"{self.system} {self.setting} at rest, {self.groups} groups"


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a person asked to be measured alone; empty: everything."""

    systems: Sequence[str] = ()
    settings: Sequence[str] = ()
    faults: Sequence[Fault] = ()
    n: int | None = None

    def has(self, system: str, setting: str) -> bool:
        """Whether it is asked for and can be had."""
        if self.systems and system not in self.systems:
            return False
        return setting in SYSTEMS[system].settings and (not self.settings or setting in self.settings)


def jobs(counts: Mapping[str, int], limits: Limits, seed: int) -> list[Job]:
    """All jobs of a run, the rounds after each other, each in an order of its own."""
    found: list[Job] = []
    wanted = dict.fromkeys(limits.settings, max(counts.values())) | dict(counts)
    for setting in SETTINGS:
        if setting not in wanted:
            continue
        for system in SYSTEMS:
            if limits.has(system, setting):
                faults, n = _usual(system, setting, wanted[setting])
                found += _rounds(system, setting, limits.faults or faults, limits.n or n)
                if setting == STORM_SETTING and setting in counts and not limits.faults:
                    found += _storms(system, setting, limits)
    order = random.Random(seed)
    order.shuffle(found)
    return sorted(found, key=lambda job: job.round)


def parts(todo: Sequence[Job], lanes: int) -> list[tuple[list[Job], int]]:
    """Jobs that may run so many at a time; the loud ones last, and alone."""
    found = [([job for job in todo if not job.loud], lanes), ([job for job in todo if job.loud], 1)]
    return [(jobs, at_once) for jobs, at_once in found if jobs]


def rests(settings: Sequence[str], limits: Limits) -> list[Rest]:
    """Everything whose cost at rest is taken."""
    return [
        Rest(system, setting, groups)
        for system in SYSTEMS
        for setting in settings
        if limits.has(system, setting)
        for groups in GROUPS
    ]


def without(counts: Mapping[str, int], limits: Limits) -> list[str]:
    """What is asked for and cannot be had, a line for each system."""
    found = []
    for system, made in SYSTEMS.items():
        gone = [s for s in limits.settings or counts if s not in made.settings]
        if gone and (not limits.systems or system in limits.systems):
            found.append(f"{system} has no setting {' '.join(gone)}: those rows are left out")
    return found


def _usual(system: str, setting: str, n: int) -> tuple[Sequence[Fault], int]:
    """The faults of a setting, and how often."""
    if setting not in PROMISE_N:
        return tuple(fault for fault in Fault if fault not in STORMS), n
    return (PROMISE_FAULTS, n) if system == OURS else (BESIDE_FAULTS, BESIDE_N)


def _storms(system: str, setting: str, limits: Limits) -> list[Job]:
    ours = system == OURS
    faults = tuple(fault for fault in Fault if fault in STORMS) if ours else (Fault.REPLAYED,)
    return _rounds(system, setting, faults, limits.n or (STORM_N if ours else STORM_BESIDE_N))


def _rounds(system: str, setting: str, faults: Sequence[Fault], n: int) -> list[Job]:
    count = max(1, round(n / (LONG_ROUND if SETTINGS[setting].dead_ms > LONG_MS else ROUND)))
    found = []
    for number in range(count):
        share = n // count + (number < n % count)
        quiet = [fault for fault in faults if (system, setting, fault) != LOUD]
        for part in (quiet, [fault for fault in faults if fault not in quiet]):
            if part and share:
                found.append(Job(system, setting, 1, tuple((fault, share) for fault in part), number))
        if Fault.LINK_CUT in faults and share and SYSTEMS[system].second_link:
            found.append(Job(system, setting, 2, ((Fault.LINK_CUT, share),), number))
    return found
