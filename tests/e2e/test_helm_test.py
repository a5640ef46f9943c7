"""`helm test` with everything real: its pod, its rights, an address that moves and is gone."""

from __future__ import annotations

import subprocess

import pytest

from ground.api import environment
from ground.bins import bins
from product import CHART, NAME, NAMESPACE, Product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400, func_only=True)]
ADDRESS = "192.0.2.123"
"""The chart's own."""


def test_an_address_is_moved_and_gone(product: Product) -> None:
    ground = product.ground
    _set(product, interface="eth0")
    try:
        command = [str(bins() / "helm"), "test", NAME, f"--namespace={NAMESPACE}", "--timeout=240s"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=280, check=False)
    finally:
        _set(product, interface="")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "all is well" in said
    assert f"node1 owns {ADDRESS}/32/eth0" in said
    assert "node2 owns it now, " in said
    assert f"the LAN, asked by node1, has {ADDRESS}/32 at node2 and nowhere else" in said
    assert ground.kubectl("get", "vyosclusters,clusterroles", "-oname").count("vyos-cluster-test") == 0
    ground.wait(lambda: not ground.holders(ADDRESS), 20, f"{ADDRESS} to go")


def _set(product: Product, interface: str) -> None:
    """A value that no running pod depends on."""
    where = (f"--namespace={NAMESPACE}", "--reset-then-reuse-values", f"--set=test.interface={interface}")
    product.ground.helm("upgrade", NAME, str(CHART), *where)
    product.wait_rollout()
