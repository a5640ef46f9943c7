"""Running commands, waiting for conditions and telling the person in front of it what takes so long."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.05
# Before a command that mounts things or has many children: its mounts are its own, and when it ends, or is killed,
# nothing of it is left
CAGE = "unshare --mount --propagation=private --pid --fork --kill-child=KILL --mount-proc --".split()  # noqa: SIM905


class GroundError(Exception):
    """Something of the ground did not work; the text says what, and what to do."""


def say(text: str) -> None:
    """Print a progress line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what starts now, and afterwards how long it took."""
    start = time.monotonic()
    say(f"{what} ...")
    yield
    say(f"{what}: {time.monotonic() - start:.1f} s")


def run(
    *command: str, stdin: str | None = None, env: Mapping[str, str] | None = None, timeout_s: float | None = None
) -> str:
    """Run a command and return what it printed; a failure raises GroundError with its words."""
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except FileNotFoundError:
        raise GroundError(
            f"{command[0]} is not installed; `tests/ground/ground deps` installs what is missing"
        ) from None
    except subprocess.TimeoutExpired:
        raise GroundError(f"{' '.join(command)}: no answer within {timeout_s} s") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-3000:]
        raise GroundError(f"{' '.join(command)}: exit code {done.returncode}\n{words}")
    return done.stdout


def quiet(*command: str) -> bool:
    """Run a command whose failure is an answer, not an error."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def wait(condition: Callable[[], T | None], timeout_s: float, what: str, every_s: float = POLL_S) -> T:
    """Ask until the answer is truthy and return it; the error names what was waited for and the last answer."""
    end = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise GroundError(f"waited {timeout_s:g} s in vain for: {what} (last answer: {answer!r})")
        time.sleep(every_s)


def exit_code(name: str, work: Callable[[], int | None], interrupted: str) -> int:
    """Do the work of a program and return its exit code; SIGTERM is a Ctrl-C, so that what was begun is taken down."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of the output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except GroundError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: {interrupted}", file=sys.stderr)
        return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
