"""The models by themselves: every bad object of the tables in the words of the tables, and what good ones turn into."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from api import objects
from api.cases import HERE, REFUSED, TRAPS, Case
from vyos_api import v1alpha1
from vyos_api.durations import Duration
from vyos_api.v1alpha1 import InvalidObject, VyosCluster


def problems(thing: object) -> tuple[str, ...]:
    with pytest.raises(InvalidObject) as error:
        v1alpha1.parse(thing)
    return error.value.problems


@pytest.mark.parametrize("case", [c for c in REFUSED + TRAPS if c.model], ids=str)
def test_refused(case: Case) -> None:
    assert problems(case.object(objects.cluster("edge", status=objects.status()))) == case.model


@pytest.mark.parametrize("changes", yaml.safe_load((HERE / "accepted.yaml").read_text()), ids=str)
def test_accepted(changes: dict[str, Any]) -> None:
    v1alpha1.parse(objects.changed(objects.cluster(), changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"apiVersion": "cluster.vyos.io/v1"},
            "apiVersion: must be cluster.vyos.io/v1alpha1, not 'cluster.vyos.io/v1'",
        ),
        ({"kind": "Vyos"}, "kind: must be VyosCluster, not 'Vyos'"),
        ({"metadata": objects.ABSENT}, "metadata: is required"),
        ({"metadata.name": objects.ABSENT}, "metadata.name: is required"),
        ({"spec": []}, "spec: must be an object, not a list"),
        ({"spec.port": "694"}, "spec.port: must be a whole number, not '694'"),
        ({"spec.port": True}, "spec.port: must be a whole number, not true"),
        ({"spec.unicast": "yes"}, "spec.unicast: must be true or false, not 'yes'"),
        ({"spec.interfaces": "eth0"}, "spec.interfaces: must be a list, not 'eth0'"),
        ({"spec.fence": 3 * "long " * 20}, f"spec.fence: must be None or Nftables, not '{(3 * 'long ' * 20)[:76]}..."),
        ({"spec.deadIntervall": 1}, "spec.deadIntervall: is not a known field; did you mean deadInterval?"),
        ({"spec.dead_interval": 1}, "spec.dead_interval: is not a known field; did you mean deadInterval?"),
        (
            {"spec.groups[1].secondary": ["a"]},
            "spec.groups[1].secondary: is not a known field; did you mean secondaries?",
        ),
        ({"spec.groups[0].backup": ["a"]}, "spec.groups[0].backup: is not a known field"),
        (
            {"spec.groups[0].services[0]": "192.168.0.0/24"},
            "spec.groups[0].services[0]: ADDRESS must be a host's address, not the network's own (its host bits are all"
            " zero) nor its broadcast address (all one)",
        ),
        (
            {"spec.groups[0].services[0]": "192.168.0.255/24"},
            "spec.groups[0].services[0]: ADDRESS must be a host's address, not the network's own (its host bits are all"
            " zero) nor its broadcast address (all one)",
        ),
        (
            {"spec.groups[1].services": ["10.0.0.1/24", "192.168.0.123/25"]},
            "spec.groups[1].services[1]: 192.168.0.123 is already held by "
            "spec.groups[0].services[0]; one cluster holds it once",
        ),
        (
            {"spec.groups[0].services": ["2001:db8::1/64", "2001:DB8:0::1/64"]},
            "spec.groups[0].services[1]: 2001:db8::1 is already held by "
            "spec.groups[0].services[0]; one cluster holds it once",
        ),
        (
            {"spec.groups[1].services[0]": "ssh.service"},
            "spec.groups[1].services[0]: ssh.service is already held by "
            "spec.groups[0].services[1]; one cluster holds it once",
        ),
    ],
    ids=str,
)
def test_what_only_the_models_say(changes: dict[str, Any], said: str) -> None:
    assert problems(objects.changed(objects.cluster(), changes)) == (said,)


def test_members_are_counted_over_all_groups() -> None:
    def groups(count: int) -> list[dict[str, Any]]:
        good = {"primary": "node", "services": []}
        return [
            good | {"name": f"g{i}", "secondaries": [f"n{i}-{k}" for k in range(21)], "services": [f"10.0.{i}.1/24"]}
            for i in range(count)
        ]

    v1alpha1.parse(objects.changed(objects.cluster(), {"spec.groups": groups(3)}))
    more = objects.changed(objects.cluster(), {"spec.groups": groups(3), "spec.groups[0].secondaries[21]": "one-more"})
    assert problems(more) == ("spec.groups: at most 64 nodes can be members of a cluster, not 65",)


def test_all_problems_at_once() -> None:
    changes = {"spec.port": 0, "spec.groups[0].services[1]": "10.0.0.1", "spec.keepaliveInterval": "5"}
    assert [p.partition(": ")[0] for p in problems(objects.changed(objects.cluster(), changes))] == [
        "spec.keepaliveInterval",
        "spec.port",
        "spec.groups[0].services[1]",
    ]


@pytest.mark.parametrize("thing", [None, [], "text", 5])
def test_no_object_at_all(thing: object) -> None:
    assert problems(thing)[0].startswith("the object: must be an object, not ")


@pytest.mark.parametrize("value", [5, ["S3cr#t"], {"S3cr#t": 1}, "S3cr#t" * 50])
def test_the_secret_is_never_quoted(value: object) -> None:
    thing = objects.changed(objects.cluster(), {"spec.preSharedSecret": {}})
    thing["spec"]["preSharedSecret"]["value"] = value
    said = problems(thing)
    assert [p.partition(": ")[0] for p in said] == ["spec.preSharedSecret.value"]
    assert "S3cr#t" not in str(said)
    with pytest.raises(ValidationError) as error:
        VyosCluster.model_validate(thing)
    assert "S3cr#t" not in str(error.value)


def test_the_secret_is_not_printed() -> None:
    found = v1alpha1.parse(objects.changed(objects.cluster(), {"spec.preSharedSecret": {"value": "S3cr#t"}}))
    assert "S3cr#t" not in repr(found) + str(found) + found.model_dump_json(by_alias=True)
    assert found.spec.pre_shared_secret.value is not None
    assert found.spec.pre_shared_secret.value.get_secret_value() == "S3cr#t"


def test_written_back_as_it_came() -> None:
    thing = objects.cluster()
    found = v1alpha1.parse(thing)
    assert found.model_dump(mode="json", by_alias=True, exclude_unset=True) == thing
    assert found.spec.dead_interval == Duration(20_000, "20s")
    assert found.spec.monitor_dead_interval == Duration(20_000, 20_000)


def test_newer_writers_of_the_status_do_no_harm() -> None:
    status = objects.changed(objects.status(), {"load": 5, "nodes[0].load": 5, "groups[0].load": 5})
    found = v1alpha1.parse(objects.cluster(status=status))
    assert found.status.nodes[0].name == "node1"


def test_models_are_values() -> None:
    one, two = v1alpha1.parse(objects.cluster()), v1alpha1.parse(objects.cluster())
    assert one == two
    assert hash(one.spec) == hash(two.spec)
    with pytest.raises(ValidationError, match="frozen"):
        one.spec.port = 1  # type: ignore[misc]
