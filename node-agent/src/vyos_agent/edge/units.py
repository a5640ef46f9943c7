"""The host services of one group: brought to what is wanted, watched, and said how they are.

    pass:  stop what is not wanted, in reverse order  ->  start what is wanted, in order  ->  say how it is
    again: when another level is wanted, when systemd hints at a change, and now and then

A pass only compares and acts, so repeating one is harmless, and a restart of anything needs no special case. A unit
that was seen to run and rests has ended by itself: that is a failure, not a thing to mend here, for the group has
other members. What ran at boot, or was started by somebody else where the group is not owned, is stopped.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import signal
from collections.abc import Callable, Mapping

from vyos_agent.core.model import Serving
from vyos_agent.edge.deadman import DeadMan
from vyos_agent.edge.systemd import KIN_MAX, Kin, Refused, Row, Systemd, Unreachable
from vyos_api import host_units
from vyos_api.host_units import HostUnits

logger = logging.getLogger(__name__)

LOOK_S = 10.0
"""Signals can be lost (a bus that restarts): everything is looked at this often without them."""
SETTLE_LOOK_S = 1.0
"""The same while something is under way."""
BUSY = frozenset({"activating", "deactivating"})
UP = frozenset({"active", "reloading"})
UNUSABLE = {"not-found": "does not exist on this node", "masked": "is masked on this node"}


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """How long things may take, in seconds."""

    start_s: float = 60.0
    """systemd's own default is 90 (DefaultTimeoutStartSec); a standby that waits deserves an answer earlier."""
    stop_s: float = 30.0
    """Then the unit's processes are killed: the next owner waits for it."""
    kill_s: float = 5.0
    ended_s: float = 1.0
    """A unit at rest that is up again after so long was restarted by somebody."""
    pause_s: float = 1.0
    """Between a pass that changed something and the next: a unit that comes and goes must not keep us busy."""
    again_s: float = 30.0
    again_max_s: float = 300.0
    """After a failure, if the same is still wanted then."""
    link_s: float = 5.0
    """A bus that restarts is away for less."""


class Overtaken(Exception):
    """Another level is wanted: this pass is over."""


class Problem(Exception):
    """What is wanted cannot be brought about."""

    def __init__(self, state: Serving, text: str) -> None:
        super().__init__(text)
        self.state = state


class UnitGroup:
    """See the module's text. `serve` any time; `run` is its life."""

    def __init__(
        self,
        name: str,
        systemd: Systemd,
        deadman: DeadMan,
        tell: Callable[[Serving, str], None],
        times: Times,
        allowed: HostUnits,
        on_refused: Callable[[Mapping[str, str]], None],
    ) -> None:
        """`on_refused`: the units that are not `allowed`, each with the reason, whenever they are others."""
        self.name = name
        self._allowed = allowed
        self._on_refused = on_refused
        self._refused: Mapping[str, str] = {}
        self._swept = False
        self.times = times
        self._systemd = systemd
        self._deadman = deadman
        self._tell_on = tell
        self._units: tuple[str, ...] = ()
        """All that is the group's, and what was and has still to be stopped."""
        self._configured: tuple[str, ...] = ()
        self._wanted: tuple[str, ...] | None = None
        self._life_ms = 0
        self._level = self._round_level = 0
        self._moved = asyncio.Event()
        self._hinted = asyncio.Event()
        self._hints = 0
        self.rested = asyncio.Event()
        """Nothing is wanted, and nothing runs."""
        self._told: tuple[Serving, str] | None = None
        self._ran: set[str] = set()
        """Seen to run since they were wanted."""
        self._over: set[str] = set()
        """Of these, those whose work is to run once and end."""
        self._acted = False
        self._failures = 0
        self._clock = asyncio.get_running_loop().time

    def serve(self, wanted: tuple[str, ...], units: tuple[str, ...], life_ms: int) -> None:
        """Run exactly `wanted` of the group's `units`, as long as somebody renews within `life_ms`."""
        self._configured = tuple(dict.fromkeys([*units, *wanted]))
        # what left the configuration is stopped once more where it may run, and is the administrator's own after that
        known = tuple(dict.fromkeys([*self._configured, *(() if self.rested.is_set() else self._units)]))
        if (wanted, known, life_ms) == (self._wanted, self._units, self._life_ms):
            return
        if wanted != self._wanted:
            self._level += 1
            self._told = None
            self.rested.clear()
            self._failures = 0
            self._ran.intersection_update(wanted)
            self._over.intersection_update(wanted)
        self._wanted, self._units, self._life_ms = wanted, known, life_ms
        self._moved.set()
        self.hint()

    def adjust(self, units: tuple[str, ...], life_ms: int) -> None:
        """The group's units, or how long they may run without a renewal, are others now."""
        if self._wanted is not None:
            self.serve(self._wanted, units, life_ms)

    def hint(self) -> None:
        """Something may have changed: look again."""
        self._hints += 1
        self._hinted.set()

    def stop(self) -> None:
        """Run nothing, if ever anything was to be said about it."""
        if self._wanted is not None:
            self.serve((), self._units, self._life_ms)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._wanted is None:
                await self._moved.wait()
            self._moved.clear()
            self._round_level = self._level
            try:
                await self._round()
            except Overtaken:
                continue
            except Problem as problem:
                await self._failed(problem.state, str(problem))
            except Refused as refusal:
                await self._failed(Serving.FAILED, f"systemd refuses: {refusal}")
            except Unreachable as error:
                await self._unreachable(str(error))

    async def _round(self) -> None:
        """A pass, and the wait for a reason to make another."""
        assert self._wanted is not None
        seen, self._acted = self._hints, False
        self._tell(*await self._pass(self._wanted))
        self._failures = 0
        if self._acted:
            await self._wait(self._moved, self.times.pause_s)
        if self._hints == seen:
            self._hinted.clear()
            await self._wait(self._hinted, LOOK_S)

    async def _failed(self, state: Serving, text: str) -> None:
        """Say so, and try again much later: whoever wants it done may want something else by then."""
        if self._told is None or self._told != (state, text):
            logger.warning("%s: %s", self.name, text)
        self._tell(state, text)
        self._ran.clear()
        self._over.clear()
        wait_s = min(self.times.again_max_s, self.times.again_s * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        await self._wait(self._moved, LOOK_S if state is Serving.ABSENT else wait_s)

    async def _unreachable(self, text: str) -> None:
        """A bus that restarts is no failure; one that stays away is."""
        self._hinted.clear()
        await self._wait(self._hinted, self.times.link_s)
        if not self._hinted.is_set():
            self._tell(Serving.FAILED, f"cannot speak with systemd: {text}")
            await self._hinted.wait()

    async def _wait(self, event: asyncio.Event, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            pass

    def _tell(self, state: Serving, text: str = "") -> None:
        if self._round_level == self._level and self._told != (state, text):
            self._told = (state, text)
            if not self._wanted and state in (Serving.STOPPED, Serving.ABSENT):
                self.rested.set()
            self._tell_on(state, text)

    # -- one pass

    async def _pass(self, wanted: tuple[str, ...]) -> tuple[Serving, str]:
        problems: list[str] = []
        missing: list[str] = []
        owned = bool(wanted)
        await self._sort_out()
        wanted = tuple(unit for unit in wanted if unit not in self._refused)
        for unit in reversed(self._units):
            if unit not in wanted and unit not in self._refused:
                await self._stop(unit, problems, missing)
        if problems:
            raise Problem(Serving.FAILED, "; ".join(problems))
        self._units = tuple(unit for unit in self._units if unit in self._configured)
        if not wanted:
            await self._deadman.disarm()
            if owned:
                return Serving.RUNNING, ""  # none of its units is allowed here: the addresses are served all the same
            return (Serving.ABSENT, "; ".join(missing)) if missing else (Serving.STOPPED, "")
        missing = [text for unit in wanted if (text := _unusable(unit, await self._look(unit)))]
        if missing:
            for unit in reversed(wanted):
                await self._stop(unit, problems, [])
            raise Problem(Serving.FAILED if problems else Serving.ABSENT, "; ".join(problems + missing))
        await self._deadman.arm(wanted, self._life_ms, int(self._clock() * 1000))
        for unit in wanted:
            await self._start(unit)
        return Serving.RUNNING, ""

    async def _sort_out(self) -> None:
        """Find the units that are not allowed: they are neither started nor stopped, by no lease of an earlier life."""
        level, found = self._level, {}
        for unit in self._units:
            kin = Kin(frozenset({unit})) if self._allowed.none else await self._systemd.kin(unit)
            why = self._allowed.refusal(kin.names, kin.stopped)
            if len(kin.stopped) >= KIN_MAX:
                why = f"systemd stops more than {KIN_MAX} units with it"
            if why is not None:
                also = sorted(kin.names - {unit})
                found[unit] = f"{unit}{f' ({also[0]})' if also else ''}: {why}"
        if level != self._level:
            raise Overtaken
        if found != self._refused:
            for text in sorted({*found.values()} - {*self._refused.values()}):
                logger.error("%s: left as it is: %s: %s", self.name, text, host_units.CURE)
            self._refused = found
            self._on_refused(found)
        if found and not self._swept and not self._allowed.none:
            await self._deadman.sweep()
            self._swept = True

    async def _look(self, unit: str) -> Row:
        level = self._level
        row = await self._systemd.look(unit)
        if level != self._level:
            raise Overtaken
        return row

    async def _settle(self, unit: str, settled: Callable[[Row], bool], timeout_s: float) -> Row:
        """The unit as it is when it has settled, or when the time is over."""
        end = self._clock() + timeout_s
        while True:
            self._hinted.clear()
            row = await self._look(unit)
            left_s = end - self._clock()
            if settled(row) or left_s <= 0:
                return row
            await self._wait(self._hinted, min(SETTLE_LOOK_S, left_s))
            if self._moved.is_set():
                raise Overtaken

    async def _stop(self, unit: str, problems: list[str], missing: list[str]) -> None:
        row = await self._look(unit)
        unusable = _unusable(unit, row)
        if unusable is not None:
            missing.append(unusable)
        if row.at_rest:
            return
        self._tell(Serving.STOPPING)
        self._acted = True
        await self._systemd.stop_unit(unit)
        row = await self._settle(unit, lambda r: r.at_rest, self.times.stop_s)
        if not row.at_rest:
            logger.error("%s: %s did not stop in %g s: killing it", self.name, unit, self.times.stop_s)
            await self._systemd.kill_unit(unit, signal.SIGKILL)
            row = await self._settle(unit, lambda r: r.at_rest, self.times.kill_s)
        if row.at_rest:
            logger.info("%s: stopped %s", self.name, unit)
        else:
            problems.append(f"{unit} does not stop, not even by SIGKILL")

    async def _start(self, unit: str) -> None:
        row = await self._look(unit)
        if unit in self._over:
            return
        if row.at_rest and unit in self._ran:
            row = await self._settle(unit, lambda r: not r.at_rest, self.times.ended_s)
            if row.at_rest:
                raise Problem(Serving.FAILED, await self._how_it_ended(unit, row))
        if row.at_rest:
            self._tell(Serving.STARTING)
            self._acted = True
            if row.active == "failed":
                await self._systemd.reset_failed(unit)
            await self._systemd.start_unit(unit)
        row = await self._settle(unit, lambda r: r.active not in BUSY and not r.job, self.times.start_s)
        if row.active not in UP and not await self._runs_once(unit, row):
            self._acted = True
            raise Problem(Serving.FAILED, await self._how_it_started(unit, row))
        if unit not in self._ran:
            logger.info("%s: %s runs", self.name, unit)
        self._ran.add(unit)

    async def _runs_once(self, unit: str, row: Row) -> bool:
        """A service whose work is done when it has ended well."""
        if row.active != "inactive" or not await self._systemd.is_oneshot(unit):
            return False
        self._over.add(unit)
        return True

    async def _how_it_ended(self, unit: str, row: Row) -> str:
        if row.active == "failed":
            return f"{unit} has failed: {await self._result(unit)}"
        return f"{unit} has ended, or was stopped by somebody"

    async def _how_it_started(self, unit: str, row: Row) -> str:
        if row.active in BUSY:
            return f"{unit} did not start in {self.times.start_s:g} s"
        if row.active == "failed":
            return f"{unit} did not start: {await self._result(unit)}"
        return f"{unit} ended at once"

    async def _result(self, unit: str) -> str:
        try:
            result, status = await self._systemd.result(unit)
        except Refused:
            return "see its journal"
        return f"{result}, status {status}" if status else result


def _unusable(unit: str, row: Row) -> str | None:
    if row.load in ("loaded", "merged"):
        return None
    return f"{unit} {UNUSABLE.get(row.load, f'cannot be loaded ({row.load})')}"
