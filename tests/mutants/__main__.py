"""Run the mutants: each in a scratch copy of the core, against the tests that must kill it.

    python -m mutants [--only NAME] [--check] [--jobs N]

Fails when a mutant survives, when one no longer applies, when fewer than 30 are kept or fewer than 20 of them fall to
the simulator alone, and when a killer fails without any mutant: then it proves nothing.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from mutants.belief import BELIEF
from mutants.kinds import Mutant
from mutants.lease import LEASE
from mutants.moves import MOVES
from mutants.skew import SKEW

TESTS = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "node-agent" / "src" / "vyos_agent"
KEPT_MIN, SIMULATED_MIN = 30, 20
LIMIT_S = 300
MUTANTS: tuple[Mutant, ...] = (*LEASE, *BELIEF, *MOVES, *SKEW)


def main(argv: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="mutants whose names have this in them")
    parser.add_argument("--check", action="store_true", help="only look whether they apply")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args(argv)
    chosen = [m for m in MUTANTS if args.only in m.name]
    stale = [text for m in chosen if (text := _stale(m)) is not None]
    print("\n".join(stale) if stale else f"{len(chosen)} mutants apply")
    if args.check or stale:
        return 1 if stale else 0
    if not _healthy(chosen):
        return 1
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        alive = [m for m, dead in zip(chosen, pool.map(_tell, chosen), strict=True) if not dead]
    simulated = sum(m.killer.startswith("sim/") for m in chosen)
    print(f"\n{len(chosen) - len(alive)} of {len(chosen)} dead, {simulated} by the simulator alone, "
          f"in {time.monotonic() - begun:.0f} s")  # fmt: skip
    few = not args.only and (len(chosen) < KEPT_MIN or simulated < SIMULATED_MIN)
    return 1 if alive or few else 0


def _stale(mutant: Mutant) -> str | None:
    try:
        mutant.apply((PACKAGE / "core" / mutant.file).read_text())
    except (LookupError, OSError) as error:
        return str(error)
    return None


def _healthy(mutants: Sequence[Mutant]) -> bool:
    killers = sorted({m.killer for m in mutants})
    done = _pytest(killers, PACKAGE.parent)
    if done.returncode:
        print(f"without any mutant:\n{done.stdout[-4000:]}\nthe killers must pass by themselves")
    return done.returncode == 0


def _tell(mutant: Mutant) -> bool:
    """Whether it is dead; with its row of the table."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        package = pathlib.Path(scratch) / "vyos_agent"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        path = package / "core" / mutant.file
        path.write_text(mutant.apply(path.read_text()))
        try:
            done = _pytest([mutant.killer], package.parent)
            # 1: tests failed. Anything else (no test found, a usage error) is no kill.
            dead, how = done.returncode == 1, _first_failure(done.stdout)
        except subprocess.TimeoutExpired:
            dead, how = True, f"does not end in {LIMIT_S} s"
    print(
        f"{'dead  ' if dead else 'ALIVE '} {mutant.name:<32} {mutant.defence}\n{'':39} {mutant.killer}: {how}",
        flush=True,
    )
    return dead


def _pytest(killers: Sequence[str], source: pathlib.Path) -> subprocess.CompletedProcess[str]:
    files, names = zip(*(killer.split("::") for killer in killers), strict=True)
    chosen = [*(f"tests/{f}" for f in dict.fromkeys(files)), "-k", " or ".join(dict.fromkeys(names))]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *chosen]
    env = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=TESTS.parent, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def _first_failure(output: str) -> str:
    found = re.search(r"^E +(\S.*)$", output, re.MULTILINE)
    return found.group(1)[:100] if found else "no failure"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
