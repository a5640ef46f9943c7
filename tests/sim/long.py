"""Long runs: thousands of scenarios, each from its own seed, until so many hours are simulated and nothing is missing.

    python -m sim.long --hours 1000 --seed 7 [--jobs 2]     print the counts; fail at the first broken invariant
    python -m sim.long --hours 1000 --seed 7 --keep-going   fail at the end, with all that broke
    python -m sim.long --replay FILE                        run a transcript again, and print its log

SIGTERM ends it early, with the counts so far. Fails, too, when a kind of fault came less than a hundred times, or a
transition of the state table never.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import itertools
import pathlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence

from sim import episode, shrink
from sim.episode import Outcome
from sim.faults import KINDS
from sim.memo import shared_decoding
from sim.rows import ROWS
from sim.scenario import HOUR_MS, Scenario
from vyos_api import usage

EACH_KIND_MIN = 100
FAULTS_PER_HOUR_MIN = 30
EVERY_RUNS = 20
FULL_HOURS = 100
"""From this many hours on, every kind and every row must have come."""


@dataclasses.dataclass(slots=True)
class Total:
    """What all runs together have simulated."""

    simulated_ms: int = 0
    fast_ms: int = 0
    """Of that, at keepalives of 1 s or less."""
    runs: int = 0
    done: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    transitions: collections.Counter[tuple[str, str, str]] = dataclasses.field(default_factory=collections.Counter)
    facts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def add(self, outcome: Outcome) -> None:
        """One more run."""
        self.runs += 1
        self.simulated_ms += outcome.simulated_ms
        self.fast_ms += outcome.simulated_ms * (outcome.keepalive_ms <= 1_000)
        self.done += outcome.done
        self.transitions += outcome.transitions
        self.facts += outcome.facts

    def missing(self) -> list[str]:
        """What a full run must have had, and this one has not."""
        hours = self.simulated_ms / HOUR_MS
        found = [f"fault {k}: {self.done[k]} times, not {EACH_KIND_MIN}" for k in KINDS if self.done[k] < EACH_KIND_MIN]
        found += [f"transition never made: {row.text}" for row in ROWS if not row.count(self.transitions, self.facts)]
        if self.done.total() < FAULTS_PER_HOUR_MIN * hours:
            found.append(f"{self.done.total()} faults in {hours:.0f} hours: fewer than {FAULTS_PER_HOUR_MIN} an hour")
        if 2 * self.fast_ms < self.simulated_ms:
            found.append(f"only {self.fast_ms / HOUR_MS:.1f} of {hours:.1f} hours at keepalives of 1 s or less")
        return found

    def print(self, seconds: float) -> None:
        """The counts, for people."""
        hours = self.simulated_ms / HOUR_MS
        print(
            f"\n{hours:.1f} hours simulated in {self.runs} runs and {seconds:.0f} s "
            f"({60 * hours / max(seconds, 1):.1f} hours a minute); {self.fast_ms / HOUR_MS:.1f} of them at keepalives "
            f"of 1 s or less; {self.done.total()} faults"
        )
        for name in sorted(KINDS):
            print(f"  fault {name:<18} {self.done[name]:>8}")
        for row in ROWS:
            print(f"  {row.count(self.transitions, self.facts):>8}  {row.text}")


def seeds(seed: str) -> Iterator[str]:
    """Half of the simulated time is at keepalives of 1 s or less: two of three scenarios are drawn among those."""
    for index in itertools.count():
        yield f"{seed}/{index}/{'any' if index % 3 == 0 else 'fast'}"


def run(seed: str) -> Outcome:
    """One scenario (in a process of its own, perhaps)."""
    scenario = Scenario.drawn(seed)
    with shared_decoding():
        return episode.play(scenario, until_ms=scenario.length_ms)


def main(argv: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="sim.long", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hours", type=float, default=1.0, help="simulated hours")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--keep-going", action="store_true", help="go on when an invariant is broken")
    parser.add_argument("--replay", type=pathlib.Path, help="a transcript")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(), help="where a failing transcript is put")
    args = parser.parse_args(argv)
    if args.replay is not None:
        return replay(args.replay)
    total, begun = Total(), time.monotonic()
    ended: list[int] = []
    broken: list[Outcome] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    print(f"seed {args.seed}, {args.hours:g} hours", flush=True)
    with concurrent.futures.ProcessPoolExecutor(max_workers=args.jobs) as pool:
        source = seeds(args.seed)
        running = {pool.submit(run, next(source)) for _ in range(2 * args.jobs)}
        while running:
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                total.add(outcome)
                if outcome.broken is not None:
                    broken.append(outcome)
                    print(f"scenario {outcome.seed} is broken: {str(outcome.broken).splitlines()[0]}", flush=True)
                if broken and not args.keep_going:
                    pool.shutdown(cancel_futures=True)
                    return failed(broken[0], args.out)
                if total.simulated_ms < args.hours * HOUR_MS and not ended:
                    running.add(pool.submit(run, next(source)))
                if total.runs % EVERY_RUNS == 0:
                    print(f"  {total.simulated_ms / HOUR_MS:.0f} h, {total.done.total()} faults", flush=True)
    total.print(time.monotonic() - begun)
    missing = total.missing() if args.hours >= FULL_HOURS or ended else []
    print("\n".join(missing + [f"broken: scenario {o.seed}" for o in broken]) or "no invariant broken")
    return 1 if missing or broken else 0


def failed(outcome: Outcome, folder: pathlib.Path) -> int:
    """Print the seed and a short transcript that shows the failure again."""
    print(
        f"\nscenario {outcome.seed} is broken after {outcome.simulated_ms} ms: {outcome.broken}\n\nshortening ...",
        flush=True,
    )
    with shared_decoding():
        short = shrink.shrink(Scenario.drawn(outcome.seed), outcome.bursts)
    path = folder / f"failed-{outcome.seed.replace('/', '-')}.txt"
    comment = "".join(f"# {line}\n" for line in str(short.broken).splitlines())
    path.write_text(comment + episode.write(short.seed, short.bursts))
    print(f"{path.read_text()}\nrun it again: python -m sim.long --replay {path}")
    return 1


def replay(path: pathlib.Path) -> int:
    """Run a transcript, and print what happened."""
    scenario, bursts = episode.read(path.read_text())
    outcome = episode.play(scenario, bursts)
    print("\n".join(outcome.log))
    print(outcome.broken or "no invariant broken")
    return 1 if outcome.broken is not None else 0


if __name__ == "__main__":
    with usage.readable():
        sys.exit(main(sys.argv[1:]))
