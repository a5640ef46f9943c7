"""A TCP proxy between an agent and its API server, to take the server away: refusing, or silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """Forwards 127.0.0.1:`port` to an API server until told otherwise."""

    def __init__(self, port: int, upstream_port: int) -> None:
        self.port = port
        self._upstream_port = upstream_port
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Accept connections (again)."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Refuse connections and cut those that are open, as a server that was killed."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks.copy():
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        """Accept everything and answer nothing, as a server behind a broken path."""
        self._passing.clear()

    async def thaw(self) -> None:
        """Work again; what was sent meanwhile is lost with its connections."""
        await self.stop()
        self._passing.set()
        await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_writer: asyncio.StreamWriter | None = None
        try:
            await self._passing.wait()
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, up_writer))
                group.create_task(self._pump(up_reader, writer))
        except* OSError:
            pass
        except* asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            both = [each for each in (writer, up_writer) if each is not None]
            for each in both:  # before anything is waited for: that may be cancelled
                each.close()
            for each in both:
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionError("one side is done, so both are")


@contextlib.asynccontextmanager
async def proxy(port: int, upstream_port: int) -> AsyncIterator[Proxy]:
    """A running proxy."""
    made = Proxy(port, upstream_port)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
