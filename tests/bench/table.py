"""The rows as a table: for a terminal, and as Markdown for docs/benchmarks. The systems of one fault stand together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

HEAD = (
    "set",
    "fault",
    "system",
    "n",
    "outage ms",
    "lost",
    "over dead",
    "both own",
    "nobody",
    "heal: outage",
    "heal: lost",
)
REST_HEAD = ("set", "groups", "system", "role", "PSS MiB", "alone MiB", "CPU ms/s", "bytes/s", "frames/s")
SOAK_HEAD = ("phase", "set", "groups", "system", "role", "minutes", "PSS MiB", "alone MiB", "CPU ms/s", "takeovers")


def soak_lines(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """The same of a soak."""
    return [
        (
            r["phase"],
            r["setting"],
            str(r["groups"]),
            r["system"],
            r["role"],
            f"{r['seconds'] / 60:.1f}",
            " -> ".join(f"{r[f'pss_{when}_kib'] / 1024:.1f}" for when in ("first", "last")),
            " -> ".join(f"{r[f'pss_alone_{when}_kib'] / 1024:.1f}" for when in ("first", "last")),
            f"{r['cpu_ms_per_s']:.2f}",
            str(r["takeovers"]),
        )
        for r in rows
    ]


def everything(rows: Sequence[Row], rest: Sequence[Row]) -> str:
    """All of a run for a terminal."""
    parts = [text(HEAD, lines(rows))] if rows else []
    if rest:
        parts.append(text(REST_HEAD, rest_lines(rest)))
    return "\n\n".join(parts)


def lines(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """The cells of each row: median (smallest to largest)."""
    found = []
    for row in rows:
        found.append(_cells(row))
        if "one_link" in row:
            found.append(_cells({**row, **row["one_link"], "one_link": None}))
    return found


def rest_lines(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """The same of the costs at rest."""
    return [
        (
            r["setting"],
            str(r["groups"]),
            r["system"],
            r["role"],
            f"{r['pss_kib'] / 1024:.1f}",
            f"{r['pss_alone_kib'] / 1024:.1f}",
            f"{r['cpu_ms_per_s']:.2f}",
            f"{r['bytes_per_s']:.0f}",
            f"{r['frames_per_s']:.1f}",
        )
        for r in sorted(rows, key=lambda r: (r["setting"], r["groups"], r["system"], r["role"]))
    ]


def text(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal."""
    widths = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in (head, *cells)
    )


def markdown(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """The same for a page."""
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *cells))


def _cells(row: Row) -> tuple[str, ...]:
    fault = row["fault"]
    if fault == "link-cut":
        fault += f" ({row['links']} link{'s' if row['links'] > 1 else ''})"
    n = str(row["n"])
    if row["moved_n"] < row["n"]:
        n += f" ({row['n'] - row['moved_n']} without end)"
    if row["invalid_n"]:
        n += f" (+{row['invalid_n']} void)"
    both = _spread(row, "both_", "_ms")
    if both and row["both_n"]:
        both += f", {row['both_n']} of {row['n']}"
    return (
        row["setting"],
        fault,
        row["system"],
        n,
        _spread(row, "", "_ms"),
        _spread(row, "lost_", ""),
        _spread(row, "over_dead_", "_ms"),
        both,
        _spread(row, "nobody_", "_ms"),
        _spread(row, "heal_outage_", "_ms"),
        _spread(row, "heal_lost_", ""),
    )


def _spread(row: Row, name: str, unit: str) -> str:
    if row.get(f"{name}median{unit}") is None:
        return ""
    median, least, most = (row[f"{name}{what}{unit}"] for what in ("median", "min", "max"))
    return f"{_number(median)} ({_number(least)} to {_number(most)})" if least != most else _number(median)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.1f}"
