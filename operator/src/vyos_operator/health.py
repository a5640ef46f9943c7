"""How a cluster does, judged from what its agents reported. Pure; the words for it are in `status`.

Everything is judged against the configuration that the agents run, which after a refused edit is not the spec.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Mapping

from vyos_api.nodeconfig import NodeConfig
from vyos_api.v1alpha1 import Deviation, GroupStatus, NodeStatus, Status
from vyos_operator import presence
from vyos_operator.living import Death, living
from vyos_operator.world import Absence

OWNING = frozenset({"Owner", "Asking", "Giving", "Suspended"})
"""States of a member that claims the group (docs/control-socket.md; the core's OWNING)."""
READY = OWNING | {"Standby"}
"""States of a member that has the group or could take it."""

AWAY = frozenset({"Dead", "Left", "Unheard"})
"""States of a peer that does not talk (docs/control-socket.md)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dissent:
    """A living member that sees another owner of a group than its entry names."""

    group: str
    member: str
    sees: str | None
    owner: str


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """What is so, with nothing said about it yet."""

    members: tuple[str, ...]
    gone: Mapping[str, str]
    """Members whose last report counts for nothing by Kubernetes' word (`presence`), and why."""
    living: frozenset[str]
    """Members that reported, are not `gone`, and that no living member calls dead."""
    mute: Mapping[str, str]
    """Those of the living that may be unable to report by Kubernetes' word, so that their entry stays as it is; why."""
    accusers: dict[str, tuple[str, ...]]
    """Members that reported once and are dead, with the living members that say so."""
    silent: tuple[str, ...]
    """Members that never reported."""
    away: frozenset[str]
    """Members that a living one does not hear: dead, left, or never heard at all. The word of the mute may be old, and
    does not count here."""
    ready: frozenset[str]
    split: dict[str, tuple[str, ...]]
    """Groups with more than one living owner."""
    ownerless: dict[str, str]
    """Groups that nobody serves, with the reason for people."""
    dissents: tuple[Dissent, ...]
    deviations: tuple[tuple[str, str, str, str], ...]
    """(member, kind, name, state) of what the living report, but the deaths that `accusers` has."""


def assess(config: NodeConfig, status: Status, absent: Mapping[str, Absence]) -> Health:
    """Judge the members and groups of `config`; what others left in the status is not looked at.

    `absent`: its members whose agent is not there or cannot be seen.
    """
    entries = {n.name: n for n in status.nodes if n.name in config.members}
    gone = presence.gone(config.members, absent)
    speakers = {name: entry for name, entry in entries.items() if name not in gone}
    alive = living(speakers, deaths(speakers, absent), config.dead_ms)
    dead = frozenset(entries) - alive
    records = {g.name: g for g in status.groups}
    split: dict[str, tuple[str, ...]] = {}
    ownerless: dict[str, str] = {}
    dissents: list[Dissent] = []
    for group in config.groups:
        owning = tuple(sorted(m for m in group.members if m in alive and _state(entries[m], group.name) in OWNING))
        if len(owning) > 1:
            split[group.name] = owning
            continue
        record = records.get(group.name)
        why = _ownerless(record, owning, alive, dead)
        if why:
            ownerless[group.name] = why
        elif record is not None:
            seen = {m: _owner(entries[m], group.name) for m in group.members if m in alive}
            dissents += [Dissent(group.name, m, s, record.owner) for m, s in seen.items() if s != record.owner]
    return Health(
        members=config.members,
        gone=gone,
        living=alive,
        mute={member: absence.why for member, absence in absent.items() if member in alive},
        accusers={m: tuple(sorted(r for r in alive if _misses(entries[r], m))) for m in sorted(dead)},
        silent=tuple(m for m in config.members if m not in entries),
        away=frozenset(d.name for m in alive - absent.keys() for d in entries[m].deviations or () if _is_away(d)),
        ready=frozenset(m for m in alive if _ready(entries[m])),
        split=split,
        ownerless=ownerless,
        dissents=tuple(dissents),
        deviations=tuple(
            (m, d.kind, d.name, d.state)
            for m in sorted(alive)
            for d in entries[m].deviations or ()
            if not (d.kind == "Peer" and d.name not in alive)
        ),
    )


def deaths(entries: Mapping[str, NodeStatus], absent: Collection[str]) -> list[Death]:
    """Who says that whom is dead, and since when. `absent`: those whose agent Kubernetes does not see at work.

    A member that began anew cannot know that another one died: it never heard it. Its "Unheard" is as good as "Dead"
    when the other one seems to believe it still, as only its last words can; not when somebody whom all hear hears the
    other one. When neither hears the other, both may live, in two halves: unless Kubernetes misses the other one, too,
    neither's word counts (for `living` one that is as old as the other's "Dead" does away with both).
    """
    away = {(r, d.name): d for r, entry in entries.items() for d in entry.deviations or () if _is_away(d)}
    unheard = {pair for pair, d in away.items() if d.state == "Unheard" and pair[1] in entries}
    vanished = {subject for reporter, subject in unheard if (subject, reporter) not in away}
    found = [Death(r, s, milliseconds(d.since)) for (r, s), d in away.items() if d.state == "Dead"]
    for reporter, subject in sorted(unheard):
        answer, since_ms = away.get((subject, reporter)), milliseconds(away[reporter, subject].since)
        if answer is None:
            counts = all((witness, subject) in away for witness in entries.keys() - vanished - {subject})
        else:
            counts = subject in absent
            if not counts and answer.state == "Dead":
                found.append(Death(reporter, subject, milliseconds(answer.since)))
        if counts:
            found.append(Death(reporter, subject, since_ms))
    return found


def milliseconds(timestamp: str | None) -> int:
    """Milliseconds since 1970 of an RFC 3339 timestamp; 0 for none and for what is no timestamp."""
    try:
        return int(datetime.datetime.fromisoformat(timestamp or "").timestamp() * 1000)
    except ValueError:
        return 0


def _is_away(deviation: Deviation) -> bool:
    return deviation.kind == "Peer" and deviation.state in AWAY


def _misses(entry: NodeStatus, member: str) -> bool:
    return any(_is_away(d) and d.name == member for d in entry.deviations or ())


def _ownerless(
    record: GroupStatus | None, owning: tuple[str, ...], alive: frozenset[str], dead: frozenset[str]
) -> str | None:
    if record is None:
        return f"{owning[0]} owns it, but has not recorded it yet" if owning else "nobody has taken it"
    if not owning:
        if record.owner in dead:
            return f"its last owner {record.owner} is dead"
        if record.owner in alive:
            return f"its last owner {record.owner} has let it go"
        return f"its last owner {record.owner} does not report"
    if owning[0] != record.owner:
        return f"{owning[0]} owns it, but {record.owner} is recorded"
    return None


def _group(entry: NodeStatus, name: str) -> tuple[str, str | None]:
    return next(((g.state, g.owner) for g in entry.groups or () if g.name == name), ("", None))


def _state(entry: NodeStatus, name: str) -> str:
    return _group(entry, name)[0]


def _owner(entry: NodeStatus, name: str) -> str | None:
    return _group(entry, name)[1]


def _ready(entry: NodeStatus) -> bool:
    return bool(entry.groups) and all(g.state in READY for g in entry.groups or ())
