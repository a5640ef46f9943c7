"""Watches the watches: a stream that ended in silence looks like a quiet cluster (kopf issue 1276).

Now and then the API server is asked for the versions of everything watched, and the answer is compared with what the
watches have shown. What a watch has missed for good makes the liveness probe fail, and the kubelet restarts the
process. An object that is gone but whose deletion was never shown (kopf lists anew after a long disconnection and
says nothing of what is missing) is forgotten here. An API server that does not answer proves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from vyos_operator import audit
from vyos_operator.cluster import Cluster
from vyos_operator.kinds import Watch
from vyos_operator.liveness import Liveness
from vyos_operator.queue import Retry
from vyos_operator.store import Store

logger = logging.getLogger(__name__)

GRACE_S = 5.0
"""How far a watch may be behind: it is milliseconds, and seconds when a thousand objects come at once."""
SETTLE_S = 1.0
"""How long after the first sign of a new listing an audit begins."""
POLL_S = 0.2
"""How often the first listing is asked for its end; it takes a second."""
TASK_PREFIX = "watcher for "
"""How kopf calls the task of a watch; a test holds this against the installed kopf."""


class Watchdog:
    """Compares lists with watches for as long as it runs."""

    def __init__(
        self, cluster: Cluster, store: Store, liveness: Liveness, watches: Iterable[Watch], *, every_s: float
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._liveness = liveness
        self._watches = tuple(watches)
        self._every_s = every_s
        self._tasks: set[str] = set()
        self._listed = asyncio.Event()

    def listed(self) -> None:
        """A watch has begun anew: what was deleted meanwhile is not shown, so look soon."""
        self._listed.set()

    async def whole(self) -> None:
        """Return when every watch has shown everything that there is: what is decided before is decided in the dark."""
        for watch in self._watches:
            said = ""
            while True:
                try:
                    missed = audit.compare(await self._cluster.versions(watch), self._store.versions(watch)).missed
                    if all(shown is not None for shown in missed.values()):
                        break
                except Retry as error:
                    if str(error) != said:
                        logger.warning("waiting for the watch of %s: %s", watch, error)
                    said = str(error)
                await asyncio.sleep(POLL_S)
        self.check_tasks(task.get_name() for task in asyncio.all_tasks())
        logger.info("all watches have shown everything (%d tasks)", len(self._tasks))

    async def run(self) -> None:
        """Audit until cancelled; sooner when something was wrong, or a watch began anew."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._every_s, GRACE_S) if self._liveness.problems else self._every_s):
                    await self._listed.wait()
                    await asyncio.sleep(SETTLE_S)  # the other watches begin anew about now, too
            self._listed.clear()
            self.check_tasks(task.get_name() for task in asyncio.all_tasks())
            for watch in self._watches:
                await self.check(watch)

    def check_tasks(self, names: Iterable[str]) -> None:
        """A watch whose task was there once must still be there."""
        found = {name for name in names if name.startswith(TASK_PREFIX)}
        self._tasks |= found
        for name in sorted(self._tasks):
            if name in found:
                self._liveness.good(name)
            else:
                self._liveness.bad(name, "the task of this watch has ended")

    async def check(self, watch: Watch) -> None:
        """Compare one watch with the list, twice if need be."""
        topic = f"watch of {watch}"
        try:
            before = audit.compare(await self._cluster.versions(watch), self._store.versions(watch))
            if before:
                await asyncio.sleep(GRACE_S)
                after = audit.compare(await self._cluster.versions(watch), self._store.versions(watch))
                before = audit.lasting(before, after)
        except Retry as error:
            logger.warning("cannot compare the %s with a list: %s", topic, error)
            return
        for name, (uid, _) in before.ghosts.items():
            logger.warning("%s: %s is gone, though the watch has not said so", topic, name)
            self._store.drop(watch.kind, watch.namespace, name, uid)
        if before.missed:
            some = ", ".join(sorted(before.missed)[:3])
            self._liveness.bad(topic, f"it has not shown {len(before.missed)} objects as they are now ({some}, ...)")
        else:
            self._liveness.good(topic)
