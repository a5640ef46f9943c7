"""Blocks that say `run: here` are run as they stand, in a folder that has the repository's and the page's files."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from documents import reading
from documents.reading import ROOT, Fence

TIMEOUT_S = 300
"""Of one block; a command takes a second on a machine that is not busy."""


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
    """Run blocks one after another, each as a person's shell would; what they printed."""
    said = ""
    for block in blocks:
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{block.where}:\n{block.text}\n{done.stdout}{done.stderr}"
        said += done.stdout
    return said


def marked(page: str, *ways: str) -> list[Fence]:
    """The blocks of a page that are run in one of these ways."""
    told = {("run", way) for way in ways}
    return [f for f in reading.fences(page) if f.language == "sh" and f.mark in told]


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
    block = Fence("x.md", 7, "sh", "true\nfalse | cat\n", None)
    with pytest.raises(AssertionError, match=r"x\.md:7"):
        run([block], tmp_path)
