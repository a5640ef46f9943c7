"""How soon `kubectl get` shows that a group has moved: from the kernel's word that the new owner has the address."""

from __future__ import annotations

import functools
import json
import statistics
import time
from pathlib import Path

import pytest

from e2e.watch import Holders
from product import Product, group, manifest

pytestmark = [pytest.mark.e2e, pytest.mark.e2e_long]

VIP = "192.168.0.123"
MOVES = 30
OTHER = {"node1": "node2", "node2": "node1"}
REST_S = 0.5
SHOWN_S = 20
P95_MAX_S = 5.0
"""The aim is 1 s on a machine that nobody else uses; what is measured is kept in build/."""
OUT = Path(__file__).parents[2] / "build" / "visibility.json"


@pytest.mark.timeout(600)
def test_kubectl_get_shows_a_move(product: Product, holders: Holders, capsys: pytest.CaptureFixture[str]) -> None:
    """Each figure has a run of kubectl in it, as a person would wait for it."""
    ground = product.ground
    took_ms: list[int] = []
    with product.cluster(manifest("shown", group("g", ("node1", "node2"), f"{VIP}/24/eth0"))) as name:
        holders.watch(VIP)
        for _ in range(MOVES):
            owner = ground.wait_holder(VIP)
            new = OTHER[owner]
            time.sleep(REST_S)
            product.ask(new, {"op": "force", "to": "Active", "group": "g"})
            end_s = time.monotonic() + SHOWN_S
            while f"g={new}" not in ground.kubectl("get", "vyoscluster", name, "--no-headers").split():
                assert time.monotonic() < end_s, product.status(name)
            shown_s = time.monotonic()
            came_s = holders.came_s(VIP, new)
            took_ms.append(round((shown_s - came_s) * 1000))
            ground.wait(functools.partial(_alone, product, new), 10, f"{new} alone to hold {VIP}")
    p95_ms = statistics.quantiles(took_ms, n=20)[-1]
    figures = {
        "moves": MOVES,
        "median, ms": statistics.median(took_ms),
        "p95, ms": round(p95_ms),
        "ms": sorted(took_ms),
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(figures) + "\n")
    with capsys.disabled():
        print(f"\nfrom a move to kubectl get: {figures}")
    assert p95_ms <= P95_MAX_S * 1000


def _alone(product: Product, node: str) -> bool:
    return product.ground.holders(VIP) == {node}
