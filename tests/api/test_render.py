"""From a VyosCluster to NodeConfigs, and the list of what is not built."""

from __future__ import annotations

from typing import Any

import pytest

from api import objects
from vyos_api import nodeconfig, render, v1alpha1
from vyos_api.nodeconfig import Address, Announcements, Group, NodeConfig
from vyos_api.v1alpha1 import VyosCluster

MET = {"metadata": {"name": "edge", "uid": "5e0c", "generation": 3}}


def cluster(**changes: Any) -> VyosCluster:
    return v1alpha1.parse(objects.changed(objects.cluster() | MET, changes))


def test_render_everything() -> None:
    found = render.render(cluster(), "node2")
    assert found == NodeConfig(
        cluster="edge",
        uid="5e0c",
        generation=3,
        node="node2",
        interfaces=("eth0", "eth1"),
        keepalive_ms=5_000,
        dead_ms=20_000,
        monitor_dead_ms=20_000,
        init_dead_ms=60_000,
        mcast_group="239.1.2.3",
        port=694,
        ttl=1,
        announcements=Announcements(count=5, interval_ms=200, refresh_ms=60_000),
        groups=(
            Group(
                name="cluster",
                members=("node1", "node2", "node3"),
                auto_failback=True,
                failback_delay_ms=30_000,
                addresses=(Address("192.168.0.123", 24, "eth0"),),
                units=("ssh.service",),
                monitors=("192.168.0.1", "2001:db8::1"),
                maintenance=("node3",),
            ),
            Group(
                name="v6",
                members=("node2", "node1"),
                auto_failback=False,
                failback_delay_ms=20_000,  # deadInterval, as none is given
                addresses=(Address("2001:db8::123", 64),),
            ),
        ),
        unicast=True,
        fence="Nftables",
    )
    assert nodeconfig.node_config_from_json(nodeconfig.node_config_to_json(found)) == found


ADDRESSES = {
    "node1": ("10.0.0.1", "192.168.0.123", "2001:db8::1"),
    "node2": ("2001:db8::123",),
    "node3": tuple(f"10.0.3.{i}" for i in range(20)),
    "node9": ("10.0.0.9",),
}


def test_unicast_needs_the_members_node_addresses() -> None:
    found = render.render(cluster(), "node2", ADDRESSES)
    assert found.nodes == {"node1": ("10.0.0.1", "2001:db8::1"), "node3": tuple(f"10.0.3.{i}" for i in range(8))}
    assert nodeconfig.node_config_from_json(nodeconfig.node_config_to_json(found)) == found


def test_without_unicast_a_node_address_changes_nothing() -> None:
    plain = cluster(**{"spec.unicast": None})
    found = render.render(plain, "node2", ADDRESSES)
    assert found == render.render(plain, "node2")
    assert "nodes" not in nodeconfig.node_config_to_dict(found), "what agents from before it would refuse"


@pytest.mark.parametrize("nodes", [[], {"node1": "10.0.0.1"}, {"node1": [1]}])
def test_node_addresses_that_are_none(nodes: Any) -> None:
    raw = {**nodeconfig.node_config_to_dict(render.render(cluster(), "node1")), "nodes": nodes or [1]}
    with pytest.raises(nodeconfig.ConfigError, match=r"^nodes"):
        nodeconfig.node_config_from_dict(raw)


def test_a_failback_delay_of_nothing_is_nothing() -> None:
    found = render.render(cluster(**{"spec.groups[0].failbackDelay": 0}), "node1")
    assert found.groups[0].failback_delay_ms == 0


def test_members_know_each_other() -> None:
    everyone = render.members(cluster().spec)
    assert everyone == ("node1", "node2", "node3")
    assert {render.render(cluster(), node).members for node in everyone} == {everyone}


def test_nobody_else_gets_one() -> None:
    with pytest.raises(ValueError, match=r"^node4 is no member of edge \(members: node1, node2, node3\)$"):
        render.render(cluster(), "node4")


@pytest.mark.parametrize("field", ["uid", "generation"])
def test_not_before_the_api_server_took_it(field: str) -> None:
    with pytest.raises(ValueError, match=r"^edge has no uid or generation yet$"):
        render.render(cluster(**{f"metadata.{field}": objects.ABSENT}), "node1")


@pytest.mark.parametrize(
    ("wanted", "cordoned", "standby"),
    [("Standby", {"node1"}, True), ("Standby", {"node2"}, False), ("Ignore", {"node1"}, False), ("Standby", (), False)],
)
def test_a_cordon(wanted: str, cordoned: tuple[str, ...], standby: bool) -> None:
    config = render.render(cluster(**{"spec.onCordon": wanted}), "node1", cordoned=cordoned)
    assert config.standby is standby
    text = nodeconfig.node_config_to_json(config)
    assert ("standby" in text) is standby, "agents from before it read what they can use"
    assert nodeconfig.node_config_from_json(text) == config
