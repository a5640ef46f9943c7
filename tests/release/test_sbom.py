"""The bills of materials: nothing of a lock file is lost on the way, and nothing is made up."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom

from release import sbom
from release.test_dependencies import declared
from release.test_version import ROOT
from vyos_api import __version__

LINE = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z0-9, -]+\])?==(\S+)", re.MULTILINE)
ONE = f"""\
here==1.0 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # via vyos-cluster (pyproject.toml)
there[and,more]==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:{"c" * 64}
    # via
    #   here
    #   vyos-cluster (pyproject.toml)
"""


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By extra, as `make sbom` writes them."""
    folder = tmp_path_factory.mktemp("sbom")
    command = ("make", "--silent", "--old-file=.venv/.ready", "sbom", f"DIST={folder}")
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found.keys() == {f"{name}-{__version__}.cdx.json" for name, _ in sbom.WHAT.values()}
    return {extra: found[f"{name}-{__version__}.cdx.json"] for extra, (name, _) in sbom.WHAT.items()}


def lock(extra: str) -> str:
    return (ROOT / f"requirements/{extra}.lock").read_text()


def test_there_is_one_for_each_lock_that_ships() -> None:
    assert set(sbom.WHAT) == {path.stem for path in (ROOT / "requirements").glob("*.lock")} - {"dev", "build"}


@pytest.mark.parametrize("extra", sbom.WHAT)
class TestBill:
    def test_every_pinned_package_is_in_it(self, bills: dict[str, str], extra: str) -> None:
        pinned = LINE.findall(lock(extra))
        assert len(pinned) == lock(extra).count("==") - lock(extra).count(" == ")
        found = json.loads(bills[extra])["components"]
        assert {(c["name"], c["version"], c["purl"]) for c in found} == {(n, v, f"pkg:pypi/{n}@{v}") for n, v in pinned}
        assert len(found) == len(pinned)

    def test_every_hash_is_in_it(self, bills: dict[str, str], extra: str) -> None:
        hashes = [h["content"] for c in json.loads(bills[extra])["components"] for h in _files(c)["hashes"]]
        assert sorted(hashes) == sorted(re.findall(r"sha256:([0-9a-f]{64})", lock(extra)))

    def test_who_wants_what(self, bills: dict[str, str], extra: str) -> None:
        """The root wants what pyproject.toml says, and everything else is wanted by something."""
        found = json.loads(bills[extra])
        root = found["metadata"]["component"]
        wanted = {d["ref"]: d.get("dependsOn", []) for d in found["dependencies"]}
        names = {c["bom-ref"]: c["name"] for c in found["components"]}
        assert {names[ref] for ref in wanted[root["bom-ref"]]} == declared("") | declared(extra)
        reached, ahead = set(), [root["bom-ref"]]
        while ahead:
            ref = ahead.pop()
            if ref not in reached:
                reached.add(ref)
                ahead += wanted[ref]
        assert reached == names.keys() | {root["bom-ref"]}

    def test_what_it_is_of(self, bills: dict[str, str], extra: str) -> None:
        root = json.loads(bills[extra])["metadata"]["component"]
        assert (root["name"], root["version"]) == (sbom.WHAT[extra][0], __version__)
        assert root["licenses"] == [{"license": {"id": "Apache-2.0"}}]

    def test_the_library_reads_it(self, bills: dict[str, str], extra: str) -> None:
        read = Bom.from_json(json.loads(bills[extra]))  # type: ignore[attr-defined]
        assert read.validate()
        assert len(read.components) == len(sbom.pins(lock(extra)))


def test_the_same_sources_give_the_same_bytes(bills: dict[str, str], tmp_path: Path) -> None:
    sbom.write(tmp_path)
    assert {path.read_text() for path in tmp_path.iterdir()} == set(bills.values())


def test_what_linux_does_not_install_is_marked_so() -> None:
    here, there = sbom.pins(ONE)
    assert (here.ships, there.ships) == (True, False)
    assert (here.hashes, there.hashes) == (("a" * 64, "b" * 64), ("c" * 64,))
    assert (here.wanted_by, there.wanted_by) == (("vyos-cluster",), ("here", "vyos-cluster"))
    scopes = {c.name: (c.scope, [p.value for p in c.properties]) for c in sbom.bill("cli", ONE).components}
    assert {name: str(scope.value) for name, (scope, _) in scopes.items() if scope} == {
        "here": "required",
        "there": "excluded",
    }
    assert scopes["there"][1] == ['sys_platform == "win32"']


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ONE.replace("here==1.0", "here>=1.0"), r"here>=1.0 .*: is not pinned; run make lock"),
        ("here==1.0\n    # via x\n", "here==1.0: has no hash; run make lock"),
    ],
)
def test_a_lock_that_locks_nothing_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        sbom.pins(text)


def _files(component: dict[str, Any]) -> dict[str, Any]:
    (found,) = component["externalReferences"]
    return dict(found)
