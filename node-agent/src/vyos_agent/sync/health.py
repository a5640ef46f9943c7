"""/healthz, /readyz and /metrics: a few fixed pages, the first two for the kubelet's probes.

Alive means that every loop of this process came round lately; whether the API server or the daemon answers is not a
matter of life, since a restart would not help. Fixed paths only: no HTTP framework for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from vyos_agent.sync.world import now_ms

logger = logging.getLogger(__name__)

REQUEST_BYTES_MAX = 8192
"""The kubelet's request has some 200 bytes; anything on this node may connect."""
REQUEST_S = 3.0
CONNECTIONS_MAX = 16

Answer = tuple[int, bytes, str]
"""(status, body, content type)"""
Page = Callable[[], Awaitable[Answer]]
Beat = Callable[[], None]
"""What a loop calls each time it comes round."""


class Beats:
    """When each loop was last seen."""

    def __init__(self) -> None:
        self._last_ms: dict[str, int] = {}
        self._limit_ms: dict[str, int] = {}

    def add(self, name: str, limit_ms: int) -> Beat:
        """A loop that comes round at least every `limit_ms`."""
        self._limit_ms[name] = limit_ms

        def beat() -> None:
            self._last_ms[name] = now_ms()

        beat()
        return beat

    def late(self) -> list[str]:
        """The loops that are stuck."""
        now = now_ms()
        return [name for name, last in self._last_ms.items() if now - last > self._limit_ms[name]]


def probes(beats: Beats, ready: Callable[[], bool]) -> dict[bytes, Page]:
    """The pages for the kubelet."""

    async def healthz() -> Answer:
        late = beats.late()
        return _text(503, f"stuck: {', '.join(late)}") if late else _text(200, "ok")

    async def readyz() -> Answer:
        return _text(200, "ok") if ready() else _text(503, "not ready")

    return {b"/healthz": healthz, b"/readyz": readyz}


class Server:
    """Answers GET of these paths, and nothing else."""

    def __init__(self, pages: Mapping[bytes, Page]) -> None:
        self._pages = pages
        self._open = 0

    async def serve(self, port: int, address: str = "127.0.0.1") -> None:
        """Answer until cancelled. Raises OSError when it cannot listen there."""
        server = await asyncio.start_server(self._answer, address, port, limit=REQUEST_BYTES_MAX)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S):
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(_http(*await self._page(request)))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            logger.debug("health: a request that was none, or one that took too long")
        finally:
            self._open -= 1
            writer.close()

    async def _page(self, request: bytes) -> Answer:
        match request.split(b" ", 2)[:2]:
            case [b"GET", path] if path in self._pages:
                return await self._pages[path]()
            case _:
                return _text(404, "not found")


def _text(status: int, text: str) -> Answer:
    return status, f"{text}\n".encode(), "text/plain"


def _http(status: int, body: bytes, kind: str) -> bytes:
    phrase = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}[status]
    head = (
        f"HTTP/1.1 {status} {phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
