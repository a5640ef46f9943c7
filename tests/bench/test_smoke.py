"""The whole of the benchmark, once, in seconds: wires, probe, our daemon, a fault, a row."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import rest, rows
from bench.lan import Lan, lan
from bench.probe import Prober
from bench.session import Session, session
from bench.words import Fault
from edge.waiting import wait

pytestmark = pytest.mark.netns


@pytest.fixture
def wires() -> Iterator[Lan]:
    with lan("t") as found:
        yield found


@pytest.fixture
def pair(wires: Lan, tmp_path: Path) -> Iterator[Session]:
    prober = Prober(wires.places["c"])
    try:
        with session(wires, prober, tmp_path, "vyoscluster", "B", rng=random.Random(1)) as found:
            yield found
    finally:
        prober.close()


def test_a_power_off_and_the_failback_after_it(pair: Session, wires: Lan) -> None:
    trials = list(pair.trials(Counter({Fault.POWER_OFF: 1, Fault.FAILBACK: 1})))
    assert [t["fault"] for t in trials] == ["power-off", "failback"]
    assert all(t["ok"] and t["valid"] for t in trials), trials
    power_off, failback = rows.rows(trials, {})
    assert power_off["median_ms"] > 100, "silence is no death before the dead interval, less one keepalive"
    assert power_off["lost_median"] > 100
    assert 0 < power_off["over_dead_median_ms"] + power_off["dead_ms"] < 2_000
    assert failback["median_ms"] < power_off["median_ms"] + 500
    assert wires.watcher.owners() == {"r1"}


def test_the_cost_of_a_pair_at_rest(pair: Session, wires: Lan) -> None:
    owner, standby = rest.measure(pair, wires, seconds=1.0)
    assert (owner["role"], standby["role"]) == ("owner", "standby")
    for one in (owner, standby):
        assert one["processes"] == 1
        assert 5 * 1024 < one["pss_kib"] <= one["pss_alone_kib"] <= one["rss_kib"]
        assert one["cpu_ms_per_s"] > 0
        assert 5 < one["frames_per_s"] < 40, "ten a second, and what else it says"


def test_nothing_is_left(tmp_path: Path) -> None:
    with lan("gone") as wires:
        prober = Prober(wires.places["c"])
        with session(wires, prober, tmp_path, "vyoscluster", "B") as pair:
            pair.start("r1")
            pids = wait(lambda: pair.pids("r1"), "the daemon to run")
            assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        prober.close()
        places = list(wires.places.values())
    assert not set(places) & set(os.listdir("/run/netns"))
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
