"""The daemon's log: one line a record, as text for people or as JSON for machines, written by a thread of its own.

A container's log is a pipe. When its reader stalls, a write to it waits; the loop that sends heartbeats must not.
"""

from __future__ import annotations

import datetime
import json
import logging
import logging.handlers
import queue
import sys
import threading
from typing import TextIO

from vyos_agent.edge import manners

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("text", "json")
TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"
RECORDS_MAX = 1_000
"""Records that wait for the reader of the log; what is logged beyond that is dropped, and counted."""
CLOSE_S = 2.0
"""How long an end of the process waits for the reader of the log."""


def configure(level: str, log_format: str, stream: TextIO | None = None) -> Queued:
    """Send every record from `level` on to `stream` (stderr when None)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else logging.Formatter(TEXT_FORMAT))
    queued = Queued(handler)
    root = logging.getLogger()
    root.handlers[:] = [queued]
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return queued


class Queued(logging.handlers.QueueHandler):
    """Hands records to a thread that writes them. Never waits, but in `finish`."""

    def __init__(self, writer: logging.Handler) -> None:
        self._records: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        super().__init__(self._records)
        self._writer = writer
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    @property
    def empty(self) -> bool:
        """Whether everything has been taken by the thread that writes."""
        return self._records.empty()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Fix the text now: what it is made of may change before it is written."""
        record.msg, record.args = record.getMessage(), None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue one record, or drop it where the queue is full."""
        if self._records.qsize() >= RECORDS_MAX:
            self._dropped += 1
            return
        if self._dropped:
            text = f"{self._dropped} lines of this log were dropped: its reader was too slow"
            self._records.put(logging.makeLogRecord({"name": __name__, "levelname": "WARNING", "msg": text}))
            self._dropped = 0
        self._records.put(record)

    def finish(self) -> None:
        """Wait until all is written, for a bounded time; nothing is written after that."""
        self._records.put(None)
        self._thread.join(CLOSE_S)

    def _write(self) -> None:
        manners.join_in()
        while (record := self._records.get()) is not None:
            self._writer.handle(record)


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
