"""The store: what it remembers, whom a change wakes, and who may have an address."""

from typing import Any

import pytest

from vyos_operator import kinds, plan, presence
from vyos_operator.claims import Place, conflicts
from vyos_operator.kinds import Watch
from vyos_operator.settings import Settings
from vyos_operator.store import Store

from .worlds import NOW, claim, cluster, group, owned, secret

Json = dict[str, Any]
OLD, YOUNG = "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"


@pytest.fixture
def marked() -> list[str]:
    return []


@pytest.fixture
def store(marked: list[str]) -> Store:
    return Store(Settings("release", "agents"), marked.append)


def body(name: str, *groups: Json, version: int = 1, created: str = OLD, uid: str = "", **more: Any) -> Json:
    found = cluster(*groups, name=name, uid=uid or f"uid-of-{name}", **more)
    found["metadata"] |= {"resourceVersion": str(version), "creationTimestamp": created}
    return found


def child(of: Json, node: str, version: int = 1) -> Json:
    """The ConfigMap that the operator writes for a member."""
    made = next(b for b in planned(of) if b["metadata"]["name"].endswith(f".{node}"))
    made["metadata"] |= {"uid": f"cm-{node}", "resourceVersion": str(version)}
    return made


def planned(of: Json) -> list[Json]:
    other = Store(Settings("release", "agents"), lambda name: None)
    other.put(kinds.CLUSTERS, of)
    other.put(kinds.SECRETS, secret(secret="x"))
    world = other.world(of["metadata"]["name"], NOW)
    assert world is not None
    return [dict(b) for b in plan.plan_for(world).apply]


def pod(name: str, node: str = "node1") -> Json:
    """The pod of an agent that runs."""
    statuses = [{"name": c, "state": {"running": {}}} for c in (presence.HEARTBEAT, presence.KUBE_SYNC)]
    return {
        "metadata": {"name": name, "namespace": "agents", "uid": f"uid-of-{name}"},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


def news(marked: list[str]) -> set[str]:
    found = set(marked)
    marked.clear()
    return found


def test_a_cluster_is_marked_and_known_until_it_is_gone(store: Store, marked: list[str]) -> None:
    store.put(kinds.CLUSTERS, body("edge"))
    assert news(marked) == {"edge"}
    assert list(store.clusters()) == ["edge"]
    world = store.world("edge", NOW)
    assert world is not None
    assert (world.cluster["metadata"]["name"], world.created, world.secret) == ("edge", OLD, None)
    store.drop(kinds.CLUSTERS, None, "edge", "another life")
    assert store.world("edge", NOW) is not None
    store.drop(kinds.CLUSTERS, None, "edge", "uid-of-edge")
    assert store.world("edge", NOW) is None
    assert store.world("never", NOW) is None


def test_an_answer_to_a_write_is_not_undone_by_a_late_watch(store: Store) -> None:
    store.put(kinds.CLUSTERS, body("edge", version=10, generation=4))
    store.put(kinds.CLUSTERS, body("edge", version=9, generation=3))
    store.put(kinds.CLUSTERS, body("edge", version=8, uid="earlier life"))
    world = store.world("edge", NOW)
    assert world is not None
    assert world.cluster["metadata"]["generation"] == 4


def test_field_managers_and_the_bodies_of_nodes_are_not_kept(store: Store) -> None:
    found = body("edge")
    found["metadata"]["managedFields"] = ["much"]
    store.put(kinds.CLUSTERS, found)
    world = store.world("edge", NOW)
    assert world is not None
    assert "managedFields" not in world.cluster["metadata"]
    store.put(kinds.NODES, {"metadata": {"name": "node1", "uid": "n"}, "status": {"images": ["much"]}})
    assert "much" not in repr(store._objects[kinds.NODES])


def test_secrets_wake_those_that_use_them(store: Store, marked: list[str]) -> None:
    store.put(kinds.CLUSTERS, body("edge"))
    other = body("other", preSharedSecret={"secretKeyRef": {"name": "other-psk", "key": "k"}})
    store.put(kinds.CLUSTERS, other)
    store.put(kinds.CLUSTERS, body("lab", preSharedSecret={"value": "x"}))
    news(marked)
    store.put(kinds.SECRETS, secret(secret="x"))
    assert news(marked) == {"edge"}
    store.put(kinds.SECRETS, {"metadata": {"name": "unrelated", "namespace": "release", "uid": "u"}})
    assert news(marked) == set()
    store.put(kinds.SECRETS, {"metadata": {"name": "other", "namespace": "agents", "uid": "u"}})
    assert news(marked) == {"other"}
    world = store.world("edge", NOW)
    assert world is not None
    assert world.secret is not None
    store.drop(kinds.SECRETS, "release", "psk", "s")
    assert news(marked) == {"edge"}


def test_one_namespace_for_all(marked: list[str]) -> None:
    store = Store(Settings("one", "one"), marked.append)
    assert [str(w) for each in kinds.watches(Settings("one", "one")).values() for w in each] == [
        "vyosclusters",
        "nodes",
        "configmaps in one",
        "secrets in one",
        "pods in one",
    ]
    store.put(kinds.CLUSTERS, body("psk"))
    news(marked)
    found = secret(secret="x")
    found["metadata"]["namespace"] = "one"
    store.put(kinds.SECRETS, found)
    assert news(marked) == {"psk"}


def test_nodes_wake_their_clusters_when_they_come_and_go_and_not_at_every_heartbeat(
    store: Store, marked: list[str]
) -> None:
    store.put(kinds.CLUSTERS, body("edge"))
    store.put(kinds.CLUSTERS, body("other", group("cluster", "node8", "node9")))
    news(marked)
    node = {"metadata": {"name": "node1", "uid": "n", "resourceVersion": "1"}}
    store.put(kinds.NODES, node)
    assert news(marked) == {"edge"}
    store.put(kinds.NODES, {"metadata": {**node["metadata"], "resourceVersion": "2"}})
    assert news(marked) == set()
    silent = {"conditions": [{"type": "MemoryPressure", "status": "Unknown"}, {"type": "Ready", "status": "Unknown"}]}
    store.put(kinds.NODES, {"metadata": {**node["metadata"], "resourceVersion": "3"}, "status": silent})
    assert news(marked) == {"edge"}
    world = store.world("edge", NOW)
    assert world is not None
    assert (world.nodes, world.lost) == ({"node1"}, {"node1"})
    ready = {"conditions": [{"type": "Ready", "status": "False"}]}
    store.put(kinds.NODES, {"metadata": {**node["metadata"], "resourceVersion": "4"}, "status": ready})
    assert news(marked) == {"edge"}
    addressed = {
        **ready,
        "addresses": [
            {"type": "Hostname", "address": "node1"},
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "ExternalIP", "address": "192.0.2.1"},
            {"type": "InternalIP", "address": "2001:DB8::1"},
        ],
    }
    store.put(kinds.NODES, {"metadata": {**node["metadata"], "resourceVersion": "5"}, "status": addressed})
    assert news(marked) == {"edge"}
    world = store.world("edge", NOW)
    assert world is not None
    assert world.addresses == {"node1": ("10.0.0.1", "2001:db8::1")}
    store.put(kinds.NODES, {"metadata": {**node["metadata"], "resourceVersion": "6"}, "status": addressed})
    assert news(marked) == set()
    store.drop(kinds.NODES, None, "node1", "n")
    assert news(marked) == {"edge"}


def test_an_agents_pod_wakes_the_clusters_of_its_node_when_the_agent_comes_or_goes(
    store: Store, marked: list[str]
) -> None:
    store.put(kinds.CLUSTERS, body("edge"))
    store.put(kinds.CLUSTERS, body("other", group("cluster", "node8", "node9")))
    news(marked)

    def agents() -> dict[str, Any]:
        world = store.world("edge", NOW)
        assert world is not None
        return dict(world.agents)

    first, second = pod("first"), pod("second")
    store.put(kinds.PODS, first | {"spec": {}})
    assert (news(marked), agents()) == (set(), {}), "not scheduled yet"
    store.put(kinds.PODS, first)
    assert (news(marked), agents()) == ({"edge"}, {"node1": None})
    store.put(kinds.PODS, first | {"status": {**first["status"], "podIP": "10.0.0.1"}})
    assert news(marked) == set()
    store.put(kinds.PODS, second | {"status": {}})
    assert (news(marked), agents()) == (set(), {"node1": None}), "one that runs is enough"
    store.drop(kinds.PODS, "agents", "first", "uid-of-first")
    assert news(marked) == {"edge"}
    assert agents()["node1"] == presence.of_pod(second | {"status": {}})
    store.put(kinds.PODS, second)
    assert (news(marked), agents()) == ({"edge"}, {"node1": None})
    store.put(kinds.PODS, pod("second", node="node9"))
    assert (news(marked), agents()) == ({"edge", "other"}, {"node9": None}), "another life of a pod of that name"
    store.drop(kinds.PODS, "agents", "second", "uid-of-second")
    assert (news(marked), agents()) == ({"other"}, {})


def test_children_wake_their_cluster(store: Store, marked: list[str]) -> None:
    edge = body("edge")
    store.put(kinds.CLUSTERS, edge)
    news(marked)
    found = child(edge, "node1")
    store.put(kinds.CONFIG_MAPS, found)
    assert news(marked) == {"edge"}
    world = store.world("edge", NOW)
    assert world is not None
    assert len(world.config_maps) == 1
    assert world.held == {Place("node1", "192.168.0.123")}
    relabelled = {**found, "metadata": {**found["metadata"], "labels": {}, "resourceVersion": "5"}}
    store.put(kinds.CONFIG_MAPS, relabelled)
    assert news(marked) == {"edge"}
    world = store.world("edge", NOW)
    assert world is not None
    assert world.config_maps == ()
    elsewhere = {**found, "metadata": {**found["metadata"], "namespace": "release"}}
    store.put(kinds.CONFIG_MAPS, elsewhere)
    assert news(marked) == set()


def test_the_former_owner_is_remembered(store: Store) -> None:
    store.put(kinds.CLUSTERS, body("edge") | {"status": {"groups": [owned("node1", epoch=1)]}})
    store.put(kinds.CLUSTERS, body("edge", version=2) | {"status": {"groups": [owned("node2", epoch=2)]}})
    store.put(kinds.CLUSTERS, body("edge", version=3, generation=9) | {"status": {"groups": [owned("node2", epoch=2)]}})
    world = store.world("edge", NOW)
    assert world is not None
    assert world.former == {"cluster": "node1"}


def test_versions_are_by_watch(store: Store) -> None:
    store.put(kinds.CLUSTERS, body("edge", version=7))
    found = secret(secret="x")
    found["metadata"]["resourceVersion"] = "4"
    store.put(kinds.SECRETS, found)
    assert store.versions(Watch(kinds.CLUSTERS, None)) == {"edge": ("uid-of-edge", "7")}
    assert store.versions(Watch(kinds.SECRETS, "release")) == {"psk": ("s", "4")}
    assert store.versions(Watch(kinds.SECRETS, "agents")) == {}


class TestAddresses:
    @pytest.fixture(autouse=True)
    def _secret(self, store: Store) -> None:
        store.put(kinds.SECRETS, secret(secret="x"))

    def test_whoever_may_get_an_address_is_woken_when_it_is_free(self, store: Store, marked: list[str]) -> None:
        first = body("first")
        store.put(kinds.CLUSTERS, first)
        store.put(kinds.CLUSTERS, body("second", group("cluster", "node2", "node3"), created=YOUNG))
        store.put(kinds.CLUSTERS, body("third", group("cluster", "node5", "node6"), created=YOUNG))
        news(marked)
        assert self.winner(store, "second") == "first"
        store.put(kinds.CONFIG_MAPS, child(first, "node2"))
        assert news(marked) == {"first", "second"}
        store.put(kinds.CLUSTERS, body("first", group(services=("10.0.0.1/8/eth0",)), version=2, generation=4))
        assert news(marked) == {"first", "second"}
        assert self.winner(store, "second") == "first", "its ConfigMap still lets node2 hold it"
        store.drop(kinds.CONFIG_MAPS, "agents", "first.node2", "cm-node2")
        assert news(marked) == {"first", "second"}
        assert self.winner(store, "second") is None

    def test_a_deleted_cluster_holds_until_its_config_maps_are_gone(self, store: Store, marked: list[str]) -> None:
        first = body("first")
        store.put(kinds.CLUSTERS, first)
        store.put(kinds.CONFIG_MAPS, child(first, "node1"))
        store.put(kinds.CLUSTERS, body("second", created=YOUNG))
        store.drop(kinds.CLUSTERS, None, "first", "uid-of-first")
        news(marked)
        assert self.winner(store, "second") == "first"
        store.drop(kinds.CONFIG_MAPS, "agents", "first.node1", "cm-node1")
        assert news(marked) == {"second"}
        assert self.winner(store, "second") is None

    def test_what_is_about_to_be_written_counts_as_held(self, store: Store, marked: list[str]) -> None:
        """Two workers at once must not give one address to two clusters, whichever way they are interleaved."""
        store.put(kinds.CLUSTERS, body("young", created=YOUNG))
        store.put(kinds.SECRETS, secret(secret="x"))
        world = store.world("young", NOW)
        assert world is not None
        holds = plan.plan_for(world).holds
        assert holds is not None
        store.plan_to_hold("young", holds)
        store.put(kinds.CLUSTERS, body("old", created=OLD))
        assert self.winner(store, "old") == "young"
        store.put(kinds.CLUSTERS, body("young", created=YOUNG, version=2, generation=9))
        assert self.winner(store, "old") == "young", "an edit does not forget it"
        store.plan_to_hold("young", frozenset())
        assert self.winner(store, "old") is None
        store.plan_to_hold("never", holds)

    def test_a_cluster_on_its_way_out_asks_for_nothing(self, store: Store) -> None:
        leaving = body("leaving")
        leaving["metadata"]["deletionTimestamp"] = OLD
        store.put(kinds.CLUSTERS, leaving)
        store.put(kinds.CLUSTERS, body("second", created=YOUNG))
        assert self.winner(store, "second") is None

    def test_an_invalid_cluster_asks_for_nothing(self, store: Store) -> None:
        store.put(kinds.CLUSTERS, body("broken", colour="red"))
        store.put(kinds.CLUSTERS, body("second", created=YOUNG))
        assert self.winner(store, "second") is None

    @pytest.mark.parametrize("text", ["fe80::1/64/eth0", "FE80:0::1/64/eth0"])
    def test_link_local_addresses_belong_to_their_interface(self, store: Store, text: str) -> None:
        store.put(kinds.CLUSTERS, body("first", group(services=("fe80::1/64/eth0",))))
        store.put(kinds.CLUSTERS, body("second", group(services=(text,)), created=YOUNG))
        store.put(kinds.CLUSTERS, body("third", group(services=("fe80::1/64/eth1",)), created=YOUNG))
        assert self.winner(store, "second") == "first"
        assert self.winner(store, "third") is None

    @staticmethod
    def winner(store: Store, name: str) -> str | None:
        """Who goes before `name` by the store's word; None when it may have all its addresses."""
        world = store.world(name, NOW)
        assert world is not None
        status = plan.plan_for(world).status
        assert status is not None
        accepted = status["conditions"][0]
        if accepted["reason"] != "AddressConflict":
            return None
        return str(accepted["message"].split("VyosCluster ")[1].split(";")[0])


@pytest.mark.parametrize(
    ("mine", "others", "winners"),
    [
        pytest.param(claim("m", "a:1"), [], [], id="alone"),
        pytest.param(claim("m", "a:1", created="2"), [claim("o", "a:1", created="1")], ["o"], id="the older one"),
        pytest.param(claim("m", "a:1", created="1"), [claim("o", "a:1", created="2")], [], id="I am older"),
        pytest.param(claim("m", "a:1"), [claim("l", "a:1"), claim("n", "a:1")], ["l"], id="of one age, by name"),
        pytest.param(claim("m", "a:1"), [claim("o", "b:1 a:2")], [], id="another node, another address"),
        pytest.param(
            claim("m", "a:1", created="1"), [claim("o", "a:1", "a:1", created="2")], ["o"], id="who holds keeps"
        ),
        pytest.param(claim("m", "a:1", "a:1", created="2"), [claim("o", "a:1", created="1")], [], id="I hold and keep"),
        pytest.param(
            claim("m", "a:1", "a:1", created="2"), [claim("o", "a:1", "a:1", created="1")], ["o"], id="both hold"
        ),
        pytest.param(claim("m", "a:1"), [claim("o", "", "a:1")], ["o"], id="it lets go, but has not yet"),
        pytest.param(
            claim("m", "a:1 a:2 b:1", created="3"),
            [claim("o", "a:1 b:1", created="2"), claim("p", "a:2", created="1")],
            ["o", "o", "p"],
            id="several at once",
        ),
    ],
)
def test_who_goes_first(mine: Any, others: list[Any], winners: list[str]) -> None:
    assert [c.winner for c in conflicts(mine, others)] == winners
