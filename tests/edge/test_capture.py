"""What passed over the LAN is kept when a test fails, and only then."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from edge import capture

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[2]
ECHO_REQUEST = bytes([8])
ETH_IP_HEADERS = 14 + 20


def test_a_test_that_fails_leaves_what_it_sent(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-c",
        ROOT / "pyproject.toml",
    ]
    failing = Path(__file__).with_name("example_of_a_failure.py")
    done = subprocess.run(
        [*command, "--rootdir", ROOT, failing], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    (kept,) = (tmp_path / capture.DIRECTORY).iterdir()
    assert kept.name == "test-one-that-fails-True-0.pcap"
    assert f"{capture.DIRECTORY / kept.name}: " in done.stdout
    frames = _frames(kept.read_bytes())
    assert any(frame[ETH_IP_HEADERS:][:1] == ECHO_REQUEST and frame[23] == 1 for frame in frames), "unicast is in it"


def _frames(data: bytes) -> list[bytes]:
    """As pcap-savefile(5) describes it, read independently of what wrote it."""
    magic, major, minor, _, _, snap, link = struct.unpack("=IHHiIII", data[:24])
    assert (magic, major, minor, snap, link) == (0xA1B2C3D4, 2, 4, 1514, 1)
    found, at = [], 24
    while at < len(data):
        _, _, length, whole = struct.unpack("=IIII", data[at : at + 16])
        assert length == min(whole, snap)
        found.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return found
