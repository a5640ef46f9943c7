"""From trials to the rows of build/bench.json, one for each system, setting and fault. Pure; fields: README.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.words import CUTS, SETTINGS, Fault

Row = dict[str, Any]
Trial = Mapping[str, Any]

SPREADS = {
    "took_ms": "took",
    "over_dead_ms": "over_dead",
    "both_ms": "both",
    "nobody_ms": "nobody",
    "thaw_both_ms": "thaw_both",
    "heal_outage_ms": "heal_outage",
    "heal_both_ms": "heal_both",
    "heal_nobody_ms": "heal_nobody",
    "heal_settled_ms": "heal_settled",
}
"""Figures of a trial that a row tells by median, smallest and largest."""


def rows(trials: Iterable[Trial], run: Mapping[str, Any]) -> list[Row]:
    """All rows, in the order of the words; `run` (machine, versions, ...) goes into each."""
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial["setting"], trial["fault"], trial["system"]), []).append(trial)
    order = {name: i for i, name in enumerate([*SETTINGS, *Fault])}
    keys = sorted(groups, key=lambda key: (order[key[0]], order[key[1]], key[2]))
    return [{**_row(groups[key]), **run} for key in keys]


def spread(name: str, values: Iterable[float | None], unit: str = "_ms") -> Row:
    """Median, smallest and largest of what there is; empty where there is nothing."""
    known = sorted(v for v in values if v is not None)
    if not known:
        return {}
    figures = {"median": statistics.median(known), "min": known[0], "max": known[-1]}
    return {f"{name}{what}{unit}": round(value, 2) for what, value in figures.items()}


def _row(trials: Sequence[Trial]) -> Row:
    """With two links where that was measured; the one-link trials of the same fault are then a part of the row."""
    links = max(t["links"] for t in trials)
    row = _figures([t for t in trials if t["links"] == links])
    single = [t for t in trials if t["links"] != links]
    if single:
        row["one_link"] = {k: v for k, v in _figures(single).items() if k not in ("system", "setting", "fault")}
    return row


def _figures(trials: Sequence[Trial]) -> Row:
    first = trials[0]
    # a trial that began with another owner, or with two, says nothing of this fault; it is counted, not hidden
    good = [t for t in trials if t["valid"]]
    setting = SETTINGS[first["setting"]]
    row: Row = {
        "system": first["system"],
        "setting": first["setting"],
        "fault": first["fault"],
        "n": len(good),
        **spread("", (t["outage_ms"] for t in good)),
        **spread("lost_", (t["lost"] for t in good), ""),
        "moved_n": sum(t["ok"] for t in good),
        "invalid_n": len(trials) - len(good),
        "links": first["links"],
        "keepalive_ms": setting.keepalive_ms,
        "dead_ms": first["dead_ms"],
    }
    cut = first["fault"] in CUTS
    without = {"both_ms", "nobody_ms"} if cut else set()  # each side of a cut is an owner of its own
    if first["links"] > 1:
        without.add("over_dead_ms")  # frames go on over the other link; what counts is told, not found out
    for figure, name in SPREADS.items():
        if figure not in without:
            row |= spread(f"{name}_", (t.get(figure) for t in good))
    if not cut:
        row["both_n"] = sum(t["both_ms"] > 0 or t.get("thaw_both_ms", 0) > 0 for t in good)
    if any("heal_lost" in t for t in good):
        row |= spread("heal_lost_", (t.get("heal_lost") for t in good), "")
    for figure in ("storm_per_s", "storm_read", "storm_kernel_drops"):
        known = [t[figure] for t in good if figure in t]
        if known:
            row[figure] = round(statistics.median(known))
    row |= spread("floor_", (t["floor_ms"] for t in good))
    row["stalls"] = sum(t["stalls"] for t in good)
    row["load"] = statistics.median(t["load"] for t in trials)
    row["date"] = min(t["at"] for t in trials)
    return row
