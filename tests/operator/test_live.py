"""One running operator: what becomes of a VyosCluster, by the API server's word."""

import base64
import json
from collections.abc import Callable

import pytest

from vyos_api import keys

from . import harness
from .harness import Agents, Api, Operator, ago, spec, until

pytestmark = pytest.mark.apiserver
Make = Callable[..., Agents]


def test_a_cluster_becomes_config_maps_a_key_and_conditions(api: Api, running: Operator, make: Make) -> None:
    make("edge")
    assert api.says("edge", "Accepted", "True", "Accepted") == "generation 1 is being carried out"
    assert api.says("edge", "Programmed", "False", "Pending") == (
        "generation 1 is awaited from node1 (has not reported), node2 (has not reported)"
    )
    api.says("edge", "Available", "False", "Pending")
    assert api.says("edge", "Degraded", "True", "MemberDown") == "node1, node2 have not reported"
    body = api.cluster("edge")
    uid = body["metadata"]["uid"]
    owner = {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "name": "edge",
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    for node in ("node1", "node2"):
        found = api.config_map("edge", node)
        assert found is not None
        assert found["metadata"]["labels"] == {"cluster.vyos.io/cluster": "edge", "cluster.vyos.io/node": node}
        assert found["metadata"]["annotations"] == {"cluster.vyos.io/node-name": node}
        assert found["metadata"]["ownerReferences"] == [owner]
        config = json.loads(found["data"]["config.json"])
        assert (config["node"], config["uid"], config["generation"], config["deadMs"]) == (node, uid, 1, 5000)
    secret = api.key_secret("edge")
    assert secret is not None
    assert secret["type"] == "cluster.vyos.io/heartbeat-key"
    assert secret["metadata"]["ownerReferences"] == [owner]
    key_set = json.loads(base64.b64decode(secret["data"]["keys.json"]))
    assert base64.b64decode(key_set["keys"][0]["key"]) == keys.heartbeat_key(harness.SECRET.encode(), uid)
    # kopf has left no trace: no annotation, no finalizer, no field manager
    assert set(body["metadata"]) == {
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "resourceVersion",
        "uid",
    }
    assert {m["manager"] for m in body["metadata"]["managedFields"]} == {"test", "vyos-cluster-operator"}
    assert body["status"]["members"] == "0/2"


def test_reports_become_conditions_owners_and_events(api: Api, running: Operator, make: Make) -> None:
    agents = make("edge", spec(nodes=("node1", "node2", "node3")))
    api.says("edge", "Programmed", "False", "Pending")
    agents.owns("node1", "cluster", 1, "FirstClaim")
    for node in harness.NODES:
        agents.says(node, 1, {"cluster": ("Owner" if node == "node1" else "Standby", "node1")})
    api.says("edge", "Available", "True", "Available")
    api.says("edge", "Programmed", "True", "Programmed")
    api.says("edge", "Degraded", "False", "Healthy")
    status = api.cluster("edge")["status"]
    assert (status["owners"], status["members"], status["observedGeneration"]) == ("cluster=node1", "3/3", 1)

    since = ago(0)
    agents.owns("node2", "cluster", 2, "PeerDead", since)
    agents.says("node2", 1, {"cluster": ("Owner", "node2")}, {"node1": since})
    agents.says("node3", 1, {"cluster": ("Standby", "node2")}, {"node1": since})
    both = "node1 is dead (node2, node3); stale in status.nodes: node1"
    until(lambda: api.says("edge", "Degraded", "True", "MemberDown") == both, "both reports to count")
    api.says("edge", "Available", "True", "Available")
    status = api.cluster("edge")["status"]
    assert (status["owners"], status["members"]) == ("cluster=node2", "2/3")

    until(lambda: any(e["reason"] == "PeerDead" for e in api.events("edge")), "the Event of the takeover")
    text = api.server.kubectl("describe", "vyc", "edge")
    events = text[text.index("Events:") :]
    assert "node2 took group cluster (epoch 2): node1 was not heard for its dead interval" in events
    assert "node1 took group cluster (epoch 1): it had no owner" in events
    assert "generation 1 is being carried out" in events
    printed = api.server.kubectl("get", "vyc", "edge").splitlines()
    assert printed[0].split() == ["NAME", "OWNERS", "AVAILABLE", "MEMBERS", "AGE"]
    assert printed[1].split()[:4] == ["edge", "cluster=node2", "True", "2/3"]
    took = next(e for e in api.events("edge") if e["reason"] == "PeerDead")
    assert (took["type"], took["reportingController"], took["reportingInstance"]) == (
        "Warning",
        "cluster.vyos.io/operator",
        "op-0",
    )


def test_a_split_brain_is_told(api: Api, running: Operator, make: Make) -> None:
    agents = make("edge")
    api.says("edge", "Programmed", "False", "Pending")
    since = ago(3)
    agents.owns("node1", "cluster", 1, "FirstClaim")
    agents.says("node1", 1, {"cluster": ("Owner", "node1")}, {"node2": since})
    agents.says("node2", 1, {"cluster": ("Owner", "node2")}, {"node1": since})
    message = "group cluster is owned by node1 and node2: they do not hear each other"
    assert api.says("edge", "Available", "False", "SplitBrain") == message
    assert api.says("edge", "Degraded", "True", "SplitBrain").startswith(message)


def test_an_edit_reaches_all_members_and_takes_leave_of_one(api: Api, running: Operator, make: Make) -> None:
    agents = make("edge", spec(nodes=("node1", "node2", "node3")))
    api.says("edge", "Programmed", "False", "Pending")
    agents.owns("node1", "cluster", 1, "FirstClaim")
    for node in harness.NODES:
        agents.says(node, 1, {"cluster": ("Owner" if node == "node1" else "Standby", "node1")})
    api.says("edge", "Programmed", "True", "Programmed")
    make("edge", spec(nodes=("node1", "node2"), address="192.168.0.124/24/eth0"))
    until(lambda: api.config_map("edge", "node3") is None, "the ConfigMap of node3 to go")
    assert api.config("edge", "node1")["groups"][0]["addresses"][0]["address"] == "192.168.0.124"
    assert api.config("edge", "node2")["generation"] == 2
    until(
        lambda: [n["name"] for n in api.cluster("edge")["status"]["nodes"]] == ["node1", "node2"],
        "the entry of node3 to go",
    )
    managers = {m["manager"] for m in api.cluster("edge")["metadata"]["managedFields"]}
    assert "vyos-cluster-node-node3" not in managers
    assert api.says("edge", "Programmed", "False", "Pending") == (
        "generation 2 is awaited from node1 (runs generation 1), node2 (runs generation 1)"
    )
    for node in ("node1", "node2"):
        agents.says(node, 2, {"cluster": ("Owner" if node == "node1" else "Standby", "node1")})
    api.says("edge", "Programmed", "True", "Programmed")
    assert api.cluster("edge")["status"]["members"] == "2/2"


def test_a_dropped_group_loses_its_entry(api: Api, running: Operator, make: Make) -> None:
    second = {"name": "other", "primary": "node2", "secondaries": ["node1"], "services": ["192.168.0.9/24/eth0"]}
    agents = make("edge", spec() | {"groups": [*spec()["groups"], second]})
    api.says("edge", "Programmed", "False", "Pending")
    agents.owns("node1", "cluster", 1, "FirstClaim")
    agents.owns("node2", "other", 1, "FirstClaim")
    until(
        lambda: api.cluster("edge")["status"].get("owners") == "cluster=node1,other=node2", "both owners to be printed"
    )
    make("edge")
    until(lambda: [g["name"] for g in api.cluster("edge")["status"]["groups"]] == ["cluster"], "the entry to go")
    until(lambda: api.cluster("edge")["status"]["owners"] == "cluster=node1", "the owner to go")


def test_what_is_refused_leaves_what_ran(api: Api, running: Operator, make: Make) -> None:
    agents = make("edge")
    api.says("edge", "Programmed", "False", "Pending")
    agents.owns("node1", "cluster", 1, "FirstClaim")
    agents.says("node1", 1, {"cluster": ("Owner", "node1")})
    agents.says("node2", 1, {"cluster": ("Standby", "node1")})
    api.says("edge", "Programmed", "True", "Programmed")
    before = api.config_map("edge", "node1")
    wanted = {"secretKeyRef": {"name": "nowhere", "key": "psk"}}
    make("edge", spec(nodes=("node1", "node3"), preSharedSecret=wanted))
    message = api.says("edge", "Accepted", "False", "SecretNotFound")
    assert message.startswith("spec.preSharedSecret")
    assert api.says("edge", "Programmed", "False", "NotAccepted") == (
        "generation 2 is not accepted (SecretNotFound); the members keep generation 1"
    )
    api.says("edge", "Available", "True", "Available")
    assert api.config_map("edge", "node1") == before
    assert api.config_map("edge", "node3") is None
    assert api.cluster("edge")["status"]["members"] == "2/2"
    refusals = [e for e in api.events("edge") if e["reason"] == "SecretNotFound"]
    assert [(e["type"], e["note"]) for e in refusals] == [("Warning", f"generation 2: {message}")]


def test_a_cordon_reaches_the_member(api: Api, running: Operator, make: Make) -> None:
    make("edge", spec(onCordon="Standby"))
    make("plain", spec(address="192.168.0.9/24/eth0"))
    until(lambda: api.config_map("edge", "node1") and api.config_map("plain", "node1"), "the ConfigMaps")
    before = api.config_map("plain", "node1")
    node = "/api/v1/nodes/node1"
    api.request("PATCH", node, {"spec": {"unschedulable": True}}, "application/merge-patch+json")
    until(lambda: api.config("edge", "node1").get("standby"), "the cordon")
    assert "standby" not in api.config("edge", "node2")
    api.request("PATCH", node, {"spec": {"unschedulable": None}}, "application/merge-patch+json")
    until(lambda: "standby" not in api.config("edge", "node1"), "its end")
    assert api.config_map("plain", "node1") == before, "written for nobody who did not ask"


def test_secrets_that_come_change_and_go(api: Api, running: Operator, make: Make) -> None:
    wanted = {"secretKeyRef": {"name": "late", "key": "psk"}}
    make("edge", spec(preSharedSecret=wanted))
    assert api.says("edge", "Accepted", "False", "SecretNotFound") == (
        "spec.preSharedSecret.secretKeyRef: there is no Secret op-release/late; create it with the key 'psk'"
    )
    assert api.key_secret("edge") is None
    assert api.config_map("edge", "node1") is None
    api.psk("late", other="x")
    until(lambda: "has no key 'psk'" in api.condition("edge", "Accepted")["message"], "the missing key to be named")
    api.psk("late", psk="")
    api.says("edge", "Accepted", "False", "InvalidSecret")
    api.psk("late", psk="x" * 2000)
    until(lambda: "2000 bytes" in api.condition("edge", "Accepted")["message"], "the size to be named")
    api.psk("late", psk="good-secret-of-late")
    api.says("edge", "Accepted", "True", "Accepted")
    until(lambda: api.config_map("edge", "node2"), "the ConfigMaps")
    api.psk("late", psk="another-secret-of-late")
    until(lambda: api.key_numbers("edge") == {1: "send", 2: "accept"}, "the first step; nobody has answered it yet")
    api.server.kubectl("delete", "secret", "late", "-n", harness.OPERATOR_NS)
    api.says("edge", "Accepted", "False", "SecretNotFound")
    assert api.config_map("edge", "node1") is not None


def test_a_key_is_changed_step_by_step(api: Api, running: Operator, make: Make) -> None:
    api.psk("turning", psk="turning-one")
    agents = make("edge", spec(preSharedSecret={"secretKeyRef": {"name": "turning", "key": "psk"}}))

    agents.owns("node1", "cluster", 1, "FirstClaim")
    agents.rests("node1", "node2")
    api.says("edge", "Programmed", "True", "Programmed")
    api.psk("turning", psk="turning-two")
    until(lambda: api.key_numbers("edge") == {1: "send", 2: "accept"}, "the new key to be accepted")
    message = api.says("edge", "Programmed", "False", "RotatingKey")
    assert message == (
        "the heartbeat key is being changed, 1 of 3: the members learn to accept the new key; awaited from node1, node2"
    )
    agents.keys = (1, (1, 2))
    agents.rests("node1")
    until(lambda: api.condition("edge", "Programmed")["message"].endswith("awaited from node2"), "the first answer")
    assert api.key_numbers("edge") == {1: "send", 2: "accept"}
    agents.rests("node2")
    until(lambda: api.key_numbers("edge") == {1: "accept", 2: "send"}, "the switch")
    agents.keys = (2, (1, 2))
    agents.rests("node1", "node2")
    until(lambda: api.key_numbers("edge") == {2: "send"}, "the old key to be forgotten")
    agents.keys = (2, (2,))
    agents.rests("node1", "node2")
    api.says("edge", "Programmed", "True", "Programmed")
    api.says("edge", "Available", "True", "Available")


def test_one_address_belongs_to_one_cluster(api: Api, running: Operator, make: Make) -> None:
    make("first")
    api.says("first", "Accepted", "True", "Accepted")
    make("second", spec(nodes=("node2", "node3")))
    assert api.says("second", "Accepted", "False", "AddressConflict") == (
        "spec.groups: 192.168.0.123 on node2 is held by the VyosCluster first; remove it from one of the two"
    )
    assert api.config_map("second", "node2") is None
    make("first", spec(address="192.168.0.200/24/eth0"))
    api.says("second", "Accepted", "True", "Accepted")
    # ... and the older one does not get it back while the younger one runs it
    make("first")
    assert "held by the VyosCluster second" in api.says("first", "Accepted", "False", "AddressConflict")
    assert api.config("first", "node1")["groups"][0]["addresses"][0]["address"] == "192.168.0.200"
    api.request("DELETE", f"{harness.CLUSTERS}/second")
    api.collect("second")
    api.says("first", "Accepted", "True", "Accepted")
    until(
        lambda: api.config("first", "node1")["groups"][0]["addresses"][0]["address"] == "192.168.0.123", "the address"
    )


def test_a_member_that_is_no_node(api: Api, running: Operator, make: Make) -> None:
    make("edge", spec(nodes=("node1", "nodr2", "node3")))
    message = api.says("edge", "Accepted", "True", "NodeNotFound")
    assert "no Node of this Kubernetes cluster is called nodr2" in message
    until(lambda: api.config_map("edge", "node3"), "the others to be programmed")
    assert message.startswith("spec.groups[0].secondaries[0]: ")
    api.apply("/api/v1/nodes/nodr2", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "nodr2"}})
    try:
        api.says("edge", "Accepted", "True", "NoAgent")
        api.agent("nodr2")
        api.says("edge", "Accepted", "True", "Accepted")
    finally:
        api.server.kubectl("delete", "node", "nodr2")
        api.no_agent("nodr2")
    api.says("edge", "Accepted", "True", "NodeNotFound")


def test_children_are_repaired(api: Api, running: Operator, make: Make) -> None:
    make("edge")
    api.says("edge", "Accepted", "True", "Accepted")
    until(lambda: api.config_map("edge", "node2"), "the ConfigMaps")
    before, key = api.config("edge", "node1"), api.key_secret("edge")
    assert key is not None
    path = f"/api/v1/namespaces/{harness.AGENT_NS}"
    api.request("DELETE", f"{path}/configmaps/edge.node1")
    until(lambda: api.config_map("edge", "node1"), "the ConfigMap to come back")
    assert api.config("edge", "node1") == before
    api.request("DELETE", f"{path}/secrets/edge")
    until(lambda: api.key_secret("edge"), "the key to come back")
    assert (api.key_secret("edge") or {})["data"] == key["data"]
    merge = "application/merge-patch+json"
    api.request("PATCH", f"{path}/configmaps/edge.node2", {"data": {"config.json": "{}"}}, merge)
    until(lambda: "uid" in api.config("edge", "node2"), "the content to be mended")
    api.request("PATCH", f"{path}/configmaps/edge.node2", {"metadata": {"labels": None}}, merge)
    until(lambda: (api.config_map("edge", "node2") or {})["metadata"].get("labels"), "the labels to be mended")


def test_one_refusal_does_not_keep_the_rest_from_being_done(api: Api, running: Operator, make: Make) -> None:
    path = f"/api/v1/namespaces/{harness.AGENT_NS}/secrets/edge"
    api.apply(path, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edge"}, "type": "Opaque"})
    make("edge")
    api.says("edge", "Programmed", "False", "Pending")
    until(lambda: api.config_map("edge", "node2"), "the ConfigMaps")
    until(lambda: running.logged("apply of Secret op-agents/edge: 422 Invalid (type)"), "the refusal to be logged")
    api.request("DELETE", path)
    until(lambda: (api.key_secret("edge") or {}).get("type") == "cluster.vyos.io/heartbeat-key", "the key")


def test_deleted_and_created_again_it_has_a_new_life(api: Api, running: Operator, make: Make) -> None:
    make("edge")
    until(lambda: api.config_map("edge", "node2") and api.key_secret("edge"), "the children")
    old = api.cluster("edge")["metadata"]["uid"]
    api.request("DELETE", f"{harness.CLUSTERS}/edge")
    make("edge")
    new = api.cluster("edge")["metadata"]["uid"]
    assert new != old
    api.says("edge", "Accepted", "True", "Accepted")

    def reborn() -> bool:
        found = [api.config_map("edge", "node1"), api.config_map("edge", "node2"), api.key_secret("edge")]
        return all(f and [o["uid"] for o in f["metadata"]["ownerReferences"]] == [new] for f in found)

    until(reborn, "the children of the new life")
    assert api.config("edge", "node1")["uid"] == new
    secret = api.key_secret("edge") or {}
    assert json.loads(base64.b64decode(secret["data"]["keys.json"]))["uid"] == new


def test_the_secret_is_nowhere(api: Api, running: Operator, make: Make) -> None:
    """After everything above, and with the secret in the resource itself, which only the resource may tell."""
    make("lab", spec(preSharedSecret={"value": harness.SECRET}, address="192.168.0.77/24/eth0"))
    api.says("lab", "Accepted", "True", "Accepted")
    make("lab", spec(preSharedSecret={"value": harness.SECRET + "2"}, address="192.168.0.77/24/eth0"))
    until(lambda: api.key_numbers("lab") == {1: "send", 2: "accept"}, "the new key")
    body = api.cluster("lab")
    told = [
        body["status"],
        api.request("GET", f"/api/v1/namespaces/{harness.AGENT_NS}/configmaps"),
        api.request("GET", "/apis/events.k8s.io/v1/events"),
    ]
    text = json.dumps(told) + running.log.read_text()
    for secret in (harness.SECRET, "good-secret-of-late", "another-secret-of-late", "turning-one", "turning-two"):
        assert secret not in text
        assert base64.b64encode(secret.encode()).decode() not in text
    derived = base64.b64encode(keys.heartbeat_key(harness.SECRET.encode(), body["metadata"]["uid"])).decode()
    assert derived not in text
    assert "annotations" not in body["metadata"]
    assert running.health() == (200, "ok\n")
