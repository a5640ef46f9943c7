"""From an earlier release to this one under live addresses, with `helm upgrade` as docs/operations.md says.

The earlier one is the commit that first did what the project promises, from its own chart, its own images and its own
CustomResourceDefinition, built when the test runs.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.watch import Holders
from ground import nodes
from ground.images import VERSION, images_of
from product import AGENTS_NAMESPACE, ROOT, Product, group, manifest

pytestmark = pytest.mark.e2e_long

BEFORE = "fcbcd357ddef8f86f5047ffd31a59d32647c1b3c"
VIP, SECOND = "192.168.0.123", "192.168.0.124"
THREE = ("node1", "node2", "node3")
PROBE_MS = 1
NOTICEABLE_MS = 500
"""As in test_handover.py."""
LISTENED_S = 60
"""More than three agents need, one after the other, to listen for initDeadInterval and to fail back."""


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Return the sources of the earlier release."""
    done = subprocess.run(["git", "-C", str(ROOT), "archive", BEFORE], capture_output=True)
    if done.returncode != 0:
        pytest.fail(f"commit {BEFORE} is needed, so a whole clone: {done.stderr.decode().strip()}", pytrace=False)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def upgraded_from(product: Product, earlier: Path) -> Iterator[Product]:
    """Return the product with the earlier release installed in place of this one, which is back at the end."""
    tag = BEFORE[:12]
    for archive in images_of(earlier, tag).values():
        for node in THREE:
            nodes.import_image(node, archive)
    product.uninstall()
    product.ground.wait(
        lambda: "vyos-cluster" not in product.ground.kubectl("get", "namespaces", "-oname"), 90, "the release to go"
    )
    try:
        product.install(chart=earlier / "charts/vyos-cluster", tag=tag)
        yield product
    finally:
        product.upgrade()


def test_helm_upgrade_from_the_first_release_is_not_noticed(
    upgraded_from: Product, holders: Holders, capsys: pytest.CaptureFixture[str]
) -> None:
    product, ground = upgraded_from, upgraded_from.ground
    groups = [
        group("a", THREE, f"{VIP}/24/eth0", auto_failback=True),
        group("b", THREE[1:], f"{SECOND}/24/eth0"),
    ]
    with product.cluster(manifest("release", *groups)) as name:
        assert BEFORE[:12] in image(product, "node1")
        before = {node: product.agent(node) for node in THREE}
        for address in (VIP, SECOND):
            holders.watch(address)
        with ground.probe(VIP, interval_ms=PROBE_MS) as first, ground.probe(SECOND, interval_ms=PROBE_MS) as second:
            time.sleep(0.5)
            at = time.monotonic()
            product.upgrade()
            took_s = time.monotonic() - at
            product.wait_owner(name, "a", "node1", LISTENED_S)
            time.sleep(1)
        with capsys.disabled():
            for address, probe in ((VIP, first), (SECOND, second)):
                lost = f"{probe.lost} of {len(probe.samples)} probes lost, longest gap {probe.longest_gap_ms:.0f} ms"
                lost += f", held by nobody for {holders.dark_ms(address)} ms"
                print(f"\n{address} while {BEFORE[:7]} was upgraded in {took_s:.0f} s: {lost}")
        for node in THREE:
            assert product.agent(node) != before[node]
            assert image(product, node).endswith(f":{VERSION}")
        for address, probe in ((VIP, first), (SECOND, second)):
            assert probe.longest_gap_ms < NOTICEABLE_MS, (address, probe, holders.history(address))
            assert holders.dark_ms(address) < NOTICEABLE_MS, holders.history(address)
        for kind, status in (("Programmed", "True"), ("Available", "True"), ("Degraded", "False")):
            product.wait_condition(name, kind, status)


def image(product: Product, node: str) -> str:
    """The image that a node's agent was made from."""
    pod = product.ground.get("pod", product.agent(node), f"-n{AGENTS_NAMESPACE}")
    return str(next(c["image"] for c in pod["spec"]["containers"] if c["name"] == "heartbeat"))
