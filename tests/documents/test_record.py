"""The recording in the documents is one of a failover, well formed, and the picture shows what it recorded."""

from __future__ import annotations

import json
import re

from documents import record


def test_the_recording_is_an_asciicast() -> None:
    header, *events = [json.loads(line) for line in record.CAST.read_text().splitlines()]
    assert (header["version"], header["width"], header["height"]) == (2, record.COLUMNS, record.LINES)
    assert {kind for _, kind, _ in events} == {"o"}
    times = [at_s for at_s, _, _ in events]
    assert times == sorted(times)


def test_it_shows_the_commands_and_the_failover() -> None:
    shown = record.screen(record.CAST.read_text())
    for line, words in record.STEPS:
        assert all(text in shown for text in (line, *words)), line
    assert "node2 owns 192.168.0.123 (PeerDead)" in shown


def test_the_picture_is_made_from_it_and_loads_nothing() -> None:
    drawn = record.PICTURE.read_text()
    assert drawn == record.picture(record.CAST.read_text()), "make record"
    assert re.findall(r"url\((?!#)|@import|href=", drawn) == []
