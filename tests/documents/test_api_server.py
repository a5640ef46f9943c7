"""Blocks that say `run: api server` are run as they stand: kubectl and helm, the chart, three Nodes and no pods.

Each page begins with nothing of ours; one that installs nothing itself finds what docs/start.md has installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.helm import helm
from documents import reading
from documents.test_run import marked, playground, run
from ground.apiserver import ApiServer
from ground.apiserver import apiserver as run_apiserver
from ground.bins import bins
from product import AGENTS_NAMESPACE, NAME, NAMESPACE
from vyos_api import names

pytestmark = pytest.mark.apiserver
HOW = "api server"
START = "docs/start.md"
NODES = ("node1", "node2", "node3")
PAGES = [page for page in reading.pages() if marked(page, HOW)]


def environment(api: ApiServer, home: Path) -> dict[str, str]:
    """Where kubectl and helm are, and where they find the API server."""
    places = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    path = f"{bins()}:{os.environ['PATH']}"
    return {"KUBECONFIG": str(api.kubeconfig), "PATH": path, "NO_PROXY": "*", **places}


def follow(page: str, api: ApiServer, folder: Path) -> str:
    """Do what a page tells, and what it needs for that on this machine; what was printed."""
    folder.mkdir()
    home = folder.parent / f"{folder.name}-helm"
    return run(marked(page, HOW, "here"), playground(page, folder), **environment(api, home))


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    with run_apiserver(controller_manager=True) as found:
        nodes = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in NODES]
        found.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
        yield found


@pytest.fixture
def bare(api: ApiServer) -> Iterator[ApiServer]:
    """Nothing of the chart is there, and nothing stays."""
    yield api
    helm("uninstall", NAME, f"--namespace={NAMESPACE}", f"--kubeconfig={api.kubeconfig}", "--ignore-not-found")
    api.kubectl("delete", "crd", f"{names.PLURAL}.{names.GROUP}", "--ignore-not-found")
    api.kubectl("delete", "namespace", NAMESPACE, AGENTS_NAMESPACE, "--ignore-not-found")


@pytest.mark.timeout(600, func_only=True)  # helm and kubectl, one after another, on a machine that may be busy
@pytest.mark.parametrize("page", PAGES)
def test_what_is_told_works(bare: ApiServer, page: str, tmp_path: Path) -> None:
    if not any("helm install" in block.text for block in marked(page, HOW)):
        follow(START, bare, tmp_path / "before")
    follow(page, bare, tmp_path / "page")


def test_pages_that_change_a_cluster_are_among_them() -> None:
    assert {START, "README.md", "docs/operations.md", "docs/kubernetes-services.md"} <= set(PAGES)
