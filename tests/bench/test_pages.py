"""Pages and plots of made-up rows: all are drawn, and each page names machine, versions and date."""

from __future__ import annotations

from pathlib import Path

from bench import pages, rows
from bench.systems import SYSTEMS
from bench.test_rows import RUN, trial
from bench.words import HEALED, Fault

HEAL = {"heal_outage_ms": 5.0, "heal_lost": 1, "heal_both_ms": 2.0, "heal_nobody_ms": 0.0, "heal_settled_ms": 9.0}
REST = {
    "system": "ucarp",
    "setting": "A",
    "groups": 10,
    "role": "owner",
    "pss_kib": 100,
    "pss_alone_kib": 200,
    "cpu_ms_per_s": 0.5,
    "bytes_per_s": 70.0,
    "frames_per_s": 1.0,
    "load": 0.1,
    "date": "2026-01-02T03:04:05",
}


def test_a_page_and_its_plots(tmp_path: Path) -> None:
    run = RUN | {"versions": dict.fromkeys(SYSTEMS, "1.5")}
    trials = [
        trial(system=system, fault=fault, outage_ms=ms, **(HEAL if fault in HEALED else {}))
        for system in SYSTEMS
        for fault in Fault
        for ms in (0.3, 300.0)
    ]
    found = pages.draw("bench", rows.rows(trials, run), [REST | run], tmp_path / "new")
    page, *plots = found
    assert [path.name for path in plots] == ["bench-B.png", "bench-over-dead.png", "bench-rest.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots)
    text = page.read_text()
    assert "# make bench" in text
    assert "2 x a processor. vyoscluster 1.5, " in text
    assert "2026-01-02" in text
    assert all(f"]({path.name})" in text for path in plots)
    assert "| B | power-off | ucarp | 2 | 150 (0.3 to 300) | 299 |" in text
    assert "| A | 10 | ucarp | owner | 0.1 | 0.2 | 0.50 | 70 | 1.0 |" in text


def test_a_soak(tmp_path: Path) -> None:
    row = REST | RUN | {"phase": "rest", "seconds": 90, "every_s": 10.0, "pss_alone_kib": [2048, 2048], "takeovers": 0}
    row |= {f"pss_{what}_kib": 1024 for what in ("first", "last", "alone_first", "alone_last")}
    page, plot = pages.draw_soak([row], tmp_path)
    assert "| rest | A | 10 | ucarp | owner | 1.5 | 1.0 -> 1.0 | 1.0 -> 1.0 | 0.50 | 0 |" in page.read_text()
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_nothing_measured_draws_nothing(tmp_path: Path) -> None:
    assert pages.draw("bench", [], [], tmp_path) == []
