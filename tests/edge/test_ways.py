"""Former ways for frames: which change needs them, and what members that know only them are sent."""

from __future__ import annotations

import dataclasses

import pytest

from edge import values
from spec.lab import KEY, Lab, config
from vyos_agent.core import wire
from vyos_agent.core.events import Frame
from vyos_agent.core.model import Config, Keyring
from vyos_agent.edge.way import Way, way
from vyos_agent.edge.ways import NO_LINK, Former

WAY = Way("239.251.252.253", 694, 1, ("eth0", "eth1"), {"b": ("192.0.2.2",)}, unicast=True, key_id=1, key=KEY)
OTHER_KEY = bytes(32)
RING = Keyring(1, {1: KEY})


@pytest.mark.parametrize(
    ("change", "reaches"),
    [
        ({}, True),
        ({"ttl": 2}, True),
        ({"nodes": {}}, True),
        ({"unicast": False}, False),
        ({"port": 695}, False),
        ({"group": "239.1.1.1"}, False),
        ({"interfaces": ("eth0",)}, False),
        ({"interfaces": ("eth1", "eth0")}, False),
        ({"interfaces": ("eth0", "eth1", "eth2")}, False),  # unicast has another number
        ({"interfaces": ("eth0", "eth1", "eth2"), "unicast": False}, False),
    ],
)
def test_which_change_moves_frames(change: dict[str, object], reaches: bool) -> None:
    assert dataclasses.replace(WAY, **change).reaches(WAY, RING) is reaches  # type: ignore[arg-type]


def test_what_is_added_behind_moves_nothing() -> None:
    plain = dataclasses.replace(WAY, unicast=False)
    assert WAY.reaches(plain, RING)
    assert dataclasses.replace(plain, interfaces=("eth0", "eth1", "eth2")).reaches(plain, RING)


def test_a_key_that_the_keyring_has_still_moves_nothing() -> None:
    """The operator's steps are its own: docs/decisions/0008."""
    new = dataclasses.replace(WAY, key_id=2, key=OTHER_KEY)
    assert new.reaches(WAY, Keyring(2, {1: KEY, 2: OTHER_KEY}))
    assert not new.reaches(WAY, Keyring(2, {2: OTHER_KEY}))
    assert not dataclasses.replace(WAY, key=OTHER_KEY).reaches(WAY, Keyring(1, {1: OTHER_KEY})), "one id, another key"


def test_it_outlives_the_process() -> None:
    assert Way.read(WAY.as_json()) == WAY
    assert "secret" not in repr(WAY)
    assert repr(KEY) not in repr(WAY)


def test_the_way_of_a_configuration() -> None:
    found = way(values.item())
    assert (found.group, found.port, found.links, found.key) == ("239.251.252.253", 694, ("eth0",), values.SECRET)


@pytest.fixture
def former() -> Former:
    return Former(dataclasses.replace(WAY, key=OTHER_KEY), 7, heartbeats=None)  # type: ignore[arg-type]


def staged(former: Former) -> Config:
    labels = tuple(map(former.label, former.way.links))
    return config(interfaces=("eth9", *labels), former=labels)


def test_what_is_sent_the_former_way(former: Former) -> None:
    lab = Lab(staged(former))
    _, datagrams = lab.sent[-1]
    assert list(datagrams) == ["eth9", "eth0:7", "eth1:7", ":unicast:7"]
    out = former.out(datagrams)
    assert list(out) == ["eth0", "eth1", ":unicast"]
    mine = wire.unseal(datagrams["eth9"][0], lab.node.config.cluster_id, RING)
    assert isinstance(mine, wire.Beat)
    for link, parts in enumerate(out.values()):
        found = [wire.unseal(data, lab.node.config.cluster_id, Keyring(1, {1: OTHER_KEY})) for data in parts]
        assert found == [dataclasses.replace(mine, link=link)]
    assert former.out({"eth9": datagrams["eth9"]}) == {}, "a frame the new way only"


@pytest.mark.parametrize(("interface", "link", "number"), [("eth0", 0, 1), ("eth1", 1, 2), ("eth0", 1, NO_LINK)])
def test_what_comes_the_former_way(former: Former, interface: str, link: int, number: int) -> None:
    lab = Lab(staged(former))
    peer = lab.puppet("b")
    peer.ring = Keyring(1, {1: OTHER_KEY})
    core = lab.node.config
    taken = former.taken(Frame(peer.sealed(link=link), interface, 5), core)
    assert taken is not None
    assert (taken.interface, taken.at_ms) == (f"{interface}:7", 5)
    beat = wire.unseal(taken.data, core.cluster_id, core.keyring)
    assert isinstance(beat, wire.Beat)
    assert (beat.link, beat.sender) == (number, peer.id)


def test_a_forged_frame_is_not_taken(former: Former) -> None:
    lab = Lab(staged(former))
    data = lab.puppet("b").sealed()
    assert former.taken(Frame(data, "eth0", 5), lab.node.config) is None, "sealed with the new key"
    assert former.taken(Frame(b"short", "eth0", 5), lab.node.config) is None
