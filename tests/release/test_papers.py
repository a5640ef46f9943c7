"""CHANGELOG, CONTRIBUTING and SECURITY: what they name is there, and what they must say is said."""

from __future__ import annotations

import re

import pytest

from release.test_version import PROJECT, ROOT
from vyos_api import __version__

CHANGES = (ROOT / "CHANGELOG.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Known limits"}


class TestChanges:
    sections = re.findall(r"(?m)^## (.*)$", CHANGES)

    def test_the_newest_first(self) -> None:
        head, *released = self.sections
        assert head == "[Unreleased]"
        dated = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", each) for each in released]
        numbers = [tuple(map(int, match.groups())) for match in dated if match]
        assert len(numbers) == len(released), "a section is [VERSION] - YYYY-MM-DD"
        assert numbers == sorted(numbers, reverse=True)

    def test_this_version_is_told_of(self) -> None:
        """It has a section, or is what Unreleased becomes."""
        assert f"[{__version__}] - " in CHANGES or f"Becomes {__version__}" in CHANGES

    def test_kinds_of_changes(self) -> None:
        assert set(re.findall(r"(?m)^### (.*)$", CHANGES)) <= KINDS


class TestContributing:
    def test_its_targets_exist(self) -> None:
        there = set(re.findall(r"(?m)^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text()))
        told = set(re.findall(r"`make ([a-z0-9-]+)", CONTRIBUTING))
        assert {"setup", "check", "test", "lock", "generate", "dist", "chart", "sbom"} <= told
        assert told <= there

    def test_its_places_exist(self) -> None:
        told = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[A-Za-z]+\.(?:md|toml|yaml|json))`", CONTRIBUTING)
        assert {"crds/src/vyos_api", "tests/sim", "pyproject.toml"} <= set(told)
        where = (ROOT, ROOT / "charts/vyos-cluster")
        assert [p for p in told if p != "dist/" and not any((w / p).exists() for w in where)] == []

    def test_every_package_has_a_place(self) -> None:
        packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        assert [package for package in packages if f"`{package}" not in CONTRIBUTING] == []

    @pytest.mark.parametrize("extra", ["cli", "agent", "operator"])
    def test_extras(self, extra: str) -> None:
        assert f"`{extra}`" in CONTRIBUTING
        assert extra in PROJECT["project"]["optional-dependencies"]


class TestSecurity:
    def test_where_to_report(self) -> None:
        """Nobody's address is made up."""
        assert "private report with the maintainers of the repository you took this from" in " ".join(SECURITY.split())
        assert not re.search(r"\S+@\S+\.\w|://", SECURITY)

    def test_what_is_defended(self) -> None:
        assert "](docs/security.md)" in SECURITY
        assert "## Supported versions" in SECURITY
        chart = (ROOT / "charts/vyos-cluster/Chart.yaml").read_text()
        (kubernetes,) = re.findall(r'kubeVersion: ">=(\d+\.\d+)', chart)
        python = PROJECT["project"]["requires-python"].removeprefix(">=")
        assert f"Kubernetes {kubernetes} or later, Python {python} or later" in SECURITY
