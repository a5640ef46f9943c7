"""A daemon in this process, asked through the handlers of its control socket; and the orders that tests give it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from edge import values
from vyos_agent.edge.daemon import Daemon
from vyos_agent.edge.requests import handlers
from vyos_agent.edge.state import State

SECOND_UID = "11111111-2222-3333-4444-555555555555"
ALONE = {"keepalive_ms": 50, "dead_ms": 300, "init_dead_ms": 300}
"""A member that waits for nobody for long."""


def first(**changes: Any) -> dict[str, Any]:
    return values.order(values.config("r1", **{**ALONE, **changes}))


def second(address: str = "192.168.0.200/24/eth0", **changes: Any) -> dict[str, Any]:
    config = values.config("r1", values.group("g2", address), cluster="second", uid=SECOND_UID, **ALONE)
    return values.order(dataclasses.replace(config, **changes))


class Desk:
    """A daemon, asked through the handlers of its control socket."""

    def __init__(self, directory: Path, hooks: Path | None = None) -> None:
        """With `hooks` it is a router's own daemon, which runs them itself."""
        self.daemon = Daemon("r1", State(directory), keep_configs=hooks is None, hooks=hooks)
        self.restarts: list[None] = []
        self.handlers = handlers(self.daemon, file=None, restart=self._restart)

    async def _restart(self) -> None:
        self.restarts.append(None)

    async def configure(self, *entries: Any) -> list[str]:
        answer = await self.handlers["configure"]({"clusters": list(entries)})
        return [f"{r['cluster']}@{r['generation']}: {r['message']}" for r in answer["refused"]]

    async def report(self, **fields: Any) -> dict[str, Any]:
        report: dict[str, Any] = (await self.handlers["report"](fields))["report"]
        return report

    async def clusters(self) -> dict[str, Any]:
        return {c["cluster"]: c for c in (await self.report())["clusters"]}

    async def owns(self, *names: str) -> None:
        """Wait until it owns every group of these clusters, addresses included."""
        async with asyncio.timeout(10):
            revision = None
            while True:
                report = await self.report(after=revision, timeoutMs=5000)
                revision = report["revision"]
                found = {c["cluster"]: c["groups"] for c in report["clusters"]}
                if all(g["state"] == "Owner" and g["addresses"] for n in names for g in found.get(n, [{"state": ""}])):
                    return


@contextlib.asynccontextmanager
async def at_work(directory: Path, hooks: Path | None = None) -> AsyncIterator[Desk]:
    desk = Desk(directory, hooks)
    desk.daemon.start()
    try:
        yield desk
    finally:
        await desk.daemon.stop()
