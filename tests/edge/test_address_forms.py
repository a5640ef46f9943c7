"""A held address that is edited (prefix, broadcast, interface): the kernel gets the new form, and never has none."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager

import pytest

from edge.fakes import FakeKernel
from edge.netns import ip
from edge.test_addresses import Desk, at_work
from vyos_agent.core.events import Held
from vyos_agent.core.model import Vip
from vyos_agent.edge.clock import now
from vyos_agent.edge.kernel import Entry, Kernel

V4 = Vip("10.77.0.1", 24, "eth0")
V6 = Vip("fd00::123", 64, "eth0")
LIFE_MS = 30_000
GAP_MS = 100
"""IPv6 only: the kernel takes no second prefix, so one message removes and the next adds, on a machine that is busy."""


class Watch(threading.Thread):
    """Looks for an address in this namespace all the time; for how long it was missing at the most."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._over = threading.Event()
        self.missing_ms = 0.0

    def run(self) -> None:
        with closing(Kernel()) as kernel:
            seen = time.monotonic()
            while not self._over.is_set():
                there = any(e.address == self._address for e in kernel.addresses())
                at = time.monotonic()
                self.missing_ms = max(self.missing_ms, 0 if there else (at - seen) * 1000)
                seen = at if there else seen

    def stop(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def watching(address: str) -> Iterator[Watch]:
    watch = Watch(address)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


@pytest.fixture
async def desk(own_netns: None) -> AsyncIterator[Desk]:
    async with at_work(Kernel, now) as desk:
        yield desk


def shown(address: str) -> list[str]:
    return [line.split(" scope")[0].split(maxsplit=1)[1] for line in ip("-o", "addr").splitlines() if address in line]


@pytest.mark.netns
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(V4, {"prefix": 16}, "eth0    inet 10.77.0.1/16 brd 10.77.255.255", id="wider"),
        pytest.param(V4, {"prefix": 28}, "eth0    inet 10.77.0.1/28 brd 10.77.0.15", id="narrower"),
        pytest.param(V4, {"prefix": 32}, "eth0    inet 10.77.0.1/32", id="a host's"),
        pytest.param(V4, {"broadcast": "10.77.0.99"}, "eth0    inet 10.77.0.1/24 brd 10.77.0.99", id="a broadcast"),
        pytest.param(
            dataclasses.replace(V4, broadcast="10.77.0.99"),
            {"broadcast": None},
            "eth0    inet 10.77.0.1/24 brd 10.77.0.255",
            id="no broadcast",
        ),
        pytest.param(V4, {"interface": "eth1"}, "eth1    inet 10.77.0.1/24 brd 10.77.0.255", id="another interface"),
        pytest.param(V6, {"prefix": 48}, "eth0    inet6 fd00::123/48", id="IPv6"),
        pytest.param(V6, {"interface": "eth1"}, "eth1    inet6 fd00::123/64", id="IPv6, another interface"),
    ],
)  # fmt: skip
async def test_the_new_form_replaces_the_former_one(
    desk: Desk, old: Vip, new: dict[str, object], expected: str
) -> None:
    ip("link", "add", "eth1", "type", "veth", "peer", "name", "peer1")
    for name in ("eth1", "peer1"):
        ip("link", "set", name, "up")
    edited = dataclasses.replace(old, **new)  # type: ignore[arg-type]
    desk.keeper.rescope(desk.slot, frozenset({old}))
    assert await desk.held({old: LIFE_MS}) == Held(frozenset({old}), {})
    desk.keeper.rescope(desk.slot, frozenset({edited}))
    with watching(old.address) as watch:
        assert await desk.held({edited: 0}) == Held(frozenset({edited}), {}), "with what is left of its life"
        assert await desk.held({edited: LIFE_MS}) == Held(frozenset({edited}), {})
    assert [line.strip() for line in shown(old.address)] == [expected]
    assert watch.missing_ms <= (GAP_MS if old is V6 and "prefix" in new else 0)
    assert await desk.held({}) == Held(frozenset(), {})
    assert shown(old.address) == []


@pytest.mark.netns
async def test_a_subnet_of_the_nodes_own_that_comes_later_moves_nothing(desk: Desk) -> None:
    await desk.held({V4: LIFE_MS})
    ip("addr", "add", "10.77.0.9/24", "dev", "eth0")
    desk.keeper.check(None)
    await desk.held({V4: LIFE_MS})
    assert shown("10.77.0.1/") == ["eth0    inet 10.77.0.1/24 brd 10.77.0.255"]


class TestInMemory:
    @pytest.fixture
    def kernel(self) -> FakeKernel:
        return FakeKernel()

    @pytest.fixture
    async def desk(self, kernel: FakeKernel) -> AsyncIterator[Desk]:
        async with at_work(lambda: kernel) as desk:
            yield desk

    async def test_a_closed_gate_leaves_the_former_form(self, desk: Desk, kernel: FakeKernel) -> None:
        await desk.held({V4: LIFE_MS})
        desk.open_gate = False
        wide = dataclasses.replace(V4, prefix=16)
        assert await desk.held({wide: LIFE_MS}) == Held(frozenset(), {})
        assert [e.prefix for e in kernel.held] == [24]
        desk.open_gate = True
        assert await desk.held({wide: LIFE_MS}) == Held(frozenset({wide}), {})
        assert [e.prefix for e in kernel.held] == [16]

    async def test_an_earlier_life_left_another_form(self, desk: Desk, kernel: FakeKernel) -> None:
        """It is not adopted, and does not stay: what is asked about only has no life to be written with."""
        kernel.held = {Entry(2, "10.77.0.1", 16, broadcast="10.77.255.255"): 5}
        assert await desk.held({V4: 0}) == Held(frozenset(), {})
        assert kernel.held == {}

    async def test_a_refused_new_form_is_told(self, desk: Desk, kernel: FakeKernel) -> None:
        await desk.held({V4: LIFE_MS})
        kernel.refuses["10.77.0.1"] = 22
        held = await desk.held({dataclasses.replace(V4, prefix=16): LIFE_MS})
        assert held is not None
        assert set(held.failed.values()) == {"refused here"}
