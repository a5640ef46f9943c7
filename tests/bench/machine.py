"""What the figures were taken on and of: the machine, and the versions of the systems."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.packages import CommandError, run
from bench.systems import SYSTEMS
from vyos_api import __version__

ROOT = Path(__file__).resolve().parents[2]


def machine() -> str:
    """Processor, memory, kernel, distribution, in one line."""
    model = _first("/proc/cpuinfo", "model name").partition(":")[2].strip() or platform.machine()
    memory_kib = int(_first("/proc/meminfo", "MemTotal").split()[1])
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    return (
        f"{os.cpu_count()} x {model}, {memory_kib / 1048576:.0f} GiB, Linux {platform.release()}, {system}, "
        f"Python {platform.python_version()}"
    )


def versions(systems: Iterable[str]) -> dict[str, str]:
    """By system; of ours the commit, too."""
    found = {}
    for name in systems:
        packages = SYSTEMS[name].packages
        found[name] = _package(packages[0]) if packages else _ours()
    return found


def _ours() -> str:
    try:
        commit = run("git", "-C", str(ROOT), "describe", "--always", "--dirty").strip()
    except CommandError:
        return __version__  # from a tarball
    return f"{__version__} ({commit})"


def _package(name: str) -> str:
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=False)
    return shown.stdout.strip()


def _first(path: str, word: str) -> str:
    return next((line for line in Path(path).read_text().splitlines() if line.startswith(word)), "")
