"""Which Kubernetes runs: the one that was chosen, by its own word, in the control plane and on every node."""

from __future__ import annotations

import json
import re

import pytest

from ground import bins
from ground.api import Ground
from ground.apiserver import ApiServer
from ground.paths import HERE
from ground.shell import GroundError


def test_another_version_than_can_be_built_is_refused_with_those_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bins.CHOICE, "1.30")
    with pytest.raises(GroundError, match=r"GROUND_KUBERNETES='1\.30'.* take one of 1\.34, 1\.31"):
        bins.version()
    monkeypatch.setenv(bins.CHOICE, "1.31")
    assert bins.version() == "v1.31.0"


@pytest.mark.parametrize("kubernetes", [bins.KUBERNETES, *bins.OLDER])
def test_a_version_is_that_of_the_modules_that_it_is_built_from(kubernetes: str) -> None:
    folder = HERE / ("src/hyper" if kubernetes == bins.KUBERNETES else f"older/{kubernetes}")
    found = re.findall(r"^\tk8s\.io/kubernetes (v\S+)$", (folder / "go.mod").read_text(), re.MULTILINE)
    assert found == [kubernetes]


@pytest.mark.apiserver
def test_the_api_server_is_of_the_chosen_version(apiserver: ApiServer) -> None:
    found = json.loads(apiserver.kubectl("version", "-ojson"))
    assert (found["serverVersion"]["gitVersion"], found["clientVersion"]["gitVersion"]) == (bins.version(),) * 2


@pytest.mark.e2e
def test_every_node_is_of_the_chosen_version(ground: Ground) -> None:
    found = {n["status"]["nodeInfo"]["kubeletVersion"] for n in ground.get("nodes")["items"]}
    assert found == {bins.version()}
