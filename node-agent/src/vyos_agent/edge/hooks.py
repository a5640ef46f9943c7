"""Hooks: executables of the administrator, run when a group is acquired or released and when an address has a rival.

One directory, and in it executables by these names; whichever is missing is not run.

    before-acquire   before the group's addresses go live, which wait for it (conntrackd's commit); at most BEFORE_S
    acquire          after the group was taken
    release          after the group was let go
    conflict         somebody else says that it has an address of ours

Each is run as `PATH EVENT CLUSTER GROUP`, with the facts in VYOS_CLUSTER_* and a bare PATH in its environment: never by
a shell, one at a time for each group in the order of the events, and killed when its time is over. What it writes goes
to the log, and its exit code changes nothing. In a container it is systemd of the host that runs them, since a
container has none of the host's programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
import logging
import os
import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

BEFORE_S = 2.0
"""Addresses wait for no hook longer: the group has no holder meanwhile."""
HOOK_S = 10.0
QUEUE_MAX = 16
"""Events of one group that wait; a group that moves faster than its hooks run loses the oldest."""
OUTPUT_MAX = 4096
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Event(enum.StrEnum):
    """The name of the executable."""

    BEFORE_ACQUIRE = "before-acquire"
    ACQUIRE = "acquire"
    RELEASE = "release"
    CONFLICT = "conflict"

    @property
    def limit_s(self) -> float:
        """How long it may run."""
        return BEFORE_S if self is Event.BEFORE_ACQUIRE else HOOK_S


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One event to tell."""

    event: Event
    cluster: str
    group: str
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Names without VYOS_CLUSTER_, in capitals."""

    def argv(self, path: Path) -> list[str]:
        """What is executed."""
        return [str(path), str(self.event), self.cluster, self.group]

    def environment(self) -> dict[str, str]:
        """All that it gets."""
        told = {"EVENT": str(self.event), "CLUSTER": self.cluster, "GROUP": self.group, **self.facts}
        return {"PATH": PATH, **{f"VYOS_CLUSTER_{name}": value for name, value in told.items()}}


class Executor(Protocol):
    """Runs one executable to its end, or kills it when its time is over."""

    async def run(self, argv: list[str], environment: dict[str, str], limit_s: float) -> str:
        """How it went, empty for well; never raises for what the executable does."""


class Hooks:
    """See the module's text. One per daemon."""

    def __init__(self, directory: Path | None, executor: Executor) -> None:
        """`directory` None: there are none."""
        self._directory = directory
        self._executor = executor
        self._queues: dict[tuple[str, str], asyncio.Queue[tuple[Call, asyncio.Future[None]]]] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._told: set[str] = set()

    def has(self, event: Event) -> bool:
        """Whether there is an executable for this event that may be run."""
        return self._path(event) is not None

    def call(self, call: Call) -> asyncio.Future[None]:
        """Run it after those of the same group that were called before. Done when it has ended."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._path(call.event) is None:
            done.set_result(None)
            return done
        key = (call.cluster, call.group)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = asyncio.Queue()
            self._tasks[key] = asyncio.get_running_loop().create_task(self._work(key, queue), name=f"hooks of {key}")
        if queue.qsize() >= QUEUE_MAX:
            lost, waiter = queue.get_nowait()
            logger.error("%s/%s: the hook %s is left out: too many wait", lost.cluster, lost.group, lost.event)
            _end(waiter)
        queue.put_nowait((call, done))
        return done

    async def close(self) -> None:
        """Let those that wait run, for a bounded time."""
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=HOOK_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, key: tuple[str, str], queue: asyncio.Queue[tuple[Call, asyncio.Future[None]]]) -> None:
        while not queue.empty():
            call, done = queue.get_nowait()
            try:
                await self._run(call)
            finally:
                _end(done)
        del self._queues[key], self._tasks[key]

    async def _run(self, call: Call) -> None:
        path = self._path(call.event)
        if path is None:
            return
        began = asyncio.get_running_loop().time()
        text = await self._executor.run(call.argv(path), call.environment(), call.event.limit_s)
        took_ms = int((asyncio.get_running_loop().time() - began) * 1000)
        level = logging.WARNING if text else logging.INFO
        logger.log(level, "%s/%s: hook %s: %s (%d ms)", call.cluster, call.group, call.event, text or "done", took_ms)

    def _path(self, event: Event) -> Path | None:
        """The executable, if it is one that nobody but root can have put there."""
        if self._directory is None:
            return None
        path = self._directory / event
        try:
            problem = next((p for found in (self._directory, path) if (p := _unsafe(found))), None)
        except OSError:
            return None
        if problem is None:
            return path
        if problem not in self._told:
            self._told.add(problem)
            logger.error("hooks: %s; it is not run", problem)
        return None


class Direct:
    """Runs them as this process' own children."""

    async def run(self, argv: list[str], environment: dict[str, str], limit_s: float) -> str:
        """In a session of its own, so that all it started can be killed with it."""
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=environment,
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipe,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be run: {error.strerror}"
        assert process.stdout is not None
        reading = asyncio.create_task(_read(process.stdout, argv[0]))
        try:
            async with asyncio.timeout(limit_s):
                code = await process.wait()
            return "" if code == 0 else f"exit code {code}"
        except TimeoutError:
            return f"killed: it did not end in {limit_s:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(stream: asyncio.StreamReader, name: str) -> None:
    """To the log, and not without end."""
    left = OUTPUT_MAX
    while data := await stream.read(OUTPUT_MAX):
        if left > 0:
            logger.info("hook %s says: %s", name, data[:left].decode(errors="replace").rstrip())
        left -= len(data)


def _unsafe(path: Path) -> str | None:
    """Why root must not run what is there. Raises OSError where there is nothing."""
    status = path.stat()
    if status.st_uid != 0:
        return f"{path} does not belong to root"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} can be written by others than root"
    if not status.st_mode & stat.S_IXUSR:
        return f"{path} is not executable"
    return None


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
