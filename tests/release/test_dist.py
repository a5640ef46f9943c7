"""Wheel and sdist, as `make dist` builds them: what is in them, and that they install and run by the lock files."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from release import sbom
from release.test_version import PROGRAMS, ROOT, SCRIPTS
from vyos_api import __version__, crd

WHEEL = f"vyos_cluster-{__version__}-py3-none-any.whl"
SDIST = f"vyos_cluster-{__version__}.tar.gz"
EXTRAS = {"operator": "vyos_operator", "agent": "vyos_agent", "cli": "vyos_cluster"}
PACKAGES = {"vyos_api": "crds/src/vyos_api"} | {
    "vyos_operator": "operator/src/vyos_operator",
    "vyos_agent": "node-agent/src/vyos_agent",
    "vyos_cluster": "cli/src/vyos_cluster",
}
IMPORT_ALL = """
import importlib, pkgutil, sys
for package in sys.argv[1:]:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(module.name)
"""


def run(*command: str | Path, cwd: Path | None = None, path: str = "/usr/bin:/bin") -> str:
    """Run a command away from this repository's environment; what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def uv(*arguments: str | Path) -> None:
    """Run uv; what `make setup` has fetched lies in its cache, and only where that is gone it asks the index."""
    program = Path(sys.executable).with_name("uv")
    done = subprocess.run([program, *arguments, "--offline"], capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        run(program, *arguments)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run("make", "--silent", "--old-file=.venv/.ready", "dist", f"DIST={folder}", cwd=ROOT)
    assert {path.name for path in folder.iterdir()} == {WHEEL, SDIST}
    return folder


@pytest.fixture(scope="module", params=EXTRAS)
def installed(request: pytest.FixtureRequest, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment, named after the extra, with what the extra's lock file pins, and the wheel."""
    venv: Path = tmp_path_factory.mktemp("venv") / request.param
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    python = f"--python={venv / 'bin/python'}"
    lock = ROOT / f"requirements/{request.param}.lock"
    uv("pip", "sync", "-q", python, "--require-hashes", "--only-binary=:all:", lock)
    uv("pip", "install", "-q", python, "--no-deps", dist / WHEEL)
    return venv


class TestWheel:
    def test_content(self, dist: Path) -> None:
        """All modules, the markers of types, the licence; nothing of tests or charts, and no bytecode."""
        tracked = run("git", "ls-files", *PACKAGES.values(), cwd=ROOT).splitlines()
        wanted = {
            f"{name}{path.removeprefix(folder)}"
            for name, folder in PACKAGES.items()
            for path in tracked
            if path.startswith(folder)
        }
        found = set(zipfile.ZipFile(dist / WHEEL).namelist())
        about = {name for name in found if ".dist-info/" in name}
        assert found - about >= wanted
        assert {name.split("/")[0] for name in found - about} == set(PACKAGES)
        assert {name for name in found if name.endswith("py.typed")} == {f"{name}/py.typed" for name in PACKAGES}
        assert f"vyos_cluster-{__version__}.dist-info/licenses/LICENSE" in about
        assert not [name for name in found if "__pycache__" in name]

    def test_metadata(self, dist: Path) -> None:
        text = zipfile.ZipFile(dist / WHEEL).read(f"vyos_cluster-{__version__}.dist-info/METADATA").decode()
        found = HeaderParser().parsestr(text)
        assert (found["Name"], found["Version"]) == ("vyos-cluster", __version__)
        assert (found["License-Expression"], found["Requires-Python"]) == ("Apache-2.0", ">=3.11")
        assert set(found.get_all("Provides-Extra") or ()) == {*EXTRAS, "dev"}


class TestSdist:
    def test_content(self, dist: Path) -> None:
        """All that is under version control."""
        with tarfile.open(dist / SDIST) as archive:
            found = {name.partition("/")[2] for name in archive.getnames()}
        tracked = {name for name in run("git", "ls-files", cwd=ROOT).splitlines() if (ROOT / name).exists()}
        assert found >= tracked | {"PKG-INFO"}
        junk = (".git/", ".venv/", "dist/", "build/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/")
        assert not [name for name in found if name.startswith(junk) or "__pycache__" in name]

    def test_builds_the_same_wheel(self, dist: Path, tmp_path: Path) -> None:
        with tarfile.open(dist / SDIST) as archive:
            archive.extractall(tmp_path, filter="data")
        (tree,) = tmp_path.iterdir()
        run(sys.executable, "-m", "hatchling", "build", "--target=wheel", "--directory=out", cwd=tree)
        assert (tree / "out" / WHEEL).read_bytes() == (dist / WHEEL).read_bytes()


@pytest.mark.install
class TestInstalled:
    def test_nothing_is_missing(self, installed: Path) -> None:
        """What its metadata asks for is there, and every module loads."""
        uv("pip", "check", f"--python={installed / 'bin/python'}")
        run(installed / "bin/python", "-P", "-c", IMPORT_ALL, "vyos_api", EXTRAS[installed.name], cwd=installed)

    def test_it_holds_what_its_bill_of_materials_says(self, installed: Path) -> None:
        code = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
        found = run(installed / "bin/python", "-I", "-c", code).lower().replace("_", "-").split()
        lock = (ROOT / f"requirements/{installed.name}.lock").read_text()
        listed = {f"{pin.name}=={pin.version}" for pin in sbom.pins(lock) if pin.ships}
        assert set(found) == {f"vyos-cluster=={__version__}", *listed}

    def test_programs(self, installed: Path) -> None:
        for name, entry in SCRIPTS.items():
            program = installed / "bin" / name
            assert program.exists()
            if entry.startswith(EXTRAS[installed.name]) and name in PROGRAMS:
                assert run(program, "--version", cwd=installed).split()[1] == __version__
                assert f"sage: {name}" in run(program, "--help", cwd=installed)

    @pytest.mark.parametrize("installed", ["cli"], indirect=True)
    def test_the_crd_needs_no_repository(self, installed: Path) -> None:
        python = (installed / "bin/python", "-m", "vyos_api.crd")
        assert run(*python, "--print", cwd=installed) == (ROOT / crd.PLAIN).read_text()
        done = subprocess.run(python, cwd=installed, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "--root: this package is installed and knows no repository" in done.stderr
