"""The words and tables of docs/protocol.md agree with the code."""

from __future__ import annotations

import re

import pytest

from spec import document, generate
from spec.promise import lost_frames
from vyos_agent.core import handover, lease, wire
from vyos_agent.core.model import Cause, Drop, Ending, Reason, State

TEXT = document.text()


def test_what_is_made_from_the_code_is_current() -> None:
    assert generate.current(TEXT) == TEXT, "run: PYTHONPATH=tests .venv/bin/python -m spec.generate"


def test_every_word_is_there_and_says_something() -> None:
    words = {
        "causes": [generate.camel(c.name) for c in Cause],
        "states": [generate.camel(s.name) for s in State],
        "reasons": [r.value for r in Reason],
        "endings": [e.value for e in Ending],
    }
    for part, names in words.items():
        cells = document.rows(document.part(TEXT, part))
        assert [row[-2] for row in cells] == names, part
    silent = [
        row[-2] for part in ("reasons", "endings") for row in document.rows(document.part(TEXT, part)) if not row[-1]
    ]
    assert silent == []


def test_every_drop_is_there() -> None:
    section = document.section(TEXT, "22 Drops and reasons")
    cells = document.rows(section[: section.index("<!-- reasons:begin -->")])
    assert [row[0] for row in cells] == [d.value for d in Drop]
    assert all(row[1] for row in cells)


def test_the_table_of_states_names_states_and_reasons_that_exist() -> None:
    states = {generate.camel(s.name) for s in State}
    rows = document.transitions(TEXT)
    assert {r.state for r in rows} - {"any"} == {r.to for r in rows} - {"gone"} == states
    assert {reason for r in rows for reason in r.reasons or ()} <= {r.value for r in Reason}


def test_the_table_of_states_uses_every_reason() -> None:
    assert {reason for r in document.transitions(TEXT) for reason in r.reasons or ()} == {r.value for r in Reason}


def test_the_picture_has_an_arrow_for_each_change_in_the_table() -> None:
    arrows = set(re.findall(r"^    (\w+) --> (\w+): ", document.part(TEXT, "picture"), re.MULTILINE))
    changes = {(r.state, r.to) for r in document.transitions(TEXT) if r.state != r.to and r.state != "any"}
    assert arrows == changes


def test_the_contents_lead_to_the_sections() -> None:
    listed = re.findall(r"^\[(\d+ [^\]]+)\]\(#([a-z0-9-]+)\)", TEXT, re.MULTILINE)
    headings = re.findall(r"^## (\d+ .+)$", TEXT, re.MULTILINE)
    assert [title for title, _ in listed] == headings
    assert [anchor for _, anchor in listed] == [title.lower().replace(" ", "-") for title in headings]


def test_numbers_in_the_text_are_those_of_the_code() -> None:
    assert (wire.FRAME_MIN, wire.FRAME_MAX, wire.DEAD_MS_MAX, wire.AGE_MS_MAX) == (96, 1452, 60_000, 65_535)
    assert (lease.KERNEL_LATE_MS, lease.TOP_UP_MS) == (1_100, 400)
    assert handover.patience_ms(100, 200) == 800
    assert handover.patience_ms(100, 50) == 500


def promises() -> list[tuple[int, int, int, int]]:
    """The examples under the promise, in milliseconds."""

    def ms(cell: str) -> int:
        return round(float(cell.removesuffix(" s")) * 1000)

    cells = document.rows(document.section(TEXT, "13 Leases"))
    halves = [half for row in cells for half in (row[:4], row[4:])]
    return [(ms(d), ms(k), ms(life), int(n)) for d, k, life, n in halves]


@pytest.mark.parametrize(("dead_ms", "keepalive_ms", "life_ms", "lost"), promises())
def test_the_examples_of_the_promise(dead_ms: int, keepalive_ms: int, life_ms: int, lost: int) -> None:
    assert lease.lifetime_ms(dead_ms=dead_ms, keepalive_ms=keepalive_ms) == life_ms
    assert lost_frames(dead_ms, keepalive_ms) == lost


def test_the_promise_is_empty_below_the_intervals_that_the_text_names() -> None:
    assert all(lost_frames(d, k) < 0 for k in range(10, 601, 10) for d in range(2 * k + 1, 2_100, 7))
    assert all(lost_frames(2_100, k) >= 0 for k in range(10, 601))
    assert all(lost_frames(2_700, k) >= 0 for k in range(601, 1_201))
    assert all(lost_frames(d, k) < 0 for k in range(601, 1_201, 20) for d in range(2 * k + 1, 2_700, 7))
