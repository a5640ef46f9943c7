"""The state directory: what is written is found, and what is not ours is ignored."""

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import values
from vyos_agent.edge.state import Saved, State
from vyos_agent.edge.way import way

ID = bytes(range(16))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "a" / "state")
    state.start()
    yield state
    state.stop()


def written(state: State, tmp_path: Path) -> Path:
    """Save a configuration and epochs, and wait for the disk."""
    state.save(ID, values.config(), values.keys())
    state.save_epochs(ID, "edge", {"cluster": 7})
    state.stop()
    return tmp_path / "a" / "state"


def test_what_is_saved_is_found(state: State, tmp_path: Path) -> None:
    directory = written(state, tmp_path)
    again = State(directory)
    assert again.clusters() == [Saved(values.config(), values.keys())]
    assert again.epochs(ID) == {"cluster": 7}
    assert again.epochs(bytes(16)) == {}


def test_ways_for_frames_are_found(state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = way(values.item())
    state.save_ways(ID, (found, dataclasses.replace(found, port=7000)))
    (tmp_path / "a" / "state" / f"{bytes(16).hex()}.ways").write_text("torn")
    directory = written(state, tmp_path)
    again = State(directory)
    again.start()
    assert again.ways(ID) == (found, dataclasses.replace(found, port=7000))
    assert again.ways(bytes(16)) == ()
    assert "is ignored" in caplog.text
    again.forget(ID)
    again.stop()
    assert again.ways(ID) == ()
    assert not list(directory.glob(f"{ID.hex()}*"))


def test_only_root_can_read_it(state: State, tmp_path: Path) -> None:
    directory = written(state, tmp_path)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in directory.iterdir()} == {0o600}
    assert sorted(p.suffix for p in directory.iterdir()) == [".config", ".epochs"], "no half-written file is left"


def test_the_newest_wins_and_what_is_forgotten_is_gone(state: State, tmp_path: Path) -> None:
    for epoch in range(100):
        state.save_epochs(ID, "edge", {"cluster": epoch})
    state.save(ID, values.config(), values.keys())
    state.forget(bytes(16))
    state.stop()
    again = State(tmp_path / "a" / "state")
    assert again.epochs(ID) == {"cluster": 99}
    again.start()
    again.forget(ID)
    again.stop()
    assert list((tmp_path / "a" / "state").iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-20], "it is torn"),
        (lambda data: data[:40], "it is torn"),
        (lambda data: b"", "it is not a state file"),
        (lambda data: b"\xff\x00" + data, "it is not a state file"),
        (lambda data: data.replace(b"edge", b"evil", 1), "it is torn"),
        (lambda data: data.replace(b"vyos-cluster 1", b"vyos-cluster 2", 1), "its version is 2"),
        (lambda data: b"apiVersion: v1\nkind: Secret\n", "it is not a state file"),
    ],
)
def test_a_damaged_file_is_reported_and_ignored(
    state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object, words: str
) -> None:
    directory = written(state, tmp_path)
    for path in directory.iterdir():
        path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    again = State(directory)
    assert again.clusters() == []
    assert again.epochs(ID) == {}
    assert [words in r.getMessage() for r in caplog.records] == [True, True]
    assert "AAECAwQF" not in caplog.text, "no key in a log"


def test_a_whole_file_with_a_foreign_body(state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state.save(ID, dataclasses.replace(values.config(), interfaces=()), values.keys())
    state.stop()
    assert State(tmp_path / "a" / "state").clusters() == []
    assert "interfaces: at least one is needed" in caplog.text


def test_a_disk_that_refuses_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = State(tmp_path)
    state.start()
    (tmp_path / f"{ID.hex()}.epochs.new").mkdir()
    with caplog.at_level(logging.ERROR):
        for epoch in range(3):
            state.save_epochs(ID, "edge", {"cluster": epoch})
        state.stop()
    assert caplog.text.count("cannot write") == 1


def test_no_directory_is_no_state() -> None:
    state = State(None)
    state.start()
    state.save(ID, values.config(), values.keys())
    assert state.clusters() == []
    assert state.epochs(ID) == {}
    state.stop()
