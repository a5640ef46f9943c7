"""Search for failures with new seeds, in turns, until the time is over: `make explore MINUTES=60`.

    python -m explore --minutes 10 [--jobs 2] [--seed N]

`make test` runs fixed seeds only. What is found here becomes a fixed case: an `@example`, a schedule of tests/sim, a
row of a table. For each failure the command is printed that shows it again; the exit code is 1 when there was any.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIGHT = "not apiserver and not netns and not install and not e2e and not e2e_long and not e2e_kind and not soak"
SIM_HOURS = 10
FUZZ_INPUTS = 1_000_000
LAST_LINES = 60
"""Of the output of a search that failed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Search:
    """One search with one seed: a command that fails when it finds something."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The command line that runs it again, from the project's folder."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in (("PYTHONPATH", "tests"), *self.environment)]
        return " ".join([*settings, ".venv/bin/python", shlex.join(self.command)])

    def run(self, limit_s: float) -> tuple[bool, str]:
        """Run it for so long at most; whether it found nothing, and its output. One that is ended found nothing."""
        environment = {**os.environ, "PYTHONPATH": "tests", **dict(self.environment)}
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [sys.executable, *self.command], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                code = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
                code = 0
            except BaseException:
                process.terminate()
                process.wait()
                raise
            output.seek(0)
            return code == 0, output.read()


def hypothesis_files() -> tuple[str, ...]:
    """The test files that draw examples."""
    found = (p for p in sorted((ROOT / "tests").rglob("test_*.py")) if "from hypothesis import" in p.read_text())
    return tuple(str(path.relative_to(ROOT)) for path in found)


def simulator(seed: int, jobs: int) -> Search:
    """Clusters and faults that nobody has simulated yet."""
    options = ("--hours", str(SIM_HOURS), "--seed", f"explore-{seed}", "--jobs", str(jobs), "--out", "build")
    return Search("simulator", ("-m", "sim.long", *options))


def examples(seed: int, jobs: int) -> Search:
    """Hypothesis, with more examples than `make test` has."""
    command = ("-m", "pytest", "-q", "-n", str(jobs), f"--hypothesis-seed={seed}", "-m", LIGHT, *hypothesis_files())
    return Search("examples", command, (("HYPOTHESIS_PROFILE", "explore"),))


def frames(seed: int, jobs: int) -> Search:
    """Frames for the decoder."""
    return Search("frames", ("-m", "fuzz.frames", "--inputs", str(FUZZ_INPUTS), "--seed", str(seed)))


def order(seed: int, jobs: int) -> Search:
    """The unit and simulation tests in a random order."""
    options = ("-q", "-n", str(jobs), "-p", "randomly", f"--randomly-seed={seed}")
    return Search("order", ("-m", "pytest", *options, "-m", LIGHT))


KINDS: tuple[Callable[[int, int], Search], ...] = (simulator, examples, frames, order)


def searches(seed: int, jobs: int) -> Iterator[Search]:
    """One kind after the other, each time with the next seed."""
    while True:
        yield from (kind(seed, jobs) for kind in KINDS)
        seed += 1


def main(argv: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="explore", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes of each search")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31), help="the first seed")
    args = parser.parse_args(argv)
    (ROOT / "build").mkdir(exist_ok=True)
    end_s = time.monotonic() + 60 * args.minutes
    failed: list[Search] = []
    done = 0
    print(f"exploring for {args.minutes:g} minutes, from seed {args.seed}", flush=True)
    for search in searches(args.seed, args.jobs):
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            break
        begun_s = time.monotonic()
        well, output = search.run(left_s)
        done += 1
        took_s = time.monotonic() - begun_s
        print(f"  {search.name:<10} {'nothing' if well else 'FAILED':<8} {took_s:4.0f} s  {search.text}", flush=True)
        if not well:
            failed.append(search)
            print("\n".join(output.splitlines()[-LAST_LINES:]), flush=True)
    print(f"{done} searches, {len(failed)} failed")
    for search in failed:
        print(f"run it again: {search.text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
