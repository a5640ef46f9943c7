"""What the control plane may do to the routers: configure them, and otherwise let them be, also when it is gone."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from e2e.watch import Holders
from ground import layout, network, nodes
from ground.shell import GroundError
from product import AGENTS_NAMESPACE, NAMESPACE, OPERATOR, ROOT, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP, SECOND = "192.168.0.123", "192.168.0.124"
DEAD_MS = 3000
PAIR = ("node1", "node2")


def pair(name: str, *addresses: str) -> dict[str, object]:
    return manifest(name, group("g", PAIR, *(f"{a}/24/eth0" for a in addresses)))


def test_a_restart_of_the_operator_moves_nothing(product: Product, holders: Holders) -> None:
    """Before the outages: after one Kubernetes' own controllers wait half a minute before they look again."""
    ground = product.ground
    with product.cluster(pair("restart", VIP)) as name:
        before = ground.get("vyoscluster", name)
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            ground.kubectl(f"-n{NAMESPACE}", "rollout", "restart", OPERATOR)
            product.wait_rollout()
            time.sleep(2)
        assert probe.lost == 0, probe
        assert holders.history(VIP) == ["0 ms: node1"]
        after = ground.get("vyoscluster", name)
        assert after["status"]["groups"] == before["status"]["groups"]


def test_failover_without_the_api_server_and_a_status_that_catches_up(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(pair("outage", VIP)) as name:
        ground.fault.api_stop()
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            time.sleep(1)
            ground.fault.power_off("node1")
            ground.wait_holder(VIP, 10, other_than="node1")
            time.sleep(1)
        assert probe.longest_gap_ms <= DEAD_MS + 1000, probe
        assert holders.overlap_ms(VIP) == 0, holders.history(VIP)
        ground.fault.api_start()
        ground.wait(ground.api.ready, 30, "the API server")
        product.wait_owner(name, "g", "node2", 30)


def test_an_agent_that_starts_without_the_api_server_knows_its_cluster(product: Product, holders: Holders) -> None:
    """From the configuration that it kept on the node's disk."""
    ground = product.ground
    with product.cluster(pair("kept", VIP)):
        ground.fault.api_stop()
        before = nodes.container("node2", "heartbeat")
        ground.fault.kill("node2", "heartbeat")
        ground.wait(lambda: started_anew("node2", before), 60, "the kubelet to start heartbeat again")
        time.sleep(2 * DEAD_MS / 1000)  # nobody can ask it now; by then it has heard node1, or never will
        holders.watch(VIP)
        ground.fault.power_off("node1")
        ground.wait_holder(VIP, 10, other_than="node1")
        assert holders.overlap_ms(VIP) == 0, holders.history(VIP)


def test_an_address_added_live_leaves_the_others_alone(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(pair("edit", VIP)) as name:
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            product.apply(pair("edit", VIP, SECOND))
            assert ground.wait_holder(SECOND, 30) == "node1"
            product.wait_condition(name, "Programmed")
            time.sleep(1)
        assert probe.lost == 0, probe
        assert holders.history(VIP) == ["0 ms: node1"]
        product.apply(pair("edit", VIP))
        ground.wait(lambda: not ground.holders(SECOND), 30, f"{SECOND} to go")
        assert ground.holders(VIP) == {"node1"}


def test_a_deleted_cluster_leaves_nothing(product: Product) -> None:
    ground = product.ground
    with product.cluster(pair("gone", VIP)) as name:
        children = ("configmaps,secrets", f"-n{AGENTS_NAMESPACE}", "-lcluster.vyos.io/cluster=gone")
        assert len(ground.get(*children)["items"]) == 3  # a configuration for each member, and the key
        product.delete(name)
        ground.wait(lambda: not ground.holders(VIP), 2 + 3, f"{VIP} to go")
        ground.wait(lambda: not ground.get(*children)["items"], 10, "its objects to go")
        for node in PAIR:
            assert product.agent_report(node)["clusters"] == []


def test_objects_deleted_by_hand_come_back_and_nothing_moves(product: Product, holders: Holders) -> None:
    """The configurations and the key; an agent that finds none has the last good one."""
    ground = product.ground
    with product.cluster(pair("emptied", VIP)) as name:
        children = ("configmaps,secrets", f"-n{AGENTS_NAMESPACE}", f"-lcluster.vyos.io/cluster={name}")
        before, groups = contents(product, *children), product.status(name)["groups"]
        assert len(before) == 3
        moves = product.ask("node1", {"op": "history", "cluster": name})["clusters"][0]["moves"]
        assert [move["kind"] for move in moves] == ["Taken"]
        holders.watch(VIP)
        with ground.probe(VIP) as probe:
            time.sleep(0.5)
            ground.kubectl("delete", *children)
            ground.wait(lambda: contents(product, *children) == before, 20, "the same objects to be back")
            time.sleep(DEAD_MS / 1000 + 1)  # whoever has been without a configuration would be missed by now
        assert probe.lost == 0, probe
        assert holders.history(VIP) == ["0 ms: node1"]
        assert product.status(name)["groups"] == groups, "the same owner, in the same epoch"
        assert product.ask("node1", {"op": "history", "cluster": name})["clusters"][0]["moves"] == moves
        for kind in ("Programmed", "Available"):
            product.wait_condition(name, kind)
        product.wait_condition(name, "Degraded", "False")


def test_what_is_refused_leaves_what_ran(product: Product, holders: Holders) -> None:
    with product.cluster(pair("later", VIP)) as name:
        holders.watch(VIP)
        changed = pair("later", VIP)
        changed["spec"]["preSharedSecret"] = {"secretKeyRef": {"name": "nowhere", "key": "psk"}}  # type: ignore[index]
        product.apply(changed)
        condition = product.wait_condition(name, "Accepted", "False")
        assert "spec.preSharedSecret" in condition["message"]
        assert "generation 1" in product.wait_condition(name, "Programmed", "False")["message"]
        time.sleep(1)
        assert holders.history(VIP) == ["0 ms: node1"]
        product.apply(pair("later", VIP))
        product.wait_condition(name, "Accepted")


def test_a_heartbeat_with_a_wrong_secret_is_ignored_and_counted(
    product: Product, holders: Holders, tmp_path: Path
) -> None:
    """A whole daemon on the LAN, with everything right but the secret, calls itself the primary."""
    ground = product.ground
    with product.cluster(pair("forged", VIP)) as name:
        found = ground.get("vyoscluster", name)
        spec = found["spec"] | {"preSharedSecret": {"value": "not the secret"}}
        metadata = {key: found["metadata"][key] for key in ("name", "uid", "generation")}
        file = tmp_path / "forged.yaml"
        file.write_text(yaml.safe_dump({**found, "metadata": metadata, "spec": spec, "status": None}))
        heartbeat = str(Path(sys.executable).with_name("vyos-cluster-heartbeat"))
        command = network.inside(
            layout.netns("client"), heartbeat, "--config", str(file), "--node=node1", "--state", str(tmp_path)
        )
        holders.watch(VIP)
        daemon = subprocess.Popen(command, cwd=ROOT)
        try:
            for node in PAIR:
                ground.wait(functools.partial(counts_bad_tags, product, node), 20, f"BadTag at {node}")
        finally:
            daemon.terminate()
            daemon.wait(10)
        assert holders.history(VIP) == ["0 ms: node1"]
        assert product.owner(name, "g") == "node1"


def test_the_agents_secret_is_no_more_than_a_derived_key(product: Product) -> None:
    """Neither ConfigMap, status, Event nor log has the pre-shared secret; agents cannot read it either."""
    ground = product.ground
    secret = "secret of hidden"
    with product.cluster(pair("hidden", VIP)):
        account = f"system:serviceaccount:{AGENTS_NAMESPACE}:vyos-cluster-agent"
        with pytest.raises(GroundError, match="no"):
            ground.kubectl("auth", "can-i", "get", "secrets", f"-n{NAMESPACE}", f"--as={account}")
        said = [
            ground.kubectl("get", "configmaps,secrets", f"-n{AGENTS_NAMESPACE}", "-oyaml"),
            ground.kubectl("get", "events", "-A", "-oyaml"),
            str(product.status("hidden")),
            ground.kubectl("logs", f"-n{NAMESPACE}", OPERATOR),
            *(
                ground.kubectl("logs", f"-n{AGENTS_NAMESPACE}", product.agent(node), "--all-containers")
                for node in PAIR
            ),
        ]
        assert not [text for text in said if secret in text]


def started_anew(node: str, before: str) -> bool:
    """Whether another heartbeat container runs on a node than the one before."""
    try:
        return nodes.container(node, "heartbeat") != before
    except GroundError:
        return False


def contents(product: Product, *which: str) -> dict[tuple[str, str], object]:
    """What is in some objects, by kind and name."""
    return {(o["kind"], o["metadata"]["name"]): o["data"] for o in product.ground.get(*which)["items"]}


def counts_bad_tags(product: Product, node: str) -> bool:
    """Whether a node has refused more than a few frames for their tag."""
    clusters = product.agent_report(node)["clusters"]
    return bool(clusters) and clusters[0]["drops"].get("BadTag", 0) > 3
