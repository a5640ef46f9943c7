"""Host services of all clusters of this daemon: one connection to systemd, one keeper per group.

Nothing is connected, nor is dbus-fast loaded, before a cluster has host services. `serve` is a level; answers come as
the core's Served events. In the loop's thread; nothing here waits but `close`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from vyos_agent.core.events import Served
from vyos_agent.core.model import Config, Serving
from vyos_agent.edge.clock import now
from vyos_api.host_units import HostUnits

if TYPE_CHECKING:
    from vyos_agent.edge.deadman import DeadMan
    from vyos_agent.edge.hostrun import HostRun
    from vyos_agent.edge.systemd import Systemd
    from vyos_agent.edge.units import Times, UnitGroup

logger = logging.getLogger(__name__)

CLOSE_S = 4.0
"""How long a cluster that ends waits for its services; what has not stopped then is the lease's to stop."""


class Slot:
    """One cluster's host services."""

    def __init__(
        self,
        services: HostServices,
        name: str,
        uid: str,
        answer: Callable[[Served], None],
        on_crash: Callable[[Exception], None],
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.uid = uid
        self.on_crash = on_crash
        self._on_change = on_change
        self._refused: dict[str, Mapping[str, str]] = {}
        self._services = services
        self._answer = answer
        self._units: Mapping[str, tuple[str, ...]] = {}
        self._life_ms = self._keepalive_ms = 0
        self._keepers: dict[str, Keeper] = {}
        self.closed = False

    def configure(self, config: Config) -> None:
        """What the cluster's groups have, and how long they may run without this process."""
        self._units = {g.name: g.units for g in config.groups if g.units and config.me in g.members}
        if self._units or self._keepers:
            from vyos_agent.edge import deadman

            self._life_ms = deadman.life_ms(dead_ms=config.dead_ms, keepalive_ms=config.keepalive_ms)
            self._keepalive_ms = config.keepalive_ms
        for group, keeper in self._keepers.items():  # a lease of the old length may not outlive the new keepalive
            keeper.units.adjust(self._units.get(group, ()), self._life_ms)

    def serve(self, running: Mapping[str, tuple[str, ...]]) -> None:
        """Carry out a Serve."""
        for group, wanted in running.items():
            keeper = self._keepers.get(group)
            if keeper is None:
                if not (wanted or self._units.get(group)):
                    continue  # it has none, and never had
                keeper = self._keepers[group] = self._services.keeper(self, group)
            keeper.units.serve(wanted, self._units.get(group, ()), self._life_ms)

    def renew(self) -> None:
        """A frame of this cluster went out: its services may go on."""
        for keeper in self._keepers.values():
            keeper.deadman.renew(now(), self._keepalive_ms)

    def hint(self) -> None:
        """Something of systemd's changed."""
        for keeper in self._keepers.values():
            keeper.units.hint()

    def tell(self, group: str, state: Serving, message: str) -> None:
        """Pass on what a keeper says; a group that is gone from the configuration is forgotten when it rests."""
        if self.closed:
            return
        self._answer(Served(group, state, message))
        keeper = self._keepers.get(group)
        if keeper is not None and group not in self._units and keeper.units.rested.is_set():
            del self._keepers[group]
            keeper.task.cancel()

    @property
    def refused(self) -> Mapping[str, Mapping[str, str]]:
        """By group, the units that may not be started or stopped here, each with the reason."""
        return {group: units for group, units in self._refused.items() if units and group in self._units}

    def refuse(self, group: str, units: Mapping[str, str]) -> None:
        """Take what a keeper finds of its units."""
        self._refused[group] = units
        self._on_change()

    async def close(self) -> None:
        """Stop whatever still runs, for a bounded time, and answer no more."""
        self.closed = True
        keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.units.stop()
        try:
            async with asyncio.timeout(CLOSE_S):
                for keeper in keepers:
                    await keeper.units.rested.wait()
        except TimeoutError:
            logger.error("%s: its host services do not stop in %g s; their lease ends them", self.name, CLOSE_S)
        for keeper in keepers:
            keeper.task.cancel()
        await asyncio.gather(*(k.task for k in keepers), return_exceptions=True)
        self._keepers.clear()
        self._services.forget(self)


class Keeper:
    """What keeps one group: its machine, its lease, its task."""

    def __init__(self, units: UnitGroup, deadman: DeadMan, task: asyncio.Task[None]) -> None:
        self.units = units
        self.deadman = deadman
        self.task = task


class HostServices:
    """See the module's text. One per daemon."""

    def __init__(
        self,
        *,
        address: str | None = None,
        times: Times | None = None,
        allowed: HostUnits | None = None,
    ) -> None:
        """`allowed`: the units that clusters may name. For tests: another bus than the host's, other limits."""
        self._allowed = allowed or HostUnits()
        self._address = address
        self._times = times
        self._systemd: Systemd | None = None
        self._slots: list[Slot] = []
        self._lost: str | None = None
        self._hostrun: HostRun | None = None

    def open(
        self,
        name: str,
        uid: str,
        answer: Callable[[Served], None],
        on_crash: Callable[[Exception], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> Slot:
        """A cluster's place. `on_change`: other units are refused than before."""
        slot = Slot(self, name, uid, answer, on_crash, on_change)
        self._slots.append(slot)
        return slot

    def forget(self, slot: Slot) -> None:
        """The cluster is gone."""
        self._slots.remove(slot)

    async def close(self) -> None:
        """End the connection; the slots are closed already."""
        if self._systemd is not None:
            await self._systemd.close()

    async def run(self, argv: list[str], environment: dict[str, str], limit_s: float) -> str:
        """Have the host run an executable (`hooks.Executor`)."""
        from vyos_agent.edge import hostrun

        if self._hostrun is None:
            self._hostrun = hostrun.HostRun(self.connection())
        return await self._hostrun.run(argv, environment, limit_s)

    def keeper(self, slot: Slot, group: str) -> Keeper:
        """Begin to keep a group."""
        from vyos_agent.edge import deadman, units

        systemd = self._unconnected() if self._allowed.none else self.connection()
        lease = deadman.DeadMan(systemd, slot.name, slot.uid, group)
        tell, refuse = functools.partial(slot.tell, group), functools.partial(slot.refuse, group)
        name, times = f"{slot.name}/{group}", self._times or units.Times()
        machine = units.UnitGroup(name, systemd, lease, tell, times, self._allowed, refuse)
        task = asyncio.get_running_loop().create_task(machine.run(), name=f"services of {slot.name}/{group}")
        task.add_done_callback(functools.partial(_ended, slot))
        return Keeper(machine, lease, task)

    def connection(self) -> Systemd:
        """The one connection to systemd, made with the first call."""
        if self._systemd is None:
            self._systemd = self._unconnected()
            self._systemd.start()
        return self._systemd

    def _unconnected(self) -> Systemd:
        from vyos_agent.edge import systemd

        return systemd.Systemd(self._address or systemd.address(), self._hint, self._link)

    def _hint(self, unit: str) -> None:
        for slot in self._slots:
            slot.hint()

    def _link(self, lost: str | None) -> None:
        if lost is None:
            logger.info("host services: connected to systemd")
            self._hint("")
        elif lost != self._lost:
            logger.warning("host services: no connection to systemd: %s; trying again", lost)
        self._lost = lost


def _ended(slot: Slot, task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Exception) and not slot.closed:
        slot.on_crash(error)
