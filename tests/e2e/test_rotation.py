"""A new pre-shared secret on a running cluster: nobody is believed dead, and no client notices."""

from __future__ import annotations

import time

import pytest

from e2e.watch import Holders
from product import AGENTS_NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
SECRETS = ("the first secret of all", "another secret now")


def cluster(secret: str) -> dict[str, object]:
    three = group("g", ("node1", "node2", "node3"), f"{VIP}/24/eth0")
    return manifest("turning", three, preSharedSecret={"value": secret})


def test_a_key_is_changed_under_way(product: Product, holders: Holders) -> None:
    ground = product.ground

    def keys() -> list[tuple[int, list[int]]]:
        return [(n["sendKey"], n["acceptKeys"]) for n in product.status(name)["nodes"]]

    with product.cluster(cluster(SECRETS[0])) as name:
        product.wait_condition(name, "Programmed")
        ground.wait(lambda: keys() == [(1, [1])] * 3, 10, "every member to tell its key")
        holders.watch(VIP)
        before = product.status(name)["groups"]
        with ground.probe(VIP, interval_ms=1) as probe:
            time.sleep(0.3)
            product.apply(cluster(SECRETS[1]))
            ground.wait(lambda: keys() == [(2, [2])] * 3, 30, "every member to have the new key alone")
            time.sleep(4)  # longer than the dead interval: whoever was not understood would be dead by now
        assert probe.lost == 0, probe
        assert holders.history(VIP) == ["0 ms: node1"]
        assert product.status(name)["groups"] == before, "the same owner, in the same epoch"
        assert all(not n["deviations"] for n in product.status(name)["nodes"])
        product.wait_condition(name, "Programmed")
        logs = "".join(
            ground.kubectl("logs", f"-n{AGENTS_NAMESPACE}", product.agent(n), "--all-containers", "--tail=-1")
            for n in ("node1", "node2", "node3")
        )
        assert not any(secret in logs for secret in SECRETS)
