"""Follows one kind of object: a list, then a watch from there, then a list again, for ever.

The new list every `relist_s` heals whatever a watch can do wrong, a stream that went silent included. Between an end
and the next list there is at most one backoff; what was known is kept meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping

from vyos_agent.sync.api import Api, ApiProblem, Kind, Object
from vyos_agent.sync.backoff import Backoff
from vyos_agent.sync.health import Beat

logger = logging.getLogger(__name__)

EXPIRED = 410
"""HTTP "Gone": the version to watch from is too old; the list that follows brings a new one."""


class Follower:
    """One kind's objects; `publish` gets all of them, by name, whenever they may have changed."""

    def __init__(
        self, api: Api, kind: Kind, relist_s: int, publish: Callable[[Mapping[str, Object]], None], beat: Beat
    ) -> None:
        self._api = api
        self._kind = kind
        self._relist_s = relist_s
        self._publish = publish
        self._beat = beat
        self._failing = False

    async def run(self) -> None:
        """Follow until cancelled."""
        backoff = Backoff()
        while True:
            self._beat()
            try:
                version, objects = await self._api.list(self._kind)
                self._listed(len(objects))
                self._publish(objects)
                backoff.worked()
                await self._watch(version, objects)
            except ApiProblem as problem:
                if problem.status != EXPIRED:
                    self._failed(problem)
                await asyncio.sleep(backoff.failed() / 1000)

    async def _watch(self, version: str, objects: dict[str, Object]) -> None:
        # Agents that all started together shall not all list together for ever.
        time_s = self._relist_s * random.uniform(0.8, 1.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(time_s):
                async for event, found in self._api.watch(self._kind, version, int(time_s) + 1):
                    if event == "DELETED":
                        objects.pop(found.name, None)
                    else:
                        objects[found.name] = found
                    self._publish(objects)

    def _listed(self, count: int) -> None:
        level = logging.INFO if self._failing else logging.DEBUG
        logger.log(level, "%s: listed, %d objects", self._kind.value, count)
        self._failing = False

    def _failed(self, problem: ApiProblem) -> None:
        """Loud once, then quiet until it works again: an outage may last for days."""
        level = logging.DEBUG if self._failing else logging.WARNING
        logger.log(level, "%s: cannot be read from the API server, what is known stays: %s", self._kind.value, problem)
        self._failing = True
