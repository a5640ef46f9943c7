"""docs/security.md: every line of the threat model names tests that show it, and they exist."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/security.md"
TEST = re.compile(r"`(tests/[^`]+)`")
HEAD = "| what | why | shown by |"
WHO = 8
"""Attackers: on the LAN without and with the secret, a pod, a node, the operator, a user, who controls from afar, and
somebody on the node."""


def lines(page: str) -> list[str]:
    """The rows of all tables, without their heads."""
    return [row for row in page.splitlines() if row.startswith("|") and row != HEAD and not row.startswith("| ---")]


@functools.cache
def named_in(path: str) -> frozenset[str]:
    """The tests of a file, as pytest names them."""
    if not (ROOT / path).is_file():
        return frozenset()
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + n.name for n in inner if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def missing(page: str) -> list[str]:
    """What is wrong with a page: lines without a verdict or a test, and tests that are none."""
    wrong = []
    for row in lines(page):
        if not row.startswith(("| No: ", "| Yes: ")):
            wrong.append(f"neither No nor Yes: {row}")
        named = TEST.findall(row.split("|")[-2])
        if not named:
            wrong.append(f"names no test: {row}")
        for name in named:
            path, _, test = name.partition("::")
            if test not in named_in(path):
                wrong.append(f"there is no test {name}")
    return wrong


def test_every_line_is_shown_by_tests_that_exist() -> None:
    page = PAGE.read_text()
    assert page.count(HEAD) == page.count("\n## ") == WHO
    assert missing(page) == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("| No: fly | wings | |", "names no test: | No: fly | wings | |"),
        ("| No: fly | `tests/test_layout.py::test_no_package_shadows_the_standard_library` | |", "names no test"),
        ("| No: fly | wings | `tests/test_layout.py::test_flight` |", "there is no test tests/test_layout.py::test_fl"),
        ("| No: fly | wings | `tests/test_wings.py::test_one` |", "there is no test tests/test_wings.py::test_one"),
        ("| No: fly | wings | `tests/test_layout.py::tracked` |", "there is no test tests/test_layout.py::tracked"),
        (
            "| Fly | wings | `tests/test_layout.py::test_no_package_shadows_the_standard_library` |",
            "neither No nor Yes",
        ),
    ],
)
def test_a_line_that_shows_nothing_is_noticed(row: str, said: str) -> None:
    (found,) = missing(f"{HEAD}\n| --- | --- | --- |\n{row}\n")
    assert found.startswith(said)
