"""What a lab is planned from a manifest, without making anything."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
import yaml

from vyos_api import manifest
from vyos_cluster.lab import layout
from vyos_cluster.lab.layout import LabError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def document(**spec: Any) -> str:
    group = {"name": "g", "primary": "r1", "secondaries": ["r2"], "services": ["192.168.0.123/24/eth0"]}
    full = {"interfaces": ["eth0"], "preSharedSecret": {"value": "S3cr#t"}, "groups": [group]} | spec
    return yaml.safe_dump(
        {"apiVersion": "cluster.vyos.io/v1alpha1", "kind": "VyosCluster", "metadata": {"name": "edge"}, "spec": full}
    )


def group(**fields: Any) -> dict[str, Any]:
    return {"name": "g", "primary": "r1", "secondaries": ["r2"], "services": ["192.168.0.123/24/eth0"]} | fields


def test_the_example_of_vyos_becomes_two_routers_on_one_lan() -> None:
    found = layout.plan((EXAMPLES / "seed.yaml").read_text())
    assert found.routers == ("node1", "node2")
    assert [lan.interface for lan in found.lans] == ["eth0"]
    assert found.vips == {"192.168.0.123": "cluster"}
    assert found.dead_ms == 20_000


def test_addresses_of_routers_and_client_differ_and_leave_shared_ones_and_monitors_free() -> None:
    text = document(groups=[group(services=["192.168.0.1/24", "192.168.0.3/24"], monitors=["192.168.0.2"])])
    (lan,) = layout.plan(text).lans
    own = [i.ip for found in lan.routers.values() for i in found] + [lan.client[0].ip]
    assert len(set(own)) == 3
    assert not {str(ip) for ip in own} & {"192.168.0.1", "192.168.0.2", "192.168.0.3"}
    assert ipaddress.ip_interface("192.168.0.2/24") in lan.client


def test_the_secret_reaches_the_daemons_byte_for_byte() -> None:
    for text in (document(preSharedSecret={"value": "a: #\t'\"ü"}), (EXAMPLES / "seed.yaml").read_text()):
        assert manifest.read(layout.plan(text).manifest).secret == manifest.read(text).secret


def test_the_secret_is_in_no_repr() -> None:
    assert "S3cr#t" not in repr(layout.plan(document()))


def test_host_services_are_left_out_and_named() -> None:
    found = layout.plan((EXAMPLES / "seed.yaml").read_text())
    (served,) = manifest.load(found.manifest).spec.groups
    assert served.services == ("192.168.0.123/24/eth0",)
    assert any("service ssh of group cluster is left out" in note for note in found.notes)


def test_intervals_stay_as_written_but_for_fast() -> None:
    text = document(keepaliveInterval=1000, deadInterval="4s", monitorDeadInterval="5s")
    kept, fast = (manifest.load(layout.plan(text, fast=f).manifest).spec for f in (False, True))
    assert (kept.keepalive_interval.ms, kept.dead_interval.ms, kept.monitor_dead_interval.ms) == (1000, 4000, 5000)
    assert (fast.keepalive_interval.ms, fast.dead_interval.ms) == (200, 3000)


def test_an_interface_without_a_shared_subnet_gets_one_of_its_own() -> None:
    found = layout.plan(document(interfaces=["eth0", "eth1"]))
    second = found.lans[1].routers["r1"]
    assert [str(i.network) for i in second] == ["10.254.1.0/24"]


def test_an_address_alone_in_its_subnet_is_routed_by_the_client() -> None:
    found = layout.plan(document(groups=[group(services=["192.0.2.1/32/eth0"])]))
    assert found.routes == (("192.0.2.1", "eth0"),)


def test_ipv6_has_addresses_of_its_own_beside_ipv4() -> None:
    (lan,) = layout.plan(document(groups=[group(services=["2001:db8::9/64/eth0"])])).lans
    assert [i.version for i in lan.routers["r1"]] == [4, 6]


def test_a_monitor_out_of_reach_is_told() -> None:
    found = layout.plan(document(groups=[group(monitors=["198.51.100.1"])]))
    assert found.notes == ("monitor 198.51.100.1 lies in no subnet of the lab, so no router reaches it",)


def test_unicast_gets_the_other_members_addresses() -> None:
    found = layout.plan(document(unicast=True))
    assert list(found.peers("r1")) == [f"r2={found.lans[0].routers['r2'][0].ip}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not YAML"),
        (document(keepaliveInterval="no"), "spec.keepaliveInterval"),
        (document(groups=[group(services=["ssh"])]), "group g: has host services only"),
        (document(interfaces=["an-interface-too-long"]), "at most 15 characters"),
        (document(groups=[group(secondaries=[f"s{n}" for n in range(16)])]), "at most 16 routers, not 17"),
    ],
)
def test_what_a_lab_cannot_be(text: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        layout.plan(text)
