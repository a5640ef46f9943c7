"""/healthz and /readyz on the loopback address, for the kubelet's probes.

Alive means that every loop of this process came round lately; whether the API server or the daemon answers is not a
matter of life, since a restart would not help. Two fixed answers to two fixed paths: no HTTP framework for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from vyos_agent.sync.world import now_ms

logger = logging.getLogger(__name__)

REQUEST_BYTES_MAX = 8192
"""The kubelet's request has some 200 bytes; anything on this node may connect."""
REQUEST_S = 3.0
CONNECTIONS_MAX = 16

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


class Health:
    """The HTTP endpoint."""

    def __init__(self, beats: Beats, ready: Callable[[], bool]) -> None:
        self._beats = beats
        self._ready = ready
        self._open = 0

    async def serve(self, port: int) -> None:
        """Answer on 127.0.0.1 until cancelled. Raises OSError when the port is taken."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", port, limit=REQUEST_BYTES_MAX)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S):
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._response(request))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            logger.debug("health: a request that was none")
        finally:
            self._open -= 1
            writer.close()

    def _response(self, request: bytes) -> bytes:
        match request.split(b" ", 2)[:2]:
            case [b"GET", b"/healthz"]:
                late = self._beats.late()
                return _http(503 if late else 200, f"stuck: {', '.join(late)}" if late else "ok")
            case [b"GET", b"/readyz"]:
                return _http(200, "ok") if self._ready() else _http(503, "not ready")
            case _:
                return _http(404, "not found")


def _http(status: int, text: str) -> bytes:
    phrase = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}[status]
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status} {phrase}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
