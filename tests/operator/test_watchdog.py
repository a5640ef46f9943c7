"""The watchdog and the probe: watches that lie, watches that ended, objects that nobody said goodbye to."""

import asyncio
import socket
import urllib.error
import urllib.request

import pytest

from vyos_operator import audit, kinds, watchdog
from vyos_operator.cluster import ApiError, Unreachable
from vyos_operator.kinds import Watch
from vyos_operator.liveness import Liveness
from vyos_operator.queue import Retry
from vyos_operator.settings import Settings
from vyos_operator.store import Store, Version
from vyos_operator.watchdog import Watchdog

from . import virtual

NODES = Watch(kinds.NODES, None)


class Lists:
    """The API server, as far as the watchdog asks it: each answer in turn, the last one for ever."""

    def __init__(self, *answers: dict[str, Version] | Retry) -> None:
        self.answers = list(answers)

    async def versions(self, watch: Watch) -> dict[str, Version]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Retry):
            raise answer
        return answer


def node(name: str, version: int, uid: str = "u") -> dict[str, dict[str, str]]:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": str(version)}}


def setting(lists: Lists, *shown: dict[str, dict[str, str]]) -> tuple[Watchdog, Store, Liveness]:
    store = Store(Settings("release", "agents"), lambda name: None)
    for body in shown:
        store.put(kinds.NODES, body)
    liveness = Liveness()
    return Watchdog(lists, store, liveness, [NODES], every_s=60), store, liveness  # type: ignore[arg-type]


def test_an_honest_watch() -> None:
    dog, _, liveness = setting(Lists({"a": ("u", "1")}), node("a", 1))
    virtual.run(dog.check(NODES))
    assert liveness.problems == {}


def test_a_watch_that_is_a_moment_behind_is_honest() -> None:
    dog, store, liveness = setting(Lists({"a": ("u", "2"), "b": ("u", "3")}), node("a", 1))

    async def script() -> None:
        asyncio.get_running_loop().call_later(1, store.put, kinds.NODES, node("a", 2))
        asyncio.get_running_loop().call_later(1, store.put, kinds.NODES, node("b", 3))
        await dog.check(NODES)

    virtual.run(script())
    assert liveness.problems == {}


def test_a_busy_object_that_keeps_changing_is_no_fault_of_the_watch() -> None:
    dog, store, liveness = setting(Lists({"a": ("u", "2")}, {"a": ("u", "9")}), node("a", 1))

    async def script() -> None:
        asyncio.get_running_loop().call_later(1, store.put, kinds.NODES, node("a", 8))
        await dog.check(NODES)

    virtual.run(script())
    assert liveness.problems == {}


@pytest.mark.parametrize("shown", [[node("a", 1)], []], ids=["an old version", "nothing"])
def test_a_watch_that_missed_something_fails_the_probe_until_it_has_caught_up(
    shown: list[dict[str, dict[str, str]]], caplog: pytest.LogCaptureFixture
) -> None:
    dog, store, liveness = setting(Lists({"a": ("u", "2")}), *shown)
    virtual.run(dog.check(NODES))
    virtual.run(dog.check(NODES))
    assert liveness.problems == {"watch of nodes": "it has not shown 1 objects as they are now (a, ...)"}
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    store.put(kinds.NODES, node("a", 2))
    virtual.run(dog.check(NODES))
    assert liveness.problems == {}


def test_an_object_whose_end_was_missed_is_forgotten() -> None:
    dog, store, liveness = setting(Lists({}), node("ghost", 1))
    virtual.run(dog.check(NODES))
    assert store.versions(NODES) == {}
    assert liveness.problems == {}


def test_an_object_that_came_after_the_list_is_no_ghost() -> None:
    dog, store, _ = setting(Lists({}, {"new": ("u", "5")}), node("new", 5))
    virtual.run(dog.check(NODES))
    assert store.versions(NODES) == {"new": ("u", "5")}


@pytest.mark.parametrize("error", [Unreachable("list of nodes: TimeoutError"), ApiError("list", 500, "InternalError")])
def test_an_api_server_that_does_not_answer_proves_nothing(error: Retry) -> None:
    dog, store, liveness = setting(Lists(error), node("a", 1))
    virtual.run(dog.check(NODES))
    assert liveness.problems == {}
    assert store.versions(NODES)
    dog, store, liveness = setting(Lists({"a": ("u", "2")}, error), node("a", 1))
    virtual.run(dog.check(NODES))
    assert liveness.problems == {}


def test_the_task_of_a_watch_must_live_on() -> None:
    dog, _, liveness = setting(Lists({}))
    dog.check_tasks(["watcher for nodes.v1@None", "reconciler 1"])
    assert liveness.problems == {}
    dog.check_tasks(["reconciler 1"])
    assert liveness.problems == {"watcher for nodes.v1@None": "the task of this watch has ended"}
    dog.check_tasks(["watcher for nodes.v1@None"])
    assert liveness.problems == {}


def test_it_audits_again_and_again_and_sooner_when_something_is_wrong() -> None:
    dog, _, liveness = setting(Lists({"a": ("u", "1")}))
    times: list[float] = []

    async def script() -> None:
        task = asyncio.create_task(dog.run())
        while len(times) < 200:
            times.append(len(liveness.problems))
            await asyncio.sleep(1)
        task.cancel()

    virtual.run(script())
    assert times[:65] == [0] * 65
    assert times[66:] == [1] * 134


def test_it_audits_soon_after_a_watch_began_anew() -> None:
    dog, store, _ = setting(Lists({}), node("a", 1))

    async def script() -> None:
        task = asyncio.create_task(dog.run())
        await asyncio.sleep(30)
        dog.listed()
        await asyncio.sleep(watchdog.SETTLE_S + watchdog.GRACE_S + 0.1)
        assert store.versions(NODES) == {}
        task.cancel()

    virtual.run(script())


def test_nothing_is_decided_before_all_was_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    dog, store, _ = setting(Lists(Unreachable("list of nodes: TimeoutError"), {"a": ("u", "5")}))

    async def script() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(3, store.put, kinds.NODES, node("a", 4))
        await dog.whole()
        return loop.time()

    assert 3 <= virtual.run(script()) < 4, "any version will do: what changes is shown later"
    assert "waiting for the watch of nodes: list of nodes: TimeoutError" in caplog.text
    assert "all watches have shown everything" in caplog.text


def test_differences() -> None:
    assert not audit.compare({"a": ("u", "1")}, {"a": ("u", "1")})
    found = audit.compare({"a": ("u", "2"), "b": ("u", "1")}, {"a": ("u", "1"), "c": ("u", "1")})
    assert found == audit.Difference({"a": ("u", "1"), "b": None}, {"c": ("u", "1")})
    assert audit.lasting(found, found) == found
    assert not audit.lasting(found, audit.Difference({"a": ("u", "2")}, {"c": ("v", "1")}))


async def test_the_probe() -> None:
    liveness = Liveness()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def ask(path: str = "/healthz", address: str = "127.0.0.1") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    async with liveness.served("127.0.0.2", port, lambda: b""):
        assert (await asyncio.to_thread(ask, address="127.0.0.2"))[0] == 200
        with pytest.raises(urllib.error.URLError, match="refused"):
            await asyncio.to_thread(ask)
    async with liveness.served("", port, lambda: b"some_total 1\n"):
        assert (await asyncio.to_thread(ask, address="127.0.0.2"))[0] == 200
        assert await asyncio.to_thread(ask, "/metrics") == (200, "some_total 1\n")
        assert await asyncio.to_thread(ask) == (200, "ok\n")
        liveness.bad("watch of nodes", "it is silent")
        assert await asyncio.to_thread(ask) == (503, "watch of nodes: it is silent\n")
        liveness.good("watch of nodes")
        assert await asyncio.to_thread(ask) == (200, "ok\n")
        assert (await asyncio.to_thread(ask, "/"))[0] == 404
    assert watchdog.GRACE_S < 10
