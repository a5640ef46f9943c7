"""The release that the end-to-end tests share, installed once a session; and what is left of a test when it fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from e2e.watch import Holders
from ground.api import Ground
from ground.shell import GroundError, say
from product import AGENTS_NAMESPACE, NAMESPACE, OPERATOR, Product


@pytest.fixture(scope="session")
def release(ground: Ground, request: pytest.FixtureRequest) -> Product:
    """Return the chart, installed and running; it goes with the ground (its uninstallation has a test of its own)."""
    product = Product(ground)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        _install_if_missing(product)
    return product


def _install_if_missing(product: Product) -> None:
    if NAMESPACE not in product.ground.kubectl("get", "namespaces", "-oname"):
        say("helm install")
        product.install()


@pytest.fixture
def product(release: Product, request: pytest.FixtureRequest) -> Iterator[Product]:
    """Return the release with all routers well, before a test and after it. A test may have uninstalled it."""
    _install_if_missing(release)
    yield release
    failed = getattr(request.node, "failed", False)
    if failed:
        _tell(release)
    release.ground.mend()
    if NAMESPACE in release.ground.kubectl("get", "namespaces", "-oname"):
        release.wait_rollout()


@pytest.fixture
def holders(ground: Ground) -> Iterator[Holders]:
    """Return a recorder of who holds an address, by the kernels' own word."""
    recorder = Holders(ground)
    yield recorder
    recorder.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the fixtures know that their test failed."""
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True  # type: ignore[attr-defined]
    return report


def _tell(product: Product) -> None:
    """What somebody needs who looks for the cause: printed, so that pytest shows it with the failure."""
    kubectl = product.ground.kubectl
    looks = [
        ("get", "vyosclusters", "-oyaml"),
        ("get", "pods", "-A", "-owide"),
        ("get", "events", "-A", "--sort-by=.lastTimestamp"),
        ("logs", f"-n{NAMESPACE}", OPERATOR, "--tail=60"),
    ]
    pods = ("get", "pods", f"-n{AGENTS_NAMESPACE}", "-oname")
    try:
        looks += [
            ("logs", f"-n{AGENTS_NAMESPACE}", pod, "--all-containers", "--prefix", "--tail=60")
            for pod in kubectl(*pods).split()
        ]
    except GroundError as error:
        print(error)
    for look in looks:
        print(f"--- kubectl {' '.join(look)}")
        try:
            print(kubectl(*look))
        except GroundError as error:
            print(error)
