"""A machine's host services as systemd keeps them: they outlive the daemon, take time, and do not always obey.

One job at a time per group, units in their order. A job that was ordered goes on when the daemon is killed or frozen.
"""

from __future__ import annotations

import random
import typing
from collections.abc import Mapping

from vyos_agent.core.events import Served
from vyos_agent.core.model import Serving

if typing.TYPE_CHECKING:
    from sim.host import Host

RETRY_MS = 1_000
"""A unit that did not stop is told to again after this."""
AGAIN_MS = 5_000
"""One that did not start, or ended, is started again after this."""


class Systemd:
    """What truly runs on one machine, by group."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.running: dict[str, list[str]] = {}
        """Units that run, in the order in which they were started; one that is being stopped still runs."""
        self.fails: set[str] = set()
        """Units that do not start."""
        self.stuck: set[str] = set()
        """Units that do not stop."""
        self.unstuck_ms = 0
        """In the world's time: since when they do again."""
        self.absent: set[str] = set()
        """Units that do not exist on this machine."""
        self.job_ms = (1, 60)
        self.newest: dict[str, int] = {}
        """Number of the newest job ordered of each group: a stop cancels a start that is under way."""

    def take_faults(self, other: Systemd) -> None:
        """Let the same units fail as there."""
        self.fails, self.stuck, self.absent, self.unstuck_ms = other.fails, other.stuck, other.absent, other.unstuck_ms

    def duration_ms(self) -> int:
        """How long the next job takes."""
        return self._rng.randint(*self.job_ms)

    def runs(self, group: str) -> bool:
        """Whether any unit of the group runs here."""
        return bool(self.running.get(group))


class Services:
    """One life's side of it: brings systemd to the newest Serve, and says what became of it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._level: dict[str, int] = {}
        self._busy: set[str] = set()
        self._told: dict[str, Served] = {}
        self._failed: set[str] = set()

    @property
    def wanted(self) -> Mapping[str, tuple[str, ...]]:
        """The newest of each group."""
        return dict(self._wanted)

    def serve(self, running: Mapping[str, tuple[str, ...]]) -> None:
        """Carry out a Serve. A group that is not named is left as it is."""
        for group, units in running.items():
            if self._wanted.get(group) != units:
                self._wanted[group] = units
                self._level[group] = self._level.get(group, 0) + 1
                self._told.pop(group, None)
                self._failed.discard(group)
                self._host.later(0, lambda g=group: self._advance(g))  # type: ignore[misc]

    def thawed(self) -> None:
        """What ended meanwhile is noticed."""
        for group in list(self._wanted):
            self._host.later(0, lambda g=group: self._advance(g))  # type: ignore[misc]

    def crash(self, group: str) -> None:
        """A unit of the group ended by itself."""
        host, units = self._host, self._host.systemd.running.get(group)
        if units:
            units.pop()
            host.services_changed(group)
            if self._wanted.get(group) and group not in self._busy:
                self._has_failed(group, "ended by itself")

    def _advance(self, group: str) -> None:
        """The next job of this group, or the answer."""
        host, systemd = self._host, self._host.systemd
        if group in self._busy or host.frozen:
            return
        wanted, runs = self._wanted[group], systemd.running.setdefault(group, [])
        surplus = [u for u in reversed(runs) if u not in wanted]
        if surplus:
            self._say(group, Serving.STOPPING)
            self._order(group, lambda: self._stop(group, surplus[0]))
        elif group in self._failed:
            return
        elif not systemd.absent.isdisjoint(wanted):
            self._say(group, Serving.ABSENT, "no such unit")
        elif len(runs) < len(wanted):
            self._say(group, Serving.STARTING)
            self._order(group, lambda: self._start(group, next(u for u in wanted if u not in runs)))
        else:
            self._say(group, Serving.RUNNING if wanted else Serving.STOPPED)

    def _order(self, group: str, job: typing.Callable[[], bool]) -> None:
        self._busy.add(group)
        systemd = self._host.systemd
        number = systemd.newest[group] = systemd.newest.get(group, 0) + 1

        def done() -> None:
            self._busy.discard(group)
            fine = job() if number == systemd.newest[group] else True
            if self._host.services is self and not self._host.frozen:
                if fine:
                    self._advance(group)
                else:
                    self._host.later(RETRY_MS, lambda: self._advance(group))

        self._host.later(self._host.systemd.duration_ms(), done, outlives=True)

    def _stop(self, group: str, unit: str) -> bool:
        if unit in self._host.systemd.stuck:
            self._say(group, Serving.FAILED, f"{unit} did not stop")
            return False
        runs = self._host.systemd.running[group]
        if unit in runs:
            runs.remove(unit)
        self._host.services_changed(group)
        return True

    def _start(self, group: str, unit: str) -> bool:
        systemd = self._host.systemd
        if unit in systemd.fails:
            self._has_failed(group, f"{unit} did not start")
            return True
        systemd.running[group].append(unit)
        self._host.services_changed(group)
        return True

    def _has_failed(self, group: str, message: str) -> None:
        self._failed.add(group)
        self._say(group, Serving.FAILED, message)
        level = self._level[group]

        def again() -> None:
            if level == self._level[group] and self._host.services is self:
                self._failed.discard(group)
                self._advance(group)

        self._host.later(AGAIN_MS, again)

    def _say(self, group: str, state: Serving, message: str = "") -> None:
        told = Served(group, state, message)
        if self._told.get(group) != told and self._host.services is self:
            self._told[group] = told
            level = self._level[group]
            self._host.later(0, lambda: self._tell(level, told))

    def _tell(self, level: int, told: Served) -> None:
        if level == self._level[told.group]:
            self._host.feed(told)
