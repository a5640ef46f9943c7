"""Listens to the daemon: one connection whose only use is the long poll of `report`."""

from __future__ import annotations

import asyncio
import logging

from vyos_agent.sync import control, report
from vyos_agent.sync.backoff import Backoff
from vyos_agent.sync.health import Beat
from vyos_agent.sync.world import World

logger = logging.getLogger(__name__)

POLL_MS = 30_000
GRACE_S = 10.0
"""An answer that is so late is none: the daemon hangs, or another one has taken the socket's place."""


class Listener:
    """Keeps the world's report up to date."""

    def __init__(self, world: World, socket: str, beat: Beat) -> None:
        self._world = world
        self._socket = socket
        self._beat = beat
        self._failing = False

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff = Backoff()
        while True:
            self._beat()
            try:
                async with control.Connection(self._socket) as connection:
                    await self._poll(connection, backoff)
            except (control.ControlError, report.ReportError, OSError, TimeoutError) as error:
                self._lost(error)
            await asyncio.sleep(backoff.failed() / 1000)

    async def _poll(self, connection: control.Connection, backoff: Backoff) -> None:
        question: dict[str, object] = {"op": "report", "timeoutMs": POLL_MS}
        while True:
            self._beat()
            answer = await connection.request(question, POLL_MS / 1000 + GRACE_S)
            newest = report.parse(answer.get("report"))
            self._heard(newest)
            backoff.worked()
            question["after"] = newest.revision

    def _heard(self, newest: report.Report) -> None:
        world = self._world
        if not world.connected:
            logger.info("connected to the daemon on %s (version %s)", newest.node, newest.agent_version)
        changed = newest != world.report or not world.connected
        world.report, world.connected = newest, True
        self._failing = False
        if changed:
            world.changed.notify()

    def _lost(self, error: Exception) -> None:
        """Loud once, then quiet: the daemon may be starting, or upgraded."""
        level = logging.DEBUG if self._failing else logging.WARNING
        logger.log(level, "the daemon cannot be asked at %s: %s", self._socket, str(error) or type(error).__name__)
        self._failing = True
        if self._world.connected:
            self._world.connected = False
            self._world.changed.notify()
