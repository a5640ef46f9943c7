"""The control socket: the documented answers, and everything that nobody should send."""
# ruff: noqa: ASYNC240 - a file of a test is local and tiny

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import random
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from vyos_agent import control as client
from vyos_agent.edge import control
from vyos_agent.edge.control import ControlError, ControlServer, InUse


async def echo(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"echo": request.get("say")}


async def refuse(request: Mapping[str, Any]) -> dict[str, Any]:
    raise ControlError("say: is not what I like to hear")


async def wait(request: Mapping[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(60)
    return {}


async def fail(request: Mapping[str, Any]) -> dict[str, Any]:
    raise ZeroDivisionError


HANDLERS = {"echo": echo, "refuse": refuse, "wait": wait, "fail": fail}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
async def server(path: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(path, HANDLERS)
    await server.start()
    yield server
    await server.stop()
    assert not path.exists()


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> dict[str, Any] | None:
        async with asyncio.timeout(5):
            line = await self.reader.readline()
        answer: dict[str, Any] | None = json.loads(line) if line else None
        return answer


@contextlib.asynccontextmanager
async def connect(path: Path) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_requests_are_answered_in_their_order(server: ControlServer, path: Path) -> None:
    async with connect(path) as c:
        await c.send(b"".join(json.dumps({"op": "echo", "say": i}).encode() + b"\n" for i in range(50)))
        assert [await c.answer() for _ in range(50)] == [{"ok": True, "echo": i} for i in range(50)]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"\n", "the line is not JSON"),
        (b"hello\n", "the line is not JSON"),
        (b"\xff\xfe\x00\n", "the line is not JSON"),
        (b'{"op": "echo"\n', "the line is not JSON"),
        (b"[" * 100_000 + b"\n", "the line is not JSON"),
        (b"7\n", "a request is a JSON object with an op"),
        (b"{}\n", "unknown op; known are: echo, fail, refuse, wait"),
        (b'{"op": "shutdown"}\n', "unknown op; known are: echo, fail, refuse, wait"),
        (b'{"op": ["echo"]}\n', "unknown op; known are: echo, fail, refuse, wait"),
        (b'{"op": "fail"}\n', "the daemon failed at this; its log has the details"),
        (b'{"op": "refuse"}\n', "say: is not what I like to hear"),
    ],
)
async def test_a_bad_line_is_answered_and_the_connection_stays(
    server: ControlServer, path: Path, line: bytes, error: str
) -> None:
    async with connect(path) as c:
        await c.send(line)
        assert await c.answer() == {"ok": False, "error": error}
        await c.send(b'{"op": "echo", "say": "still here"}\n')
        assert await c.answer() == {"ok": True, "echo": "still here"}


async def test_random_lines_never_end_the_server(server: ControlServer, path: Path) -> None:
    rng = random.Random(694)
    async with connect(path) as c:
        for _ in range(300):
            line = bytes(rng.choices(b'{}[]":,0123456789abcop \\\xff\x00truefalsenull', k=rng.randrange(200)))
            await c.send(line.replace(b"\n", b"") + b"\n")
            answer = await c.answer()
            assert answer is not None
            assert answer["ok"] is False


async def test_the_longest_line_is_taken_and_a_longer_one_is_not(server: ControlServer, path: Path) -> None:
    frame = len(b'{"op":"echo","say":""}')
    longest = json.dumps({"op": "echo", "say": "x" * (control.LINE_MAX - frame - 1)}, separators=(",", ":"))
    async with connect(path) as c:
        await c.send(longest.encode() + b"\n")
        async with asyncio.timeout(5):
            assert b'"ok":true' in await c.reader.read(100)
    async with connect(path) as c:
        with contextlib.suppress(ConnectionError):
            await c.send(b"x" * (control.LINE_MAX + 2))
        answer = await c.answer()
        assert answer == {"ok": False, "error": f"a request has at most {control.LINE_MAX} bytes; closing"}
        assert await c.answer() is None


async def test_half_a_line_and_good_bye(server: ControlServer, path: Path) -> None:
    async with connect(path) as c:
        await c.send(b'{"op": "ec')
    async with connect(path) as c:
        await c.send(b'{"op": "echo"}\n')
        assert await c.answer() == {"ok": True, "echo": None}


async def test_connections_are_bounded(server: ControlServer, path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(connect(path)) for _ in range(control.CONNECTIONS_MAX)]
        for c in crowd:
            await c.send(b'{"op": "echo", "say": 1}\n')
            assert await c.answer() == {"ok": True, "echo": 1}
        async with connect(path) as extra:
            assert await extra.answer() == {"ok": False, "error": "at most 16 connections are served at once"}
            assert await extra.answer() is None
    async with connect(path) as c:
        await c.send(b'{"op": "echo", "say": 2}\n')
        assert await c.answer() == {"ok": True, "echo": 2}


async def test_a_stop_does_not_wait_for_a_poll(path: Path) -> None:
    server = ControlServer(path, HANDLERS)
    await server.start()
    async with connect(path) as c:
        await c.send(b'{"op": "wait"}\n')
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            await server.stop()
        assert await c.answer() is None


async def test_who_may_connect(path: Path) -> None:
    server = ControlServer(path, HANDLERS)
    await server.start()
    assert path.stat().st_mode & 0o777 == 0o600
    await server.stop()
    server = ControlServer(path, HANDLERS, gid=os.getgid())
    await server.start()
    assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, os.getgid())
    await server.stop()


async def test_a_socket_that_an_earlier_life_left(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server = ControlServer(path, HANDLERS)
    await server.start()
    with pytest.raises(InUse, match=r"another daemon listens"):
        await ControlServer(path, HANDLERS).start()
    await server.stop()


async def test_what_is_no_socket_is_not_removed(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"is no socket"):
        await ControlServer(path, HANDLERS).start()
    assert path.read_text() == "mine"


async def test_the_small_client(
    server: ControlServer, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await asyncio.to_thread(client.main, [str(path), "echo", '{"say": 7}']) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "echo": 7}
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"say": 8}'))
    assert await asyncio.to_thread(client.main, [str(path), "echo", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "echo": 8}
    assert await asyncio.to_thread(client.main, [str(path), "refuse"]) == 1
    assert await asyncio.to_thread(client.main, [str(path) + ".none", "echo"]) == 1
    assert "No such file" in capsys.readouterr().err
    assert await asyncio.to_thread(client.main, [str(path), "echo", "[]"]) == 2
    assert await asyncio.to_thread(client.main, []) == 2
