"""What each package imports is what its extra declares: nothing is missing in an image, and nothing rides along."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest

from release import sbom
from release.test_version import PROJECT, ROOT

OURS = {"vyos_api", "vyos_operator", "vyos_agent", "vyos_cluster"}
BROUGHT = {"httpx2": "lightkube", "msgspec": "lightkube", "pydantic_core": "pydantic"}
"""Imported beside what brings it, whose own interface it is part of."""
PARTS = (
    ("", "crds/src/vyos_api"),
    ("operator", "operator/src/vyos_operator"),
    ("agent", "node-agent/src/vyos_agent"),
    ("cli", "cli/src/vyos_cluster"),
)


def imported(folder: str) -> Iterator[str]:
    """The top names of all imports, those within functions included."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def declared(extra: str) -> set[str]:
    """The distributions that the package, or an extra of it, asks for."""
    project = PROJECT["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in lines}


@pytest.mark.parametrize(("extra", "folder"), PARTS)
def test_what_is_imported_is_declared_and_the_reverse(extra: str, folder: str) -> None:
    wanted = declared(extra) | declared("")
    names = {BROUGHT.get(n, n) for n in imported(folder)} - set(sys.stdlib_module_names) - OURS
    found = set()
    for name in names:
        brings = {b.lower().replace("_", "-") for b in packages_distributions()[name]}
        found |= brings & wanted or brings
    assert found - declared("") == declared(extra) - declared("")
    if not extra:
        assert found == wanted


@pytest.mark.parametrize("extra", ["build", *(extra for extra, _ in PARTS if extra)])
def test_what_is_tested_is_what_ships(extra: str) -> None:
    """The tests run with dev.lock; images and programs, and what builds them, with a lock of their own."""
    tested, ships = ((ROOT / f"requirements/{name}.lock").read_text() for name in ("dev", extra))
    assert {pin.url for pin in sbom.pins(ships)} <= {pin.url for pin in sbom.pins(tested)}


def test_the_builder_is_pinned_too() -> None:
    pinned = {pin.name for pin in sbom.pins((ROOT / "requirements/build.lock").read_text())}
    assert {re.split(r"[^a-z]", line)[0] for line in PROJECT["build-system"]["requires"]} <= pinned
