"""The life of a node: kubelet and router restart, members come and go, a resource is deleted while one is away."""

from __future__ import annotations

import json
import time

import pytest

from e2e.watch import Holders
from ground import daemons, network
from ground.layout import netns
from product import AGENT, AGENTS_NAMESPACE, NAMESPACE, OPERATOR, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP, VIP6 = "192.168.0.5", "fd00:0:0:1::5"
"""Lower than every node's own, so that whoever takes the first or the lowest takes these."""
CLIENT, CLIENT6 = "192.168.0.9", "fd00:0:0:1::9"
DEAD_MS = 3000
PAIR = ("node1", "node2")
THREE = (*PAIR, "node3")
PROBE_MS = 1
NOTICEABLE_MS = 500
"""As in test_handover.py."""
ORPHANED_S = 150
"""The pod garbage collector waits for 40 s, and looks every 20 s (Kubernetes, pkg/controller/podgc)."""
AWAY_S = 15
"""More than an agent needs after its start: initDeadInterval is 5 s."""


def cluster(name: str, members: tuple[str, ...] = PAIR, **spec: object) -> dict[str, object]:
    return manifest(name, group("g", members, f"{VIP}/24/eth0", f"{VIP6}/64/eth0"), **spec)


def test_a_kubelet_that_restarts_on_the_owner_keeps_the_nodes_address(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(cluster("kubelet")):
        holders.watch(VIP)
        before = _addresses(product, "node1")
        beat = _kubelet_beat(product, "node1")
        ground.fault.service_stop("node1", "kubelet")
        ground.fault.service_start("node1", "kubelet")
        ground.wait(lambda: _kubelet_beat(product, "node1") != beat, 60, "the kubelet to report anew")
        ground.wait(lambda: ground.ready("node1"), 30, "node1 to be Ready")
        assert _addresses(product, "node1") == before
        assert ("InternalIP", VIP) not in before
        assert holders.history(VIP) == ["0 ms: node1"]
        for target, vip in ((CLIENT, VIP), (CLIENT6, VIP6)):
            (route,) = json.loads(network.ip(netns("node1"), "-j", "route", "get", target))
            assert route["prefsrc"] not in (vip, None), "the owner's own connections do not come from the address"


@pytest.mark.parametrize("way", ["reboot", "shutdown"])
def test_an_owner_that_goes_down_cleanly_hands_over(product: Product, holders: Holders, way: str) -> None:
    ground = product.ground
    with product.cluster(cluster(way)) as name:
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            time.sleep(0.5)
            getattr(ground.fault, way)("node1")
            ground.wait_holder(VIP, 30, other_than="node1")
            time.sleep(1)
        assert probe.longest_gap_ms < DEAD_MS / 2, probe  # a death would have taken all of it
        if way == "shutdown":
            ground.wait(lambda: not daemons.alive("power-node1"), 60, "node1 to switch itself off")
            ground.fault.power_on("node1")
        ground.wait(lambda: ground.ready("node1"), 90, "node1 to be back")
        product.wait_owner(name, "g", "node2")
        product.wait_rollout()
        product.wait_condition(name, "Degraded", "False", 60)
        assert ground.holders(VIP) == {"node2"}, "who comes back does not take"


def test_a_node_that_is_deleted_and_registers_again_keeps_what_it_owns(product: Product, holders: Holders) -> None:
    """Its Node object is a record; the router runs on, and registers anew when its kubelet starts."""
    ground = product.ground
    with product.cluster(cluster("deleted")) as name:
        agent, uid = product.agent("node1"), ground.get("node", "node1")["metadata"]["uid"]
        holders.watch(VIP)
        with ground.probe(VIP, interval_ms=PROBE_MS) as probe:
            time.sleep(0.5)
            ground.kubectl("delete", "node", "node1", "--timeout=20s")
            try:
                _wait_reason(product, name, "NodeNotFound")
                assert "node1" in product.condition(name, "Accepted")["message"]
            finally:
                _register(product, "node1")
            _wait_reason(product, name, "Accepted")
            product.wait_condition(name, "Programmed")
            ground.wait(lambda: product.status(name)["members"] == "2/2", 30, "both members")
        assert ground.get("node", "node1")["metadata"]["uid"] != uid
        assert product.agent("node1") == agent
        assert holders.history(VIP) == ["0 ms: node1"]
        assert probe.longest_gap_ms < NOTICEABLE_MS, probe


@pytest.mark.e2e_long
def test_the_agent_of_a_node_that_stays_deleted_hands_over(
    product: Product, holders: Holders, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kubernetes removes the pods of a node that is gone for 40 s or more: the agent ends as in an upgrade."""
    ground = product.ground
    with product.cluster(cluster("deleted")) as name:
        holders.watch(VIP)
        with ground.probe(VIP, interval_ms=PROBE_MS) as probe:
            ground.kubectl("delete", "node", "node1", "--timeout=20s")
            try:
                _wait_reason(product, name, "NodeNotFound")
                assert holders.history(VIP) == ["0 ms: node1"], "the deletion alone moves nothing"
                ground.wait(
                    lambda: ground.holders(VIP) == {"node2"}, ORPHANED_S, "the agent to be removed, and to hand over"
                )
                time.sleep(1)
            finally:
                _register(product, "node1")
        assert probe.longest_gap_ms < NOTICEABLE_MS, (probe, holders.history(VIP))
        assert holders.dark_ms(VIP) < NOTICEABLE_MS, holders.history(VIP)
        product.wait_rollout()
        _wait_reason(product, name, "Accepted")
        product.wait_owner(name, "g", "node2")
        ground.wait(lambda: product.status(name)["members"] == "2/2", 60, "node1 to be a member again")
        product.wait_condition(name, "Degraded", "False")
        time.sleep(AWAY_S)
        assert ground.holders(VIP) == {"node2"}, "who comes back does not take"
    with capsys.disabled():
        print(
            f"\nnode deleted: {probe.lost} of {len(probe.samples)} probes lost, longest {probe.longest_gap_ms:.0f} ms"
        )


def test_members_come_and_go_on_a_live_cluster(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(cluster("members")) as name:
        holders.watch(VIP)
        product.apply(cluster("members", THREE))
        product.wait_condition(name, "Programmed")
        ground.wait(lambda: product.status(name)["members"] == "3/3", 30, "node3 to be a member")
        assert holders.history(VIP) == ["0 ms: node1"], "a new member moves nothing"
        with ground.probe(VIP) as probe:
            time.sleep(0.5)
            product.apply(cluster("members", ("node2", "node3")))
            ground.wait(
                lambda: ground.holders(VIP) == {"node2"}, 20, "the owner that is no member any more to give it away"
            )
            time.sleep(1)
        assert probe.longest_gap_ms < DEAD_MS / 2, probe
        assert not any(line.endswith("node3") for line in holders.history(VIP)), holders.history(VIP)
        product.wait_condition(name, "Programmed")
        ground.wait(lambda: product.status(name)["members"] == "2/2", 30, "node1 to be gone from the status")
        ground.wait(lambda: product.agent_report("node1")["clusters"] == [], 30, "node1 to leave the cluster")


@pytest.mark.e2e_long
def test_a_resource_deleted_while_a_node_is_away(product: Product, holders: Holders) -> None:
    """Its disk remembers the cluster; the API server knows better before it would claim."""
    ground = product.ground
    with product.cluster(cluster("away")) as name:
        ground.fault.power_off("node2")
        product.delete(name)
        ground.wait(lambda: not ground.holders(VIP), 10, f"{VIP} to go")
        holders.watch(VIP)
        ground.fault.power_on("node2")
        ground.wait(lambda: ground.ready("node2"), 90, "node2 to be back")
        product.wait_rollout()
        time.sleep(AWAY_S)
        assert ground.holders(VIP) == set()
        assert product.agent_report("node2")["clusters"] == []
        assert holders.dark_ms(VIP) > AWAY_S * 1000, holders.history(VIP)
        assert len(holders.history(VIP)) == 1, holders.history(VIP)


@pytest.mark.e2e_long
def test_an_operator_that_is_killed_in_the_middle_of_a_change(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(cluster("killed")) as name:
        holders.watch(VIP)
        for round_, members in enumerate((THREE, PAIR, THREE)):
            product.apply(cluster("killed", members))
            time.sleep(0.1 * round_)
            pod = ground.kubectl("get", "pod", f"-n{NAMESPACE}", "-oname", f"-l{_operator_labels(product)}").split()[0]
            ground.kubectl("delete", f"-n{NAMESPACE}", pod, "--force", "--grace-period=0", "--wait=false")
        product.wait_rollout()
        product.wait_condition(name, "Programmed", timeout_s=60)
        ground.wait(lambda: product.status(name)["members"] == "3/3", 60, "all three members")
        assert holders.history(VIP) == ["0 ms: node1"]


def test_with_no_agent_left_the_operator_says_so(product: Product) -> None:
    ground = product.ground
    agents = (f"-n{AGENTS_NAMESPACE}", "patch", f"daemonset/{AGENT}", "--type=json")
    with product.cluster(cluster("nobody")) as name:
        before = ground.get(f"daemonset/{AGENT}", f"-n{AGENTS_NAMESPACE}")["spec"]["template"]["spec"]["nodeSelector"]
        path = "/spec/template/spec/nodeSelector"
        nowhere = {"op": "replace", "path": path, "value": {**before, "vyos.io/nowhere": "true"}}
        ground.kubectl(*agents, f"-p={json.dumps([nowhere])}")
        try:
            found = product.wait_condition(name, "Available", "Unknown")
            assert found["reason"] == "NoAgents"
            assert all(node in found["message"] for node in PAIR)
            ground.wait(lambda: not ground.holders(VIP), 30, f"{VIP} to go with the agents")
        finally:
            ground.kubectl(*agents, f"-p={json.dumps([{**nowhere, 'value': before}])}")
        product.wait_rollout()
        product.wait_condition(name, "Available")
        product.wait_condition(name, "Degraded", "False")


def _addresses(product: Product, node: str) -> list[tuple[str, str]]:
    found = product.ground.get("node", node)["status"]["addresses"]
    return [(a["type"], a["address"]) for a in found]


def _wait_reason(product: Product, name: str, reason: str) -> None:
    """Until Accepted, which stays True, has that reason."""

    def met() -> bool:
        found = product.condition(name, "Accepted")
        return found.get("status") == "True" and found["reason"] == reason

    product.ground.wait(met, 40, f"Accepted of {name} to say {reason}")


def _register(product: Product, node: str) -> None:
    """Let a kubelet make its Node object again: it does so once, at its start."""
    product.ground.fault.service_stop(node, "kubelet")
    product.ground.fault.service_start(node, "kubelet")
    product.ground.wait(lambda: product.ground.ready(node), 60, f"{node} to be registered and Ready")


def _kubelet_beat(product: Product, node: str) -> str:
    """When the kubelet last told of its node; it does so when it starts, with the addresses that it has found."""
    found = product.ground.get("node", node)["status"]["conditions"]
    return next(str(c["lastHeartbeatTime"]) for c in found if c["type"] == "Ready")


def _operator_labels(product: Product) -> str:
    selector = product.ground.get(OPERATOR, f"-n{NAMESPACE}")["spec"]["selector"]["matchLabels"]
    return ",".join(f"{key}={value}" for key, value in selector.items())
