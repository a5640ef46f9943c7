"""The CRD in a real API server: what it refuses, in which words, and what it accepts; the models say the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from api import objects, walk
from api.cases import HERE, REFUSED, SCHEMA, TRAPS, Case
from api.client import Client, Refused
from api.conftest import ROOT
from ground.apiserver import ApiServer
from vyos_api import limits, v1alpha1

pytestmark = pytest.mark.apiserver

ACCEPTED = yaml.safe_load((HERE / "accepted.yaml").read_text())

ONLY_THE_MODEL_REFUSES: dict[str, dict[str, Any]] = {
    "comparing two addresses costs more than a CRD may": {"spec.groups[0].services[0]": "192.168.0.0/24"},
    "comparing the addresses of all groups costs more still": {"spec.groups[1].services[0]": "192.168.0.123/25"},
    "so does comparing units": {"spec.groups[1].services[0]": "ssh.service"},
    "CEL for a duration in a list costs more than Kubernetes 1.31 allows": {"spec.groups[0].failbackDelay": "1441m"},
    "CEL has no sets to count members": {
        "spec.groups": {
            "numbered": {
                "name": "g%d",
                "primary": "p%d",
                "secondaries": [f"g%d-s{k}" for k in range(4)],
                "services": ["10.0.%d.1/24"],
            },
            "times": 13,
        }
    },
    "JSON has one kind of number, and the API server takes 694.0 for an integer": {"spec.port": 694.0},
}
"""Each is answered by the operator with Accepted=False."""


@pytest.mark.parametrize("case", REFUSED + TRAPS, ids=str)
def test_refused(client: Client, with_status: dict[str, Any], case: Case) -> None:
    send, good = (client.replace_status, with_status) if case.about_status else (client.create, objects.cluster("edge"))
    with pytest.raises(Refused) as answer:
        send(case.object(good), dry=True)
    assert answer.value.code == 422
    assert answer.value.lines == sorted(case.api)


@pytest.mark.parametrize("changes", ACCEPTED, ids=str)
def test_accepted(client: Client, changes: dict[str, Any]) -> None:
    thing = objects.changed(objects.cluster("edge"), changes)
    client.create(thing, dry=True)
    v1alpha1.parse(thing)


@pytest.mark.parametrize("why", ONLY_THE_MODEL_REFUSES)
def test_refused_by_the_model_only(client: Client, why: str) -> None:
    thing = objects.changed(objects.cluster("edge"), ONLY_THE_MODEL_REFUSES[why])
    client.create(thing, dry=True)
    with pytest.raises(v1alpha1.InvalidObject):
        v1alpha1.parse(thing)


def test_defaults_are_the_models_defaults(client: Client) -> None:
    least = {
        "interfaces": ["eth0"],
        "preSharedSecret": {"value": "x"},
        "groups": [{"name": "g", "primary": "node1", "secondaries": ["node2"], "services": ["10.0.0.1/24"]}],
    }
    thing = objects.cluster("edge") | {"spec": least}
    stored = client.create(thing, dry=True)
    assert "status" not in stored
    assert v1alpha1.parse(stored).spec == v1alpha1.parse(thing).spec
    assert stored["spec"] == least | {
        "keepaliveInterval": "5s",
        "deadInterval": "20s",
        "monitorDeadInterval": "20s",
        "initDeadInterval": "30s",
        "mcastGroup": "239.251.252.253",
        "port": 694,
        "ttl": 1,
        "announcements": {"count": 5, "interval": "200ms", "refresh": "60s"},
        "onCordon": "Ignore",
        "unicast": False,
        "fence": "None",
        "groups": [least["groups"][0] | {"autoFailback": False, "monitors": [], "maintenance": []}],  # type: ignore[operator]
    }


def test_what_is_stored_can_be_parsed(with_status: dict[str, Any]) -> None:
    found = v1alpha1.parse(with_status)
    assert found.metadata.uid == with_status["metadata"]["uid"]
    assert found.status.groups[0].epoch == objects.EPOCH
    assert found.status.nodes[0].groups is not None
    assert found.status.nodes[0].groups[0].owner == "node1"


def _typed() -> Iterator[tuple[str, Any]]:
    for path, node in walk.nodes(SCHEMA):
        if path.startswith(("spec", "status")) and path not in ("spec.preSharedSecret.value",):
            yield (
                path.replace("[]", "[0]"),
                "x" if node.get("type") in ("integer", "boolean", "object", "array") else True,
            )


@pytest.mark.parametrize(("path", "wrong"), list(_typed()))
def test_types(client: Client, with_status: dict[str, Any], path: str, wrong: Any) -> None:
    about_status = path.startswith("status")
    send, good = (client.replace_status, with_status) if about_status else (client.create, objects.cluster("edge"))
    with pytest.raises(Refused) as answer:
        send(objects.changed(good, {path: wrong}), dry=True)
    assert path in [line.partition(": ")[0] for line in answer.value.lines]
    with pytest.raises(v1alpha1.InvalidObject) as error:
        v1alpha1.parse(objects.changed(with_status, {path: wrong}))
    assert [p.partition(": ")[0] for p in error.value.problems] == [path]


@pytest.mark.parametrize("path", ["spec.deadIntervall", "spec.groups[0].backup", "spec.announcements.number"])
def test_unknown_fields(client: Client, path: str) -> None:
    thing = objects.changed(objects.cluster("edge"), {path: 1})
    with pytest.raises(Refused, match="unknown field"):
        client.create(thing, dry=True)
    with pytest.raises(v1alpha1.InvalidObject, match="is not a known field"):
        v1alpha1.parse(thing)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_examples(client: Client, path: Any) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    for document in documents:
        if document["kind"] == "VyosCluster":
            client.create(document, dry=True)
        else:
            client.request("POST", "/api/v1/namespaces/default/secrets?dryRun=All", _here(document))
    assert [d["kind"] for d in documents].count("VyosCluster") == 1


def _here(secret: dict[str, Any]) -> dict[str, Any]:
    assert secret["metadata"].pop("namespace") == "vyos-cluster"
    return secret


def largest(node_name: int) -> dict[str, Any]:
    """Every list full, every string as long as may be (nodes' names: `node_name`)."""
    pool = [f"{k:02}".ljust(node_name, "n") for k in range(limits.MEMBERS)]
    groups = [
        {
            "name": f"{i:02}".ljust(limits.GROUP_NAME, "g"),
            "primary": pool[i],
            "secondaries": pool[32 : 32 + limits.SECONDARIES],
            "failbackDelay": "5s5s5s5s5s5s5s5s5s5s",
            "monitors": [f"2001:0db8:0000:0000:0000:0000:255.255.{i}.{k}" for k in range(limits.MONITORS)],
            "maintenance": [pool[i], *pool[32 : 32 + limits.MAINTENANCE - 1]],
            "services": [_longest(i, k) for k in range(limits.SERVICES)],
        }
        for i in range(limits.GROUPS)
    ]
    changes = {"spec.groups": groups, "spec.interfaces": [f"{k}".ljust(127, "e") for k in range(limits.INTERFACES)]}
    return objects.changed(objects.cluster("large".ljust(63, "x")), changes)


def _longest(group: int, number: int) -> str:
    return f"2001:1db8:1000:1000:{group:04x}:{number:04x}:255.255.255.253/126/".ljust(limits.SERVICE_TEXT, "e")


def test_the_largest_spec(client: Client) -> None:
    """What CEL costs at run time is limited too, apart from the estimate that the CRD was let in with."""
    thing = largest(limits.NODE_NAME)
    v1alpha1.parse(client.create(thing, dry=True))


def test_the_largest_status(client: Client) -> None:
    """63 members in 32 groups, all of which change hands at once: within CEL's and etcd's limits (1.5 MiB a request).

    Names of nodes are 63 characters here: with 253, and all else full too, etcd would refuse the object.
    """
    thing = largest(63)
    name = thing["metadata"]["name"]
    groups = thing["spec"]["groups"]
    members = sorted({m for g in groups for m in (g["primary"], *g["secondaries"])})
    client.create(thing)
    try:
        stored = client.get(name)
        states = [{"name": g["name"], "state": "Standby", "owner": g["primary"]} for g in groups]
        status = objects.status()
        status["nodes"] = [status["nodes"][0] | {"name": m, "groups": states} for m in members]
        status["groups"] = [
            {"name": g["name"], "owner": g["primary"], "epoch": 1, "addresses": g["services"]} for g in groups
        ]
        stored = client.replace_status(stored | {"status": status})
        for entry in stored["status"]["groups"]:
            entry |= {"epoch": 2, "owner": members[-1]}
        stored = client.replace_status(stored)
        assert len(stored["status"]["nodes"]) == limits.MEMBERS - 1
        assert {g["epoch"] for g in stored["status"]["groups"]} == {2}
        v1alpha1.parse(stored)
    finally:
        client.delete(name)


def test_kubectl_get(apiserver: ApiServer, client: Client, with_status: dict[str, Any]) -> None:
    merged = with_status["status"]["conditions"] + [
        with_status["status"]["conditions"][0] | {"type": "Available", "status": "Unknown"}
    ]
    client.merge("with-status", {"status": {"conditions": merged}}, status=True)
    head, row = apiserver.kubectl("get", "vyc", "with-status").splitlines()
    assert head.split() == ["NAME", "OWNERS", "AVAILABLE", "MEMBERS", "AGE"]
    assert row.split()[:4] == ["with-status", "cluster=node1", "Unknown", "2/2"]
    head, row = apiserver.kubectl("get", "vyosclusters", "with-status", "-o", "wide").splitlines()
    assert head.split() == ["NAME", "OWNERS", "AVAILABLE", "MEMBERS", "KEEPALIVE", "DEAD", "INTERFACES", "AGE"]
    assert row.split()[4:7] == ["5s", "20s", '["eth0","eth1"]']


def test_kubectl_explain(apiserver: ApiServer, client: Client) -> None:
    text = apiserver.kubectl("explain", "vyosclusters.spec.groups.secondaries")
    assert "The nodes that take over, in order of preference." in text
