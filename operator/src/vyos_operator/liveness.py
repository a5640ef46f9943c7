"""The answer to the kubelet's liveness probe: 200, or 503 and what is wrong; and /metrics on the same port.

A server of our own, because kopf's opens only after its startup, keeps an answer for ten seconds, looks at no watch,
and lets a request hang where something is wrong. That the API server is away is no reason to be restarted.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from vyos_operator.metrics import CONTENT_TYPE

logger = logging.getLogger(__name__)

PATH = "/healthz"
METRICS_PATH = "/metrics"


class Liveness:
    """What is wrong with this process right now, by topic."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> dict[str, str]:
        """Topic and sentence of everything that a restart would mend."""
        return dict(self._problems)

    def bad(self, topic: str, sentence: str) -> None:
        """Something is wrong that a restart mends."""
        if self._problems.get(topic) != sentence:
            logger.error("%s: %s", topic, sentence)
        self._problems[topic] = sentence

    def good(self, topic: str) -> None:
        """Nothing is wrong about `topic` (any more)."""
        if self._problems.pop(topic, None) is not None:
            logger.info("%s: is well again", topic)

    @contextlib.asynccontextmanager
    async def served(self, address: str, port: int, metrics: Callable[[], bytes]) -> AsyncIterator[None]:
        """Answer as long as the block lasts, on every address where none is given. `metrics()`: the page's text."""

        async def page(request: web.Request) -> web.Response:
            return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE})

        app = web.Application()
        app.router.add_get(PATH, self._answer)
        app.router.add_get(METRICS_PATH, page)
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, address or None, port).start()
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if not self._problems:
            return web.Response(text="ok\n")
        lines = [f"{topic}: {sentence}\n" for topic, sentence in self._problems.items()]
        return web.Response(status=503, text="".join(lines))
