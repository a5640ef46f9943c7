"""One version, written once (crds/src/vyos_api/__init__.py); all that must spell it out is held to it here."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import vyos_api
import vyos_operator.settings
from vyos_agent.sync import settings as sync_settings
from vyos_api import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS: dict[str, str] = PROJECT["project"]["scripts"]
PROGRAMS = [name for name in SCRIPTS if not name.startswith("kubectl_complete-")]
"""Those that a person runs; kubectl runs the other, and takes any word for one to complete."""
NAMED = re.compile(r"vyos[-_]cluster(?:[-_][a-z]+)*[:-](\d+\.\d+\.\d+)|agentVersion\"?: \"(\d+\.\d+\.\d+)\"")
"""An image, an archive or a report with a version in its name."""
HISTORY = {"CHANGELOG.md"}
"""Names the versions that were."""


@functools.cache
def program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a console script as it is installed here."""
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60)


def test_the_package_takes_it_from_there() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert ROOT / PROJECT["tool"]["hatch"]["version"]["path"] == Path(vyos_api.__file__)


def test_it_is_one_that_python_and_helm_read_alike() -> None:
    assert re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", __version__)


def test_the_chart_is_released_with_it() -> None:
    chart = yaml.safe_load((ROOT / "charts/vyos-cluster/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_charts_images_follow_the_chart() -> None:
    values = yaml.safe_load((ROOT / "charts/vyos-cluster/values.yaml").read_text())
    assert (values["operator"]["image"]["tag"], values["agents"]["image"]["tag"]) == ("", "")


def test_no_page_names_another() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found: dict[str, set[str]] = {}
    for name in set(listed.splitlines()) - HISTORY:
        path = ROOT / name
        if path.suffix in (".md", ".yaml", ".txt", "") and path.is_file():
            for match in NAMED.finditer(path.read_text(errors="replace")):
                found.setdefault(match[1] or match[2], set()).add(name)
    assert {"kind-config.yaml", "docs/control-socket.md"} <= found.pop(__version__)
    assert found == {}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_tells_it(name: str) -> None:
    done = program(name, "--version")
    told = "vyos-cluster" if name == "kubectl-vyos_cluster" else name  # kubectl shows it as a command of its own
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{told} {__version__}\n", "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_tells_what_it_takes(name: str) -> None:
    done = program(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(rf"\s*[uU]sage: {name}", done.stdout)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_refuses_what_it_does_not_know(name: str) -> None:
    done = program(name, "--vresion")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(rf"[uU]sage: {name}", done.stderr)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("vyos-cluster-operator", vyos_operator.settings), ("vyos-cluster-kube-sync", sync_settings)],
)
def test_the_help_names_every_variable(name: str, settings: Any) -> None:
    read = set(re.findall(r"environ(?:, |\.get\()\"([A-Z_]+)\"", Path(settings.__file__).read_text()))
    assert {"AGENT_NAMESPACE", "LOG_FORMAT"} <= read
    assert read <= set(re.findall(r"[A-Z_]{3,}", program(name, "--help").stdout))
