"""What routers do for their clients: an address lives on through every loss of its owner."""

from __future__ import annotations

import time

import pytest

from e2e.watch import Holders
from ground.layout import NODES
from product import AGENTS_NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
DEAD_MS = 3000
REST_S = 3
HANDOVER_MS = 1000
"""In a planned move old and new owner hold the address together for some milliseconds, on a busy machine for more."""
STALE_S = 10
"""Beyond the dead interval, until the status says which entry is a dead member's."""
THREE = ("node1", "node2", "node3")


def test_at_rest_exactly_one_router_holds_the_address(product: Product, holders: Holders) -> None:
    with product.cluster(manifest("rest", group("g", THREE, f"{VIP}/24/eth0"))):
        holders.watch(VIP)
        with product.ground.probe(VIP) as probe:
            time.sleep(REST_S)
        assert holders.history(VIP) == ["0 ms: node1"]
        assert probe.lost == 0, probe
        assert product.ground.client_arp(VIP) == product.ground.mac("node1")


def test_power_off_moves_the_address_and_the_status_tells_it(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(manifest("power", group("g", ("node1", "node2"), f"{VIP}/24/eth0"))) as name:
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            time.sleep(1)
            off_s = time.monotonic()
            ground.fault.power_off("node1")
            ground.wait_holder(VIP, 10, other_than="node1")
            left_s = off_s + DEAD_MS / 1000 + STALE_S - time.monotonic()
            ground.wait(lambda: stale(product, name) == "node1", left_s, "node1's entry to be called stale")
            time.sleep(1)
        assert probe.longest_gap_ms <= DEAD_MS + 1000, probe
        assert holders.overlap_ms(VIP) == 0, holders.history(VIP)
        assert ground.holders(VIP) == {"node2"}
        assert ground.client_arp(VIP) == ground.mac("node2")
        product.wait_owner(name, "g", "node2")
        entry = next(g for g in product.status(name)["groups"] if g["name"] == "g")
        assert entry["reason"] == "PeerDead"
        assert entry["epoch"] == 2
        assert entry["addresses"] == [f"{VIP}/24/eth0"]
        degraded = product.wait_condition(name, "Degraded")
        assert "node1" in degraded["message"]
        ground.wait(lambda: product.status(name)["members"] == "1/2", 10, "node1 to count as gone")
        product.wait_condition(name, "Available")
        heading, line = ground.kubectl("get", "vyosclusters", name).splitlines()
        assert heading.split() == ["NAME", "OWNERS", "AVAILABLE", "MEMBERS", "AGE"]
        assert line.split()[:4] == [name, "g=node2", "True", "1/2"]
        told = ("PeerDead", "node2 took group g (epoch 2): node1 was not heard for its dead interval")
        ground.wait(lambda: told in [(e["reason"], e["message"]) for e in product.events(name)], 10, str(told))
        described = ground.kubectl("describe", "vyosclusters", name)
        assert told[1] in described.partition("Events:")[2]


@pytest.mark.parametrize("signal", ["pod deleted", "TERM"])
def test_an_agent_that_is_told_to_stop_gives_the_address_away_at_once(
    product: Product, holders: Holders, signal: str
) -> None:
    ground = product.ground
    with product.cluster(manifest("term", group("g", ("node1", "node2"), f"{VIP}/24/eth0"))) as name:
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            time.sleep(1)
            if signal == "TERM":
                ground.fault.kill("node1", "heartbeat", "TERM")
            else:
                ground.kubectl("delete", "pod", f"-n{AGENTS_NAMESPACE}", product.agent("node1"), "--wait=false")
            ground.wait_holder(VIP, 10, other_than="node1")
            time.sleep(1)
        assert probe.longest_gap_ms < DEAD_MS / 2, probe  # a death would have taken all of it
        assert holders.dark_ms(VIP) == 0, holders.history(VIP)
        assert holders.overlap_ms(VIP) < HANDOVER_MS, holders.history(VIP)
        product.wait_owner(name, "g", "node2")
        product.wait_rollout()
        ground.wait(lambda: product.status(name)["members"] == "2/2", 30, "node1 to be a member again")
        assert ground.holders(VIP) == {"node2"}  # autoFailback is false


@pytest.mark.parametrize("auto_failback", [True, False])
def test_auto_failback_decides_whether_the_address_returns(
    product: Product, holders: Holders, auto_failback: bool
) -> None:
    ground = product.ground
    groups = group("g", ("node1", "node2"), f"{VIP}/24/eth0", auto_failback=auto_failback)
    with product.cluster(manifest("failback", groups)) as name:
        ground.fault.power_off("node1")
        ground.wait_holder(VIP, 10, other_than="node1")
        ground.fault.power_on("node1")
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            if auto_failback:
                ground.wait_holder(VIP, 60, other_than="node2")
                product.wait_owner(name, "g", "node1")
                assert product.status(name)["groups"][0]["reason"] == "Failback"
            else:
                ground.wait(lambda: product.status(name)["members"] == "2/2", 60, "node1 to be a member again")
                time.sleep(2 * DEAD_MS / 1000)
                assert ground.holders(VIP) == {"node2"}
        assert holders.overlap_ms(VIP) < HANDOVER_MS, holders.history(VIP)
        assert probe.longest_gap_ms < 1000, probe


def test_the_second_secondary_is_there_when_owner_and_first_secondary_are_lost(
    product: Product, holders: Holders
) -> None:
    ground = product.ground
    with product.cluster(manifest("three", group("g", THREE, f"{VIP}/24/eth0"))) as name:
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            ground.fault.power_off("node1")
            assert ground.wait_holder(VIP, 10, other_than="node1") == "node2"
            time.sleep(1)
            ground.fault.power_off("node2")
            assert ground.wait_holder(VIP, 10, other_than="node2") == "node3"
            time.sleep(1)
        assert all(gap <= DEAD_MS + 1000 for gap in probe.gaps_ms()), probe
        assert holders.overlap_ms(VIP) == 0, holders.history(VIP)
        product.wait_owner(name, "g", "node3")


def test_both_lost_at_once(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(manifest("both", group("g", THREE, f"{VIP}/24/eth0"))):
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            time.sleep(1)
            ground.fault.power_off("node1")
            ground.fault.power_off("node2")
            assert ground.wait_holder(VIP, 10) == "node3"
            time.sleep(1)
        assert probe.longest_gap_ms <= DEAD_MS + 1000 + 500, (
            probe
        )  # half a second for two power cuts, one after another
        assert holders.overlap_ms(VIP) == 0, holders.history(VIP)


def test_two_groups_share_the_work_and_stand_in_for_each_other(product: Product, holders: Holders) -> None:
    ground = product.ground
    first, second = VIP, "192.168.0.124"
    groups = [
        group("one", ("node1", "node2"), f"{first}/24/eth0"),
        group("two", ("node2", "node1"), f"{second}/24/eth0"),
    ]
    with product.cluster(manifest("pair", *groups)) as name:
        assert (ground.holders(first), ground.holders(second)) == ({"node1"}, {"node2"})
        holders.watch(first)
        holders.watch(second)
        with ground.probe(first) as untouched, ground.probe(second) as moved:
            ground.fault.power_off("node2")
            ground.wait_holder(second, 10, other_than="node2")
            time.sleep(1)
        assert untouched.lost == 0, untouched
        assert moved.longest_gap_ms <= DEAD_MS + 1000, moved
        assert (ground.holders(first), ground.holders(second)) == ({"node1"}, {"node1"})
        assert holders.overlap_ms(second) == 0, holders.history(second)
        product.wait_owner(name, "two", "node1")
        assert product.owner(name, "one") == "node1"


def test_a_frozen_agent_loses_its_address_before_another_takes_it(product: Product, holders: Holders) -> None:
    """The kernel's lifetime ends what a dead process leaves; the agent that comes back finds itself deposed."""
    ground = product.ground
    with product.cluster(manifest("kill", group("g", ("node1", "node2"), f"{VIP}/24/eth0"))):
        holders.watch(VIP)
        ground.fault.pause("node1", "heartbeat")
        ground.wait_holder(VIP, 15, other_than="node1")
        time.sleep(1)
        assert ground.holders(VIP) == {"node2"}, holders.history(VIP)
        ground.fault.resume("node1", "heartbeat")
        time.sleep(2)
        assert ground.holders(VIP) == {"node2"}
        assert holders.overlap_ms(VIP) == 0, holders.history(VIP)


def test_no_router_holds_what_no_cluster_names(product: Product) -> None:
    for node in NODES:
        assert VIP not in product.ground.exec(node, "ip", "-brief", "address")


def stale(product: Product, name: str) -> str:
    """Whose entries in status.nodes are old, by the operator's word."""
    return str(product.condition(name, "Degraded").get("message", "")).partition("stale in status.nodes: ")[2]
