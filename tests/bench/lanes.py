"""Lanes: processes that carry out jobs side by side, each on a LAN of its own.

Most of a trial is waiting, so several lanes fit on one machine; how many, without disturbing the figures, README.md
says. Each lane asks for its next job over its own pipe; when the run ends, or dies, the lanes take down what they made.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import FrameType
from typing import Any

from bench import cage, rest
from bench.cage import CageError
from bench.lan import PREFIX, Lan, lan
from bench.plan import Job, Rest
from bench.probe import Prober
from bench.session import Unsteady, session

END_S = 15
Tell = Callable[[str, Any], None]


class Failed(Exception):
    """A lane died of a fault in the harness."""


def work(
    count: int, todo: Sequence[Job | Rest], deadline_s: float, seed: int, take: Callable[[str, Any], None]
) -> list[Job | Rest]:
    """Carry out the jobs, and return those for which there was no time. `take` gets trial, rest, lost, done, say."""
    left = list(todo)
    with _lanes(count, deadline_s, seed) as lanes:
        open_ = dict(lanes)
        while open_:
            for ready in connection.wait(list(open_)):
                if isinstance(ready, Connection):
                    _answer(ready, open_, left, deadline_s, take)
    return left


def _answer(
    pipe: Connection,
    open_: dict[Connection, ForkProcess],
    left: list[Job | Rest],
    deadline_s: float,
    take: Callable[[str, Any], None],
) -> None:
    try:
        what, content = pipe.recv()
    except EOFError:
        process = open_.pop(pipe)
        process.join(END_S)
        if process.exitcode:
            raise Failed(f"a lane ended with exit code {process.exitcode}") from None
        return
    if what != "next":
        take(what, content)
    elif left and time.monotonic() < deadline_s:
        pipe.send(left.pop(0))
    else:
        pipe.send(None)


@contextlib.contextmanager
def _lanes(count: int, deadline_s: float, seed: int) -> Iterator[list[tuple[Connection, ForkProcess]]]:
    context = multiprocessing.get_context("fork")
    lanes: list[tuple[Connection, ForkProcess]] = []
    try:
        for number in range(count):
            here, there = context.Pipe()
            inherited = [pipe for pipe, _ in lanes]
            process = context.Process(target=_lane, args=(number, there, [here, *inherited], deadline_s, seed))
            process.start()
            there.close()
            lanes.append((here, process))
        yield lanes
    finally:
        for _, process in lanes:
            process.terminate()
        for _, process in lanes:
            process.join(END_S)
            process.kill()


# -- in the lane's process


def _lane(number: int, pipe: Connection, others: list[Connection], deadline_s: float, seed: int) -> None:
    for other in others:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells all; the run ends its lanes itself
    signal.signal(signal.SIGTERM, _leave)
    cage.die_with_parent(signal.SIGTERM)

    def tell(what: str, content: Any) -> None:
        pipe.send((what, content))

    try:
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-") as directory, lan(f"l{number}") as wires:
            prober = Prober(wires.places["c"])
            try:
                rng = random.Random(seed * 100 + number)
                while True:
                    tell("next", None)
                    job = pipe.recv()
                    if job is None:
                        return
                    _carry_out(job, wires, prober, Path(directory), deadline_s, rng, tell)
            finally:
                prober.close()
    except (BrokenPipeError, EOFError):
        sys.exit(1)
    except Exception:
        tell("say", f"lane {number} failed:\n{traceback.format_exc()}")
        sys.exit(1)


def _carry_out(
    job: Job | Rest, wires: Lan, prober: Prober, directory: Path, deadline_s: float, rng: random.Random, tell: Tell
) -> None:
    def say(text: str) -> None:
        tell("say", text)

    at_s = time.monotonic()
    links = job.links if isinstance(job, Job) else 1
    groups = job.groups if isinstance(job, Rest) else 1
    try:
        with session(
            wires, prober, directory, job.system, job.setting, links=links, groups=groups, say=say, rng=rng
        ) as s:
            if isinstance(job, Rest):
                for figures in rest.measure(s, wires):
                    tell("rest", figures)
            else:
                for trial in s.trials(Counter(dict(job.wanted))):
                    tell("trial", trial)
                    if time.monotonic() > deadline_s:
                        say(f"{job}: the time is over")
                        break
    except (Unsteady, CageError) as error:
        say(f"{job}: given up: {error}")
        tell("lost", str(job))
    tell("done", (str(job), time.monotonic() - at_s))


def _leave(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough, and cleaning up takes a moment
    sys.exit(1)
