"""What one part of the project hands to another: names, keys, NodeConfig and KeySet files."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from api import objects
from vyos_api import keys, names, nodeconfig, render, v1alpha1
from vyos_api.nodeconfig import ConfigError, Key, KeySet

LONG = "node-" + "x" * 47 + "." + "y" * 60


def test_names() -> None:
    assert names.config_map("edge", "node1.lan") == "edge.node1.lan"
    assert names.key_secret("edge") == "edge"
    assert names.node_manager("node1") == "vyos-cluster-node-node1"
    assert names.group_manager("wan") == "vyos-cluster-group-wan"


@pytest.mark.parametrize(
    ("node", "short"),
    [
        ("node1", "node1"),
        ("n" * 63, "n" * 63),
        ("n" * 64, "n" * 52 + "-ce068a195a"),
        (LONG, "node-" + "x" * 47 + "-f855c714e6"),
    ],
)
def test_short_names(node: str, short: str) -> None:
    assert names.short(node) == short
    assert len(short) <= names.LABEL_VALUE_MAX


def test_short_names_end_as_labels_must() -> None:
    """A head that is cut at a dot would give `a.-b`, which the API server refuses."""
    assert "x.-" not in names.short("x" * 51 + "." + "y" * 60)


def test_the_key_is_hkdf() -> None:
    """As `openssl kdf -keylen 32 -kdfopt digest:SHA256 ... HKDF` gives it."""
    found = keys.heartbeat_key(b"S3cr#t", "5e0c")
    assert found.hex() == "e5a50f141d42186c2c1b53b69f9a6cf20f46982d58d70f9a680d57ecc591e753"
    assert keys.heartbeat_key(b"S3cr#t", "5e0d") != found


def node_config() -> dict[str, Any]:
    metadata = {"name": "edge", "uid": "5e0c", "generation": 3}
    cluster = v1alpha1.parse(objects.cluster() | {"metadata": metadata})
    return nodeconfig.node_config_to_dict(render.render(cluster, "node1"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "version: 2 is not known here (this agent reads 1)"),
        ({"uid": objects.ABSENT}, "uid: is missing"),
        ({"uid": 5}, "uid: must be str, not int"),
        ({"generation": True}, "generation: must be int, not bool"),
        ({"keepaliveMs": 0}, "keepaliveMs: must be at least 1, not 0"),
        ({"deadMs": 10_000}, "deadMs: 10000 is not more than 2 x keepaliveMs (5000)"),
        ({"interfaces": []}, "interfaces: at least one is needed to carry heartbeats"),
        ({"interfaces": [1]}, "interfaces: must be a list of strings"),
        ({"groups[1].name": "cluster"}, "groups: two groups have one name"),
        ({"groups": {}}, "groups: must be list, not dict"),
        ({"groups[0]": []}, "groups[0]: must be an object"),
        (
            {"groups[0].members": ["node1"]},
            "groups[0].members: a primary and at least one secondary are needed, each once",
        ),
        ({"groups[0].addresses[0].prefix": "24"}, "groups[0].addresses[0].prefix: must be int, not str"),
        ({"groups[0].addresses[0].interface": 0}, "groups[0].addresses[0].interface: must be str, not int"),
        ({"announcements.count": 0}, "announcements.count: must be at least 1, not 0"),
    ],
    ids=str,
)
def test_a_bad_node_config(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        nodeconfig.node_config_from_dict(objects.changed(node_config(), changes))
    assert str(error.value) == said


@pytest.mark.parametrize("text", ["", "{", b"\xff", '{"version": 1', "[" * 100_000])
def test_a_torn_file(text: str | bytes) -> None:
    with pytest.raises(ConfigError, match=r"^the file is not JSON \(torn or foreign\)$"):
        nodeconfig.node_config_from_json(text)


def test_unchanged_is_unchanged_text() -> None:
    text = json.dumps(node_config())
    found = nodeconfig.node_config_from_json(text)
    assert nodeconfig.node_config_to_json(found) == nodeconfig.node_config_to_json(
        nodeconfig.node_config_from_json(nodeconfig.node_config_to_json(found))
    )


SECRET = bytes(range(32))
KEYS = KeySet("5e0c", (Key(1, "send", SECRET), Key(2, "accept", SECRET[::-1])))


def test_key_sets() -> None:
    assert nodeconfig.key_set_from_json(nodeconfig.key_set_to_json(KEYS)) == KEYS
    assert KEYS.send.id == 1
    assert "\\x1f" not in repr(KEYS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "version: 2 is not known here (this agent reads 1)"),
        ({"keys": []}, "keys: 1 to 4 keys are taken, not 0"),
        ({"keys": {"numbered": {"id": 1, "use": "send", "key": base64.b64encode(SECRET).decode()}, "times": 5}},
         "keys: 1 to 4 keys are taken, not 5"),
        ({"keys[1].id": 1}, "keys: two keys have one id"),
        ({"keys[1].use": "send"}, 'keys: exactly one key must have the use "send"'),
        ({"keys[1].id": 256}, "keys[1].id: must be at most 255"),
        ({"keys[1].use": "keep"}, 'keys[1].use: must be "send" or "accept"'),
        ({"keys[1].key": "S3cr#t"}, "keys[1].key: is not base64"),
        ({"keys[1].key": "UzNjcmV0"}, "keys[1].key: must be 32 bytes, not 6"),
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_key_set(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        nodeconfig.key_set_from_dict(objects.changed(nodeconfig.key_set_to_dict(KEYS), changes))
    assert str(error.value) == said


def test_fields_of_a_newer_operator_are_ignored_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """Operator and agents are upgraded in either order."""
    newer = {"announcements.speed": 1, "groups[0].checks": [], "groups[1].checks": [], "later": {"a": "S3cr#t"}}
    changed = objects.changed(node_config(), newer)
    nodeconfig._ignored.clear()
    for _ in range(2):
        assert nodeconfig.node_config_from_dict(changed) == nodeconfig.node_config_from_dict(node_config())
    named = [r.args[0] for r in caplog.records if r.args]  # type: ignore[index]
    assert sorted(map(str, named)) == ["announcements.speed", "groups[].checks", "later"]
    assert "S3cr#t" not in caplog.text
    keys = nodeconfig.key_set_to_dict(KEYS)
    assert nodeconfig.key_set_from_dict({**keys, "rotated": "2026"}) == KEYS


def test_names_of_unknown_fields_fill_no_memory() -> None:
    nodeconfig._ignored.clear()
    for number in range(3 * nodeconfig.IGNORED_MAX):
        nodeconfig.node_config_from_dict({**node_config(), f"field{number}": 1})
    assert len(nodeconfig._ignored) == nodeconfig.IGNORED_MAX
