"""Counting the processes of a cgroup while cgroups come and go. Plain folders stand for the kernel's."""

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ground import cgroups


def test_members_of_what_comes_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    top = tmp_path / "freezer" / cgroups.GROUP / "node1"
    top.mkdir(parents=True)
    (top / "cgroup.procs").write_text("7\n")
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            for pod in range(20):
                folder = top / f"pod{pod}" / "container"
                folder.mkdir(parents=True)
                (folder / "cgroup.procs").write_text("8\n")
            for pod in range(20):
                shutil.rmtree(top / f"pod{pod}")

    with _running(churn, over):
        for _ in range(300):
            assert cgroups.members("node1") in ([7], [7, 8])
    assert cgroups.members("no-such") == []


@contextlib.contextmanager
def _running(work: Callable[[], None], over: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
