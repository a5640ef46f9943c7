"""A program whose output nobody reads to its end (`| head`) ends with an exit code, and not with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        f"{BIN}/vyos-cluster --help",
        f"{BIN}/vyos-cluster --version",
        f"{BIN}/vyos-cluster lint examples/seed.yaml",
        f"{BIN}/vyos-cluster lint -o yaml examples/seed.yaml",
        f"{BIN}/vyos-cluster lab --help",
        f"{BIN}/kubectl_complete-vyos_cluster sh",
        f"{BIN}/vyos-cluster-operator --version",
        f"{BIN}/vyos-cluster-kube-sync --help",
        f"{BIN}/vyos-cluster-heartbeat --help",
        f"{sys.executable} -m vyos_api.crd --print",
        f"{sys.executable} -m bench --help",
        f"{sys.executable} -m sim.long --help",
        f"{sys.executable} -m scale --help",
        "tests/ground/ground fault",
        "tests/ground/ground",
    ],
)
def test_a_reader_that_has_ended(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
        done = subprocess.run(
            command.split(), cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 1)
