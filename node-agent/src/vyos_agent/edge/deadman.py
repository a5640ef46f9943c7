"""Stops a group's host services when this process is gone: no address lifetime ends them, so systemd must.

Two transient units. The lease is a process that sleeps, and that systemd ends as failed after `RuntimeMaxSec`; its
`OnFailure` starts the other, whose `Conflicts` are the services: to start it systemd stops them. Renewing is restarting
the lease. It is no timer unit, because each restart of a timer writes three lines to the journal (measured with systemd
252), and a service's `LogLevelMax` keeps them out; that costs systemd 4 ms of CPU instead of 2.5.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging

from dbus_fast import Variant

from vyos_agent.edge.systemd import NO_SUCH_UNIT, UNIT_EXISTS, Properties, Refused, Systemd, Unreachable

logger = logging.getLogger(__name__)

MARGIN_MS = 500
"""For systemd to start the stopper, and for the services to end before a peer starts them."""
STALL_MS = 600
"""What a renewal may be late: half of it is a busy machine, half is systemd."""
WARNING = 4
"""syslog's: what systemd itself says of the lease stays out of the journal unless it is worse."""
SLEEP, NOTHING = ["/bin/sleep", "2147483647"], ["/bin/true"]
USEC_PER_MS = 1000
TRIES = 3


def life_ms(*, dead_ms: int, keepalive_ms: int) -> int:
    """How long the services may run without this process: two frames may be lost, as with addresses.

    Never less than it takes until the next renewal: with a dead interval below some two seconds, or close to two
    keepalives, the services may run on for a moment beside those of the next owner.
    """
    return max(dead_ms - 2 * keepalive_ms - MARGIN_MS, keepalive_ms + STALL_MS)


class DeadMan:
    """The lease of one group. In the loop's thread."""

    def __init__(self, systemd: Systemd, cluster: str, uid: str, group: str) -> None:
        self._systemd = systemd
        self._group = f"{cluster}/{group}"
        self._name = f"{cluster}-{group}-{_digest(uid, group)}"
        self._units: tuple[str, ...] = ()
        self._life_ms = 0
        self._armed: str | None = None
        self._armed_ms = 0
        self._renewal: asyncio.Task[None] | None = None
        self._told = False

    async def arm(self, units: tuple[str, ...], life: int, at_ms: int) -> None:
        """From now on these are stopped unless `renew` is called. Raises Unreachable; a refusal is logged once."""
        if (units, life) == (self._units, self._life_ms) and self._armed is not None:
            return
        try:
            await self.disarm()
            self._units, self._life_ms = units, life
            lease = f"vyos-cluster-lease-{self._name}-{_digest(*units, str(life))}.service"
            await self.sweep(but=lease)
            await self._make(lease, units, life)
            self._armed, self._armed_ms, self._told = lease, at_ms, False
        except Refused as error:
            if not self._told:
                self._told = True
                text = "%s: its host services will not be stopped if this process dies: systemd says: %s"
                logger.error(text, self._group, error)

    def renew(self, at_ms: int, keepalive_ms: int) -> None:
        """This process lives and its frames go out. Never waits; a renewal that would come too early is left out."""
        after_ms = min(self._life_ms // 4, self._life_ms - keepalive_ms - STALL_MS)
        if self._armed is None or self._renewal is not None or at_ms - self._armed_ms < after_ms:
            return
        self._renewal = asyncio.get_running_loop().create_task(self._renew(self._armed, at_ms))

    async def disarm(self) -> None:
        """The services are stopped, or another lease follows. Raises Unreachable."""
        if self._renewal is not None:
            await asyncio.gather(self._renewal, return_exceptions=True)
        lease, self._armed = self._armed, None
        if lease is not None:
            await self._end(lease)

    async def _make(self, lease: str, units: tuple[str, ...], life: int) -> None:
        """Begin it, or go on with an earlier life's, which may be about to end."""
        stopper = f"vyos-cluster-stop-{self._name}-{_digest(*units, str(life))}.service"
        for attempt in range(TRIES):
            try:
                await self._systemd.start_transient(
                    lease, self._lease(stopper, life), [(stopper, self._stopper(units))]
                )
                return
            except Refused as error:
                if error.name != UNIT_EXISTS:
                    raise
            try:
                await self._systemd.restart_unit(lease)
                return
            except Refused as error:
                if error.name != NO_SUCH_UNIT or attempt + 1 == TRIES:
                    raise

    async def _renew(self, lease: str, at_ms: int) -> None:
        try:
            await self._systemd.restart_unit(lease)
            self._armed_ms = at_ms
        except Refused as error:
            if error.name == NO_SUCH_UNIT and self._armed == lease:
                self._armed = None
                logger.warning("%s: its host services were stopped: this process was too late", self._group)
        except Unreachable:
            pass  # told by whoever keeps the connection; the lease runs on, and out
        finally:
            self._renewal = None

    async def sweep(self, *, but: str = "") -> None:
        """End the leases of an earlier life that were for other services. Raises Unreachable."""
        for lease in await self._systemd.names(f"vyos-cluster-lease-{self._name}-*.service"):
            if lease != but:
                await self._end(lease)

    async def _end(self, lease: str) -> None:
        try:
            await self._systemd.stop_unit(lease)
        except Refused as error:
            if error.name != NO_SUCH_UNIT:
                logger.warning("%s: cannot end %s: %s", self._group, lease, error)

    def _lease(self, stopper: str, life: int) -> Properties:
        return {
            "Description": Variant(
                "s", f"Lets the host services of {self._group} run while the heartbeat daemon lives"
            ),
            "ExecStart": Variant("a(sasb)", [[SLEEP[0], SLEEP, False]]),
            "RuntimeMaxUSec": Variant("t", life * USEC_PER_MS),
            "OnFailure": Variant("as", [stopper]),
            "LogLevelMax": Variant("i", WARNING),
            "StartLimitIntervalUSec": Variant("t", 0),
            "CollectMode": Variant("s", "inactive-or-failed"),
        }

    def _stopper(self, units: tuple[str, ...]) -> Properties:
        return {
            "Description": Variant("s", f"Stops the host services of {self._group}: the heartbeat daemon is gone"),
            "Type": Variant("s", "oneshot"),
            "ExecStart": Variant("a(sasb)", [[NOTHING[0], NOTHING, False]]),
            "Conflicts": Variant("as", list(units)),
            "CollectMode": Variant("s", "inactive-or-failed"),
        }


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:8]
