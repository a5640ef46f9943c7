"""A node that the spec names no more: its ConfigMap goes when it has handed over what it owned."""

import dataclasses

import pytest

from vyos_api.names import ANNOTATION_NODE
from vyos_api.nodeconfig import node_config_from_json
from vyos_operator import plan
from vyos_operator.world import Absence, World

from .worlds import carried_out, cluster, edited, group, names, owned, reported, said, world

THREE = frozenset({"node1", "node2", "node3"})
BEFORE = cluster(group("cluster", "node1", "node2", "node3"))
AFTER = cluster(group("cluster", "node3", "node2"))


def owning(state: str = "Owner", **more: object) -> World:
    """node1 owns; then the spec names it no more."""
    ran = reported(
        carried_out(world(BEFORE, nodes=THREE)),
        said("node1", cluster=(state, "node1")),
        said("node2", cluster=("Standby", "node1")),
        said("node3", cluster=("Standby", "node1")),
        groups=(owned("node1"),),
    )
    return dataclasses.replace(edited(ran, AFTER), **more)


@pytest.mark.parametrize("state", ["Owner", "Asking", "Giving", "Suspended", "Yielding"])
def test_an_owner_gets_the_configuration_that_names_its_heirs(state: str) -> None:
    done = plan.plan_for(owning(state))
    assert done.delete == ()
    assert done.prune == ()
    configs = {(b["metadata"]["name"]): node_config_from_json(b["data"]["config.json"]) for b in done.apply}
    assert len(configs) == 3
    config = next(c for c in configs.values() if c.node == "node1")
    assert config.generation == 4
    assert config.groups[0].members == ("node3", "node2")
    assert config.members == ("node2", "node3")


def test_it_goes_when_it_says_that_it_owns_nothing_any_more() -> None:
    later = reported(
        carried_out(owning()),
        said("node1", 4),
        said("node2", 4, cluster=("Standby", "node3")),
        said("node3", 4, cluster=("Owner", "node3")),
        groups=(owned("node3", epoch=8, reason="PeerReleased"),),
    )
    done = plan.plan_for(later)
    assert [ref.name for ref in done.delete] == names_of("node1", later)
    assert done.prune == ("vyos-cluster-node-node1",)
    assert names(done.apply) == []


def names_of(node: str, found: World) -> list[str]:
    """The names of a node's ConfigMaps."""
    return [b["metadata"]["name"] for b in found.config_maps if b["metadata"]["annotations"][ANNOTATION_NODE] == node]


@pytest.mark.parametrize(
    "gone",
    [
        {"nodes": THREE - {"node1"}},
        {"lost": frozenset({"node1"})},
        {"agents": {"node2": None, "node3": None}},
        {"agents": {"node1": Absence("it has ended", dead=True), "node2": None, "node3": None}},
    ],
    ids=["no Node", "silent Node", "no agent", "dead agent"],
)
def test_one_that_is_not_at_work_is_not_waited_for(gone: dict[str, object]) -> None:
    found = owning(**gone)
    assert [ref.name for ref in plan.plan_for(found).delete] == names_of("node1", found)


@pytest.mark.parametrize("state", ["Standby", "Listening", "None"])
def test_nor_one_that_owns_nothing(state: str) -> None:
    found = owning(state)
    assert [ref.name for ref in plan.plan_for(found).delete] == names_of("node1", found)


def test_nor_one_that_refuses_the_configuration() -> None:
    found = owning()
    refusing = said(
        "node1", 3, deviations=(("Configuration", "generation 4: node", "Refused"),), cluster=("Owner", "x")
    )
    status = {**found.cluster["status"], "nodes": [refusing]}
    found = dataclasses.replace(found, cluster={**found.cluster, "status": status})
    assert [ref.name for ref in plan.plan_for(found).delete] == names_of("node1", found)


def test_with_unicast_the_members_can_still_answer_it() -> None:
    spec = cluster(group("cluster", "node3", "node2"), unicast=True)
    addresses = {node: (f"192.0.2.{node[-1]}",) for node in THREE}
    done = plan.plan_for(dataclasses.replace(edited(owning(), spec), addresses=addresses))
    for body in done.apply:
        assert node_config_from_json(body["data"]["config.json"]).nodes.keys() == THREE
