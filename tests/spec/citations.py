"""Which tests quote which rules: `[LEASE-1] its sentence` in the docstring of a test. Read from the source alone."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from spec.document import ROOT, plain

_QUOTE = re.compile(r"^\[([A-Z]+-\d+)\] (.+?)(?=\n\s*\n|\n\s*\[[A-Z]+-\d+\] |\Z)", re.MULTILINE | re.DOTALL)
NEVER = re.compile(r"mark\.(skip|skipif|xfail)\b")
OUTSIDE = ("tests/e2e",)
"""Tests that need a whole ground: they may quote a rule, but not as the only one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Citation:
    """One test that quotes one rule."""

    id: str
    quote: str
    path: str
    test: str
    counts: bool
    """It runs in the ordinary tests, whatever happens, and asserts something."""

    def __str__(self) -> str:
        return f"{self.path}::{self.test}"


def citations() -> list[Citation]:
    """Those of all tests."""
    return [c for path in sorted((ROOT / "tests").rglob("test_*.py")) for c in in_source(path.read_text(), _name(path))]


def in_source(source: str, path: str) -> list[Citation]:
    """Those of one file."""
    found = []
    for test in _tests(ast.parse(source)):
        text = ast.get_docstring(test) or ""
        never = any(NEVER.search(ast.unparse(d)) for d in test.decorator_list)
        counts = not never and not path.startswith(OUTSIDE) and _asserts(test)
        for quote in _QUOTE.finditer(text):
            found.append(Citation(quote[1], plain(quote[2]), path, test.name, counts))
    return found


def _tests(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def _asserts(test: ast.AST) -> bool:
    """Whether it can fail by its own words: an assert, or a call of something that does it."""
    calls = (ast.unparse(n.func) for n in ast.walk(test) if isinstance(n, ast.Call))
    return any(isinstance(n, ast.Assert) for n in ast.walk(test)) or any("raises" in c or "assert_" in c for c in calls)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))
