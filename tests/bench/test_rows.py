"""The rows of build/bench.json, their table, and the plan behind them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import plan, rows, store, table
from bench.__main__ import main
from bench.plan import Limits
from bench.systems import SYSTEMS
from bench.words import SETTINGS, STORMS, Fault

RUN = {"machine": "2 x a processor", "versions": {"ucarp": "1.5"}, "run": "make bench", "lanes": 1, "seed": 1}


def trial(**changes: Any) -> dict[str, Any]:
    made = {
        "system": "vyoscluster",
        "setting": "B",
        "fault": "power-off",
        "links": 1,
        "ok": True,
        "valid": True,
        "load": 0.5,
        "at": "2026-01-02T03:04:05",
        "outage_ms": 300.0,
        "lost": 299,
        "took_ms": 299.0,
        "floor_ms": 1.5,
        "stalls": 0,
        "both_ms": 0.0,
        "both_open": False,
        "nobody_ms": 299.0,
        "announced_ms": 300.0,
        "over_dead_ms": 2.5,
        "dead_ms": 300,
    }
    return made | changes


def test_a_row_has_the_spread_and_names_its_run() -> None:
    found = rows.rows([trial(outage_ms=ms, lost=n) for ms, n in ((250.0, 249), (310.0, 309), (290.0, 289))], RUN)
    (row,) = found
    assert (row["system"], row["setting"], row["fault"], row["n"]) == ("vyoscluster", "B", "power-off", 3)
    assert (row["median_ms"], row["min_ms"], row["max_ms"]) == (290, 250, 310)
    assert (row["lost_median"], row["lost_min"], row["lost_max"]) == (289, 249, 309)
    assert row["over_dead_median_ms"] == 2.5
    assert (row["keepalive_ms"], row["dead_ms"], row["links"]) == (100, 300, 1)
    assert (row["machine"], row["versions"], row["date"]) == (RUN["machine"], RUN["versions"], "2026-01-02T03:04:05")
    assert row["both_n"] == 0
    assert "heal_outage_median_ms" not in row


def test_a_void_trial_is_counted_and_left_out() -> None:
    (row,) = rows.rows([trial(), trial(valid=False, outage_ms=1.0), trial(ok=False)], RUN)
    assert (row["n"], row["invalid_n"], row["moved_n"]) == (2, 1, 1)
    assert row["min_ms"] == 300


def test_two_links_are_the_row_and_one_link_a_part_of_it() -> None:
    heal = {"heal_outage_ms": 5.0, "heal_lost": 1, "heal_both_ms": 2.0, "heal_nobody_ms": 0.0, "heal_settled_ms": 9.0}
    found = rows.rows([trial(fault="link-cut", **heal), trial(fault="link-cut", links=2, outage_ms=8.0, **heal)], RUN)
    (row,) = found
    assert (row["links"], row["n"], row["median_ms"]) == (2, 1, 8)
    assert (row["one_link"]["links"], row["one_link"]["median_ms"]) == (1, 300)
    assert row["heal_lost_max"] == 1
    assert "over_dead_median_ms" not in row
    assert row["one_link"]["over_dead_median_ms"] == 2.5
    assert "both_median_ms" not in row, "each side of a cut has its owner"
    assert [cells[1] for cells in table.lines(found)] == ["link-cut (2 links)", "link-cut (1 link)"]


def test_systems_of_one_fault_stand_together() -> None:
    found = rows.rows(
        [trial(system=s, fault=f, setting=x) for s in SYSTEMS for f in ("kill", "power-off") for x in ("B", "A")], RUN
    )
    assert [(r["setting"], r["fault"]) for r in found[::5]] == [
        ("A", "power-off"),
        ("A", "kill"),
        ("B", "power-off"),
        ("B", "kill"),
    ]
    shown = table.everything(found, [])
    assert shown.splitlines()[0].split() == " ".join(table.HEAD).split()
    assert len(shown.splitlines()) == 1 + len(found)


def test_what_was_measured_is_on_disk_before_the_end(tmp_path: Path) -> None:
    kept = store.Store("bench", RUN, tmp_path)
    kept.add(trial())
    assert json.loads((tmp_path / "bench-trials.jsonl").read_text()) == trial()
    kept.save()
    kept.add(trial())
    kept.close()
    (row,) = json.loads((tmp_path / "bench.json").read_text())
    assert row["n"] == 2


def counted(limits: Limits, counts: dict[str, int] | None = None) -> Counter[tuple[str, str, str, int]]:
    found: Counter[tuple[str, str, str, int]] = Counter()
    for job in plan.jobs(counts or plan.BENCH_N | plan.PROMISE_N, limits, seed=1):
        for fault, n in job.wanted:
            found[job.system, job.setting, fault.value, job.links] += n
    return found


def test_the_whole_plan() -> None:
    found = counted(Limits())
    for system, made in SYSTEMS.items():
        for setting, n in plan.BENCH_N.items():
            for fault in set(Fault) - STORMS:
                assert found[system, setting, fault, 1] == (n if setting in made.settings else 0)
    storms = {key: n for key, n in found.items() if key[2] in STORMS}
    assert storms == {("vyoscluster", "B", fault, 1): 6 for fault in STORMS} | {
        (system, "B", "power-off-replay", 1): 2
        for system, made in SYSTEMS.items()
        if "B" in made.settings and system != "vyoscluster"
    }
    promise = {key: n for key, n in found.items() if key[1] == "D3"}
    assert promise == {("vyoscluster", "D3", fault, 1): 20 for fault in plan.PROMISE_FAULTS} | {
        (system, "D3", fault, 1): 4 for system in ("heartbeat", "keepalived-v3") for fault in ("kill", "freeze")
    }
    assert found["vyoscluster", "B", "link-cut", 2] == 12
    assert found["ucarp", "A", "link-cut", 2] == 0


def test_a_limited_plan() -> None:
    limits = Limits(("vyoscluster", "keepalived-v3"), ("B",), (Fault.POWER_OFF,), 3)
    assert counted(limits) == {(system, "B", "power-off", 1): 3 for system in limits.systems}
    assert counted(Limits(("heartbeat",), ("D3",), (Fault.KILL,), 2)) == {("heartbeat", "D3", "kill", 1): 2}
    assert counted(Limits(settings=("A",)), dict(plan.DEFAULTS_N))["ucarp", "A", "stop", 1] == 5


def test_what_a_system_cannot_is_told() -> None:
    asked = Limits(("ucarp", "heartbeat"), ("A", "C"))
    assert plan.without(plan.BENCH_N, asked) == ["ucarp has no setting C: those rows are left out"]
    assert len(plan.without(plan.BENCH_N, Limits())) == 2


def test_rounds_let_systems_take_turns() -> None:
    jobs = plan.jobs(plan.BENCH_N, Limits(settings=("B",)), seed=1)
    assert [job.round for job in jobs] == sorted(job.round for job in jobs)
    first = {job.system for job in jobs if job.round == 0}
    assert first == {name for name, made in SYSTEMS.items() if "B" in made.settings}


def test_storms_come_last_and_alone() -> None:
    jobs = plan.jobs(plan.BENCH_N, Limits(settings=("B", "C")), seed=1)
    (quiet, at_once), (loud, alone) = plan.parts(jobs, 4)
    assert (at_once, alone) == (4, 1)
    assert {fault for job in loud for fault, _ in job.wanted} == STORMS | {Fault.FREEZE}
    assert {job.system for job in loud if job.setting == "C"} == {"keepalived-v3"}
    assert not {fault for job in quiet for fault, _ in job.wanted} & STORMS
    assert len(quiet) + len(loud) == len(jobs)
    assert plan.parts([], 4) == []


def test_settings_hold_what_the_api_demands() -> None:
    assert all(s.dead_ms > 2 * s.keepalive_ms for s in SETTINGS.values())


@pytest.mark.parametrize(
    "args", [["bench", "--systems", "kube-vip"], ["bench", "--n", "0"], ["bench", "--faults", "x"]]
)
def test_what_cannot_be_asked(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(args)
    assert "is n" in capsys.readouterr().err
