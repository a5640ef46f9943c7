"""`vyos-cluster watch` as a process of its own: on a terminal, into a pipe, and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.members import Daemon, daemon, explained, group, reported, row

ROWS, COLUMNS = 8, 70
"""Less than a picture takes."""
START_S = 20.0
INTERRUPT = b"\x03"
"""What a terminal makes SIGINT of, for whoever runs in its foreground: Ctrl-C."""
LOST = {"kind": "Monitor", "name": "192.0.2.254", "state": "Unreachable"}
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A terminal, and the program in its foreground."""

    def __init__(self, end: int, process: subprocess.Popen[bytes]) -> None:
        self._end = end
        self.process = process
        self.text = ""
        """All that it has shown, without escapes."""

    def shows(self, text: str) -> None:
        """Wait until it has shown that."""
        end = time.monotonic() + START_S
        while text not in self.text:
            assert time.monotonic() < end, f"{text!r} is not in {self.text!r}"
            if select.select([self._end], [], [], 0.1)[0]:
                self.text += ESCAPES.sub(b"", os.read(self._end, 65_536)).decode(errors="replace").replace("\r", "")

    def type(self, data: bytes) -> None:
        os.write(self._end, data)


@contextlib.contextmanager
def terminal(*args: str) -> Iterator[Terminal]:
    """Run a command on a small one."""
    end, other = os.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        ["setsid", "--ctty", *command(*args)],
        stdin=other,
        stdout=other,
        stderr=other,
        env=environment | {"TERM": "xterm"},
    )
    os.close(other)
    try:
        yield Terminal(end, process)
    finally:
        process.kill()
        process.wait()
        os.close(end)


def command(*args: str) -> list[str]:
    """It heeds SIGINT, also where a shell ignores that for the tests, which it runs in the background."""
    return ["env", "--default-signal=INT", sys.executable, "-P", "-m", "vyos_cluster", *args]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that tells of one group, and of a lost monitor."""
    seen = explained("r1", group("r1", row("r1", "Owner"), row("r2", "Standby")), r2="Alive")
    numbers: dict[str, Any] = {"clusters": [{"cluster": "edge", "interfaces": {"eth0": True, "eth1": True}}]}
    with daemon(
        tmp_path / "control.sock", explain=seen, report=reported("r1", LOST), metrics={"ok": True, "metrics": numbers}
    ) as found:
        yield found


def test_on_a_short_terminal_what_is_wrong_is_seen_and_ctrl_c_ends_it(told: Daemon) -> None:
    with terminal("watch", "--socket", told.path) as seen:
        seen.shows("Groups, seen by r1")
        seen.shows("...")
        assert "edge: Monitor 192.0.2.254: Unreachable" in seen.text
        assert "Links" not in seen.text, "there is no room for all of it"
        told.answers["report"] = reported("r1", {"kind": "Peer", "name": "r2", "state": "Dead"})
        seen.shows("edge: Peer r2: Dead")
        told.answers["report"] = {"ok": False, "error": "it is leaving"}
        seen.shows("waiting for the daemon")
        seen.type(INTERRUPT)
        assert seen.process.wait(START_S) == 0
        assert "Traceback" not in seen.text


def test_one_connection_and_no_request_while_nothing_changes(told: Daemon) -> None:
    report = dict(told.answers["report"]["report"])
    told.answers["report"] = {"ok": True, "report": report | {"revision": 7}}
    with terminal("watch", "--socket", told.path) as seen:
        seen.shows("Groups, seen by r1")
        told.answers["report"] = {"ok": True, "report": report | {"revision": 8, "deviations": []}}
        end = time.monotonic() + START_S
        while {"op": "report", "after": 8, "timeoutMs": 1000} not in told.asked:
            assert time.monotonic() < end, told.asked
            time.sleep(0.05)
    first, *later = [request for request in told.asked if request["op"] == "report"]
    assert first == {"op": "report"}
    assert all(r["timeoutMs"] == 1000 for r in later), "the daemon answers when its report changes, or after a second"
    assert len(told.asked) <= 3 * (1 + len(later))
    assert told.connections == 1


@pytest.mark.parametrize("op", ["report", "explain", "metrics"])
def test_a_daemon_of_another_release_is_told_and_watched_on(told: Daemon, op: str) -> None:
    whole = told.answers[op]
    told.answers[op] = {"ok": True}
    missing = {"report": "report", "explain": "clusters", "metrics": "metrics"}[op]
    with subprocess.Popen(command("watch", "--socket", told.path), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert next(lines) == f"the daemon is of another release: its answer has no '{missing}'\n"
            told.answers[op] = whole
            assert any("Groups, seen by r1" in line for line in lines), "another daemon has come"
            process.send_signal(signal.SIGINT)
            assert process.wait(START_S) == 0
        finally:
            process.kill()
