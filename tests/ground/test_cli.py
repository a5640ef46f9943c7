"""The ground's command line, as far as it needs no ground."""

import subprocess
import sys
from pathlib import Path

import pytest

GROUND = Path(__file__).with_name("ground")


@pytest.mark.parametrize("command", [["fault"], ["--help"], []])
def test_a_reader_that_has_ended_is_no_traceback(command: list[str]) -> None:
    line = [sys.executable, str(GROUND), *command]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) in (0, 1, 2)
