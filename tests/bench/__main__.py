"""`make bench` and `make bench-defaults`: everything, or what is asked for, measured, kept, shown and drawn."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from types import FrameType
from typing import Any

from bench import lan, lanes, machine, packages, pages, plan, soak, table
from bench.lanes import Failed
from bench.packages import CommandError
from bench.plan import Job, Limits, Rest
from bench.store import Store
from bench.systems import SYSTEMS
from bench.words import SETTINGS, Fault
from vyos_api import usage

INTERRUPTED = 130
BENCH_MINUTES, DEFAULTS_MINUTES = 73.0, 240.0
"""When no new trial begins any more; `make bench` has 75 minutes with all that comes before and after."""
REST_SETTINGS = ("A", "B", "C")
REST_LANES = 2
"""Fewer than for trials: here the processors' time itself is measured."""
LANES, DEFAULTS_LANES = 4, 6
"""At 5 s / 20 s nearly all is waiting."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run; the exit code."""
    options = _parse(argv)
    limits = Limits(options.systems, options.settings, tuple(map(Fault, options.faults)), options.n)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _refuse_where_it_cannot_run()
        if options.what == "soak":
            soak.run(options.rest_minutes, options.load_minutes, limits.systems, _prepare, say)
        else:
            _bench(options, limits)
    except (CommandError, Failed) as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        say("bench: interrupted; namespaces and processes are gone, results so far are in build/")
        return INTERRUPTED
    return 0


def say(text: str) -> None:
    """A line for the person who waits, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _bench(options: argparse.Namespace, limits: Limits) -> None:
    begin_s = time.monotonic()
    defaults = options.what == "defaults"
    name = "bench-defaults" if defaults else "bench"
    minutes = options.minutes or (DEFAULTS_MINUTES if defaults else BENCH_MINUTES)
    count, seed = options.lanes or (DEFAULTS_LANES if defaults else LANES), options.seed or int(time.time())
    counts = plan.DEFAULTS_N if defaults else plan.BENCH_N | plan.PROMISE_N
    todo = plan.jobs(counts, limits, seed)
    rests: list[Rest] = []
    if options.rest == "yes" or (not options.rest and not limits.faults and not limits.n):
        rests = plan.rests(("default",) if defaults else REST_SETTINGS, limits)
    systems = sorted({job.system for job in todo} | {job.system for job in rests})
    if not systems:
        raise CommandError("SYSTEMS, SETTINGS and FAULTS together leave nothing to measure")
    run = _prepare(systems) | {"run": f"make {name}", "lanes": count, "seed": seed}
    trials = sum(job.trials for job in todo)
    say(f"{trials} trials and {len(rests)} pairs at rest, at most {minutes:g} minutes; {run['machine']}")
    for line in plan.without(counts, limits):
        say(line)
    store = Store(name, run)
    taker, deadline_s = _Taker(store, trials), begin_s + minutes * 60
    missed: list[Job | Rest] = []
    try:
        if rests:
            missed += lanes.work(min(REST_LANES, count), rests, deadline_s, seed, taker)
        for part, at_once in plan.parts(todo, count):
            missed += lanes.work(at_once, part, deadline_s, seed, taker)
    finally:
        store.close()
        with usage.readable(end=False):
            print(table.everything(store.rows, store.rest))
    for job in missed:
        say(f"no time was left for: {job}")
    whole = not (limits.systems or limits.settings or limits.faults or limits.n or missed or taker.lost)
    for path in pages.draw(name, store.rows, store.rest, pages.DOCS if whole else pages.PARTIAL):
        say(f"wrote {path}")
    say(f"{(time.monotonic() - begin_s) / 60:.0f} minutes; build/{name}.json")


class _Taker:
    """Takes in what the lanes tell."""

    def __init__(self, store: Store, trials: int) -> None:
        self._store = store
        self._trials = trials
        self.lost: list[str] = []
        """Jobs that were given up, so that trials are missing."""

    def __call__(self, what: str, content: Any) -> None:
        match what:
            case "trial":
                self._store.add(content)
            case "rest":
                self._store.add_rest(content)
            case "lost":
                self.lost.append(content)
            case "done":
                job, took_s = content
                self._store.save()
                say(f"[{len(self._store.trials)}/{self._trials}] {job}: {took_s:.0f} s")
            case _:
                say(content)


def _prepare(systems: Sequence[str]) -> dict[str, Any]:
    """Install what is missing, remove what a killed run left; what every figure of the run says of it."""
    packages.install([p for name in systems for p in SYSTEMS[name].packages], say)
    for name in lan.sweep_stale():
        say(f"removed the namespace {name} that a killed run left")
    return {"machine": machine.machine(), "versions": machine.versions(systems)}


def _refuse_where_it_cannot_run() -> None:
    if os.geteuid() != 0:
        raise CommandError("the routers are network namespaces of this machine: run it as root (sudo make bench)")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """An empty value is none: make passes all of them on."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("what", choices=("bench", "defaults", "soak"))
    add("--systems", default=(), type=_some(SYSTEMS), help=f"some of: {' '.join(SYSTEMS)}")
    add("--settings", default=(), type=_some(SETTINGS), help=f"some of: {' '.join(SETTINGS)}")
    add("--faults", default=(), type=_some(list(Fault)), help=f"some of: {' '.join(Fault)}")
    add("--n", type=_number, help="so many trials of each")
    add("--lanes", type=_number, help=f"so many at once (default: {LANES}, bench-defaults: {DEFAULTS_LANES})")
    add("--minutes", type=_number, help="begin no trial after so many")
    add(
        "--rest", choices=("", "yes", "no"), default="", help="costs at rest; default: unless FAULTS or N limit the run"
    )
    add("--seed", type=_number, help="of the order of jobs and the phases of faults")
    add("--rest-minutes", type=_number, help=f"soak: so long at rest (default: {soak.REST_MINUTES})")
    add("--load-minutes", type=_number, help=f"soak: so long with busy processors (default: {soak.LOAD_MINUTES})")
    return parser.parse_args(argv)


def _some(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        words = tuple(text.replace(",", " ").split())
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {' '.join(known)}")
        return words

    return read


def _number(text: str) -> int | None:
    try:
        found = int(text) if text else None
    except ValueError:
        found = 0
    if found is not None and found < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return found


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    with usage.readable():
        sys.exit(main())
