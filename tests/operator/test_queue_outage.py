"""The work queue when the server is at fault, not the name: how often it asks, and how soon it has caught up."""

import asyncio

import pytest

from vyos_operator import queue

from .virtual import run

ILL_S = 600


@pytest.mark.parametrize("names", [1, 12, 1000])
def test_an_outage_is_asked_about_seldom_and_caught_up_with_at_once(names: int) -> None:
    tries: list[float] = []
    done: dict[str, float] = {}

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def reconcile(name: str) -> None:
            if loop.time() < ILL_S:
                tries.append(loop.time())
                raise queue.Outage("429 TooManyRequests")
            await asyncio.sleep(0.002)
            done[name] = loop.time()

        work = queue.WorkQueue(reconcile)
        task = asyncio.create_task(work.run())
        for number in range(names):
            work.mark(f"edge{number}")
        await asyncio.sleep(ILL_S + 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert len(done) == names
    assert max(done.values()) - ILL_S <= 5, "caught up"
    later = [at for at in tries if at > 10]
    assert len(later) / (ILL_S - 10) <= 5, "spared"


def test_one_name_that_the_server_always_fails_on_keeps_nobody_waiting() -> None:
    """An admission webhook that fails for one object answers 500, too."""
    tries: list[float] = []

    async def main() -> None:
        loop, looked = asyncio.get_running_loop(), asyncio.Event()

        async def reconcile(name: str) -> None:
            if name == "poison":
                tries.append(loop.time())
                raise queue.Outage("500")
            looked.set()

        work = queue.WorkQueue(reconcile)
        task = asyncio.create_task(work.run())
        work.mark("poison")
        for _ in range(600):
            await asyncio.sleep(1)
            looked.clear()
            work.mark("well")
            async with asyncio.timeout(1):
                await looked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert len(tries) / 600 < 1
