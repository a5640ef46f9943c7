"""A test that fails, for test_capture.py to run: pytest does not collect it by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.lan import lan

pytestmark = pytest.mark.netns


@pytest.mark.parametrize("fails", [False, True])
def test_one_that_fails(tmp_path: Path, fails: bool) -> None:
    with lan(tmp_path, "r1", "r2") as found:
        found["r1"].exec("ping", "-c1", "-W2", "192.168.0.12")
        assert not fails
