"""World -> Plan, as tables: no API server anywhere."""

import dataclasses
import json
from typing import Any

import pytest

from vyos_operator import plan
from vyos_operator.world import Plan, World

from .worlds import (
    NOW,
    at,
    carried_out,
    claim,
    cluster,
    conditions,
    edited,
    group,
    message,
    names,
    owned,
    reported,
    said,
    secret,
    working,
    world,
)

REF = "spec.preSharedSecret.secretKeyRef"


@pytest.mark.parametrize(
    ("found", "status", "reason", "text"),
    [
        pytest.param(world(), "True", "Accepted", "generation 3 is being carried out", id="good"),
        pytest.param(
            world(cluster(preSharedSecret={"value": "x"})), "True", "Accepted", "generation 3 is", id="secret by value"
        ),
        pytest.param(
            world(cluster(deadInterval="6s")),
            "False",
            "InvalidSpec",
            "spec.deadInterval: deadInterval (6s) must be more than twice keepaliveInterval (5s)",
            id="what an older CRD let through",
        ),
        pytest.param(
            world(cluster(colour="red")), "False", "InvalidSpec", "spec.colour: is not a known field", id="newer CRD"
        ),
        pytest.param(
            world(cluster(group(), group("two", "node2", "node1"))),
            "False",
            "InvalidSpec",
            "spec.groups[1].services[0]: 192.168.0.123 is already held by spec.groups[0].services[0]",
            id="one address in two groups",
        ),
        pytest.param(
            world(secret=None),
            "False",
            "SecretNotFound",
            f"{REF}: there is no Secret release/psk; create it with the key 'secret'",
            id="no Secret",
        ),
        pytest.param(
            world(secret=secret(other="x")),
            "False",
            "SecretNotFound",
            f"{REF}: Secret release/psk has no key 'secret'; add it to the Secret, or correct secretKeyRef.key",
            id="no key",
        ),
        pytest.param(
            world(secret={"metadata": {}}),
            "False",
            "SecretNotFound",
            f"{REF}: Secret release/psk has no key",
            id="no data",
        ),
        pytest.param(
            world(secret=secret(secret="")),
            "False",
            "InvalidSecret",
            f"{REF}: key 'secret' of Secret release/psk is empty; put the pre-shared secret there",
            id="empty",
        ),
        pytest.param(
            world(secret=secret(secret="x" * 1025)),
            "False",
            "InvalidSecret",
            f"{REF}: key 'secret' of Secret release/psk holds 1025 bytes; a pre-shared secret has at most 1024",
            id="too big",
        ),
        pytest.param(
            world(nodes=frozenset({"node1"})),
            "True",
            "NodeNotFound",
            "spec.groups[0].secondaries[0]: no Node of this Kubernetes cluster is called node2; the other members are "
            "programmed; correct the name, or let the node join",
            id="no such node",
        ),
        pytest.param(
            world(agents={"node2": None}),
            "True",
            "NoAgent",
            "spec.groups[0].primary: no agent's pod is on node1; the other members are programmed; name another Node, "
            "or let the agents' DaemonSet run there",
            id="no agent on a node",
        ),
        pytest.param(world(agents={}, lost=frozenset({"node1", "node2"})), "True", "Accepted", "", id="who knows"),
        pytest.param(
            world(agents={}, nodes=frozenset({"node1"})), "True", "NodeNotFound", "spec.groups[0].sec", id="both wrong"
        ),
        pytest.param(
            world(rivals=(claim("old", asked="node2:192.168.0.123", created="2026-11-24T10:00:00Z"),)),
            "False",
            "AddressConflict",
            "spec.groups: 192.168.0.123 on node2 is claimed by the older VyosCluster old; remove it from one",
            id="an older one asks for it",
        ),
        pytest.param(
            world(rivals=(claim("young", asked="node2:192.168.0.123", created="2026-11-24T11:30:00Z"),)),
            "True",
            "Accepted",
            "",
            id="a younger one asks for it",
        ),
        pytest.param(
            world(rivals=(claim("young", held_="node1:192.168.0.123 node2:192.168.0.123", created="2027"),)),
            "False",
            "AddressConflict",
            "spec.groups: 192.168.0.123 on node1, node2 is held by the VyosCluster young; remove it from one",
            id="a younger one holds it",
        ),
    ],
)
def test_accepted(found: World, status: str, reason: str, text: str) -> None:
    done = plan.plan_for(found)
    assert conditions(done)["Accepted"] == (status, reason)
    assert message(done, "Accepted").startswith(text)
    if status == "False":
        assert (done.apply, done.delete, done.prune, done.holds) == ((), (), (), None)
        assert conditions(done)["Programmed"] == ("False", "NotAccepted")
        assert conditions(done)["Available"] == ("False", "Pending")
    else:
        assert names(done.apply) == ["Secret/edge", "ConfigMap/edge.node1", "ConfigMap/edge.node2"]
        assert conditions(done)["Programmed"] == ("False", "Pending")
    (event,) = done.events
    assert (event["reason"], event["type"]) == (reason, "Normal" if reason == "Accepted" else "Warning")
    assert message(done, "Accepted") in event["note"]


def test_an_event_is_about_a_cluster_scoped_object_and_says_it_once() -> None:
    (event,) = plan.plan_for(world()).events
    assert event["metadata"]["namespace"] == "default"
    assert event["regarding"] == {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "name": "edge",
        "uid": world().cluster["metadata"]["uid"],
    }
    assert (event["eventTime"], event["action"]) == ("2026-11-24T12:00:00.000000Z", "Accepted")
    (again,) = plan.plan_for(world(now=NOW.replace(minute=9))).events
    assert again["metadata"]["name"] == event["metadata"]["name"]
    assert plan.plan_for(carried_out(world())).events == ()


def test_nothing_is_left_to_do_once_it_is_done() -> None:
    after = carried_out(world())
    assert plan.plan_for(after) == Plan(holds=plan.plan_for(after).holds)
    refused = carried_out(world(secret=None))
    assert plan.plan_for(refused) == Plan()
    healthy = carried_out(working())
    assert plan.plan_for(healthy) == Plan(holds=plan.plan_for(healthy).holds, events=plan.plan_for(healthy).events), (
        "Events of ownership are told again and again; their names make them one"
    )


def test_a_cluster_that_is_being_deleted_is_left_alone() -> None:
    body = cluster()
    body["metadata"]["deletionTimestamp"] = at(1)
    assert plan.plan_for(world(body)) == Plan()


def test_a_cordon_is_told_to_the_cordoned_member_alone_and_only_where_asked_for() -> None:
    def configs(found: World) -> dict[str, bool]:
        applied = plan.plan_for(found).apply
        read = [json.loads(b["data"]["config.json"]) for b in applied if b["kind"] == "ConfigMap"]
        return {config["node"]: config.get("standby", False) for config in read}

    for wanted, told in (("Ignore", {}), ("Standby", {"node1": True})):
        before = carried_out(world(cluster(onCordon=wanted)))
        cordoned = dataclasses.replace(before, cordoned=frozenset({"node1", "node9"}))
        assert configs(cordoned) == told
        after = carried_out(cordoned)
        assert configs(after) == {}, "said once"
        assert configs(dataclasses.replace(after, cordoned=frozenset())) == dict.fromkeys(told, False)


def test_a_refused_edit_leaves_what_ran_and_judges_by_it() -> None:
    before = carried_out(working())
    done = plan.plan_for(edited(before, cluster(group("new", "node1", "node3"), colour="red")))
    assert conditions(done) == {
        "Accepted": ("False", "InvalidSpec"),
        "Programmed": ("False", "NotAccepted"),
        "Available": ("True", "Available"),
        "Verified": ("True", "Verified"),
        "Degraded": ("False", "Healthy"),
    }
    assert message(done, "Programmed") == "generation 4 is not accepted (InvalidSpec); the members keep generation 3"
    assert (done.apply, done.delete, done.prune) == ((), (), ())
    assert done.status is not None
    assert (done.status["owners"], done.status["members"]) == ("cluster=node1", "2/2")


def test_an_edit_writes_all_members_and_clears_up_after_those_that_left() -> None:
    before = carried_out(
        reported(
            carried_out(
                world(cluster(group("cluster", "node1", "node2", "node3"), group("b", services=("10.0.0.1/8/eth0",))))
            ),
            said("node1"),
            said("node2"),
            said("node3"),
            groups=(owned("node1"), owned("node2", "b")),
        )
    )
    done = plan.plan_for(edited(before, cluster()))
    assert names(done.apply) == ["ConfigMap/edge.node1", "ConfigMap/edge.node2"]
    assert [(r.kind.name, r.namespace, r.name, r.uid) for r in done.delete] == [
        ("ConfigMap", "agents", "edge.node3", "edge.node3")
    ]
    assert done.prune == ("vyos-cluster-node-node3", "vyos-cluster-group-b")
    assert {json.loads(b["data"]["config.json"])["generation"] for b in done.apply} == {4}


def test_a_config_map_that_only_wears_our_label_is_not_deleted() -> None:
    foreign = {"metadata": {"name": "notes", "uid": "n", "labels": {"cluster.vyos.io/cluster": "edge"}}, "data": {}}
    assert plan.plan_for(world(config_maps=(foreign,))).delete == ()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"data": {"config.json": "{}"}}, id="content"),
        pytest.param({"data": None}, id="no content"),
        pytest.param({"metadata": {"name": "edge.node1", "labels": {}}}, id="labels"),
    ],
)
def test_a_damaged_config_map_is_written_anew(damage: dict[str, Any]) -> None:
    before = carried_out(world())
    broken = tuple({**b, **damage} if b["metadata"]["name"] == "edge.node1" else b for b in before.config_maps)
    assert names(plan.plan_for(dataclasses.replace(before, config_maps=broken)).apply) == ["ConfigMap/edge.node1"]


def test_what_others_add_to_our_objects_is_no_damage() -> None:
    before = carried_out(world())
    added = tuple(
        {
            **b,
            "data": {**b["data"], "notes": "x"},
            "metadata": {**b["metadata"], "labels": {**b["metadata"]["labels"], "a": "b"}},
        }
        for b in before.config_maps
    )
    assert plan.plan_for(dataclasses.replace(before, config_maps=added)).apply == ()


def test_the_time_of_a_condition_moves_with_its_status_only() -> None:
    first = carried_out(world())
    later = dataclasses.replace(
        working(), cluster={**working().cluster, "metadata": first.cluster["metadata"]}, now=NOW.replace(hour=13)
    )
    times = {c["type"]: c["lastTransitionTime"] for c in (plan.plan_for(later).status or {})["conditions"]}
    assert times == {
        "Accepted": "2026-11-24T12:00:00Z",
        "Programmed": "2026-11-24T13:00:00Z",
        "Available": "2026-11-24T13:00:00Z",
        "Verified": "2026-11-24T13:00:00Z",
        "Degraded": "2026-11-24T13:00:00Z",
    }
