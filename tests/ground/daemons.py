"""Long-running programs of the ground on the machine itself (control plane, the nodes' power supplies).

Each has a cgroup of its own, by which it is found again and ended for sure, and a log in STATE/log.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ground import cgroups
from ground.paths import STATE
from ground.shell import GroundError, wait


def log_file(name: str) -> Path:
    """Return where a daemon writes what it has to say."""
    return STATE / "log" / f"{name}.log"


def start(name: str, command: Sequence[str], *, netns: str | None = None, env: Mapping[str, str] | None = None) -> None:
    """Start a daemon, in a network namespace if one is given; one that runs already is left alone."""
    if alive(name):
        return
    cgroups.make(f"host/{name}", ("freezer",))
    enter = cgroups.enter_script(f"host/{name}", ("freezer",))
    inside = ["nsenter", f"--net=/run/netns/{netns}", "--"] if netns else []
    log_file(name).parent.mkdir(parents=True, exist_ok=True)
    with open(log_file(name), "ab") as log:
        # setsid --fork: it belongs to nobody, and nobody's Ctrl-C reaches it
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", f'{enter}; exec "$@"', "sh", *inside, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            check=True,
        )
    wait(lambda: alive(name), 5, f"{name} to start; see {log_file(name)}")


def pid(name: str) -> int:
    """Return the process id of a daemon; of several processes, the first ancestor's."""
    pids = cgroups.members(f"host/{name}")
    for candidate in pids:
        if _parent(candidate) not in pids:
            return candidate
    raise GroundError(f"{name} does not run; see {log_file(name)}")


def started_ticks(name: str) -> int:
    """Return when a daemon's first process began, in clock ticks since the machine's start."""
    return int(Path(f"/proc/{pid(name)}/stat").read_text().rpartition(")")[2].split()[19])


def alive(name: str) -> bool:
    """Say whether a daemon has processes."""
    return bool(cgroups.members(f"host/{name}"))


def running() -> list[str]:
    """Return the names of all daemons that run."""
    return [name for name in cgroups.children("host") if alive(name)]


def send(name: str, number: signal.Signals) -> None:
    """Send a signal to a daemon's first process."""
    os.kill(pid(name), number)


def end(name: str) -> None:
    """Kill a daemon with all its children. KILL: a terminated API server waits a minute for its watches."""
    cgroups.end(f"host/{name}")


def _parent(process: int) -> int | None:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
