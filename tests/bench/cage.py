"""A daemon, and all that it forks, in PID, mount, UTS and IPC namespaces of its own on one router's network.

"Kill everything" is then one signal to the first process of the cage, and nothing can outlive it: the cage dies with
the lane that made it, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
START_S = 5.0
END_S = 30.0
UNSHARE = "unshare --mount --uts --ipc --pid --fork --kill-child=KILL --mount-proc".split()  # noqa: SIM905
_libc = ctypes.CDLL(None, use_errno=True)


class CageError(Exception):
    """The cage itself could not be made."""


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Get this signal when the thread that started this process is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def be_prompt() -> None:
    """Let this thread run as soon as it can: what measures must not wait behind what is measured, or behind others."""
    with contextlib.suppress(OSError):  # not everywhere is that allowed; `floor_ms` and `stalls` tell
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


class Cage:
    """Runs from the moment it is made."""

    def __init__(self, place: str, node: str, setup: str, command: str, log: Path) -> None:
        """`setup`: shell, before the daemon, with a fresh /run; it must succeed. `command`: shell, the daemon."""
        script = (
            f"set -e\nmount --make-rprivate /\nmount -t tmpfs tmpfs /run\nhostname {shlex.quote(node)}\n"
            f"{setup}\nset +e\necho ready >&3\nexec 3>&-\n( {command} ) &\nwait\nexec sleep infinity\n"
        )
        self._log = log
        ready, told = os.pipe()
        try:
            with log.open("ab") as out:
                self._process = subprocess.Popen(
                    ["ip", "netns", "exec", place, *UNSHARE, "bash", "-c", f"exec 3>&{told}\n{script}"],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                    pass_fds=(told,),
                    preexec_fn=die_with_parent,
                )
            os.close(told)
            told = -1
            with os.fdopen(os.dup(ready), "rb") as answer:
                if answer.readline() != b"ready\n":
                    self._process.wait()
                    raise CageError(f"{node}: the cage did not come up; see {log}")
        finally:
            os.close(ready)
            if told >= 0:
                os.close(told)
        self._init = _children(self._process.pid)[0]

    def pids(self) -> list[int]:
        """The daemon's processes, the cage's own first one excluded, as the machine numbers them."""
        found: list[int] = []
        todo = _children(self._init)
        while todo:
            pid = todo.pop(0)
            todo += _children(pid)
            if _state(pid) not in ("Z", ""):
                found.append(pid)
        return sorted(found)

    def named(self, word: bytes) -> int:
        """The process whose command line has the word; the first of all where none has; 0 where there is none."""
        pids = self.pids()
        for pid in pids:
            with contextlib.suppress(OSError):
                if word in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return pids[0] if pids else 0

    def kill(self) -> None:
        """SIGKILL to everything inside, at once; waits for nothing."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._init, signal.SIGKILL)

    def end(self) -> None:
        """Kill, and wait until it is gone."""
        self.kill()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_S)

    def run(self, command: Sequence[str], timeout_s: float = 10.0) -> str:
        """Run a command inside; what it printed. Raises CageError."""
        inside = ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", "--", *command]
        try:
            done = subprocess.run(inside, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise CageError(f"{shlex.join(command)}: no end within {timeout_s:g} s") from None
        if done.returncode != 0:
            raise CageError(f"{shlex.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self, command: Sequence[str]) -> None:
        """Start a command inside and come back at once."""
        inside = ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", "--", *command]
        with self._log.open("ab") as out:
            subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent)

    def wait_gone(self, pids: Sequence[int], timeout_s: float) -> bool:
        """Whether these processes end in time."""
        end = time.monotonic() + timeout_s
        while any(_state(pid) not in ("Z", "") for pid in pids):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""
