"""New agents under live addresses: the DaemonSet is rolled over, one node after the other, and no client notices.

The figure is printed for the closing notes; the bound is what a person might notice.
"""

from __future__ import annotations

import time

import pytest

from e2e.watch import Holders
from product import AGENT, AGENTS_NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP, SECOND = "192.168.0.123", "192.168.0.124"
THREE = ("node1", "node2", "node3")
PROBE_MS = 1
NOTICEABLE_MS = 500
"""As in test_handover.py."""


def test_a_rolling_restart_of_all_agents_is_not_noticed(
    product: Product, holders: Holders, capsys: pytest.CaptureFixture[str]
) -> None:
    ground = product.ground
    groups = [
        group("a", THREE, f"{VIP}/24/eth0", auto_failback=True),
        group("b", THREE[1:], f"{SECOND}/24/eth0"),
    ]
    with product.cluster(manifest("rolling", *groups)) as name:
        before = {node: product.agent(node) for node in THREE}
        for address in (VIP, SECOND):
            holders.watch(address)
        with ground.probe(VIP, interval_ms=PROBE_MS) as first, ground.probe(SECOND, interval_ms=PROBE_MS) as second:
            time.sleep(0.5)
            at = time.monotonic()
            ground.kubectl(f"-n{AGENTS_NAMESPACE}", "rollout", "restart", f"daemonset/{AGENT}")
            product.wait_rollout()
            took_s = time.monotonic() - at
            product.wait_owner(name, "a", "node1")
            time.sleep(1)
        assert all(product.agent(node) != pod for node, pod in before.items()), "every agent is a new one"
        for address, probe in ((VIP, first), (SECOND, second)):
            assert probe.longest_gap_ms < NOTICEABLE_MS, (address, probe, holders.history(address))
            assert holders.dark_ms(address) < NOTICEABLE_MS, holders.history(address)
        product.wait_condition(name, "Degraded", "False")
    with capsys.disabled():
        for address, probe in ((VIP, first), (SECOND, second)):
            lost = f"{probe.lost} of {len(probe.samples)} probes lost, longest gap {probe.longest_gap_ms:.0f} ms"
            print(f"\n{address} while three agents were replaced in {took_s:.0f} s: {lost}")
