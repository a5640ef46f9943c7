"""The door to systemd where systemd misbehaves: a fake one on a real bus that hangs, refuses, and goes away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from edge import hosts
from edge.waiting import until, wait
from vyos_agent.edge import systemd
from vyos_agent.edge.deadman import DeadMan
from vyos_agent.edge.systemd import Refused, Systemd, Unreachable

pytestmark = pytest.mark.skipif(bool(hosts.possible()), reason=hosts.possible())
ROW = ["a.service", "", "loaded", "active", "running", "", "/org/freedesktop/systemd1/unit/a", 0, "", "/"]


class Fake:
    """Answers as a test wants."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.bus: MessageBus | None = None
        self.calls: list[str] = []
        self.hangs: set[str] = set()
        self.refuses: dict[str, str] = {}

    async def start(self) -> None:
        self.bus = await MessageBus(bus_address=self.address).connect()
        self.bus.add_message_handler(self._handle)
        await self.bus.request_name(systemd.SYSTEMD)

    def stop(self) -> None:
        assert self.bus is not None
        self.bus.disconnect()

    def _handle(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        member = message.member or ""
        self.calls.append(member)
        if member in self.hangs:
            return True
        if member in self.refuses:
            return Message.new_error(message, self.refuses[member], "not you")
        signature, body = self._answer(member)
        return Message.new_method_return(message, signature, body)

    def _answer(self, member: str) -> tuple[str, list[Any]]:
        if member == "ListUnitsByNames":
            return "a(ssssssouso)", [[ROW]]
        if member == "ListUnitsByPatterns":
            return "a(ssssssouso)", [[]]
        return ("", []) if member == "Subscribe" else ("o", ["/org/freedesktop/systemd1/job/1"])


def listens(path: Path) -> bool:
    """Whether somebody takes connections there; the file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    found = f"unix:path={tmp_path}/bus"
    (tmp_path / "bus.conf").write_text(hosts.BUS_CONF.replace("unix:path=/run/user/bus", found))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={tmp_path}/bus.conf", "--nofork", "--nopidfile"], stderr=subprocess.DEVNULL
    )
    wait(lambda: listens(tmp_path / "bus"), "the bus")
    yield found
    daemon.kill()
    daemon.wait()


class Desk:
    def __init__(self, address: str) -> None:
        self.links: list[str | None] = []
        self.hints: list[str] = []
        self.fake = Fake(address)
        self.systemd = Systemd(address, self.hints.append, self.links.append)


@pytest.fixture
async def desk(address: str) -> AsyncIterator[Desk]:
    desk = Desk(address)
    await desk.fake.start()
    desk.systemd.start()
    await until(lambda: desk.links)
    assert desk.links == [None]
    yield desk
    await desk.systemd.close()
    desk.fake.stop()


async def test_a_manager_that_hangs_is_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "CALL_S", 0.2)
    desk.fake.hangs.add("ListUnitsByNames")
    with pytest.raises(Unreachable, match=r"no answer to ListUnitsByNames in 0\.2 s"):
        await desk.systemd.look("a.service")
    await until(lambda: len(desk.links) >= 3)
    assert desk.links[-1] is None, "and the connection is made anew"
    desk.fake.hangs.clear()
    assert (await desk.systemd.look("a.service")).active == "active"


async def test_a_refusal_has_its_name(desk: Desk) -> None:
    desk.fake.refuses["StartUnit"] = "org.freedesktop.DBus.Error.AccessDenied"
    with pytest.raises(Refused, match="not you") as refusal:
        await desk.systemd.start_unit("a.service")
    assert refusal.value.name == "org.freedesktop.DBus.Error.AccessDenied"


async def test_another_systemd_is_subscribed_to_anew(desk: Desk) -> None:
    desk.fake.stop()
    await asyncio.sleep(0.1)
    with pytest.raises((Unreachable, Refused)):
        await desk.systemd.look("a.service")
    await desk.fake.start()
    await until(lambda: desk.fake.calls.count("Subscribe") >= 2)
    await until(lambda: desk.links[-1] is None)


async def test_a_call_under_way_ends_with_the_connection(desk: Desk) -> None:
    desk.fake.hangs.add("ListUnitsByNames")
    call = asyncio.create_task(desk.systemd.look("a.service"))
    await until(lambda: "ListUnitsByNames" in desk.fake.calls)
    assert desk.systemd._bus is not None
    desk.systemd._bus.disconnect()
    with pytest.raises(Unreachable):
        await asyncio.wait_for(call, 2)


async def test_no_bus_at_all(tmp_path: Path) -> None:
    desk = Desk(f"unix:path={tmp_path}/nothing")
    desk.systemd.start()
    await until(lambda: desk.links)
    assert desk.links[0] == "there is no system bus (is /run/dbus of the host mounted?)"
    with pytest.raises(Unreachable, match="no system bus"):
        await desk.systemd.look("a.service")
    await desk.systemd.close()


async def test_a_lease_that_is_refused_is_told_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.fake.refuses["StartTransientUnit"] = "org.freedesktop.DBus.Error.AccessDenied"
    lease = DeadMan(desk.systemd, "edge", "uid", "cluster")
    for _ in range(3):
        await lease.arm(("a.service",), 1500, 0)
    lease.renew(10_000, 500)
    assert caplog.text.count("will not be stopped if this process dies: systemd says: not you") == 1
    assert "RestartUnit" not in desk.fake.calls


async def test_descriptors_are_given_back(address: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        desk = Desk(address)
        await desk.fake.start()
        desk.systemd.start()
        await until(lambda d=desk: d.links)
        await desk.systemd.close()
        desk.fake.stop()
        with contextlib.suppress(Exception):
            assert desk.fake.bus is not None
            await desk.fake.bus.wait_for_disconnect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
