"""What an agent may do to the API, tried with the pod-bound tokens that agents have."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightkube
import pytest
from lightkube.types import PatchType

from chart.helm import AGENT, AGENT_NAMESPACE, RELEASE_NAMESPACE, token
from ground.apiserver import ApiServer
from ground.shell import GroundError, wait
from vyos_agent.sync.api import VyosCluster
from vyos_api import names

pytestmark = pytest.mark.apiserver
SINCE = "2026-01-01T00:00:00Z"
FORBIDDEN = r"\(Forbidden\)|is forbidden"


@pytest.fixture
def edge(apiserver: ApiServer, agents: dict[str, Path]) -> Iterator[str]:
    """A cluster of node1 and node2 in g1, node2 and node3 in g2; node1 owns g1 with epoch 7, node2 g2 with 1."""
    manifest = {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "metadata": {"name": "edge"},
        "spec": {
            "interfaces": ["eth0"],
            "preSharedSecret": {"value": "x"},
            "groups": [
                {"name": "g1", "primary": "node1", "secondaries": ["node2"], "services": ["192.168.0.123/24/eth0"]},
                {"name": "g2", "primary": "node2", "secondaries": ["node3"], "services": ["192.168.0.124/24/eth0"]},
            ],
        },
    }
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    operator = {"observedGeneration": 1, "owners": "g1=node1", "conditions": [condition()]}
    apply(apiserver, apiserver.kubeconfig, names.OPERATOR_MANAGER, **operator)
    apply(apiserver, agents["node1"], names.group_manager("g1"), groups=[group("node1", 7)])
    apply(apiserver, agents["node2"], names.group_manager("g2"), groups=[group("node2", 1, name="g2")])
    for node in ("node1", "node2"):
        apply(apiserver, agents[node], names.node_manager(node), nodes=[{"name": node, "peers": "1/1"}])
    wait(lambda: in_force(apiserver, agents["node1"]), 15, "the policy to be in force")
    yield "edge"
    apiserver.kubectl("delete", "vyoscluster", "edge")


def condition() -> dict[str, Any]:
    return {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": SINCE}


def group(owner: str, epoch: int, *, name: str = "g1", **more: Any) -> dict[str, Any]:
    return {"name": name, "owner": owner, "epoch": epoch, "since": SINCE, **more}


def apply(api: ApiServer, who: Path, manager: str, **status: Any) -> None:
    document = {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "metadata": {"name": "edge"},
        **({"status": status} if status else {}),
    }
    patch(api, who, document, kind=PatchType.APPLY, manager=manager)


def patch(
    api: ApiServer,
    who: Path,
    change: Any,
    *,
    kind: PatchType = PatchType.MERGE,
    subresource: bool = True,
    manager: str | None = None,
) -> None:
    """Patch as a program would: kubectl reads first, where an agent may not, and applies no status before 1.32."""
    client = lightkube.Client(lightkube.KubeConfig.from_file(who))
    resource = VyosCluster.Status if subresource else VyosCluster
    try:
        client.patch(resource, "edge", change, patch_type=kind, field_manager=manager, force=True)
    except lightkube.ApiError as error:
        raise GroundError(f"({error.status.reason}) {error.status.message}") from None
    finally:
        client.close()


def in_force(api: ApiServer, who: Path) -> bool:
    try:
        patch(api, who, {"status": {"owners": "mine"}})
    except GroundError as error:
        return "an agent may change only status.nodes and status.groups" in str(error)
    patch(api, api.kubeconfig, {"status": {"owners": "g1=node1"}})
    return False


def shown(api: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(api.kubectl("get", "vyoscluster", "edge", "-o", "json"))["status"]
    return found


@pytest.mark.usefixtures("edge")
class TestMay:
    def test_write_its_own_entry(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        apply(apiserver, agents["node2"], names.node_manager("node2"), nodes=[{"name": "node2", "peers": "0/1"}])
        assert {n["name"]: n["peers"] for n in shown(apiserver)["nodes"]} == {"node1": "1/1", "node2": "0/1"}

    def test_take_a_group_with_a_higher_epoch(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        apply(apiserver, agents["node2"], names.group_manager("g1"), groups=[group("node2", 8, reason="PeerDead")])
        assert shown(apiserver)["groups"][0] == group("node2", 8, reason="PeerDead")

    def test_amend_the_group_that_it_owns(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        apply(apiserver, agents["node1"], names.group_manager("g1"), groups=[group("node1", 7, addresses=["a"])])

    def test_raise_an_epoch_by_1000(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        apply(apiserver, agents["node1"], names.group_manager("g1"), groups=[group("node1", 1007)])

    def test_say_the_same_again(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        apply(apiserver, agents["node1"], names.group_manager("g1"), groups=[group("node1", 7)])


@pytest.mark.usefixtures("edge")
class TestMayNot:
    @pytest.mark.parametrize(
        ("manager", "status", "message"),
        [
            pytest.param(
                names.node_manager("node2"),
                {"nodes": [{"name": "node2", "peers": "0/1"}]},
                "the agent on node1 may change only status.nodes",
                id="another's entry",
            ),
            pytest.param(
                "anything",
                {"nodes": [{"name": "node9"}]},
                "the agent on node1 may change only status.nodes",
                id="an invented entry",
            ),
            pytest.param(
                names.node_manager("node2"), {}, "the agent on node1 may change only status.nodes", id="another's away"
            ),
            pytest.param(
                names.group_manager("g1"), {"groups": [group("node2", 8)]}, "only groups that it owns", id="for another"
            ),
            pytest.param(
                names.group_manager("g2"),
                {"groups": [group("node2", 1, name="g2", reason="Mine")]},
                "only groups that it owns itself",
                id="another's reason",
            ),
            pytest.param(
                names.group_manager("g2"),
                {"groups": [group("node1", 2, name="g2")]},
                "node1 is not a member of that group",
                id="a group it is no member of",
            ),
            pytest.param(
                names.group_manager("g1"),
                {"groups": [group("node1", 1008)]},
                "an epoch may rise by at most 1000 in one write",
                id="a huge epoch",
            ),
            pytest.param(
                names.OPERATOR_MANAGER, {"owners": "g1=me"}, "only status.nodes and status.groups", id="owners"
            ),
            pytest.param(
                names.OPERATOR_MANAGER,
                {"conditions": [condition() | {"status": "False"}]},
                "only status.nodes and status.groups",
                id="a condition",
            ),
            pytest.param(names.OPERATOR_MANAGER, {}, "only status.nodes and status.groups", id="the operator's away"),
        ],
    )
    def test_apply(
        self, apiserver: ApiServer, agents: dict[str, Path], manager: str, status: dict[str, Any], message: str
    ) -> None:
        before = shown(apiserver)
        with pytest.raises(GroundError, match=message):
            apply(apiserver, agents["node1"], manager, **status)
        assert shown(apiserver) == before

    def test_begin_a_group_with_a_huge_epoch(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        third = {"name": "g3", "primary": "node1", "secondaries": ["node2"], "services": ["192.168.0.125/24/eth0"]}
        add = [{"op": "add", "path": "/spec/groups/-", "value": third}]
        apiserver.kubectl("patch", "vyoscluster", "edge", "--type=json", "-p", json.dumps(add))
        with pytest.raises(GroundError, match="an epoch may rise by at most 1000 in one write"):
            apply(apiserver, agents["node1"], names.group_manager("g3"), groups=[group("node1", 1001, name="g3")])
        apply(apiserver, agents["node1"], names.group_manager("g3"), groups=[group("node1", 1000, name="g3")])

    def test_take_a_group_at_the_same_epoch(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        with pytest.raises(GroundError, match="a new owner of group g1 needs a higher epoch"):
            apply(apiserver, agents["node2"], names.group_manager("g1"), groups=[group("node2", 7)])

    def test_remove_entries_in_other_ways(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        changes: list[tuple[PatchType, Any]] = [
            (PatchType.MERGE, {"status": {"nodes": []}}),
            (PatchType.MERGE, {"status": {"nodes": None}}),
            (PatchType.MERGE, {"status": None}),
            (PatchType.MERGE, {"status": {"groups": []}}),
            (PatchType.JSON, [{"op": "remove", "path": "/status/groups/0"}]),
        ]
        before = shown(apiserver)
        for kind, change in changes:
            with pytest.raises(GroundError, match=rf"{FORBIDDEN}|must keep its entry"):
                patch(apiserver, agents["node1"], change, kind=kind)
        assert shown(apiserver) == before

    def test_touch_anything_but_the_status(self, apiserver: ApiServer, agents: dict[str, Path]) -> None:
        found = json.loads(apiserver.kubectl("get", "vyoscluster", "edge", "-o", "json"))
        other = copy.deepcopy(found)
        other["metadata"] = {"name": "other"}
        with pytest.raises(GroundError, match=FORBIDDEN):
            patch(apiserver, agents["node1"], {"spec": {"interfaces": ["eth9"]}}, subresource=False)
        with pytest.raises(GroundError, match=FORBIDDEN):
            apiserver.kubectl("replace", "-f", "-", stdin=json.dumps(found), kubeconfig=agents["node1"])
        with pytest.raises(GroundError, match=FORBIDDEN):
            apiserver.kubectl("create", "-f", "-", stdin=json.dumps(other), kubeconfig=agents["node1"])
        with pytest.raises(GroundError, match=FORBIDDEN):
            apiserver.kubectl("delete", "vyoscluster", "edge", kubeconfig=agents["node1"])

    def test_act_with_a_token_that_no_pod_stands_behind(self, apiserver: ApiServer) -> None:
        unbound = apiserver.kubeconfig_with_token(token(apiserver))
        with pytest.raises(GroundError, match="the agent's token is not bound to a node"):
            apply(apiserver, unbound, names.node_manager("node1"), nodes=[{"name": "node1", "peers": "0/1"}])


class TestRbac:
    """Of each account: all that it may, asked of the API server, beside what everybody may."""

    def may(self, api: ApiServer, account: str, verb: str, resource: str, namespace: str = "") -> bool:
        resource, _, part = resource.partition("/")
        arguments = ["auth", "can-i", verb, resource, f"--as=system:serviceaccount:{account}"]
        arguments += [f"--subresource={part}"] if part else []
        arguments += [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
        try:
            return api.kubectl(*arguments).strip() == "yes"
        except GroundError:
            return False

    @pytest.mark.parametrize(
        ("verb", "resource", "namespace", "allowed"),
        [
            ("list", "vyosclusters.cluster.vyos.io", "", True),
            ("patch", "vyosclusters.cluster.vyos.io/status", "", True),
            ("patch", "vyosclusters.cluster.vyos.io", "", False),
            ("update", "vyosclusters.cluster.vyos.io/status", "", False),
            ("watch", "secrets", AGENT_NAMESPACE, True),
            ("watch", "configmaps", AGENT_NAMESPACE, True),
            ("create", "secrets", AGENT_NAMESPACE, False),
            ("patch", "configmaps", AGENT_NAMESPACE, False),
            ("get", "secrets", RELEASE_NAMESPACE, False),
            ("list", "secrets", "", False),
            ("get", "nodes", "", False),
            ("create", "pods", AGENT_NAMESPACE, False),
        ],
    )
    @pytest.mark.usefixtures("agents")
    def test_agent(self, apiserver: ApiServer, verb: str, resource: str, namespace: str, allowed: bool) -> None:
        assert self.may(apiserver, f"{AGENT_NAMESPACE}:{AGENT}", verb, resource, namespace) is allowed

    @pytest.mark.parametrize(
        ("verb", "resource", "namespace", "allowed"),
        [
            ("watch", "vyosclusters.cluster.vyos.io", "", True),
            ("patch", "vyosclusters.cluster.vyos.io/status", "", True),
            ("patch", "vyosclusters.cluster.vyos.io", "", False),
            ("watch", "nodes", "", True),
            ("patch", "nodes", "", False),
            ("patch", "secrets", AGENT_NAMESPACE, True),
            ("delete", "configmaps", AGENT_NAMESPACE, True),
            ("watch", "pods", AGENT_NAMESPACE, True),
            ("patch", "pods", AGENT_NAMESPACE, False),
            ("delete", "pods", AGENT_NAMESPACE, False),
            ("get", "pods/log", AGENT_NAMESPACE, False),
            ("create", "pods/exec", AGENT_NAMESPACE, False),
            ("create", "pods/eviction", AGENT_NAMESPACE, False),
            ("list", "pods", RELEASE_NAMESPACE, False),
            ("list", "pods", "", False),
            ("watch", "secrets", RELEASE_NAMESPACE, True),
            ("patch", "secrets", RELEASE_NAMESPACE, False),
            ("list", "secrets", "", False),
            ("create", "events.events.k8s.io", "default", True),
            ("create", "events.events.k8s.io", RELEASE_NAMESPACE, False),
        ],
    )
    @pytest.mark.usefixtures("agents")
    def test_operator(self, apiserver: ApiServer, verb: str, resource: str, namespace: str, allowed: bool) -> None:
        account = f"{RELEASE_NAMESPACE}:vyos-cluster-operator"
        assert self.may(apiserver, account, verb, resource, namespace) is allowed
