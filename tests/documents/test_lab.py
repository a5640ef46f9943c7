"""Blocks that say `run: lab` are run as they stand, in a lab that the page itself brings up, with real daemons.

The lab is called `lab`, as the pages call it: where a person has one of that name up, these tests say so. A block with
`lab up` has a terminal of its own and runs until the page is through; after a `lab kill` the test waits for the
failover, as a reader would. What the `lab up` of a transcript prints has to come, in whatever order.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from documents import reading
from documents.reading import Fence
from documents.test_run import BIN, marked, playground, run
from vyos_cluster.lab.machines import Lab

pytestmark = pytest.mark.netns
PAGES = [page for page in reading.pages() if marked(page, "lab")]
NAME = "lab"
"""Of a lab that is given none."""
PATIENCE_S = 60.0
READY = ("owns 192.168.0.123", "192.168.0.123 answers")
MOVED = ("(PeerDead)", "192.168.0.123 answers again")


class Terminal:
    """A terminal in which `lab up` runs."""

    def __init__(self, block: Fence, folder: Path, log: Path, patience_s: float = PATIENCE_S) -> None:
        self.block = block
        self._patience_s = patience_s
        self._log = log
        with log.open("w") as pen:
            self._process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", block.script],
                cwd=folder,
                env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=pen,
                stderr=pen,
                start_new_session=True,
            )

    @property
    def lines(self) -> list[str]:
        return reading.comparable(self._log.read_text())

    def wait(self, *words: str) -> None:
        """Until each of these was said."""
        self._until(lambda: all(any(word in line for line in self.lines) for word in words), str(words))

    def wait_peers(self) -> None:
        """Until the routers hear each other: before that nobody is there to take over."""
        reports = (Lab(NAME).report, ("node1", "node2"))
        self._until(
            lambda: all(r and r["clusters"][0]["peers"]["ready"] == 1 for r in map(*reports)), "the routers to be ready"
        )

    def told(self) -> None:
        """Until all is said that the transcript says."""
        self._until(lambda: set(self.block.printed) <= set(self.lines), f"{self.block.where}: {self.block.printed}")

    def close(self) -> None:
        """Ctrl-C; comes back when the lab is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(PATIENCE_S)
        finally:
            Lab(NAME).sweep()

    def _until(self, holds: Callable[[], object], what: str) -> None:
        end = time.monotonic() + self._patience_s
        while not holds():
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{what} is not in:\n{self._log.read_text()}")
            time.sleep(0.1)


@contextlib.contextmanager
def terminal(block: Fence, folder: Path, log: Path, patience_s: float = PATIENCE_S) -> Iterator[Terminal]:
    opened = Terminal(block, folder, log, patience_s)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.timeout(180)
@pytest.mark.xdist_group("lab")
@pytest.mark.parametrize("page", PAGES)
def test_what_is_told_works(page: str, tmp_path: Path) -> None:
    first, *others = marked(page, "lab")
    assert " lab up " in first.script, f"{first.where}: a page begins with its lab"
    folder = tmp_path / "page"
    folder.mkdir()
    with terminal(first, playground(page, folder), tmp_path / "log") as up:
        up.wait(*READY)
        up.wait_peers()
        for block in others:
            run([block], folder)
            if " lab kill " in block.script:
                up.wait(*MOVED)
            elif " lab start " in block.script:
                up.wait_peers()
        up.told()
    assert Lab(NAME).namespaces() == []


def test_the_newcomers_pages_are_among_them() -> None:
    assert {"README.md", "docs/start.md", "docs/lab.md", "docs/cli.md"} <= set(PAGES)
