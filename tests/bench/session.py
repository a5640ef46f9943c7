"""One system at one setting on one LAN: brought to a steady state, hurt, watched, mended, and again.

Every moment at which something is done has a random phase against the heartbeats. Nothing here judges: a trial is a
`Course`, and what it says is worked out in timeline.py. r1 is the owner that is hurt; after a death of its daemon the
failback that mends the pair is itself a trial, as long as failbacks are wanted.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, assert_never

from bench import storm, timeline
from bench.cage import Cage
from bench.lan import NODES, Lan, mac
from bench.probe import Prober
from bench.systems import SYSTEMS
from bench.systems.base import NotAvailable, System
from bench.timeline import Course
from bench.words import DEADLY, HEALED, SETTINGS, STORMS, Fault

OLD, NEW = NODES
Trial = dict[str, Any]
"""The line of a trial in build/bench-trials.jsonl."""

STEADY_MIN_MS = 1_000
BEFORE_MIN_MS = 400
"""The probe runs so long before a fault, at least: long enough to say how good it is itself."""
AFTER_MS = 500
"""And so long after the address has moved."""
STALE_MAX_MS = 2_600
"""After a kill: so long for the old owner's kernel to let the address go (a 1 s lifetime and 1.1 s of delay)."""
SETTLE_MAX_S = 45
FRESH_NS = 100_000_000
POLL_S = 0.004
READY_S, ASK_S = 5.0, 0.1
TRIES = 3


class Unsteady(Exception):
    """The pair does not come to the state from which a trial begins."""


class Session:
    """See the module's text."""

    def __init__(
        self, lan: Lan, prober: Prober, system: System, say: Callable[[str], None], rng: random.Random
    ) -> None:
        self.system = system
        self._lan, self._prober, self._say, self._rng = lan, prober, say, rng
        self._cages: dict[str, Cage] = {}

    def trials(self, wanted: Counter[Fault]) -> Iterator[Trial]:
        """Carry out so many trials of each fault, but those that the system has no way for. Raises Unsteady."""
        left = Counter({fault: n for fault, n in wanted.items() if n > 0})
        while left:
            fault = self._next(left)
            left -= Counter({fault: 1})
            try:
                yield self._trial(fault)
            except NotAvailable as error:
                del left[fault]
                self._say(f"{self.system.name} {self.system.setting.name} {fault}: not available: {error}")

    def start(self, node: str) -> None:
        """Start a router's daemon."""
        s = self.system
        self._cages[node] = Cage(self._lan.places[node], node, s.setup(node), s.command(node), s.log(node))

    def end(self, node: str) -> None:
        """End a router's daemon by force, take its addresses, and put its cables right."""
        cage = self._cages.pop(node, None)
        if cage is not None:
            cage.end()
        self._lan.sweep(node)
        self._lan.isolate(node, cut=False)
        self._lan.plug(node, up=True)

    def close(self) -> None:
        """End both."""
        for node in NODES:
            self.end(node)

    def pids(self, node: str) -> list[int]:
        """The processes of a router's daemon."""
        return self._cages[node].pids() if node in self._cages else []

    def steady(self, more_ms: int = 0) -> None:
        """Come to r1 owning and r2 standing by, both well, for a while. Raises Unsteady."""
        hold_ms = max(STEADY_MIN_MS, 3 * self.system.setting.keepalive_ms) + self.system.rest_ms + more_ms
        limit_s = (self.system.boot_ms + hold_ms) / 1000
        for _ in range(TRIES):
            if all(self.pids(node) for node in NODES) and self._comes_to_rest(limit_s, hold_ms):
                return
            for node in NODES:
                self.end(node)
            for node in NODES:
                self.start(node)
            if self._comes_to_rest(limit_s, hold_ms):
                return
        tails = "\n".join(f"--- {node}: {_tail(self.system.log(node))}" for node in NODES)
        raise Unsteady(f"{self.system.name} {self.system.setting.name}: r1 does not come to own alone\n{tails}")

    # -- one trial

    def _next(self, left: Counter[Fault]) -> Fault:
        """A failback where the pair is right for it; failbacks last where they have to be made ready for."""
        if left[Fault.FAILBACK] and (set(self._cages) == {NEW} or len(left) == 1):
            return Fault.FAILBACK
        rest = [fault for fault in left if fault is not Fault.FAILBACK]
        deadly = [fault for fault in rest if fault in DEADLY] if left[Fault.FAILBACK] else []
        return (deadly or rest)[0]

    def _trial(self, fault: Fault) -> Trial:
        lan, system, watcher = self._lan, self.system, self._lan.watcher
        if fault is Fault.FAILBACK:
            self._ready_for_failback()
        else:
            self.steady(system.rest_partition_ms if fault is Fault.PARTITION else 0)
        old, new = (NEW, OLD) if fault is Fault.FAILBACK else (OLD, NEW)
        watcher.changes.clear()
        load = os.getloadavg()[0]
        lan.forget()
        stranger = None
        if fault in STORMS:
            stranger = storm.Storm(lan.places["x"], fault, owner=mac(OLD), stranger=mac("x"))
        dropped, refused = 0, None
        if stranger is not None:
            dropped, refused = storm.kernel_drops(lan.places[new]), system.refused(new)
        figures: Trial = {}
        self._prober.begin()
        try:
            if stranger is not None:
                stranger.begin()
            self._sleep_ms(max(BEFORE_MIN_MS, 1.2 * system.setting.keepalive_ms) + self._phase_ms())
            held = frozenset(watcher.owners())
            pids = self.pids(OLD)
            fault_ns = time.time_ns()
            self._hurt(fault, pids)
            ok = self._watch(fault, new, fault_ns)
            heal_ns = None
            if fault in HEALED:
                self._sleep_ms(self._phase_ms())
                heal_ns = time.time_ns()
                self._heal(fault, pids)
                ok = self._settled() and ok
        finally:
            seen = self._prober.finish()
            if stranger is not None:
                figures = stranger.end()
                figures["storm_kernel_drops"] = storm.kernel_drops(lan.places[new]) - dropped
                if refused is not None:
                    figures["storm_read"] = (system.refused(new) or 0) - refused
        course = Course(fault, system.dead_ms, fault_ns, heal_ns, old, new, held, tuple(watcher.changes), seen)
        trial: Trial = {
            "system": system.name,
            "setting": system.setting.name,
            "fault": fault.value,
            "links": system.links,
            "ok": ok,
            "valid": held == {old},
            "load": round(load, 2),
            "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
            **timeline.measure(course),
            "dead_ms": round(system.dead_ms, 1),
            **figures,
            "changes": [[c.node, c.holds, round((c.at_ns - fault_ns) / 1e6, 1)] for c in watcher.changes[:20]],
        }
        self._mend(fault)
        return trial

    def _hurt(self, fault: Fault, pids: list[int]) -> None:
        cage, lan = self._cages.get(OLD), self._lan
        if fault is Fault.FAILBACK:
            self.start(OLD)
            return
        assert cage is not None
        match fault:
            case Fault.POWER_OFF | Fault.REPLAYED | Fault.GARBLED | Fault.FILTERED | Fault.FORGED:
                cage.kill()
                lan.plug(OLD, up=False)
            case Fault.LINK_CUT:
                lan.plug(OLD, up=False, links=("eth0",))
            case Fault.KILL:
                cage.kill()
            case Fault.FREEZE:
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
            case Fault.STOP:
                self.system.stop(cage)
            case Fault.SWITCHOVER:
                self.system.switch(cage)
            case Fault.PARTITION:
                lan.isolate(OLD, cut=True)
            case _:
                assert_never(fault)

    def _watch(self, fault: Fault, new: str, fault_ns: int) -> bool:
        """Until the address has moved and the client is served by its new owner for a while; whether that came."""
        dead_ms = self.system.dead_ms
        limit_s = (4 * dead_ms + 12_000 + (self.system.boot_ms if fault is Fault.FAILBACK else 0)) / 1000

        def moved() -> bool:
            at_ns, who = self._prober.last()
            return self._lan.watcher.holds[new] and who == new and time.time_ns() - at_ns < FRESH_NS

        def taken() -> bool:
            return self._lan.watcher.holds[new]

        # a frozen owner's kernel may keep the client to itself; a planned move may be undone by a failback soon after
        ok = self._wait(
            taken if fault in (Fault.FREEZE, Fault.KILL) else moved,
            limit_s,
            0 if fault is Fault.SWITCHOVER else AFTER_MS,
        )
        if fault is Fault.SWITCHOVER:
            self._sleep_ms(AFTER_MS)
        if fault is Fault.KILL:
            self._wait(lambda: not self._lan.watcher.holds[OLD], STALE_MAX_MS / 1000, 0)
            self._sleep_ms(AFTER_MS)
        if fault is Fault.FREEZE:
            # frozen for at least half as long again as it takes to be replaced
            rest_ms = max(1.5 * dead_ms, 1_000) - (time.time_ns() - fault_ns) / 1e6
            self._sleep_ms(max(0, rest_ms))
        return ok

    def _heal(self, fault: Fault, pids: list[int]) -> None:
        match fault:
            case Fault.FREEZE:
                for pid in reversed(pids):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
            case Fault.LINK_CUT:
                self._lan.plug(OLD, up=True)
            case _:
                self._lan.isolate(OLD, cut=False)

    def _settled(self) -> bool:
        """One owner that serves the client, for longer than anything still pending takes."""
        calm_ms = max(self.system.calm_ms, 2 * self.system.dead_ms)

        def one() -> bool:
            at_ns, who = self._prober.last()
            return self._lan.watcher.owners() == {who} and time.time_ns() - at_ns < 2 * FRESH_NS

        return self._wait(one, SETTLE_MAX_S + calm_ms / 1000, calm_ms)

    def _mend(self, fault: Fault) -> None:
        """Undo what was done, as far as the pair does not do so itself."""
        if fault in DEADLY:
            self.end(OLD)
        elif fault is Fault.SWITCHOVER and not self.system.switch_back(self._cages[OLD]):
            for node in NODES:
                self.end(node)

    def _ready_for_failback(self) -> None:
        if set(self._cages) != {NEW}:
            self.steady()
            self.end(OLD)
        hold_ms = max(STEADY_MIN_MS, 2 * self.system.setting.keepalive_ms) + self.system.rest_ms
        limit_s = (4 * self.system.dead_ms + self.system.boot_ms + hold_ms) / 1000
        if not self._wait(lambda: self._lan.watcher.owners() == {NEW}, limit_s, hold_ms):
            raise Unsteady(f"{self.system.name} {self.system.setting.name}: r2 does not take over from nobody")

    # -- waiting

    def _comes_to_rest(self, limit_s: float, hold_ms: float) -> bool:
        """By the kernels first; then the daemons themselves are asked, seldom, for answering costs them."""
        if not self._wait(self._is_steady, limit_s, hold_ms):
            return False
        end = time.monotonic() + READY_S
        while not all(self.system.ready(node) for node in NODES):
            if time.monotonic() > end:
                return False
            time.sleep(ASK_S)
        return self._is_steady()

    def _is_steady(self) -> bool:
        return self._lan.watcher.owners() == {OLD}

    def _phase_ms(self) -> float:
        return self._rng.uniform(0, max(self.system.setting.keepalive_ms, 100))

    def _sleep_ms(self, ms: float) -> None:
        time.sleep(ms / 1000)

    def _wait(self, condition: Callable[[], bool], timeout_s: float, hold_ms: float) -> bool:
        """Whether it comes to hold, without a break, for so long."""
        end, since = time.monotonic() + timeout_s + hold_ms / 1000, None
        while (now := time.monotonic()) < end:
            if not condition():
                since = None
            elif since is None:
                since = now
            if since is not None and (now - since) * 1000 >= hold_ms:
                return True
            time.sleep(POLL_S)
        return False


@contextlib.contextmanager
def session(
    lan: Lan,
    prober: Prober,
    directory: Path,
    name: str,
    setting: str,
    *,
    links: int = 1,
    groups: int = 1,
    say: Callable[[str], None] = print,
    rng: random.Random | None = None,
) -> Iterator[Session]:
    """A session for the length of a `with`."""
    system = SYSTEMS[name](SETTINGS[setting], directory, links=links, groups=groups)
    found = Session(lan, prober, system, say, rng or random.Random())
    try:
        yield found
    finally:
        found.close()


def _tail(path: Path, lines: int = 8) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return ""
