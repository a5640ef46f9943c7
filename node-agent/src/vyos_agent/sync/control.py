"""The client's side of the heartbeat daemon's control socket (docs/control-socket.md).

One connection, one request at a time. A connection that failed in any way is of no use any more: close it and open
another one; when to do so is its user's decision.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

REQUEST_MAX = 1 << 20
"""Longest request in bytes, newline included (docs/control-socket.md)."""
ANSWER_MAX = 8 << 20
"""Longest answer in bytes: a report of 32 clusters with 32 groups of 32 addresses is below 4 MiB."""
CONNECT_S = 2.0


class ControlError(Exception):
    """The daemon refused a request, or what came back is no answer."""


class Connection:
    """An open connection: `async with Connection(path) as connection: await connection.request(…)`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(CONNECT_S):
            self._reader, self._writer = await asyncio.open_unix_connection(self._path, limit=ANSWER_MAX)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close at once; a request under way ends with an error."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def request(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send one request and return the answer. Raises ControlError, OSError or TimeoutError."""
        if self._reader is None or self._writer is None:
            raise ControlError("the connection is closed")
        line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        if len(line) > REQUEST_MAX:
            raise ControlError(f"the request {request['op']!r} has {len(line)} bytes; the daemon takes {REQUEST_MAX}")
        async with asyncio.timeout(timeout_s):
            self._writer.write(line)
            await self._writer.drain()
            try:
                answer = await self._reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                raise ControlError("the daemon closed the connection") from None
            except asyncio.LimitOverrunError:
                raise ControlError(f"the daemon's answer has more than {ANSWER_MAX} bytes") from None
        return _answer(answer)


def _answer(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        raise ControlError("the daemon's answer is not JSON") from None
    if not isinstance(answer, dict):
        raise ControlError("the daemon's answer is not an object")
    if answer.get("ok") is not True:
        raise ControlError(f"the daemon refused: {answer.get('error') or 'no reason given'}")
    return answer
