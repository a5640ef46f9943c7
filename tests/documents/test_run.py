"""Blocks that say `run: here` are run as they stand, in a folder that has the repository's and the page's files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from documents import reading
from documents.reading import ROOT, Fence

TIMEOUT_S = 300
"""Of one page; a command takes a second on a machine that is not busy."""
BIN = Path(sys.executable).parent
"""Where the project's own commands are."""
MARK = "--- block"
"""Between what blocks print."""


def playground(page: str, folder: Path) -> Path:
    """A folder in which the commands of a page find what they name; what they write stays in it."""
    for entry in ROOT.iterdir():
        if entry.name not in (".git", "build"):
            (folder / entry.name).symlink_to(entry)
    for fence in reading.fences(page):
        if fence.file:
            (folder / fence.file).write_text(fence.text)
    return folder


def run(blocks: Iterable[Fence], folder: Path, **environment: str) -> str:
    """Run blocks one after another in one shell, and compare what transcripts say; all that was printed."""
    blocks = list(blocks)
    everything = os.environ | environment
    begin = [f"echo '{MARK} {block.where}' | tee /dev/stderr\n" for block in blocks]
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input="".join(f"{first}{block.script}" for first, block in zip(begin, blocks, strict=True)),
        cwd=folder,
        env=everything | {"PATH": f"{BIN}:{everything['PATH']}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    parts = done.stdout.split(f"{MARK} ")[1:]
    said = [part.partition("\n")[2] for part in parts]
    for block, printed in zip(blocks, said, strict=True):
        if block.language == "console":
            assert reading.comparable(printed) == block.printed, block.where
    return "".join(said)


def marked(page: str, *ways: str) -> list[Fence]:
    """The blocks of a page that are run in one of these ways."""
    return [f for f in reading.fences(page) if f.ways & set(ways)]


HERE = [page for page in reading.pages() if marked(page, "here")]


@pytest.fixture(scope="module", params=HERE)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A page, and what its commands printed."""
    page = str(request.param)
    return page, run(marked(page, "here"), playground(page, tmp_path_factory.mktemp("page")))


@pytest.mark.timeout(TIMEOUT_S)
def test_what_is_told_works(done: tuple[str, str]) -> None:
    page, said = done
    if page == "docs/from-vyos.md":  # it says that its last two lines give back what the first one read
        boot = next(f.text for f in reading.fences(page) if f.file == "config.boot")
        options = {line.strip() for line in boot.splitlines() if not re.search(r"[{}]|^#", line)}
        assert options <= {line.strip() for line in said.splitlines()}
        assert "set cluster group cluster primary node1" in said


def test_there_is_something_to_run() -> None:
    assert "docs/from-vyos.md" in HERE


def test_a_command_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    blocks = [Fence("x.md", 7, "sh", "true\n", None), Fence("x.md", 9, "sh", "false | cat\n", None)]
    with pytest.raises(AssertionError, match=r"x\.md:9"):
        run(blocks, tmp_path)


def test_a_transcript_that_is_not_so_is_told_with_its_place(tmp_path: Path) -> None:
    right = Fence("x.md", 3, "console", "$ echo node1   41s\nnode1  3s\n", None)
    assert run([right], tmp_path) == "node1 41s\n"
    with pytest.raises(AssertionError, match=r"x\.md:7"):
        run([right, Fence("x.md", 7, "console", "$ echo node1\nnode2\n", None)], tmp_path)


def test_a_variable_lives_on_in_the_next_block(tmp_path: Path) -> None:
    blocks = [Fence("x.md", 1, "sh", "A=b\n", None), Fence("x.md", 2, "sh", 'echo "$A"\n', None)]
    assert run(blocks, tmp_path) == "b\n"
