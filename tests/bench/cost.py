"""What the processes of a daemon cost: memory and processor time, as the kernel counts them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """Sums over the processes of one daemon, in KiB."""

    pss: int
    """The kernel's own: a page that n processes of the machine map counts 1/n."""
    alone: int
    """PSS as if nothing else ran: a file's page counts whole, once. Not less than `pss`, and the fairer figure here,
    where the harness and other daemons map the same interpreter and libraries."""
    rss: int


def memory(pids: Iterable[int]) -> Memory:
    """Of these processes together."""
    pss = rss = private = 0
    files: dict[tuple[str, str], int] = {}
    for pid in pids:
        for name, offset, figures in _mappings(pid):
            pss += figures["Pss"]
            rss += figures["Rss"]
            if name.startswith("/"):
                own = figures["Private_Dirty"]  # a written copy of the file's page is the process' own
                private += own
                key = name, offset
                files[key] = max(files.get(key, 0), figures["Rss"] - own)
            else:
                private += figures["Pss"]
    return Memory(pss, private + sum(files.values()), rss)


def cpu_ns(pids: Iterable[int]) -> dict[str, int]:
    """Time on a processor so far, by thread."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found[task.name] = int((task / "schedstat").read_text().split()[0])
    return found


def used_ns(before: dict[str, int], after: dict[str, int]) -> int:
    """Between two such readings; a thread that is new counts whole."""
    return sum(ns - before.get(task, 0) for task, ns in after.items())


def _mappings(pid: int) -> Iterator[tuple[str, str, dict[str, int]]]:
    """File, offset and the figures (KiB) of each mapping."""
    name = offset = ""
    figures: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                if figures:
                    yield name, offset, figures
                name, offset, figures = (words[5] if len(words) > 5 else ""), words[2], {}
            elif words[-1] == "kB":
                figures[words[0][:-1]] = int(words[1])
    if figures:
        yield name, offset, figures
