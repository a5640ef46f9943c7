"""What this process knows: the API's objects and the daemon's report, and a signal for those who wait for either.

Levels only, written each by one task and read by all, in one event loop. Nothing here decides.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping

from vyos_agent.sync.desired import Item, item
from vyos_agent.sync.report import Report
from vyos_api.nodeconfig import KeySet, NodeConfig


def now_ms() -> int:
    """Monotonic milliseconds."""
    return time.monotonic_ns() // 1_000_000


class Signal:
    """Wakes every waiting task on a change; one that was busy meanwhile does not miss it, and wakes once for many."""

    def __init__(self) -> None:
        self._version = 0
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def version(self) -> int:
        """So many changes until now: take it before looking at the world, then wait for a newer one."""
        return self._version

    def notify(self) -> None:
        """Something changed."""
        self._version += 1
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def wait(self, seen: int, timeout_ms: int) -> None:
        """Return as soon as there was a change after `seen`, or when the time is over."""
        if self._version != seen or timeout_ms <= 0:
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the result.
            async with asyncio.timeout(timeout_ms / 1000):
                await waiting
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(waiting)


@dataclasses.dataclass(slots=True)
class World:
    """Everything that the loops share."""

    changed: Signal = dataclasses.field(default_factory=Signal)
    configs: Mapping[str, NodeConfig | str] | None = None
    """This node's ConfigMaps by cluster, parsed (or why not); None until the first complete list."""
    keys: Mapping[str, KeySet | str] | None = None
    """The key Secrets by cluster, likewise."""
    report: Report | None = None
    """The daemon's newest report; kept when the daemon cannot be asked."""
    connected: bool = False
    """Whether the daemon can be asked."""

    @property
    def ready(self) -> bool:
        """Whether this node plays its part: listed, connected, told of all its clusters, and listening in none."""
        if self.configs is None or self.keys is None or not self.connected or self.report is None:
            return False
        tellable = {c for c, config in self.configs.items() if isinstance(item(config, self.keys.get(c)), Item)}
        answered = {c.cluster for c in self.report.clusters} | {r.cluster for r in self.report.refused}
        return tellable <= answered and not any(g.state == "Listening" for c in self.report.clusters for g in c.groups)
