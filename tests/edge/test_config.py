"""NodeConfig to core Config: what is taken, and the words for what is not."""

import dataclasses
import ipaddress
import uuid

import pytest

from edge import values
from vyos_agent import config as configs
from vyos_agent.core.model import Vip
from vyos_api.nodeconfig import Address, ConfigError


def test_everything_arrives() -> None:
    group = values.group("g", "192.168.0.123/24/eth0/192.168.0.255", "FD00:0::123/64/eth1")
    built = configs.resolve(values.config("r2", group, generation=7), values.keys())
    assert built.me == "r2"
    assert built.generation == 7
    assert built.members == ("r1", "r2")
    assert built.groups[0].vips == (
        Vip("192.168.0.123", 24, "eth0", "192.168.0.255"),
        Vip("fd00::123", 64, "eth1"),
    )
    assert built.keyring.send_id == 1
    assert values.SECRET.hex() not in repr(built)
    assert str(values.SECRET) not in repr(built)
    endpoint = configs.endpoint(values.config(mcast_group="ff05::694", port=5405, ttl=4))
    assert endpoint == configs.Endpoint(ipaddress.IPv6Address("ff05::694"), 5405, 4)


def test_the_cluster_id_is_the_uid() -> None:
    assert configs.cluster_id(values.UID) == uuid.UUID(values.UID).bytes
    assert len(configs.cluster_id("not-a-uuid")) == 16
    assert configs.cluster_id("not-a-uuid") != configs.cluster_id("nor-is-this")


def test_two_names_with_one_identity_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configs, "wire_id", lambda name: 7)
    with pytest.raises(ConfigError, match=r"^node: the members 'r1' and 'r2' have the same identity"):
        configs.resolve(values.config(), values.keys())
    monkeypatch.setattr(configs, "wire_id", lambda name: {"r1": 1, "r2": 2}.get(name, 3))
    with pytest.raises(ConfigError, match=r"^groups: the groups 'a' and 'b' have the same identity"):
        configs.resolve(
            values.config("r1", values.group("a"), values.group("b", "192.168.0.124/24/eth0")), values.keys()
        )


GROUPS = {
    "groups[0].addresses[0].interface: 'a/b' is no interface": values.group(
        addresses=(Address("192.0.2.1", 24, "a/b"),)
    ),
    "groups[0].addresses[0].address: 'x' is no IP": values.group(addresses=(Address("x", 24, "eth0"),)),
    "groups[0].addresses[0].address: 224.0.0.1 is no address that": values.group("g", "224.0.0.1/24/eth0"),
    "groups[0].addresses[0].address: fe80::1%eth0 is no": values.group("g", "fe80::1%eth0/64/eth0"),
    "groups[0].addresses[0].prefix: must be at most 32": values.group("g", "192.0.2.1/33/eth0"),
    "groups[0].addresses[0].broadcast: 'all' is no IPv4": values.group("g", "192.0.2.1/24/eth0/all"),
    "groups[0].addresses[0].broadcast: only an IPv4": values.group("g", "fd00::1/64/eth0/192.0.2.255"),
    "groups[0].addresses[1]: 192.0.2.1 is groups[0].addresses[0] already": values.group(
        "g", "192.0.2.1/24/eth0", "192.0.2.1/32/eth1"
    ),
    "groups[0].addresses: at most 32": values.group("g", *(f"192.0.2.{i}/24/eth0" for i in range(1, 34))),
}
FIELDS = {
    "nodes.r2[1]: 'x' is no IP address": {"unicast": True, "nodes": {"r2": ("192.0.2.2", "x")}},
    "nodes.r2[0]: fe80::1 is no address that": {"unicast": True, "nodes": {"r2": ("fe80::1",)}},
    "fence: 'Iptables' is neither None nor Nftables": {"fence": "Iptables"},
    "uid: must have 1 to 64": {"uid": "x" * 65},
    "generation: must be at most": {"generation": 2**64},
    "deadMs: must be at most 60000": {"dead_ms": 60_001},
    "initDeadMs: must be at most": {"init_dead_ms": 2**32},
    "interfaces: one is named twice": {"interfaces": ("eth0", "eth0")},
    "interfaces: at most 8": {"interfaces": tuple(f"eth{i}" for i in range(9))},
    "interfaces[0]: 'eth 0' is no interface name": {"interfaces": ("eth 0",)},
    "mcastGroup: 'all' is no IP": {"mcast_group": "all"},
    "mcastGroup: 192.0.2.1 is no multicast": {"mcast_group": "192.0.2.1"},
    "port: must be at most 65535": {"port": 65_536},
    "ttl: must be at most 255": {"ttl": 256},
}


@pytest.mark.parametrize("text", GROUPS)
def test_a_group_that_the_core_cannot_use(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configs.resolve(values.config("r1", GROUPS[text]), values.keys())
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("text", FIELDS)
def test_a_field_that_the_core_cannot_use(text: str) -> None:
    broken = dataclasses.replace(values.config(), **FIELDS[text])
    with pytest.raises(ConfigError) as caught:
        configs.resolve(broken, values.keys(uid=broken.uid))
    assert str(caught.value).startswith(text)


def test_keys_of_another_cluster() -> None:
    with pytest.raises(ConfigError, match=r"^uid: the keys are for 'other'"):
        configs.resolve(values.config(), values.keys(uid="other"))


def test_too_many_members_and_groups() -> None:
    many = tuple(values.group(f"g{i}", f"192.0.2.{i + 1}/24/eth0") for i in range(33))
    with pytest.raises(ConfigError, match=r"^groups: at most 32"):
        configs.resolve(values.config("r1", *many), values.keys())
    crowd = tuple(f"r{i}" for i in range(33))
    with pytest.raises(ConfigError, match=r"^groups\[0\].members: at most 32"):
        configs.resolve(values.config("r1", values.group(members=crowd)), values.keys())
