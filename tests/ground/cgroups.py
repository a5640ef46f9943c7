"""Control groups of the ground: `vc-ground/host/NAME` for each daemon on the machine, `vc-ground/NODE` for each node.

They answer "which processes are ours?" without files of pids that go stale: whatever the ground ever
started is in one of them, and `down` ends exactly that. Version 1 of cgroups (one hierarchy per
controller), which the kernel of the project's machines has.
"""

import os
import signal
import time
from pathlib import Path

from ground.shell import GroundError

ROOT = Path("/sys/fs/cgroup")
GROUP = "vc-ground"
# A node gets all of them; the freezer is also the one that we count processes by and hang nodes with
CONTROLLERS = ("freezer", "cpu", "cpuacct", "cpuset", "memory", "devices", "blkio", "pids", "systemd")


def check() -> None:
    """Refuse a machine whose cgroups are not version 1."""
    absent = [c for c in CONTROLLERS if not (ROOT / c / "cgroup.procs").exists()]
    if absent:
        raise GroundError(
            f"no cgroup v1 hierarchy for {', '.join(absent)} below {ROOT}: the ground needs them all; on a machine "
            "with cgroup v2 use kind instead (kind-config.yaml)"
        )


def make(name: str, controllers: tuple[str, ...] = CONTROLLERS) -> None:
    """Make the cgroup `name` in each hierarchy."""
    for controller in controllers:
        folder = ROOT / controller
        for part in (GROUP, *name.split("/")):
            folder = folder / part
            folder.mkdir(exist_ok=True)
            if controller == "cpuset":  # an empty cpuset takes no process
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (folder / file).write_text((ROOT / "cpuset" / file).read_text())


def enter_script(name: str, controllers: tuple[str, ...] = CONTROLLERS) -> str:
    """Return a line of shell that moves the shell itself into the cgroup."""
    files = " ".join(str(ROOT / controller / GROUP / name / "cgroup.procs") for controller in controllers)
    return f"for f in {files}; do echo $$ > $f || exit 125; done"


def members(name: str) -> list[int]:
    """Return the processes of a cgroup and of all cgroups below it."""
    pids: set[int] = set()
    for folder in _tree(ROOT / "freezer" / GROUP / name):
        try:
            pids.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        except OSError:  # it went meanwhile
            continue
    return sorted(pids)


def children(name: str) -> list[str]:
    """Return the names of the cgroups right below one."""
    folder = ROOT / "freezer" / GROUP / name
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def freeze(name: str, frozen: bool) -> None:
    """Stop, or let go on, everything in a cgroup."""
    (ROOT / "freezer" / GROUP / name / "freezer.state").write_text("FROZEN" if frozen else "THAWED")


def is_frozen(name: str) -> bool:
    """Say whether a cgroup is frozen."""
    return (ROOT / "freezer" / GROUP / name / "freezer.state").read_text().strip() != "THAWED"


def end(name: str, timeout_s: float = 30.0) -> None:
    """Kill everything in a cgroup, wait until it is gone, and remove the cgroup."""
    deadline = time.monotonic() + timeout_s
    while pids := members(name):
        for pid in pids:
            _kill(pid)
        # A frozen task (hung node, paused container) dies only when thawed. Kill first, thaw then, so that nothing
        # of a dead node runs on for a moment.
        for folder in reversed(_tree(ROOT / "freezer" / GROUP / name)):
            _write(folder / "freezer.state", "THAWED")
        if time.monotonic() > deadline:
            raise GroundError(f"processes of {GROUP}/{name} do not end: {pids}")
        time.sleep(0.02)
    for controller in CONTROLLERS:
        _remove(ROOT / controller / GROUP / name, deadline)


def remove_all() -> None:
    """End whatever is left in any of the ground's cgroups and remove them."""
    if (ROOT / "freezer" / GROUP).exists():
        end(".")


def _tree(folder: Path) -> list[Path]:
    """A folder and all below it, parents first. Not by rglob, which fails when a cgroup goes while it looks."""
    return [Path(path) for path, _, _ in os.walk(folder)]


def _remove(folder: Path, deadline: float) -> None:
    while folder.exists():
        for path in reversed(_tree(folder)):
            _rmdir(path)
        if folder.exists() and time.monotonic() > deadline:
            raise GroundError(f"cgroup {folder} is still busy")
        if folder.exists():
            time.sleep(0.02)


def _rmdir(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:  # still busy, or gone: the caller looks again
        return


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError:  # it went meanwhile
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
