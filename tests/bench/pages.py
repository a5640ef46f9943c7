"""Pages for docs/benchmarks: the tables of a run in Markdown, and its plots, each naming machine, versions and date."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench import table
from bench.store import BUILD
from bench.store import DOCS as DOCS
from bench.systems import SYSTEMS
from bench.words import CUTS, HEALED, JUDGED, Fault

mpl.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

Row = Mapping[str, Any]
PARTIAL = BUILD / "benchmarks"
"""Where a limited run draws: it is no figure to show."""
COLOURS = dict(zip(SYSTEMS, ("#0b6e4f", "#c44536", "#e08e45", "#31598c", "#8a6fa8"), strict=True))
FLOOR_MS = 1.0
"""The probe's own step: shorter outages cannot be told, and a logarithmic axis has no zero."""
WIDTH_IN, ROW_IN, DPI = 11.0, 3.2, 110


def draw(name: str, rows: Sequence[Row], rest: Sequence[Row], directory: Path) -> list[Path]:
    """Write NAME.md and its plots; their paths."""
    if not rows and not rest:
        return []
    directory.mkdir(parents=True, exist_ok=True)
    first = (*rows, *rest)[0]
    plots = [path for path in _plots(name, rows, rest, directory)]
    parts = [f"# {first['run']}", _run(first)]
    parts += [f"![{path.stem}]({path.name})" for path in plots]
    parts.append("Median (smallest to largest), in milliseconds; the fields are explained in tests/bench/README.md.")
    if rows:
        parts.append(table.markdown(table.HEAD, table.lines(rows)))
    if rest:
        parts += ["## At rest", table.markdown(table.REST_HEAD, table.rest_lines(rest))]
    page = directory / f"{name}.md"
    page.write_text("\n\n".join(parts) + "\n")
    return [page, *plots]


def draw_soak(rows: Sequence[Row], directory: Path) -> list[Path]:
    """Write soak.md and the plot of memory over time; their paths."""
    if not rows:
        return []
    directory.mkdir(parents=True, exist_ok=True)
    plot = _figure(
        directory / "soak.png", "soak: memory of one daemon over time", rows, [lambda axes: _memory(axes, rows)]
    )
    page = directory / "soak.md"
    lines = table.markdown(table.SOAK_HEAD, table.soak_lines(rows))
    page.write_text(f"# {rows[0]['run']}\n\n{_run(rows[0])}\n\n![soak]({plot.name})\n\n{lines}\n")
    return [page, plot]


def _plots(name: str, rows: Sequence[Row], rest: Sequence[Row], directory: Path) -> Iterator[Path]:
    settings = list(dict.fromkeys(r["setting"] for r in rows))
    for setting in settings:
        found = [r for r in rows if r["setting"] == setting]

        def outage(axes: Axes, found: Sequence[Row] = found) -> None:
            _bars(axes, found, "", "client outage, ms")

        def healing(axes: Axes, found: Sequence[Row] = found) -> None:
            _bars(axes, found, "heal_outage_", "client outage after heal or thaw, ms")

        parts = [outage, *([healing] if any(r["fault"] in HEALED for r in found) else [])]
        path = directory / f"{name}-{setting}.png"
        yield _figure(path, f"{name}, setting {setting}: median, smallest, largest", found, parts)
    judged = [r for r in rows if r["fault"] in JUDGED - CUTS and r.get("over_dead_median_ms") is not None]
    if judged:
        yield _figure(
            directory / f"{name}-over-dead.png",
            f"{name}: last frame to address, beyond the dead interval",
            judged,
            [lambda axes: _over_dead(axes, judged)],
        )
    if rest:
        yield _figure(
            directory / f"{name}-rest.png",
            f"{name}: owner at rest",
            rest,
            [
                lambda axes: _rest(axes, rest, "cpu_ms_per_s", "CPU, ms/s"),
                lambda axes: _rest(axes, rest, "bytes_per_s", "wire, bytes/s"),
                lambda axes: _rest(axes, rest, "pss_alone_kib", "memory, alone, KiB"),
            ],
        )


def _figure(path: Path, title: str, rows: Sequence[Row], parts: Sequence[Callable[[Axes], None]]) -> Path:
    figure, axes = pyplot.subplots(len(parts), 1, figsize=(WIDTH_IN, ROW_IN * len(parts) + 0.9), squeeze=False)
    for part, (one,) in zip(parts, axes, strict=True):
        part(one)
    figure.suptitle(title)
    figure.text(0.5, 0.005, _run(rows[0]), ha="center", va="bottom", fontsize=6, wrap=True)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    pyplot.close(figure)
    return path


def _bars(axes: Axes, rows: Sequence[Row], name: str, label: str) -> None:
    """One point for each system and fault, its line from the smallest to the largest."""
    rows = [r for r in rows if f"{name}median_ms" in r]
    faults = [f for f in Fault if any(r["fault"] == f for r in rows)]
    systems = [s for s in SYSTEMS if any(r["system"] == s for r in rows)]
    for i, system in enumerate(systems):
        found = [(faults.index(r["fault"]), r) for r in rows if r["system"] == system]
        at = [x + (i - (len(systems) - 1) / 2) * 0.14 for x, _ in found]
        median, least, most = (
            [max(r[f"{name}{what}_ms"], FLOOR_MS) for _, r in found] for what in ("median", "min", "max")
        )
        spread = [
            [m - a for m, a in zip(median, least, strict=True)],
            [b - m for m, b in zip(median, most, strict=True)],
        ]
        axes.errorbar(at, median, yerr=spread, fmt="o", ms=5, capsize=3, color=COLOURS[system], label=system)
    axes.set_xticks(range(len(faults)), [fault.replace("power-off-", "power-off\n-") for fault in faults])
    axes.set_xlim(-0.5, len(faults) - 0.5)
    axes.set_yscale("log")
    axes.set_ylim(bottom=FLOOR_MS / 2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=7, loc="upper right")


def _over_dead(axes: Axes, rows: Sequence[Row]) -> None:
    labels = [f"{r['system']}\n{r['setting']} {r['fault']}" for r in rows]
    median = [r["over_dead_median_ms"] for r in rows]
    spread = [
        [r["over_dead_median_ms"] - r["over_dead_min_ms"] for r in rows],
        [r["over_dead_max_ms"] - r["over_dead_median_ms"] for r in rows],
    ]
    colours = [COLOURS[r["system"]] for r in rows]
    axes.bar(range(len(rows)), median, yerr=spread, color=colours, capsize=2)
    axes.set_xticks(range(len(rows)), labels, rotation=90, fontsize=6)
    axes.set_yscale("symlog", linthresh=5)
    axes.set_ylabel("ms")
    axes.grid(axis="y", alpha=0.3)


def _rest(axes: Axes, rows: Sequence[Row], field: str, label: str) -> None:
    owners = sorted((r for r in rows if r["role"] == "owner"), key=lambda r: (r["setting"], r["groups"], r["system"]))
    axes.bar(range(len(owners)), [r[field] for r in owners], color=[COLOURS[r["system"]] for r in owners])
    axes.set_xticks(
        range(len(owners)),
        [f"{r['system']} {r['setting']} {r['groups']} groups" for r in owners],
        rotation=90,
        fontsize=6,
    )
    axes.set_yscale("log")
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)


def _memory(axes: Axes, rows: Sequence[Row]) -> None:
    for r in rows:
        minutes = [i * r["every_s"] / 60 for i in range(len(r["pss_alone_kib"]))]
        label = f"{r['phase']}: {r['system']} {r['setting']} {r['groups']} groups, {r['role']}"
        axes.plot(minutes, [kib / 1024 for kib in r["pss_alone_kib"]], label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes")
    axes.set_ylabel("PSS as if alone, MiB")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6)


def _run(row: Row) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    return f"{row['machine']}. {versions}. {row['date']}, load {row['load']:g}."
