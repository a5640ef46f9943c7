"""What the machine says of processes and of itself: memory, processor seconds, load. Not about Kubernetes.

The wall clock of a shared machine tells little; processor seconds are the same whatever else runs.
"""

from __future__ import annotations

import dataclasses
import os
import pstats
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROFILE_LINES = 25
IDLE_COLUMNS = (3, 4)
"""idle and iowait of the first line of /proc/stat; proc(5)."""


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory now and at most, in MiB (VmRSS and VmHWM of proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {"RSS, MiB": round(found["VmRSS"], 1), "RSS at most, MiB": round(found["VmHWM"], 1)}


def processor_s(pid: int) -> float:
    """Processor seconds that a process has used (utime and stime of /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def children() -> dict[str, int]:
    """The pids of this process's children, by the name of their program."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            found[Path(f"/proc/{pid}/comm").read_text().strip()] = int(pid)
    return found


@dataclasses.dataclass(frozen=True)
class Use:
    """Processor seconds used until a moment, by whom; two of them make an interval."""

    by: dict[str, float]
    busy_s: float
    all_s: float

    @classmethod
    def now(cls, processes: dict[str, int]) -> Use:
        """Of these processes (pid by name), and of the machine."""
        columns = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        idle = sum(columns[i] for i in IDLE_COLUMNS)
        by = {name: processor_s(pid) for name, pid in processes.items()}
        return cls(by, (sum(columns) - idle) / TICKS_PER_S, sum(columns) / TICKS_PER_S)

    def since(self, before: Use) -> dict[str, float]:
        """What each used since, all of them, and which share of the machine others had."""
        used = {name: round(self.by[name] - before.by.get(name, 0.0), 1) for name in self.by}
        ours = sum(used.values())
        others = (self.busy_s - before.busy_s - ours) / max(self.all_s - before.all_s, 0.01)
        return {
            **used,
            "all of these": round(ours, 1),
            "share of the machine that others had": round(max(others, 0), 2),
        }


def load() -> list[float]:
    """The load averages of 1, 5 and 15 minutes."""
    return [round(each, 2) for each in os.getloadavg()]


def profile_summary(path: Path) -> list[str]:
    """The functions in which a profiled process spent most of its own time, one a line."""
    stats = pstats.Stats(str(path))
    entries = stats.stats  # type: ignore[attr-defined]  # typeshed does not know it
    rows = sorted(((own, total, calls, where) for where, (_, calls, own, total, _) in entries.items()), reverse=True)
    whole = sum(own for own, *_ in rows)
    lines = [f"{whole:.1f} s in all; own s, with callees s, calls, where"]
    for own, total, calls, (file, line, name) in rows[:PROFILE_LINES]:
        place = "/".join(Path(file).parts[-3:])
        lines.append(f"{own:8.2f} {total:8.2f} {calls:9} {place}:{line} {name}")
    return lines
