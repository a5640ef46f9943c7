"""`helm test`: the pod it makes, the little it may do, what it says at a real API server (no kubelet is here)."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client
from kubernetes.aio.config import kube_config

from chart import helm
from chart.helm import AGENT, AGENT_NAMESPACE, CHART, HOOK, NAME, RELEASE_NAMESPACE, hooks, one, render
from ground.apiserver import ApiServer
from ground.apiserver import apiserver as run_apiserver
from ground.shell import GroundError, wait
from vyos_operator import checkup, throwaway
from vyos_operator.cluster import ApiError, Cluster, configuration
from vyos_operator.throwaway import Trial

pytestmark = pytest.mark.apiserver
TEST = "vyos-cluster-test"
OPERATOR = "vyos-cluster-operator"
WHO = f"--as=system:serviceaccount:{RELEASE_NAMESPACE}:{TEST}"
OWN = {"resourceNames": [TEST], "verbs": ["get", "patch", "delete"]}
"""What it may do to its own VyosCluster."""
NOBODY = {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0}
"""The status of a DaemonSet that no node suits."""


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    """A release, and what `helm test` makes but for the pod."""
    with run_apiserver(controller_manager=True) as found:
        where = (f"--namespace={RELEASE_NAMESPACE}", f"--kubeconfig={found.kubeconfig}")
        helm.helm("install", NAME, str(CHART), "--create-namespace", *where)
        found.kubectl("label", "namespace", RELEASE_NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        helm.apply(found, *(o for o in hooks() if o["kind"] != "Pod"))
        yield found


@pytest.fixture(scope="module")
def account(api: ApiServer) -> Path:
    return api.kubeconfig_with_token(helm.token(api, namespace=RELEASE_NAMESPACE, account=TEST))


def run(kubeconfig: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """What the pod runs, with its arguments."""
    (container,) = one(hooks(), "Pod")["spec"]["containers"]
    command = [sys.executable, *container["command"][1:], *container["args"], *more]
    environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=90)


def may_create(api: ApiServer) -> bool:
    try:
        return "yes" in api.kubectl("auth", "can-i", "create", "vyosclusters", WHO)
    except GroundError:  # how kubectl says no
        return False


def say(api: ApiServer, namespace: str, thing: str, **status: int) -> None:
    """Say what a controller with a kubelet would say of a Deployment or DaemonSet."""
    where = ("patch", thing, f"--namespace={namespace}", "--subresource=status", "--type=merge")
    generation = json.loads(api.kubectl("get", thing, f"--namespace={namespace}", "-o", "json"))["metadata"][
        "generation"
    ]
    api.kubectl(*where, "-p", json.dumps({"status": {"observedGeneration": generation, **status}}))


class TestRendered:
    def test_nothing_of_it_is_installed(self) -> None:
        found = hooks()
        assert sorted(o["kind"] for o in found) == [
            "Pod",
            "Role",
            "Role",
            "RoleBinding",
            "RoleBinding",
            "ServiceAccount",
        ]
        assert {o["metadata"]["annotations"][HOOK] for o in found} == {"test"}
        assert {o["metadata"]["name"] for o in found} == {TEST}
        assert TEST not in {o["metadata"]["name"] for o in render()}

    def test_the_pod_comes_last(self) -> None:
        weights = {o["kind"]: o["metadata"]["annotations"].get("helm.sh/hook-weight", "0") for o in hooks()}
        assert weights.pop("Pod") == "0"
        assert set(weights.values()) == {"-1"}

    def test_rights(self) -> None:
        found = {(o["metadata"]["namespace"], json.dumps(o["rules"])) for o in hooks() if o["kind"] == "Role"}
        rule: dict[str, Any] = {"apiGroups": ["apps"], "verbs": ["get"]}
        wanted = [
            (RELEASE_NAMESPACE, {"resources": ["deployments"], "resourceNames": [OPERATOR]}),
            (AGENT_NAMESPACE, {"resources": ["daemonsets"], "resourceNames": [AGENT]}),
        ]
        assert [(n, json.loads(r)) for n, r in sorted(found)] == sorted(
            ((namespace, [rule | what]) for namespace, what in wanted), key=lambda each: each[0]
        )

    def test_what_more_it_may_where_it_moves_an_address(self) -> None:
        roles = [(o["kind"], o["rules"]) for o in hooks("--set=test.interface=eth0") if o["kind"].endswith("Role")]
        mine = {"apiGroups": ["cluster.vyos.io"], "resources": ["vyosclusters"]}
        assert ("ClusterRole", [mine | {"verbs": ["create"]}, mine | OWN]) in roles
        pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
        assert [pods in rules for _, rules in roles].count(True) == 1
        named = hooks("--set=test.interface=eth0,test.nodes={a,b}")
        assert not any(pods in o.get("rules", ()) for o in named)
        (container,) = one(named, "Pod")["spec"]["containers"]
        assert container["args"][2:] == [
            f"--move={TEST}",
            "--interface=eth0",
            "--address=192.0.2.123/32",
            "--node=a",
            "--node=b",
        ]

    def test_it_is_a_pod_like_the_operators(self) -> None:
        values = (
            '--set-json=operator.nodeSelector={"role":"infra"},operator.image.tag="dev",imagePullSecrets=[{"name":"x"}]'
        )
        test, operator = (
            one(hooks(values), "Pod")["spec"],
            one(render(values), "Deployment")["spec"]["template"]["spec"],
        )
        for field in ("nodeSelector", "tolerations", "imagePullSecrets", "securityContext", "enableServiceLinks"):
            assert test[field] == operator[field], field
        for field in ("image", "imagePullPolicy", "securityContext", "resources"):
            assert test["containers"][0][field] == operator["containers"][0][field], field


class TestAtTheApiServer:
    def test_the_pod_is_admitted_as_restricted(self, api: ApiServer) -> None:
        api.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(one(hooks(), "Pod")))

    def test_what_does_not_run_is_told(self, api: ApiServer, account: Path) -> None:
        say(api, RELEASE_NAMESPACE, f"deployment/{OPERATOR}", replicas=1, updatedReplicas=1, unavailableReplicas=1)
        say(api, AGENT_NAMESPACE, f"daemonset/{AGENT}", **NOBODY)
        done = run(account, "--wait=0")
        assert (done.returncode, done.stdout) == (1, "")
        first, second = done.stderr.splitlines()
        assert first.startswith(f"not well: deployment {RELEASE_NAMESPACE}/{OPERATOR}: the operator does not run")
        assert second.startswith(f"not well: daemonset {AGENT_NAMESPACE}/{AGENT}: no node shall run an agent")

    def test_what_runs_is_well(self, api: ApiServer, account: Path) -> None:
        """The controllers of the cluster know no node; what they would say is said for them, and they say otherwise."""
        told = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1}
        agents = NOBODY | {"currentNumberScheduled": 2, "desiredNumberScheduled": 2}

        def well() -> bool:
            say(api, RELEASE_NAMESPACE, f"deployment/{OPERATOR}", **told)
            say(api, AGENT_NAMESPACE, f"daemonset/{AGENT}", **agents | {"numberReady": 2, "updatedNumberScheduled": 2})
            return run(account, "--wait=0").returncode == 0

        wait(well, 30, "the checkup to find all well", every_s=0.5)

    def test_an_address_that_does_not_move_is_told_and_nothing_is_left(self, api: ApiServer, account: Path) -> None:
        """No agent is here that could own it."""
        helm.apply(api, *(o for o in hooks("--set=test.interface=eth0") if o["kind"].startswith("ClusterRole")))
        trial = Trial(TEST, "eth0", "192.0.2.123/32", ("node1", "node2"))
        leftover = json.dumps(trial.manifest())

        async def tried() -> str:
            with pytest.MonkeyPatch.context() as patch:
                # KUBECONFIG as it was when that module was loaded
                patch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(account))
                server = Cluster(client.ApiClient(await configuration()))
            try:
                with pytest.raises(throwaway.Failed) as caught:
                    await throwaway.move(server, trial, print, wait_s=1)
                with pytest.raises(ApiError, match="403"):
                    await throwaway.two_nodes(server, AGENT_NAMESPACE)
            finally:
                await server.close()
            return str(caught.value)

        api.kubectl("create", "-f", "-", stdin=leftover)
        wait(lambda: may_create(api), 10, "the right to count")
        assert asyncio.run(tried()).startswith("192.0.2.123/32/eth0 did not own within 1 s; ")
        assert api.kubectl("get", "vyosclusters", "-oname") == ""

    def test_its_account_may_nothing_else(self, api: ApiServer) -> None:
        assert "yes" in api.kubectl("auth", "can-i", "get", f"deployment/{OPERATOR}", f"-n{RELEASE_NAMESPACE}", WHO)
        for verb, what, namespace in (
            ("list", "deployments", RELEASE_NAMESPACE),
            ("patch", f"deployment/{OPERATOR}", RELEASE_NAMESPACE),
            ("get", "secrets", RELEASE_NAMESPACE),
            ("get", "secrets", AGENT_NAMESPACE),
            ("get", "daemonset/other", AGENT_NAMESPACE),
            ("get", "vyosclusters", "default"),
        ):
            with pytest.raises(GroundError):
                api.kubectl("auth", "can-i", verb, what, f"-n{namespace}", WHO)

    def test_a_missing_crd_is_told(self, api: ApiServer, account: Path) -> None:
        api.kubectl("delete", "-f", str(helm.CRD))
        problem = "not well: the API server does not serve VyosClusters: install the CRD (crds.enabled)"
        wait(lambda: problem in run(account, "--wait=0").stderr, 20, problem, every_s=0.5)


def test_no_server_is_told_without_a_traceback(tmp_path: Path) -> None:
    done = run(tmp_path / "none", "--wait=0")
    assert done.returncode == 1
    assert "not well: neither a pod's ServiceAccount nor a kubeconfig" in done.stderr
    assert "Traceback" not in done.stderr


READY = {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3, "updatedNumberScheduled": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"observedGeneration": 1}, "has not been looked at yet"),
        ({"numberReady": 2}, "2 agents of 3 are ready, 3 are of the newest version"),
        ({"updatedNumberScheduled": 1}, "3 agents of 3 are ready, 1 are of the newest version"),
    ],
)
def test_agents_are_judged_by_the_newest_version(change: dict[str, int], words: str | None) -> None:
    found = checkup.agent_problems({"metadata": {"generation": 2}, "status": READY | change}, "a/b")
    assert [words in problem for problem in found if words] == ([True] if words else [])
    assert bool(found) == bool(words)
