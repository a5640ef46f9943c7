"""What the daemon shall serve: tables of what the API shows against what runs."""

import dataclasses
import json
from typing import Any

import pytest

from sync import fakes
from vyos_agent.sync import desired
from vyos_agent.sync.desired import Item, Known
from vyos_agent.sync.entries import StatusClaim
from vyos_api import names, nodeconfig

NEW = fakes.config(generation=2)
OLD = fakes.config(generation=1)
KEYS = fakes.keys()
REBORN = fakes.config(uid="uid-2")
REBORN_KEYS = fakes.keys("uid-2")
TOLD = {"edge": Known("uid-1", Item(OLD, KEYS))}
FROM_DISK = {"edge": Known("uid-1", None)}
ASK = frozenset({("edge", "uid-1")})


def test_a_new_cluster_is_served() -> None:
    found = desired.desired({"edge": NEW}, {"edge": KEYS}, {}, set())
    assert found == desired.Desired((Item(NEW, KEYS),), frozenset(), (), {})


def test_an_edit_replaces_what_runs() -> None:
    found = desired.desired({"edge": NEW}, {"edge": KEYS}, TOLD, set())
    assert found.items == (Item(NEW, KEYS),)
    assert not found.ask


def test_a_deleted_and_recreated_cluster_replaces_what_runs() -> None:
    found = desired.desired({"edge": REBORN}, {"edge": REBORN_KEYS}, TOLD, set())
    assert found.items == (Item(REBORN, REBORN_KEYS),)
    assert not found.ask


@pytest.mark.parametrize(
    ("configs", "keys", "asks", "problem"),
    [
        pytest.param({}, {"edge": KEYS}, True, "its ConfigMap is missing", id="ConfigMap gone"),
        pytest.param({}, {}, True, "its ConfigMap is missing", id="both gone"),
        pytest.param(
            {"edge": "config.json: torn"}, {"edge": KEYS}, False, "config.json: torn", id="ConfigMap unreadable"
        ),
        pytest.param({"edge": NEW}, {}, False, "its Secret 'edge' is missing", id="Secret missing"),
        pytest.param({"edge": NEW}, {"edge": "keys.json: x"}, False, "keys.json: x", id="Secret unreadable"),
        pytest.param(
            {"edge": NEW},
            {"edge": REBORN_KEYS},
            False,
            "its Secret belongs to another life of the cluster (uid uid-2, not uid-1)",
            id="Secret of a successor",
        ),
        pytest.param(
            {"edge": REBORN},
            {"edge": KEYS},
            True,
            "its Secret belongs to another life of the cluster (uid uid-1, not uid-2)",
            id="successor without its Secret",
        ),
    ],
)
class TestWhatCannotBeServedAsItStands:
    def test_runs_on_as_it_was_told(self, configs: Any, keys: Any, asks: bool, problem: str) -> None:
        found = desired.desired(configs, keys, TOLD, set())
        assert found.items == (Item(OLD, KEYS),)
        assert found.ask == (ASK if asks else frozenset())
        assert found.problems == {"edge": problem}
        assert not found.held

    def test_holds_everything_back_when_it_runs_from_the_disk(
        self, configs: Any, keys: Any, asks: bool, problem: str
    ) -> None:
        found = desired.desired(configs, keys, FROM_DISK, set())
        assert found.items == ()
        assert found.held == ("edge",)
        assert found.ask == (ASK if asks else frozenset())

    def test_waits_when_it_never_ran(self, configs: Any, keys: Any, asks: bool, problem: str) -> None:
        found = desired.desired(configs, keys, {}, set())
        assert (found.items, found.ask, found.held) == ((), frozenset(), ())


@pytest.mark.parametrize("known", [TOLD, FROM_DISK])
def test_a_cluster_that_is_gone_is_dropped(known: dict[str, Known]) -> None:
    assert desired.desired({}, {}, known, ASK) == desired.Desired((), frozenset(), (), {})


def test_the_successor_of_a_gone_cluster_is_waited_for() -> None:
    found = desired.desired({"edge": REBORN}, {}, TOLD, ASK)
    assert (found.items, found.ask, found.held) == ((), frozenset(), ())
    assert found.problems == {"edge": "its Secret 'edge' is missing"}


def test_a_verdict_about_another_life_counts_for_nothing() -> None:
    assert desired.desired({}, {}, TOLD, {("edge", "uid-0")}).items == (Item(OLD, KEYS),)


def test_one_cluster_does_not_touch_another() -> None:
    other = fakes.config("lab", uid="uid-9")
    configs = {"lab": other}
    keys = {"lab": fakes.keys("uid-9")}
    found = desired.desired(configs, keys, TOLD, ASK)
    assert found.items == (Item(other, keys["lab"]),)


def test_the_request_holds_all_and_orders_by_name() -> None:
    lab = fakes.config("a-lab", uid="uid-9")
    found = desired.desired({"edge": NEW, "a-lab": lab}, {"edge": KEYS, "a-lab": fakes.keys("uid-9")}, {}, set())
    request = desired.request(found.items, {"edge": {"g1": StatusClaim(7, "node2")}})
    assert [(c["config"]["cluster"], c["claims"]) for c in request["clusters"]] == [
        ("a-lab", {}),
        ("edge", {"g1": {"epoch": 7, "owner": "node2"}}),
    ]
    edge = request["clusters"][1]
    assert nodeconfig.node_config_from_dict(edge["config"]) == NEW
    assert nodeconfig.key_set_from_dict(edge["keys"]) == KEYS
    assert json.dumps(request)


LABELS = {names.LABEL_CLUSTER: "edge", names.LABEL_NODE: "node1"}


def test_config_map() -> None:
    assert desired.config_of(LABELS, fakes.config_map(NEW)["data"], "node1") == NEW


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param({}, "its ConfigMap has no config.json", id="empty"),
        pytest.param({"config.json": "{"}, "config.json: the file is not JSON (torn or foreign)", id="torn"),
        pytest.param(
            fakes.config_map(dataclasses.replace(NEW, node="node2"))["data"],
            "config.json: is for node 'node2', and this is 'node1'",
            id="other node",
        ),
        pytest.param(
            fakes.config_map(dataclasses.replace(NEW, cluster="lab"))["data"],
            "config.json: is of cluster 'lab', the label says otherwise",
            id="other cluster",
        ),
    ],
)
def test_config_map_that_cannot_be_used(data: dict[str, str], problem: str) -> None:
    assert desired.config_of(LABELS, data, "node1") == problem


def test_secret() -> None:
    assert desired.keys_of(names.SECRET_TYPE, fakes.secret("edge", KEYS)["data"]) == KEYS


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        pytest.param("Opaque", {}, "its Secret is not of type cluster.vyos.io/heartbeat-key", id="type"),
        pytest.param(names.SECRET_TYPE, {}, "its Secret has no keys.json", id="empty"),
        pytest.param(names.SECRET_TYPE, {"keys.json": "*"}, "keys.json: is not base64", id="base64"),
        pytest.param(names.SECRET_TYPE, {"keys.json": "e30="}, "keys.json: version: is missing", id="no KeySet"),
    ],
)
def test_secret_that_cannot_be_used(kind: str, data: dict[str, str], problem: str) -> None:
    assert desired.keys_of(kind, data) == problem
