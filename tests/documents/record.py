"""`make record`: a failover in the lab as a terminal shows it, and a still picture of it, for README.md and the lab.

A shell on a terminal of its own is typed to as a person would; what the terminal shows is written down with its times
(asciinema's format, version 2: https://docs.asciinema.org/manual/asciicast/v2/). The picture is made from the recording
(`picture`), so it shows nothing that did not happen. Needs root, as the lab does.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from documents.reading import ROOT
from documents.test_run import BIN
from vyos_cluster.lab.machines import Lab

CAST = ROOT / "docs/failover.cast"
PICTURE = ROOT / "docs/failover.svg"
COLUMNS, LINES = 100, 24
TITLE = "vyos-cluster lab: the owner's daemon is killed"
KEY_S = 0.04
"""Between two keys."""
PATIENCE_S = 60
STEPS = (
    ("vyos-cluster lab up examples/demo.yaml &", ("owns 192.168.0.123 (FirstClaim)", "192.168.0.123 answers")),
    ("vyos-cluster lab kill node1", ("(PeerDead)", "192.168.0.123 answers again")),
    ("vyos-cluster lab start node1", ("the daemon of node1 runs",)),
    ("vyos-cluster lab down", ("lab lab is down",)),
)
"""What is typed, and what the terminal then has to show before the next is."""


class Recorder:
    """A shell on a terminal, and all that the terminal showed."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self.events: list[tuple[float, str, str]] = []
        self._terminal, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "--noediting", "-i"],
            cwd=ROOT,
            env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PS1": "# ", "TERM": "dumb"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    @property
    def shown(self) -> str:
        return "".join(data for _, _, data in self.events)

    def type(self, line: str) -> None:
        for key in f"{line}\n":
            os.write(self._terminal, key.encode())
            self.read(KEY_S)

    def read(self, for_s: float) -> None:
        end = time.monotonic() + for_s
        while (left := end - time.monotonic()) > 0:
            if select.select([self._terminal], [], [], left)[0]:
                data = os.read(self._terminal, 65536).decode()
                self.events.append((round(time.monotonic() - self._begun_s, 3), "o", data))

    def wait(self, since: int, *words: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not all(word in self.shown[since:] for word in words):
            if time.monotonic() > end:
                raise SystemExit(f"record: {words} did not come:\n{self.shown}")
            self.read(0.1)

    def close(self) -> None:
        os.killpg(self._shell.pid, signal.SIGHUP)
        self._shell.wait()
        Lab("lab").sweep()


def record() -> str:
    """Play the failover; the recording."""
    recorder = Recorder()
    try:
        recorder.read(0.5)
        for line, words in STEPS:
            since = len(recorder.shown)
            recorder.type(line)
            recorder.wait(since, *words)
            recorder.read(2)
    finally:
        recorder.close()
    header = {"version": 2, "width": COLUMNS, "height": LINES, "timestamp": int(time.time()), "title": TITLE}
    return "".join(f"{json.dumps(line)}\n" for line in (header, *recorder.events))


def screen(cast: str) -> str:
    """What the terminal shows at the end of a recording."""
    return "".join(json.loads(line)[2] for line in cast.splitlines()[1:]).replace("\r\n", "\n").strip()


def picture(cast: str) -> str:
    """A recording's last screen as SVG, which loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(screen(cast)))
    drawn = console.export_svg(title=TITLE, theme=MONOKAI, unique_id="failover")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL) + "\n"


def main() -> int:
    """Write both files."""
    cast = record()
    CAST.write_text(cast)
    PICTURE.write_text(picture(cast))
    print(f"record: {CAST.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
