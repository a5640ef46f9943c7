"""The log: a reader that stalls holds up nothing, and loses no more than the queue has no room for."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from vyos_agent.edge import logs

logger = logging.getLogger("vyos_agent.test")


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = before
    logging.getLogger().setLevel(level)


class Pipe:
    """A log whose reader may stall."""

    def __init__(self) -> None:
        self._out, end = os.pipe()
        self.stream = os.fdopen(end, "w", buffering=1)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)

    def read(self) -> None:
        self._reader.start()

    def _read(self) -> None:
        with os.fdopen(self._out) as out:
            self.lines.extend(out)

    def close(self) -> None:
        self.stream.close()
        self._reader.join(10)


def test_a_stalled_pipe_holds_up_nobody() -> None:
    pipe = Pipe()
    log = logs.configure("INFO", "text", pipe.stream)
    begin = time.monotonic()
    for number in range(5 * logs.RECORDS_MAX):
        logger.info("%d %s", number, "x" * 200)
    assert time.monotonic() - begin < 10, "a megabyte into a pipe of 64 KiB that nobody reads"
    pipe.read()
    deadline = time.monotonic() + 10
    while not log.empty and time.monotonic() < deadline:
        time.sleep(0.01)
    logger.info("well again")
    log.finish()
    pipe.close()
    assert "lines of this log were dropped: its reader was too slow" in pipe.lines[-2]
    assert "well again" in pipe.lines[-1]


def test_the_end_of_a_process_waits_for_what_was_logged_and_not_for_ever() -> None:
    out = io.StringIO()
    log = logs.configure("INFO", "text", out)
    logger.info("last words")
    log.finish()
    assert out.getvalue().endswith("INFO last words\n")
    pipe = Pipe()
    stalled = logs.configure("INFO", "text", pipe.stream)
    for _ in range(3):
        logger.info("x" * 100_000)
    begin = time.monotonic()
    stalled.finish()
    assert time.monotonic() - begin < 3 * logs.CLOSE_S + 4
    pipe.read()
    stalled.finish()
    pipe.close()


def test_json_keeps_the_exception_and_the_text_of_its_time() -> None:
    out, words = io.StringIO(), ["now"]
    log = logs.configure("INFO", "json", out)
    try:
        raise KeyError("x")
    except KeyError:
        logger.exception("failed at %s", words)
    words[0] = "later"
    log.finish()
    line = json.loads(out.getvalue())
    assert (line["level"], line["message"]) == ("ERROR", "failed at ['now']")
    assert "KeyError: 'x'" in line["exception"]
