"""`make soak`: our daemon for half an hour at rest, then beside peers for ten minutes with every processor busy.

At rest the memory must not grow; under load nobody may take over, for nobody died. The results are rows of
build/soak.json, one for each pair of daemons and phase.
"""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import cage, cost, pages
from bench.lan import NODES, PREFIX, Lan, lan
from bench.plan import OURS
from bench.probe import Prober
from bench.session import Session
from bench.store import BUILD, write
from bench.systems import SYSTEMS
from bench.words import SETTINGS

REST_MINUTES, LOAD_MINUTES = 30, 10
REST_PAIRS = ((OURS, "A", 10), (OURS, "B", 10))
LOAD_SETTING = "B"
LOAD_SYSTEMS = (OURS, "keepalived-v3", "heartbeat")
SAMPLE_S = 10.0
TELL_S = 120.0
BUSY = "while True: pass"
"""What keeps a processor busy; one such process for each, at the priority that everything has."""


class Pair:
    """Two daemons on a LAN of their own, and what was seen of them."""

    def __init__(self, wires: Lan, session: Session) -> None:
        self.wires, self.session = wires, session
        self.samples: list[tuple[float, dict[str, cost.Memory], dict[str, dict[str, int]]]] = []

    def sample(self) -> None:
        """Take memory and processor time now."""
        pids = {node: self.session.pids(node) for node in NODES}
        memory = {node: cost.memory(pids[node]) for node in NODES}
        self.samples.append((time.monotonic(), memory, {node: cost.cpu_ns(pids[node]) for node in NODES}))

    def rows(self, phase: str, load: float) -> Iterator[dict[str, Any]]:
        """A row for each daemon."""
        first_s, _, before = self.samples[0]
        last_s, _, after = self.samples[-1]
        tenth = max(1, len(self.samples) // 10)
        for node in NODES:
            pss = [memory[node].pss for _, memory, _ in self.samples]
            alone = [memory[node].alone for _, memory, _ in self.samples]
            yield {
                "system": self.session.system.name,
                "setting": self.session.system.setting.name,
                "groups": len(self.session.system.addresses),
                "phase": phase,
                "role": "owner" if node == NODES[0] else "standby",
                "seconds": round(last_s - first_s),
                "every_s": SAMPLE_S,
                "pss_first_kib": round(statistics.median(pss[:tenth])),
                "pss_last_kib": round(statistics.median(pss[-tenth:])),
                "pss_max_kib": max(pss),
                "pss_alone_first_kib": round(statistics.median(alone[:tenth])),
                "pss_alone_last_kib": round(statistics.median(alone[-tenth:])),
                "pss_alone_max_kib": max(alone),
                "cpu_ms_per_s": round(cost.used_ns(before[node], after[node]) / 1e6 / (last_s - first_s), 3),
                "changes": sum(c.node == node for c in self.wires.watcher.changes),
                "takeovers": sum(c.holds for c in self.wires.watcher.changes),
                "pss_alone_kib": alone,
                "alive": self.session.pids(node) != [],
                "load": round(load, 2),
                "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
            }


def run(
    rest_minutes: int | None,
    load_minutes: int | None,
    systems: Sequence[str],
    prepare: Callable[[Sequence[str]], dict[str, Any]],
    say: Callable[[str], None],
) -> None:
    """Both phases; writes build/soak.json after each."""
    loaded = [name for name in systems or LOAD_SYSTEMS if LOAD_SETTING in SYSTEMS[name].settings]
    resting = [pair for pair in REST_PAIRS if not systems or pair[0] in systems]
    facts = prepare(sorted({OURS, *loaded})) | {"run": "make soak"}
    BUILD.mkdir(exist_ok=True)
    found: list[dict[str, Any]] = []
    for phase, pairs, minutes in (
        ("rest", resting, rest_minutes or REST_MINUTES),
        ("load", [(name, LOAD_SETTING, 1) for name in loaded], load_minutes or LOAD_MINUTES),
    ):
        if not pairs:
            continue
        what = ", ".join(f"{name} {setting} {groups} groups" for name, setting, groups in pairs)
        say(f"{phase}, {minutes} minutes: {what}")
        try:
            for row in _phase(phase, pairs, minutes * 60, say):
                found.append(row | facts)
                say(_line(row))
        finally:
            write(BUILD / "soak.json", found)
    whole = not (rest_minutes or load_minutes or systems)
    for path in pages.draw_soak(found, pages.DOCS if whole else pages.PARTIAL):
        say(f"wrote {path}")
    say("build/soak.json")


def _phase(
    phase: str, pairs: Sequence[tuple[str, str, int]], seconds: float, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Rows of all pairs, also when it is interrupted."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{PREFIX}-")))
        found = []
        for number, (name, setting, groups) in enumerate(pairs):
            wires = stack.enter_context(lan(f"s{number}"))
            prober = Prober(wires.places["c"])
            stack.callback(prober.close)
            place = directory / str(number)
            system = SYSTEMS[name](SETTINGS[setting], place, groups=groups)
            session = Session(wires, prober, system, say, random.Random(number))
            stack.callback(session.close)
            session.steady()
            found.append(Pair(wires, session))
        time.sleep(SAMPLE_S)
        for pair in found:
            pair.wires.watcher.changes.clear()
        if phase == "load":
            for _ in range(os.cpu_count() or 1):
                stack.enter_context(_busy())
        try:
            _watch(found, seconds, say)
        finally:
            load = os.getloadavg()[0]
            for pair in found:
                if len(pair.samples) > 1:
                    yield from pair.rows(phase, load)


def _watch(pairs: Sequence[Pair], seconds: float, say: Callable[[str], None]) -> None:
    begin_s = told_s = time.monotonic()
    while True:
        for pair in pairs:
            pair.sample()
        now_s = time.monotonic()
        if now_s - begin_s >= seconds:
            return
        if now_s - told_s >= TELL_S:
            told_s = now_s
            changes = sum(len(pair.wires.watcher.changes) for pair in pairs)
            say(f"{(now_s - begin_s) / 60:.0f} min: {changes} changes of addresses")
        time.sleep(min(SAMPLE_S, max(0.1, begin_s + seconds - now_s)))


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True, preexec_fn=cage.die_with_parent)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['phase']}: {row['system']} {row['setting']} {row['role']}, {row['groups']} groups, {row['seconds']} s: "
        f"PSS {row['pss_first_kib'] / 1024:.1f} -> {row['pss_last_kib'] / 1024:.1f} MiB "
        f"(alone {row['pss_alone_last_kib'] / 1024:.1f}), CPU {row['cpu_ms_per_s']:.2f} ms/s, "
        f"{row['takeovers']} takeovers"
    )
