"""Blocks that say `run: ground` are run as they stand: on three routers under a real Kubernetes, with the chart.

The chart is there already (its images have names of this machine), so the first steps of docs/start.md, by which a page
begins that applies no cluster itself, are those after `helm install`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from documents import reading
from documents.reading import Fence
from documents.test_run import marked, playground, run
from ground.api import environment
from product import NAMESPACE, Product

pytestmark = pytest.mark.e2e
HOW = "ground"
START = "docs/start.md"
CLUSTER = "edge"
PAGES = [page for page in reading.pages() if marked(page, HOW)]
SERVICES = "docs/kubernetes-services.md"
"""Has a test of its own: test_services.py."""


def follow(page: str, product: Product, folder: Path, blocks: list[Fence] | None = None) -> str:
    """Do what a page tells; what was printed."""
    folder.mkdir()
    where = environment()
    return run(
        marked(page, HOW) if blocks is None else blocks,
        playground(page, folder),
        **{name: where[name] for name in ("KUBECONFIG", "PATH", "NO_PROXY")},
    )


def begin(product: Product, folder: Path) -> None:
    """Follow docs/start.md until the cluster has its owner."""
    blocks = marked(START, HOW)
    last = next(i for i, block in enumerate(blocks) if "condition=Available" in block.script)
    follow(START, product, folder, blocks[: last + 1])
    product.wait_condition(CLUSTER, "Programmed")


def end(product: Product) -> None:
    """Nothing of a page stays."""
    product.delete(CLUSTER)
    product.ground.kubectl("delete", "secret", "edge-psk", f"-n{NAMESPACE}", "--ignore-not-found")


@pytest.mark.timeout(300, func_only=True)
@pytest.mark.parametrize("page", [p for p in PAGES if p != SERVICES])
def test_what_is_told_works(product: Product, page: str, tmp_path: Path) -> None:
    try:
        if not any("kubectl apply" in block.script for block in marked(page, HOW)):
            begin(product, tmp_path / "before")
        follow(page, product, tmp_path / "page")
    finally:
        end(product)


def test_pages_that_need_running_pods_are_among_them() -> None:
    assert {START, "README.md", "docs/operations.md", "docs/conditions.md", SERVICES} <= set(PAGES)
