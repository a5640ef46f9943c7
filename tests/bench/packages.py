"""The Debian packages that a run needs: installed when they are missing, and never started on the machine itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

TOOLS = ("iproute2", "procps", "util-linux")
POLICY = Path("/usr/sbin/policy-rc.d")
"""With exit code 101 it keeps packages from starting their services (Debian policy 9.3.3.1)."""
DENY = "#!/bin/sh\nexit 101\n"


class CommandError(Exception):
    """A command failed; the text has its words."""


def install(packages: Iterable[str], say: Callable[[str], None]) -> None:
    """Install what is missing. Raises CommandError."""
    wanted = missing([*TOOLS, *packages])
    if not wanted:
        return
    say(f"installing {' '.join(wanted)} ...")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _nothing_started():
        run("apt-get", "-q", "update", env=env)
        run("apt-get", "-qy", "install", "--no-install-recommends", *wanted, env=env)


def missing(packages: Iterable[str]) -> list[str]:
    """Those that are not installed. Raises CommandError."""
    names = list(dict.fromkeys(packages))
    try:
        shown = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise CommandError("this is no Debian (no dpkg-query); the other systems are Debian packages") from None
    installed = {line.split()[0] for line in shown.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """What a command printed. Raises CommandError."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env, check=False)
    if done.returncode != 0:
        raise CommandError(f"{' '.join(command)}: exit code {done.returncode}\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def _nothing_started() -> Iterator[None]:
    if POLICY.exists():  # somebody has decided that already
        yield
        return
    POLICY.write_text(DENY)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
