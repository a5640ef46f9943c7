"""Reads docs/protocol.md: its rules, its tables, and the parts that are made from something else."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / "docs/protocol.md"

_RULE = re.compile(r"^- \*\*\[([A-Z]+-\d+)\]\*\* (.+?)(?=\n\n|\n- |\n#|\n\||\Z)", re.MULTILINE | re.DOTALL)
_PART = r"(<!-- {name}:begin -->\n)(.*?)(<!-- {name}:end -->)"


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """One row of the state table."""

    state: str
    event: str
    to: str
    done: str
    reasons: frozenset[str] | None
    """With which of them it is told; none: it is not told. None: with the reason that the group had before."""


def text() -> str:
    return PATH.read_text(encoding="utf-8")


def plain(sentence: str) -> str:
    """The words alone: line breaks are no difference."""
    return " ".join(sentence.split())


def rules(document: str) -> list[tuple[str, str]]:
    """Every rule as (id, sentence), in order, repeated ids included."""
    return [(m[1], plain(m[2])) for m in _RULE.finditer(document)]


def part(document: str, name: str) -> str:
    """What stands between the markers of this name."""
    found = re.search(_PART.format(name=name), document, re.DOTALL)
    assert found is not None, f"no part {name} in the document"
    return found[2]


def with_part(document: str, name: str, content: str) -> str:
    """The document with something else between the markers."""
    return re.sub(_PART.format(name=name), lambda m: m[1] + content + m[3], document, flags=re.DOTALL)


def rows(document: str) -> list[list[str]]:
    """The cells of every line of a table, its head and rule left out."""
    lines = [line for line in document.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [
        row for i, row in enumerate(cells) if not _is_rule(row) and not (i + 1 < len(cells) and _is_rule(cells[i + 1]))
    ]


def _is_rule(row: list[str]) -> bool:
    return all(re.fullmatch(r":?-{3,}:?", cell) for cell in row)


def section(document: str, heading: str) -> str:
    """From this heading to the next one, of whatever depth."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", document, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {heading!r} in the document"
    return found[1]


def transitions(document: str) -> list[Transition]:
    """The state table."""
    found = []
    for state, event, to, done, reasons in rows(part(document, "table")):
        names = frozenset(re.split(r",\s*", reasons)) - {"", "none"} if reasons != "as before" else None
        found.append(Transition(state, event, to, done, names))
    return found
