"""What each of the product's identities, and nobody, is refused: tried at a real API server, not only asked of it.

Every request is first made by the administrator as a dry run, which must work: then the refusal is for want of a right.
At the end nothing has changed.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2  # lightkube brings it
import pytest

from chart import helm, tries
from chart.helm import AGENT_NAMESPACE, RELEASE_NAMESPACE
from chart.tries import CLUSTER, STATUS, Try, core, group
from ground.apiserver import ApiServer
from ground.shell import wait

pytestmark = pytest.mark.apiserver

OBJECTS = (
    core(AGENT_NAMESPACE, "configmaps", "fenced.node1"),
    core(AGENT_NAMESPACE, "configmaps", "fenced.node2"),
    core(AGENT_NAMESPACE, "secrets", "fenced"),
    core(AGENT_NAMESPACE, "secrets", "other"),
    core(RELEASE_NAMESPACE, "secrets", "psk"),
)
"""Made for these tests, beside the cluster."""
WATCHED = (
    *OBJECTS,
    CLUSTER,
    tries.POLICY,
    tries.BINDING,
    f"{tries.RBAC}/clusterroles/{helm.AGENT}",
    *(f"/api/v1/nodes/{n}" for n in ("node1", "node2")),
)
"""What must be afterwards as it was before."""
STATUS_BEFORE = {
    "observedGeneration": 1,
    "owners": "g1=node1",
    "members": "2/2",
    "conditions": [tries.condition()],
    "groups": [group("g1", "node1", 7), group("g2", "node2", 1)],
    "nodes": [{"name": "node1", "peers": "1/1"}, {"name": "node2", "peers": "2/2"}],
}


@dataclass(frozen=True)
class Somebody:
    """A client with a token, or with none."""

    client: httpx2.Client

    def tries(self, attempt: Try, **query: str) -> httpx2.Response:
        """Make the request, and give what the server answers."""
        content = json.dumps(attempt.body) if attempt.body is not None else None
        return self.client.request(
            attempt.method,
            self.client.base_url.join(attempt.path).copy_merge_params(query),
            content=content,
            headers={"Content-Type": attempt.content},
        )


@dataclass(frozen=True)
class Fence:
    """The administrator, and those who are held off."""

    admin: Somebody
    agent: Somebody
    """node1's."""
    operator: Somebody
    stranger: Somebody
    """Logged in, with no right."""
    anonymous: Somebody

    def contents(self) -> dict[str, Any]:
        """What is there, without the API server's own accounts of it."""
        found = {path: self.admin.tries(tries.read("", path)).raise_for_status().json() for path in WATCHED}
        for thing in found.values():
            for account in ("managedFields", "resourceVersion"):
                thing["metadata"].pop(account, None)
        return found


@contextmanager
def somebody(api: ApiServer, token: str = "", *, admin: bool = False) -> Iterator[Somebody]:
    tls = ssl.create_default_context(cafile=str(api.ca_file))
    if admin:
        folder = Path(api.kubeconfig).parent
        tls.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx2.Client(base_url=api.url, headers=headers, verify=tls, trust_env=False, timeout=20) as client:
        yield Somebody(client)


@pytest.fixture(scope="module")
def subjects(apiserver: ApiServer, agents: dict[str, Path]) -> Iterator[Fence]:
    """Everybody, logged in as they are."""
    assert "node1" in agents
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "stranger", "namespace": "default"}}
    helm.apply(apiserver, account)
    tokens = (
        helm.token(apiserver, "agent-node1"),
        helm.token(apiserver, namespace=RELEASE_NAMESPACE, account=tries.OPERATOR),
        helm.token(apiserver, namespace="default", account="stranger"),
        "",
    )
    with ExitStack() as stack:
        admin = stack.enter_context(somebody(apiserver, admin=True))
        yield Fence(admin, *(stack.enter_context(somebody(apiserver, token)) for token in tokens))
    apiserver.kubectl("delete", "serviceaccount", "stranger")


@pytest.fixture(scope="module")
def fence(subjects: Fence) -> Iterator[Fence]:
    """Everybody, with something to fall upon."""
    found = subjects
    for path in OBJECTS:
        folder, _, name = path.rpartition("/")
        kind = "ConfigMap" if "configmaps" in path else "Secret"
        made = tries.create("", folder, kind, metadata={"name": name})
        if kind == "Secret":
            made.body["data"] = {"k": base64.b64encode(b"kept").decode()}
        found.admin.tries(made).raise_for_status()
    body = {"apiVersion": "cluster.vyos.io/v1alpha1", "metadata": {"name": "fenced"}, "spec": tries.spec()}
    found.admin.tries(tries.create("", tries.CLUSTERS, "VyosCluster", **body)).raise_for_status()
    found.admin.tries(tries.patch("", STATUS, {"status": STATUS_BEFORE})).raise_for_status()
    forbidden = tries.OTHERS_STATUS[0]
    wait(lambda: found.agent.tries(forbidden, dryRun="All").status_code == 403, 15, "the policy to be in force")
    before = found.contents()
    yield found
    after = found.contents()
    for path in (*OBJECTS, CLUSTER):
        found.admin.tries(tries.delete("", path)).raise_for_status()
    assert after == before


def refused(fence: Fence, who: Somebody, attempt: Try, codes: tuple[int, ...] = (403,)) -> None:
    could = fence.admin.tries(attempt, dryRun="All")
    assert could.is_success, f"the request itself is wrong: {could.text}"
    answer = who.tries(attempt)
    assert answer.status_code in codes, f"{answer.status_code}: {answer.text}"


def names(attempts: tuple[Try, ...]) -> Any:
    return pytest.mark.parametrize("attempt", attempts, ids=lambda a: a.title)


@names(tries.AGENT_TRIES)
def test_an_agent(fence: Fence, attempt: Try) -> None:
    refused(fence, fence.agent, attempt)


@names(tries.OPERATOR_TRIES)
def test_the_operator(fence: Fence, attempt: Try) -> None:
    refused(fence, fence.operator, attempt)


@names(tries.STRANGER_TRIES)
def test_a_stranger(fence: Fence, attempt: Try) -> None:
    refused(fence, fence.stranger, attempt)


@names(tries.STRANGER_TRIES)
def test_nobody(fence: Fence, attempt: Try) -> None:
    """Without a login: 401 where the server knows no anonymous users, else 403."""
    refused(fence, fence.anonymous, attempt, (401, 403))


def test_nobody_borrows_another_name(fence: Fence) -> None:
    borrowed = {"Impersonate-User": "system:admin", "Impersonate-Group": "system:masters"}
    assert fence.admin.client.get(CLUSTER, headers=borrowed).is_success
    for who in (fence.agent, fence.operator, fence.stranger):
        assert who.client.get(CLUSTER, headers=borrowed).status_code == 403


def test_a_status_write_moves_nothing_beside_the_status(fence: Fence) -> None:
    """A finalizer, label or spec in it is passed over by the API server itself."""
    before = fence.admin.tries(tries.read("", CLUSTER)).json()
    smuggled = {"metadata": {"finalizers": ["example.com/wedge"]} | tries.LABEL["metadata"]} | {"spec": {"groups": []}}
    for who in (fence.agent, fence.operator):
        answer = who.tries(tries.patch("", STATUS, smuggled))
        assert answer.status_code in (200, 403), answer.text
        after = fence.admin.tries(tries.read("", CLUSTER)).json()
        assert after["spec"] == before["spec"]
        assert {"finalizers", "labels"}.isdisjoint(after["metadata"])


def test_what_each_may(fence: Fence) -> None:
    """The counter-check: the same clients get what is theirs. An agent reads the keys of all clusters."""
    for name in ("fenced", "other"):
        assert fence.agent.tries(tries.read("", core(AGENT_NAMESPACE, "secrets", name))).status_code == 200
    assert fence.agent.tries(tries.read("", CLUSTER)).status_code == 200
    entry = [{"op": "replace", "path": "/status/nodes/0/peers", "value": "0/1"}]
    own = fence.agent.tries(tries.patch("", STATUS, entry, tries.JSON_PATCH), dryRun="All")
    assert own.status_code == 200, own.text
    made = tries.CHILDREN[2]
    assert fence.operator.tries(made, dryRun="All").status_code == 201
    assert fence.operator.tries(tries.read("", core(RELEASE_NAMESPACE, "secrets", "psk"))).status_code == 200
    assert fence.operator.tries(tries.read("", core(AGENT_NAMESPACE, "pods"))).status_code == 200
    assert fence.operator.tries(tries.event("default"), dryRun="All").status_code == 201
    assert fence.operator.tries(tries.OTHERS_STATUS[0], dryRun="All").status_code == 200


def test_whoever_may_edit_clusters_reads_no_secret_by_it(fence: Fence, apiserver: ApiServer) -> None:
    """A person with all rights on VyosClusters, and no others."""
    role = ("editor", "--verb=*", "--resource=vyosclusters.cluster.vyos.io")
    apiserver.kubectl("create", "clusterrole", *role)
    bound = ("--clusterrole=editor", "--serviceaccount=default:editor")
    apiserver.kubectl("create", "clusterrolebinding", "editor", *bound)
    apiserver.kubectl("create", "serviceaccount", "editor")
    try:
        token = helm.token(apiserver, namespace="default", account="editor")
        with somebody(apiserver, token) as editor:
            label = tries.patch("", CLUSTER)
            wait(lambda: editor.tries(label, dryRun="All").status_code == 200, 10, "the right to count")
            for attempt in (*tries.CHILDREN, *tries.EVERYTHING_ELSE, tries.OTHERS_STATUS[0]):
                assert editor.tries(attempt, dryRun="All").status_code == 403, attempt.title
            for path in OBJECTS:
                assert editor.tries(tries.read("", path)).status_code == 403
    finally:
        apiserver.kubectl("delete", "clusterrole,clusterrolebinding,serviceaccount", "editor", "--ignore-not-found")
