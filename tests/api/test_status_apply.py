"""Status by server-side apply, with the field managers of names.py: entries never mix, epochs never go back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api import objects
from api.client import Client, Refused
from vyos_api import names

pytestmark = pytest.mark.apiserver

NAME = "apply"
SHARED = names.group_manager("cluster")


@pytest.fixture
def edge(client: Client) -> Iterator[Client]:
    """A client, with a VyosCluster that has no status."""
    client.create(objects.cluster(NAME))
    yield client
    client.delete(NAME)


def group(owner: str, epoch: int, **more: Any) -> dict[str, Any]:
    return {"groups": [{"name": "cluster", "owner": owner, "epoch": epoch, **more}]}


def node(name: str, **more: Any) -> dict[str, Any]:
    return {"nodes": [{"name": name, **more}]}


def managers(thing: dict[str, Any]) -> dict[str, Any]:
    return {m["manager"]: m["fieldsV1"] for m in thing["metadata"]["managedFields"] if m.get("subresource") == "status"}


def refusal(edge: Client, send: Any) -> list[str]:
    with pytest.raises(Refused) as answer:
        send()
    assert answer.value.code == 422
    return answer.value.lines


def test_a_new_owner_writes_the_whole_entry(edge: Client) -> None:
    first = {"since": objects.SINCE, "reason": "FirstClaim", "addresses": ["192.168.0.123/24/eth0"], "services": ["a"]}
    edge.apply_status(NAME, SHARED, status=group("node1", 7, **first))
    found = edge.apply_status(NAME, SHARED, status=group("node2", 8, reason="PeerDead"))
    assert found["status"]["groups"] == [{"name": "cluster", "owner": "node2", "epoch": 8, "reason": "PeerDead"}]


def test_each_entry_has_one_manager(edge: Client) -> None:
    edge.apply_status(NAME, SHARED, status=group("node1", 1))
    edge.apply_status(
        NAME, names.group_manager("v6"), status={"groups": [{"name": "v6", "owner": "node2", "epoch": 1}]}
    )
    for name in ("node1", "node2"):
        edge.apply_status(NAME, names.node_manager(name), status=node(name, peers="1/1"))
    found = edge.apply_status(NAME, names.OPERATOR_MANAGER, status={"members": "2/2"})
    assert [g["name"] for g in found["status"]["groups"]] == ["cluster", "v6"]
    assert [n["name"] for n in found["status"]["nodes"]] == ["node1", "node2"]
    assert managers(found) == {
        "vyos-cluster-group-cluster": {"f:status": {"f:groups": {'k:{"name":"cluster"}': {}}}},
        "vyos-cluster-group-v6": {"f:status": {"f:groups": {'k:{"name":"v6"}': {}}}},
        "vyos-cluster-node-node1": {"f:status": {"f:nodes": {'k:{"name":"node1"}': {}}}},
        "vyos-cluster-node-node2": {"f:status": {"f:nodes": {'k:{"name":"node2"}': {}}}},
        "vyos-cluster-operator": {"f:status": {"f:members": {}}},
    }


def test_the_longest_names_fit_a_manager(edge: Client) -> None:
    """The API server takes 128 bytes for a field manager."""
    edge.apply_status(NAME, names.node_manager("n" * 253), status=node("n" * 253))
    edge.apply_status(NAME, names.group_manager("g" * 63), status={"groups": [{"name": "g", "owner": "n", "epoch": 1}]})


def test_the_same_again_writes_nothing(edge: Client) -> None:
    status = node("node1", configGeneration=1, groups=[{"name": "cluster", "state": "Owner", "owner": "node1"}])
    first = edge.apply_status(NAME, names.node_manager("node1"), status=status)
    again = edge.apply_status(NAME, names.node_manager("node1"), status=status)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_an_epoch_never_goes_back(edge: Client) -> None:
    edge.apply_status(NAME, SHARED, status=group("node1", 7))
    back = ['status.groups[0].epoch: Invalid value: "object": the epoch of group cluster must not go back']
    assert refusal(edge, lambda: edge.apply_status(NAME, SHARED, status=group("node1", 6))) == back
    assert refusal(edge, lambda: edge.apply_status(NAME, "another", status=group("node1", 6))) == back
    assert refusal(edge, lambda: edge.merge(NAME, {"status": group("node1", 6)}, status=True)) == back
    changed = objects.changed(edge.get(NAME), {"status.groups[0].epoch": 6})
    assert refusal(edge, lambda: edge.replace_status(changed)) == back


def test_a_new_owner_needs_a_higher_epoch(edge: Client) -> None:
    edge.apply_status(NAME, SHARED, status=group("node1", 7))
    assert refusal(edge, lambda: edge.apply_status(NAME, SHARED, status=group("node2", 7))) == [
        'status.groups[0].owner: Invalid value: "object": a new owner of group cluster needs a higher epoch'
    ]
    edge.apply_status(NAME, SHARED, status=group("node1", 7, reason="Adopted"))
    edge.apply_status(NAME, SHARED, status=group("node1", 8, reason="EpochRaised"))
    edge.apply_status(NAME, SHARED, status=group("node2", 9))


def test_an_entry_cannot_be_taken_away_to_forget_its_epoch(edge: Client) -> None:
    edge.apply_status(NAME, SHARED, status=group("node1", 7))
    edge.apply_status(NAME, names.node_manager("node1"), status=node("node1"))
    kept = ["status.groups: Forbidden: a group that is still in spec.groups must keep its entry in status.groups"]
    stored = edge.get(NAME)
    renamed = objects.changed(stored, {"status.groups[0].name": "other"})
    without = objects.changed(stored, {"status": objects.ABSENT})
    for send in (
        lambda: edge.apply_status(NAME, SHARED),
        lambda: edge.merge(NAME, {"status": {"groups": []}}, status=True),
        lambda: edge.merge(NAME, {"status": {"groups": None}}, status=True),
        lambda: edge.merge(NAME, {"status": None}, status=True),
        lambda: edge.replace_status(renamed),
        lambda: edge.replace_status(without),
    ):
        assert refusal(edge, send) == kept
    assert edge.get(NAME)["status"]["groups"][0]["epoch"] == 7


def test_an_entry_goes_after_its_group(edge: Client) -> None:
    edge.apply_status(NAME, SHARED, status=group("node1", 7))
    other = {"name": "other", "primary": "node1", "secondaries": ["node2"], "services": ["10.0.0.1/24"]}
    edge.merge(NAME, {"spec": {"groups": [other]}})
    found = edge.apply_status(NAME, SHARED)
    assert "groups" not in found.get("status", {})
    assert SHARED not in managers(found)


def test_the_operator_prunes_the_entry_of_a_node_that_left(edge: Client) -> None:
    """By the node's own manager and a document with no status in it: entry and manager go, nobody else's do."""
    for name in ("node1", "node2"):
        edge.apply_status(NAME, names.node_manager(name), status=node(name))
    found = edge.apply_status(NAME, names.node_manager("node2"))
    assert found["status"]["nodes"] == [{"name": "node1"}]
    assert list(managers(found)) == [names.node_manager("node1")]


def test_an_empty_status_is_a_trap(edge: Client) -> None:
    """Why nobody sends `status: {}`: it is refused where it removes the last thing, in strange words."""
    edge.apply_status(NAME, names.node_manager("node1"), status=node("node1"))
    lines = refusal(edge, lambda: edge.apply_status(NAME, names.node_manager("node1"), status={}))
    assert lines == ['status: Invalid value: "null":  in body must be of type object: "null"']


def test_status_and_spec_are_apart(edge: Client) -> None:
    """A write to one cannot change the other, so that who may write a status cannot write a spec."""
    edge.apply_status(NAME, SHARED, spec={"port": 7}, status=group("node1", 7))
    assert edge.get(NAME)["spec"]["port"] == 694
    edge.merge(NAME, {"status": {"members": "9/9"}})
    assert "members" not in edge.get(NAME)["status"]
    assert edge.get(NAME)["metadata"]["generation"] == 1
