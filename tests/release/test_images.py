"""The labels of the images (OCI's), in the Dockerfiles and in the images that the ground builds from them."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from ground import images
from release.test_version import PROJECT, ROOT
from vyos_api import __version__

DOCKERFILES = {"operator": "operator/Dockerfile", "agent": "node-agent/Dockerfile"}
REVISION = f"{images.LABEL}.revision"


def written(name: str) -> dict[str, str]:
    """The labels of a Dockerfile's last stage."""
    stage = re.split(r"(?m)^FROM ", (ROOT / DOCKERFILES[name]).read_text())[-1]
    instruction = re.search(r"(?ms)^LABEL (.*?[^\\])$", stage)
    assert instruction
    return dict(re.findall(r'([a-z.]+)="([^"]*)"', instruction[1]))


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(("name", "value"), [("operator", "operator"), ("agent", "agents")])
def test_what_a_dockerfile_says(name: str, value: str) -> None:
    found = written(name)
    values = yaml.safe_load((ROOT / "charts/vyos-cluster/values.yaml").read_text())
    assert found.pop(f"{images.LABEL}.description")
    assert found == {
        f"{images.LABEL}.title": values[value]["image"]["repository"].rpartition("/")[2],
        f"{images.LABEL}.version": __version__,
        f"{images.LABEL}.licenses": PROJECT["project"]["license"],
    }


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_takes_nothing_that_is_not_pinned(name: str) -> None:
    """Each pip of a build has hashes to go by, or is kept from asking an index."""
    text = (ROOT / DOCKERFILES[name]).read_text().replace("\\\n", " ")
    runs = [part for line in re.findall(r"(?m)^RUN (.*)", text) for part in line.split("&&") if "bin/pip " in part]
    kept = ("--require-hashes", "--no-index", "--no-deps --no-build-isolation")
    assert len(runs) == 4
    assert [part for part in runs if not any(option in part for option in kept)] == []


def test_the_commit_is_told_where_the_sources_are_just_that(tmp_path: Path) -> None:
    assert images.labels(tmp_path) == [], "no repository"
    git(tmp_path, "init", "-q")
    assert images.labels(tmp_path) == [], "no commit"
    (tmp_path / "file").touch()
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    assert images.labels(tmp_path) == [f"{REVISION}={git(tmp_path, 'rev-parse', 'HEAD')}"]
    (tmp_path / "stray").touch()
    assert images.labels(tmp_path) == []


def test_a_build_is_given_them(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(images, "_ensure_base", lambda *_: None)
    monkeypatch.setattr(images, "_buildah", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(images, "labels", lambda *_: [f"{REVISION}=abc"])
    images._build("localhost/x:dev", "operator/Dockerfile")
    (call,) = calls
    assert call[call.index("--label") + 1] == f"{REVISION}=abc"


@pytest.mark.e2e
@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_has_them(name: str) -> None:
    found = config(images.images() / f"{name}.tar")["Labels"]
    assert found.items() >= written(name).items()
    assert re.fullmatch(r"[0-9a-f]{40}", found.get(REVISION, "0" * 40))


def config(archive: Path) -> dict[str, Any]:
    """The configuration of an image in an archive as docker writes it."""
    with tarfile.open(archive) as opened:

        def read(name: str) -> Any:
            content = opened.extractfile(name)
            assert content is not None
            return json.load(content)

        return dict(read(read("manifest.json")[0]["Config"])["config"])
