"""How this process behaves beside others: memory that stays in memory, a turn when it is due, no pause for garbage.

Only what the limits that it was started with allow, never a capability of its own. What was had, and how late the loop
has been, is told in the report: a daemon that is late on a good day is killed by its peers on a bad one.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ctypes
import gc
import logging
import os
import resource
import time
from typing import Any

logger = logging.getLogger(__name__)

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
"""linux/mman.h. On fault: what is mapped and never touched (thread stacks, libraries) is not read in for this."""
CAP_IPC_LOCK = 14
LOOP_PRIORITY, WORKER_PRIORITY = 2, 1
"""The lowest of the real-time ones: above everything ordinary, below whatever else is of this kind."""
LOOK_S = 0.25
LATE_MS = 20
"""A loop this late is counted: half a keepalive at 30 ms, and no trouble at 1 s."""
WINDOW = 240
"""Looks that the worst is taken from: a minute."""
YOUNG_S, OLD_EVERY = 5.0, 60
"""Young garbage is collected every 5 s, all of it every 5 minutes."""


class Manners:
    """Of one process. `begin` when everything is there, `end` with the loop."""

    def __init__(self) -> None:
        self.memory_locked = False
        self.real_time = False
        self.late = 0
        """How often the loop was LATE_MS late or more."""
        self._lags_ms: collections.deque[float] = collections.deque(maxlen=WINDOW)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._collections = 0
        self._worst_gc_ms = 0.0

    def begin(self) -> None:
        """Take what is allowed, and begin to look. What there is now is here to stay: it is no garbage."""
        self.memory_locked = _lock_memory()
        self.real_time = _take_turns(LOOP_PRIORITY, WORKER_PRIORITY)
        said = f"memory is {'' if self.memory_locked else 'not '}locked, scheduling is "
        logger.info("%s%s", said, "real-time (round robin)" if self.real_time else "ordinary")
        gc.collect()
        gc.freeze()
        gc.disable()
        self._look(asyncio.get_running_loop().time())
        self._again("gc", YOUNG_S, self._collect)

    def end(self) -> None:
        """Look no more."""
        for timer in self._timers.values():
            timer.cancel()
        gc.unfreeze()
        gc.enable()

    def as_json(self) -> dict[str, Any]:
        """As docs/control-socket.md has it."""
        return {
            "memoryLocked": self.memory_locked,
            "realTime": self.real_time,
            "loopLagMs": round(max(self._lags_ms, default=0.0), 1),
            "loopLate": self.late,
            "collectMs": round(self._worst_gc_ms, 1),
        }

    def _look(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        lag_ms = max(0.0, (loop.time() - due) * 1000)
        self._lags_ms.append(lag_ms)
        self.late += lag_ms >= LATE_MS
        again = loop.time() + LOOK_S
        self._timers["lag"] = loop.call_at(again, self._look, again)

    def _collect(self) -> None:
        self._collections += 1
        before = time.monotonic()
        gc.collect(2 if self._collections % OLD_EVERY == 0 else 1)
        self._worst_gc_ms = max(self._worst_gc_ms, (time.monotonic() - before) * 1000)
        self._again("gc", YOUNG_S, self._collect)

    def _again(self, name: str, after_s: float, work: Any) -> None:
        self._timers[name] = asyncio.get_running_loop().call_later(after_s, work)


def _lock_memory() -> bool:
    """A limit that is not infinite is no permission: a later allocation would fail where it should not."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and not _has(CAP_IPC_LOCK):
        return False
    return bool(ctypes.CDLL(None).mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)


def join_in() -> None:
    """For a worker thread that the loop shares locks with, the interpreter's own above all; called in that thread.

    An ordinary thread that loses its processor while it holds such a lock holds up the loop with it, whatever the
    loop's priority is: 14 ms were seen beside 16 busy processes.
    """
    _take_turns(WORKER_PRIORITY)


def _take_turns(*priorities: int) -> bool:
    """Of this thread only, by the first that the limits allow; what it starts (threads, hooks) is ordinary."""
    for priority in priorities:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
            return True
    return False


def _has(capability: int) -> bool:
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> capability & 1)
    return False
