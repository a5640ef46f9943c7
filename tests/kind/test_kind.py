"""The product on kind, from installation to uninstallation, with a node's container stopped in between.

A smoke suite: that the chart, the images and kind-config.yaml work on a Kubernetes that kubeadm made. What the product
promises is tested on the ground (tests/e2e), which is quicker and can do more harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ground.shell import GroundError
from kind.cluster import Kind, running
from product import AGENTS_NAMESPACE, NAME, NAMESPACE, Product

# The time limit begins after the fixtures: the first build takes minutes
pytestmark = [pytest.mark.e2e_kind, pytest.mark.timeout(300, func_only=True)]
CLUSTER, GROUP = "edge", "cluster"  # as in examples/demo.yaml


@pytest.fixture(scope="module")
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """A cluster with the project's images."""
    terminal = request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    with ExitStack() as stack:
        with terminal():
            try:
                kind = stack.enter_context(running())
            except GroundError as error:
                pytest.fail(f"no kind to test on: {error}", pytrace=False)
        yield kind


@pytest.fixture(scope="module")
def product(kind: Kind) -> Product:
    """The chart, installed."""
    return kind.install()


@pytest.fixture(scope="module")
def address(kind: Kind, product: Product) -> str:
    """The address of the example, applied and Available."""
    kind.kubectl("apply", "-f", "-", stdin=kind.example())
    product.wait_condition(CLUSTER, "Available")
    return kind.address().partition("/")[0]


def owners(kind: Kind) -> str:
    """What `kubectl get vyosclusters` shows of the owners."""
    header, line = kind.kubectl("get", "vyosclusters", CLUSTER).splitlines()
    return line[header.index("OWNERS") :].split()[0]


def test_the_chart_brings_an_agent_to_every_node(kind: Kind, product: Product) -> None:
    nodes = {node["metadata"]["name"] for node in kind.get("nodes")["items"]}
    assert nodes == set(kind.nodes)
    pods = kind.get("pods", f"-n{AGENTS_NAMESPACE}")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods if pod["status"]["phase"] == "Running"} == nodes
    assert product.agent_report(kind.nodes[0])


def test_the_primary_owns_the_address(kind: Kind, address: str) -> None:
    assert kind.wait_holder(address) == kind.nodes[0]
    assert owners(kind) == f"{GROUP}={kind.nodes[0]}"
    kind.wait(lambda: kind.answers(address), 10, f"{address} to answer")


def test_the_address_outlives_its_owners_container(kind: Kind, product: Product, address: str) -> None:
    owner = kind.wait_holder(address)
    kind.run("docker", "kill", owner)
    heir = kind.wait_holder(address, other_than=owner)
    assert heir in kind.nodes[:2]
    kind.wait(lambda: kind.answers(address), 10, f"{address} to answer")
    product.wait_owner(CLUSTER, GROUP, heir)
    assert owners(kind) == f"{GROUP}={heir}"
    kind.run("docker", "start", owner)
    kind.wait_nodes()
    product.wait_rollout()
    product.wait_condition(CLUSTER, "Degraded", "False", timeout_s=90)
    assert kind.holders(address) == {heir}, "without autoFailback nobody takes it back"


def test_nothing_is_left_of_a_release(kind: Kind, product: Product, address: str) -> None:
    product.delete(CLUSTER)
    kind.wait(lambda: not kind.holders(address), 30, f"{address} to go")
    product.uninstall()
    assert NAME not in kind.helm("list", "--all-namespaces", "--short").split()
    ours = {NAMESPACE, AGENTS_NAMESPACE}
    kind.wait(lambda: not ours & _namespaces(kind), 90, f"{ours} to go")


def _namespaces(kind: Kind) -> set[str]:
    return {str(item["metadata"]["name"]) for item in kind.get("namespaces")["items"]}
