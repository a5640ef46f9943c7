"""Where kind is to run: what VYOS_CLUSTER_KIND may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ground.shell import GroundError
from kind.cluster import has_docker


def test_a_wrong_word_is_refused_with_the_right_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VYOS_CLUSTER_KIND", "podman")
    with pytest.raises(GroundError, match=r"VYOS_CLUSTER_KIND is 'podman'; it may be auto .*, docker or own"):
        has_docker()


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """All programs that are to be found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _docker(programs: Path, exit_code: int) -> None:
    (programs / "docker").write_text(f"#!/bin/sh\nexit {exit_code}\n")
    (programs / "docker").chmod(0o755)


def test_dockers_answer_decides_where_nothing_is_chosen(monkeypatch: pytest.MonkeyPatch, programs: Path) -> None:
    monkeypatch.delenv("VYOS_CLUSTER_KIND", raising=False)
    assert not has_docker()
    _docker(programs, 1)
    assert not has_docker()
    _docker(programs, 0)
    assert has_docker()
    monkeypatch.setenv("VYOS_CLUSTER_KIND", "own")
    assert not has_docker()


def test_docker_that_is_asked_for_must_answer(monkeypatch: pytest.MonkeyPatch, programs: Path) -> None:
    monkeypatch.setenv("VYOS_CLUSTER_KIND", "docker")
    with pytest.raises(GroundError, match="VYOS_CLUSTER_KIND is docker, but"):
        has_docker()
    _docker(programs, 0)
    assert has_docker()
