"""The runner's turn, with the real Node: order, timer, and what happens when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from edge import values
from edge.waiting import until
from vyos_agent.core.effects import Announce, Decided
from vyos_agent.core.events import Event, Frame, Held, Stopping
from vyos_agent.core.model import Ending, State, Vip
from vyos_agent.core.node import Node
from vyos_agent.edge.clock import now
from vyos_agent.edge.runner import Runner


class Ports:
    """Notes what the runner does, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.frames: tuple[Frame, ...] = ()
        self.sent: list[Mapping[str, tuple[bytes, ...]]] = []
        self.holds: list[Mapping[Vip, int]] = []
        self.decisions: list[Decided] = []
        self.accepts = True
        self.error: Exception | None = None

    def drain(self, at_ms: int) -> tuple[Frame, ...]:
        self.done.append("drain")
        frames, self.frames = self.frames, ()
        return frames

    def heard(self, frames: tuple[Frame, ...]) -> None:
        self.done.append(f"heard {len(frames)}")

    def send(self, datagrams: Mapping[str, tuple[bytes, ...]]) -> bool:
        self.done.append("send")
        self.sent.append(datagrams)
        return self.accepts

    def hold(self, lifetimes_ms: Mapping[Vip, int], at_ms: int) -> None:
        self.done.append("hold")
        self.holds.append(lifetimes_ms)

    def serve(self, running: Mapping[str, tuple[str, ...]]) -> None:
        self.done.append("serve")

    def announce(self, vips: tuple[Vip, ...]) -> None:
        self.done.append("announce")

    def persist(self, epochs: Mapping[str, int]) -> None:
        self.done.append("persist")

    def decided(self, decision: Decided) -> None:
        self.done.append("decided")
        self.decisions.append(decision)

    def changed(self) -> None:
        self.done.append("changed")

    def stopped(self, ending: Ending) -> None:
        self.done.append("stopped")

    def crashed(self, error: Exception) -> None:
        self.error = error


def runner(ports: Ports, **changes: int) -> Runner:
    core = values.item("r1", **changes).core
    return Runner(Node(core, incarnation=7, epochs={}, now=now()), ports)


async def test_every_turn_begins_with_the_sockets() -> None:
    ports = Ports()
    r = runner(ports)
    r.turn()
    assert ports.done[0] == "drain"
    assert "send" in ports.done
    ports.done.clear()
    r.turn(Held(frozenset()))
    assert ports.done[0] == "drain"
    r.end()


async def test_what_came_is_told_when_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    r = runner(ports)
    ports.frames = (Frame(b"none of ours", "eth0", now()),)
    r.turn()
    assert ports.done[0] == "drain"
    assert "send" in ports.done
    assert ports.done[-1] == "heard 1", "after whatever is urgent"
    assert r.node.drops.total() == 1, "and after the node has judged it"
    r.end()


async def test_the_timer_keeps_the_keepalive() -> None:
    ports = Ports()
    r = runner(ports, keepalive_ms=10, dead_ms=100, init_dead_ms=60_000)
    r.turn()
    before = now()
    count = len(ports.sent)
    await until(lambda: len(ports.sent) >= count + 10)
    assert 80 <= now() - before <= 400, "ten keepalives of 10 ms, on a busy machine too"
    r.end()
    await asyncio.sleep(0.03)
    assert r._timer is None


async def test_a_lone_node_owns_after_the_initial_dead_interval_and_leaves_at_once() -> None:
    ports = Ports()
    r = runner(ports, keepalive_ms=30, dead_ms=100, init_dead_ms=150)
    r.turn()
    r.turn(Held(frozenset()))
    await until(lambda: ports.holds and ports.holds[-1])
    assert ports.decisions[-1].after is State.OWNER
    (vip,) = ports.holds[-1]
    assert ports.holds[-1][vip] >= 1000
    r.turn(Held(frozenset({vip})))
    assert "announce" in ports.done
    r.turn(Stopping())
    assert ports.holds[-1] == {}
    r.turn(Held(frozenset()))
    await until(lambda: r.over)
    assert ports.done[-1] == "stopped"
    count = len(ports.done)
    r.turn()
    assert len(ports.done) == count, "a node that is over takes no turn"


async def test_an_announcement_needs_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    """[LEASE-5] One gate, may_hold(now), must stand before every add, renewal and announcement, repairs after netlink
    events included.
    """
    ports = Ports()
    r = runner(ports, keepalive_ms=10, dead_ms=100, init_dead_ms=20)
    monkeypatch.setattr(r.node, "may_hold", lambda at_ms: False)
    r.turn()
    r.turn(Held(frozenset()))
    await until(lambda: ports.holds and ports.holds[-1])
    monkeypatch.setattr(r.node, "step", lambda event, at_ms: (announce,))
    announce = Announce(tuple(ports.holds[-1]))
    r.turn()
    assert "announce" not in ports.done
    r.end()


async def test_a_fault_of_ours_ends_the_runner_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    r = runner(ports)
    r.turn()

    def broken(event: Event, at_ms: int) -> tuple[()]:
        raise AssertionError("impossible")

    monkeypatch.setattr(r.node, "step", broken)
    r.turn()
    assert r.over
    assert isinstance(ports.error, AssertionError)


@pytest.mark.parametrize("observer", ["decided", "changed", "heard"])
async def test_a_fault_of_an_observer_ends_nothing(
    observer: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ports = Ports()
    r = runner(ports, keepalive_ms=30, dead_ms=100, init_dead_ms=150)

    def fault(*_: object) -> None:
        raise KeyError("a histogram")

    monkeypatch.setattr(ports, observer, fault)
    r.turn()
    r.turn(Held(frozenset()))
    await until(lambda: ports.holds and ports.holds[-1])
    assert not r.over
    assert ports.error is None
    assert [rec.levelname for rec in caplog.records if "a fault of ours" in rec.getMessage()] == ["ERROR"], "once"
    r.end()
