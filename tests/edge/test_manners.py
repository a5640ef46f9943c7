"""Process manners: what the limits allow and no more, a loop whose lateness shows, garbage collected by the clock."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.lan import Router, lan
from vyos_agent.edge import manners as module
from vyos_agent.edge.manners import Manners

MODEST = (
    "prlimit",
    "--memlock=65536:65536",
    "--rtprio=0:0",
    "setpriv",
    "--bounding-set=-ipc_lock,-sys_nice,-sys_resource",
)


@pytest.fixture
def manners(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manners]:
    monkeypatch.setattr(module, "_lock_memory", lambda *_: False)
    monkeypatch.setattr(module, "_take_turns", lambda *_: False)
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    monkeypatch.setattr(module, "YOUNG_S", 0.05)
    made = Manners()
    yield made
    made.end()
    assert gc.isenabled()


async def test_a_loop_that_was_late_shows(manners: Manners) -> None:
    manners.begin()
    await asyncio.sleep(0.1)
    before = manners.as_json()
    time.sleep(0.15)  # noqa: ASYNC251 (that is the lateness)
    await asyncio.sleep(0.05)
    told = manners.as_json()
    assert told["loopLagMs"] >= 100
    assert told["loopLate"] > before["loopLate"]


async def test_garbage_is_collected_by_the_clock_only(manners: Manners) -> None:
    class Ring:
        alive = 0

        def __init__(self) -> None:
            self.me = self
            Ring.alive += 1

        def __del__(self) -> None:
            Ring.alive -= 1

    manners.begin()
    assert not gc.isenabled()
    for _ in range(5000):
        Ring()
    assert Ring.alive == 5000, "not while something is being done"
    await asyncio.sleep(0.2)
    assert Ring.alive == 0
    assert manners.as_json()["collectMs"] > 0


def process(router: Router) -> dict[str, Any]:
    answer = router.ask("report")
    assert answer is not None
    found: dict[str, Any] = answer["report"]["process"]
    return found


def status(router: Router, name: str) -> str:
    assert router.process is not None
    text = Path(f"/proc/{router.process.pid}/status").read_text()
    return next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith(name))


@pytest.mark.netns
def test_what_it_says_is_so(tmp_path: Path) -> None:
    with lan(tmp_path, "r1") as found:
        router = found["r1"]
        router.start()
        told = process(router)
        assert router.process is not None
        pid = router.process.pid
        threads = [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
        policies = {os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK for thread in threads}
        assert len(threads) >= 3, "the loop, and who waits for the kernel and for the disk"
        assert policies == {os.SCHED_RR if told["realTime"] else os.SCHED_OTHER}, "an ordinary one would hold all up"
        if told["realTime"]:
            others = {os.sched_getparam(thread).sched_priority for thread in threads if thread != pid}
            assert others < {*others, os.sched_getparam(pid).sched_priority}, "but the loop comes first"
        assert (status(router, "VmLck") != "0 kB") is told["memoryLocked"]
        assert 0 <= told["loopLagMs"] < 1000


@pytest.mark.netns
def test_without_the_limits_it_goes_without(tmp_path: Path) -> None:
    with lan(tmp_path, "r1") as found:
        router = found["r1"]
        router.under = MODEST
        router.start()
        told = process(router)
        assert (told["memoryLocked"], told["realTime"]) == (False, False)
        assert status(router, "VmLck") == "0 kB"
        router.logged("memory is not locked, scheduling is ordinary")
