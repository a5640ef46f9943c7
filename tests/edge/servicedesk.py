"""Host services of one cluster, and what they said: for tests against a real systemd (hosts.py)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from edge import values
from edge.hosts import Host
from edge.waiting import until
from vyos_agent.core.events import Served
from vyos_agent.core.model import Config, Serving
from vyos_agent.edge.services import HostServices, Slot
from vyos_agent.edge.units import Times
from vyos_api import host_units
from vyos_api.host_units import HostUnits

TIMES = Times(start_s=3, stop_s=0.7, kill_s=3, ended_s=0.4, pause_s=0.05, again_s=2, link_s=1)


class Desk:
    """Host services of one cluster with one group, and what they said."""

    def __init__(self, host: Host, *units: str, allow: Sequence[str] = host_units.ALL, **changes: int) -> None:
        self.host = host
        self.units = units
        self.crashes: list[Exception] = []
        self.said: list[Served] = []
        self.services = HostServices(address=host.address, times=TIMES, allowed=HostUnits(allow))
        self.slot = self.open("edge", "uid-1")
        self.slot.configure(config(*units, **changes))
        self.alive = True
        """Frames go out, as of a daemon that lives."""
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            if self.alive:
                self.slot.renew()
            await asyncio.sleep(0.25)

    async def close(self) -> None:
        self._beating.cancel()
        await self.slot.close()
        await self.services.close()
        assert self.crashes == []

    def open(self, name: str, uid: str) -> Slot:
        return self.services.open(name, uid, self.said.append, self.crashes.append)

    def serve(self, *units: str, group: str = "cluster") -> None:
        self.slot.serve({group: units})

    @property
    def state(self) -> Serving | None:
        return self.said[-1].state if self.said else None

    async def until(self, state: Serving, timeout_s: float = 8.0) -> str:
        """Wait until that is said; the message."""
        try:
            await until(lambda: self.state is state, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; said: {self.said}") from None
        return self.said[-1].message

    async def run(self, *units: str) -> None:
        self.serve(*units)
        await self.until(Serving.RUNNING)


def config(*units: str, keepalive_ms: int = 500, dead_ms: int = 3000) -> Config:
    core = values.item("r1", keepalive_ms=keepalive_ms, dead_ms=dead_ms).core
    groups = tuple(dataclasses.replace(g, units=units) for g in core.groups)
    return dataclasses.replace(core, groups=groups)
