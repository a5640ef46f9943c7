"""The work queue, in virtual time."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from vyos_operator import queue

from .virtual import run


def drive(script: Callable[[queue.WorkQueue], Awaitable[None]], reconcile: Callable[[str], Awaitable[None]]) -> None:
    async def main() -> None:
        work = queue.WorkQueue(reconcile, workers=2)
        worker = asyncio.create_task(work.run())
        await asyncio.sleep(0)
        await script(work)
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker

    run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_many_marks_make_one_look() -> None:
    looks: list[tuple[str, float]] = []

    async def reconcile(name: str) -> None:
        looks.append((name, round(now(), 3)))

    async def script(work: queue.WorkQueue) -> None:
        for _ in range(5):
            work.mark("edge")
            await asyncio.sleep(0.01)
        await asyncio.sleep(10)
        assert work.idle

    drive(script, reconcile)
    assert looks == [("edge", queue.SETTLE_S)]


def test_a_mark_during_the_work_makes_a_second_look_and_never_two_at_once() -> None:
    running: set[str] = set()
    looks: list[str] = []

    async def reconcile(name: str) -> None:
        assert name not in running
        running.add(name)
        looks.append(name)
        await asyncio.sleep(1)
        running.discard(name)

    async def script(work: queue.WorkQueue) -> None:
        work.mark("edge")
        await asyncio.sleep(0.5)
        work.mark("edge")
        work.mark("edge")
        await asyncio.sleep(10)

    drive(script, reconcile)
    assert looks == ["edge", "edge"]


def test_workers_are_bounded_and_names_do_not_wait_for_each_other() -> None:
    most = 0
    running = 0

    async def reconcile(name: str) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    async def script(work: queue.WorkQueue) -> None:
        for number in range(7):
            work.mark(f"edge{number}")
        await asyncio.sleep(10)
        assert work.idle

    drive(script, reconcile)
    assert most == 2


def test_failures_back_off_to_a_cap_and_success_forgets_them(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[float] = []

    async def reconcile(name: str) -> None:
        tries.append(now())
        if len(tries) <= 12:
            raise queue.Retry("the API server is away")

    async def script(work: queue.WorkQueue) -> None:
        work.mark("edge")
        await asyncio.sleep(600)
        assert work.idle

    drive(script, reconcile)
    waits = [round(b - a, 3) for a, b in itertools.pairwise(tries)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    assert "edge: try 1 failed, next in 0.5 s: Retry: the API server is away" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_change_shortens_a_backoff_but_not_to_nothing() -> None:
    tries: list[float] = []

    async def reconcile(name: str) -> None:
        tries.append(now())
        raise queue.Retry("no")

    async def script(work: queue.WorkQueue) -> None:
        work.mark("edge")
        await asyncio.sleep(20)
        before = len(tries)
        for _ in range(20):
            work.mark("edge")
            await asyncio.sleep(0.1)
        assert 1 <= len(tries) - before <= 4

    drive(script, reconcile)


def test_a_fault_of_ours_is_logged_with_its_traceback_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    async def reconcile(name: str) -> None:
        if name == "bad":
            raise KeyError("ours")
        done.append(name)

    async def script(work: queue.WorkQueue) -> None:
        for name in ("bad", "good", "better"):
            work.mark(name)
        await asyncio.sleep(1)

    drive(script, reconcile)
    assert sorted(done) == ["better", "good"]
    assert "Traceback" in caplog.text
