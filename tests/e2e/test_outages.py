"""A control plane that is ill: it hangs, or answers with errors. The routers go on without it.

The owner dies meanwhile, or gives its group away, and afterwards the status has caught up. That nothing restarts is
asked of the kubelets. What "at once" means in figures is printed, for the closing notes; the bounds are generous.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.watch import Holders
from ground import clock
from ground.api import Ground
from product import AGENTS_NAMESPACE, NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
PAIR = ("node1", "node2")
DEAD_MS = 3000
ILL_S = 15
RESTART_S = 4
"""More than a dead interval."""
LONG_S = 600
STEP_S = 3000
"""Of the clock: less than the hour that a service account's token lasts, which would end on all nodes at once."""
CATCH_UP_S = 20
"""The aim is 5 s; a loaded machine needs longer to start anything."""


@contextmanager
def hanging(ground: Ground) -> Iterator[None]:
    """Connections stay open, and nothing is answered."""
    ground.fault.api_hang()
    try:
        yield
    finally:
        ground.fault.api_resume()


@contextmanager
def failing(ground: Ground) -> Iterator[None]:
    """500 and 504: the API server runs without its etcd."""
    ground.fault.etcd_hang()
    try:
        yield
    finally:
        ground.fault.etcd_resume()


@contextmanager
def gone(ground: Ground) -> Iterator[None]:
    """Nobody listens."""
    ground.fault.api_stop()
    try:
        yield
    finally:
        ground.fault.api_start()


ILLS = {"hanging": hanging, "failing": failing, "gone": gone}


@pytest.mark.parametrize("ill", ["hanging", pytest.param("failing", marks=pytest.mark.e2e_long)])
def test_a_failover_beside_an_ill_api_server(
    product: Product, holders: Holders, ill: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _through(product, holders, ill, ILL_S, capsys)


def test_a_restart_of_etcd_moves_nothing(product: Product, holders: Holders) -> None:
    """Its data are what they were; whoever watched the API server has to begin anew."""
    ground = product.ground
    with product.cluster(manifest("outage", group("g", PAIR, f"{VIP}/24/eth0"))) as name:
        before, groups = _restarts(product, off=""), product.status(name)["groups"]
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            ground.fault.etcd_stop()
            time.sleep(RESTART_S)
            assert not ground.api.ready()
            ground.fault.etcd_start()
            ground.wait(ground.api.ready, 30, "the API server")
            time.sleep(1)
        assert probe.lost == 0, probe
        assert holders.history(VIP) == ["0 ms: node1"]
        assert product.status(name)["groups"] == groups, "the same owner, in the same epoch"
        product.ask("node1", {"op": "force", "to": "Standby"})
        ground.wait_holder(VIP, 10, other_than="node1")
        product.wait_owner(name, "g", "node2", CATCH_UP_S)
        assert _restarts(product, off="") == before, "nothing was started anew"


@pytest.mark.e2e_long
@pytest.mark.timeout(LONG_S + 300, func_only=True)
@pytest.mark.parametrize("ill", ILLS)
def test_ten_minutes_of_it(product: Product, holders: Holders, ill: str, capsys: pytest.CaptureFixture[str]) -> None:
    _through(product, holders, ill, LONG_S, capsys)


@pytest.mark.e2e_long
@pytest.mark.parametrize("by_s", [STEP_S, -STEP_S], ids=["forth", "back"])
def test_a_step_of_the_clock(product: Product, holders: Holders, by_s: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all nodes at once, for they share one. Certificates of an hour hence may shut out whoever connects anew."""
    ground = product.ground
    with product.cluster(manifest("clock", group("g", PAIR, f"{VIP}/24/eth0"))) as name:
        before = _restarts(product)
        holders.watch(VIP)
        with clock.stepped(by_s), ground.probe(VIP) as probe:
            time.sleep(ILL_S)
            assert holders.history(VIP) == ["0 ms: node1"], "a step moves nothing"
            ground.fault.power_off("node1")
            ground.wait_holder(VIP, 10, other_than="node1")
            time.sleep(1)
        assert probe.longest_gap_ms <= DEAD_MS + 1000, probe
        assert holders.overlap_ms(VIP) == 0, holders.history(VIP)
        right = time.monotonic()
        product.wait_owner(name, "g", "node2", CATCH_UP_S)
        took_s = time.monotonic() - right
        assert _restarts(product) == before, "nothing was started anew"
    with capsys.disabled():
        print(f"\n{by_s:+d} s: the status named the new owner {took_s * 1000:.0f} ms after the clock was right again")


def _through(product: Product, holders: Holders, ill: str, ill_s: float, capsys: pytest.CaptureFixture[str]) -> None:
    ground = product.ground
    with product.cluster(manifest("outage", group("g", PAIR, f"{VIP}/24/eth0"))) as name:
        before = _restarts(product)
        holders.watch(VIP)
        with ILLS[ill](ground):
            time.sleep(ill_s / 2)
            assert holders.history(VIP) == ["0 ms: node1"], "an outage alone moves nothing"
            with ground.probe(VIP) as probe:
                time.sleep(0.5)
                ground.fault.power_off("node1")
                ground.wait_holder(VIP, 10, other_than="node1")
                time.sleep(1)
            assert probe.longest_gap_ms <= DEAD_MS + 1000, probe
            assert holders.overlap_ms(VIP) == 0, holders.history(VIP)
            time.sleep(ill_s / 2)
        ground.wait(ground.api.ready, 30, "the API server")
        well = time.monotonic()
        product.wait_owner(name, "g", "node2", CATCH_UP_S)
        took_s = time.monotonic() - well
        after = _restarts(product)
    assert after == before, "nothing was started anew"
    with capsys.disabled():
        print(f"\n{ill} for {ill_s:g} s: the status named the new owner {took_s * 1000:.0f} ms after /readyz")


def _restarts(product: Product, off: str = "node1") -> dict[tuple[str, str], int]:
    """How often each container of the product was started anew, but for those of a node that is switched off."""
    found = {}
    for namespace in (NAMESPACE, AGENTS_NAMESPACE):
        pods = product.ground.get("pods", f"-n{namespace}")["items"]
        for pod in [p for p in pods if p["spec"]["nodeName"] != off]:
            for container in pod["status"].get("containerStatuses", ()):
                found[str(pod["spec"]["nodeName"]), str(container["name"])] = int(container["restartCount"])
    return found
