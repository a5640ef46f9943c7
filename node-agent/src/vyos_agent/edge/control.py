"""The control socket of the daemon (docs/control-socket.md): lines of JSON in, lines of JSON out.

Everything that a client could fill is bounded: connections, the length of a line, the time of a poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

LINE_MAX = 1 << 20
CONNECTIONS_MAX = 16
"""Both: docs/control-socket.md."""
PRIVATE, GROUP = 0o600, 0o660

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class ControlError(Exception):
    """A request that cannot be carried out; the text is for a person."""


class InUse(Exception):
    """Another daemon listens on the socket."""


class ControlServer:
    """Listens on one path, and hands requests to the handler of their `op`."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler], gid: int | None = None) -> None:
        self._path = path
        self._handlers = handlers
        self._gid = gid
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises OSError or InUse."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _clear(self._path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            before = os.umask(0o777 & ~PRIVATE)
            try:
                sock.bind(str(self._path))
            finally:
                os.umask(before)
            if self._gid is not None:
                os.chown(self._path, -1, self._gid)
                self._path.chmod(GROUP)
            self._server = await asyncio.start_unix_server(self._connected, sock=sock, limit=LINE_MAX)
        except OSError:
            sock.close()
            raise

    async def stop(self) -> None:
        """Close every connection and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) > CONNECTIONS_MAX:
                await _write(writer, _error(f"at most {CONNECTIONS_MAX} connections are served at once"))
                return
            while (line := await _line(reader)) is not None:
                await _write(writer, await self._answer(line))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client is gone, or the daemon is going
        except asyncio.LimitOverrunError:
            with contextlib.suppress(ConnectionError):
                await _write(writer, _error(f"a request has at most {LINE_MAX} bytes; closing"))
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _error("the line is not JSON")
        if not isinstance(request, dict):
            return _error("a request is a JSON object with an op")
        op = request.get("op")
        handler = self._handlers.get(op) if isinstance(op, str) else None
        if handler is None:
            return _error(f"unknown op; known are: {', '.join(sorted(self._handlers))}")
        try:
            return {"ok": True, **await handler(request)}
        except ControlError as error:
            return _error(str(error))
        except Exception:
            logger.exception("control: %s failed", op)
            return _error("the daemon failed at this; its log has the details")


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line, None at the end. Raises LimitOverrunError."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return None


async def _write(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    writer.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
    await writer.drain()


def _error(text: str) -> dict[str, Any]:
    return {"ok": False, "error": text}


def _clear(path: Path) -> None:
    """Remove the socket that an earlier life left; anything else in its place is not ours to remove."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} is there and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise InUse(f"another daemon listens on {path}; stop it, or give this one another --control")
