"""The configure request: each item by itself, and the words for what is not taken."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edge import values
from vyos_agent.core.events import Hint
from vyos_agent.edge import orders
from vyos_api.nodeconfig import Address

OTHER_UID = "11111111-2222-3333-4444-555555555555"


def read(*entries: Any) -> orders.Orders:
    return orders.read(list(entries), "r1")


def test_what_is_good_is_taken() -> None:
    found = read(values.order(values.config(), claims={"cluster": {"epoch": 7, "owner": "r2"}}))
    assert found.refused == ()
    assert found.items[0].config == values.config()
    assert found.items[0].claims == {"cluster": Hint(7, "r2")}
    assert found.items[0].endpoint.port == 694


def second(**changes: Any) -> dict[str, Any]:
    group = values.group("g2", changes.pop("address", "192.168.0.200/24/eth0"))
    config = values.config("r1", group, cluster="second", uid=OTHER_UID, **changes)
    return values.order(config)


BROKEN = {
    "node: this is for 'r2'": values.order(values.config("r2")),
    "the file: must be an object": {"config": None, "keys": None},
    "keys: exactly one key": values.order(values.config()) | {"keys": {"version": 1, "uid": values.UID, "keys": []}},
    "claims: must be an object": values.order(values.config(), claims=7),
    "claims.cluster: must be an object with epoch and owner": values.order(values.config(), claims={"cluster": 7}),
    "claims.cluster.epoch: must be a whole number from 0": values.order(
        values.config(), claims={"cluster": {"epoch": -1, "owner": "r2"}}
    ),
    "claims.cluster.epoch: must be": values.order(values.config(), claims={"cluster": {"epoch": True, "owner": "r2"}}),
    "claims.cluster.owner: must be the name": values.order(
        values.config(), claims={"cluster": {"epoch": 1, "owner": 1}}
    ),
    "surprise: is not a known field": values.order(values.config(), surprise=1),
    "fence: 'Iptables' is neither": values.order(values.config(fence="Iptables")),
    "groups[0].addresses[0].interface": values.order(
        values.config("r1", values.group(addresses=(Address("192.0.2.1", 24, "eth/0"),)))
    ),
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_bad_item_is_refused_and_harms_no_other(text: str) -> None:
    found = read(BROKEN[text], second())
    assert [i.config.cluster for i in found.items] == ["second"]
    (refusal,) = found.refused
    if text.startswith("keys"):
        assert "keys: 1 to 4 keys" in refusal.message
    else:
        assert refusal.message.startswith(text), refusal.message


def test_as_much_as_can_be_told_of_an_unreadable_item() -> None:
    (refusal,) = read({"config": {"cluster": "edge", "generation": 4, "uid": 7}}).refused
    assert refusal.as_json() == {"cluster": "edge", "generation": 4, "message": "version: is missing"}
    assert read({}).refused[0].as_json()["cluster"] == ""


def test_two_clusters_with_one_address_or_one_uid() -> None:
    found = read(values.order(values.config()), second(address="192.168.0.123/24/eth1"))
    assert found.refused[0].message == (
        "groups[0].addresses[0]: 192.168.0.123 belongs to cluster edge here; remove one"
    )
    twice = dataclasses.replace(values.config(), cluster="twin")
    found = read(values.order(values.config()), values.order(twice))
    assert "is there twice (clusters edge and twin)" in found.refused[0].message


@pytest.mark.parametrize("raw", [None, {}, "x", [1], [None]])
def test_what_is_no_request_at_all(raw: Any) -> None:
    with pytest.raises(orders.OrderError, match=r"^clusters: must be a list"):
        orders.read(raw, "r1")


def test_too_many() -> None:
    with pytest.raises(orders.OrderError, match=r"^clusters: at most 64"):
        orders.read([{}] * 65, "r1")
