"""Who may ask the agents from afar (`remoteControl` in the values), and for what: tried at a real API server.

An exec that is let through ends otherwise here, as no kubelet runs the pod: tests/e2e/test_people.py has one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx2  # lightkube brings it
import pytest

from chart import helm, tries
from chart.helm import AGENT_NAMESPACE
from chart.test_fences import Somebody, somebody
from chart.tries import Try, core
from ground.apiserver import ApiServer
from ground.shell import wait
from vyos_cluster import agents as asked

pytestmark = pytest.mark.apiserver
POD, NAME = "remote", f"{helm.AGENT}-remote-control"
SOCKET = "/run/vyos-cluster/control.sock"
OPS = ("report", "force", "history", "restart")
MOVER = "mover"


def run(*command: str, container: str | None = "heartbeat", namespace: str = AGENT_NAMESPACE) -> Try:
    """An exec, as kubectl asks for it."""
    words = [("command", word) for word in command] + [("stdin", "true"), ("stdout", "true")]
    words += [("container", container)] if container is not None else []
    return Try(" ".join(command), "POST", f"{core(namespace, 'pods', POD)}/exec?{urlencode(words)}")


def by_websocket(attempt: Try) -> Try:
    """As newer kubectls ask: admission and rights are those of a GET."""
    return dataclasses.replace(attempt, method="GET")


def op(name: str) -> tuple[str, ...]:
    return (*asked.PROGRAM, SOCKET, name, "-")


def passed(answer: httpx2.Response) -> bool:
    """Rights and policy let it through, to a kubelet that there is not."""
    assert answer.status_code in (400, 403), answer.text
    return answer.status_code == 400 and "pgrade" in answer.text


@pytest.fixture(scope="module")
def mover(apiserver: ApiServer, agents: dict[str, Path]) -> Iterator[Somebody]:
    """An account that has both roles, and no others."""
    assert "node1" in agents
    more = [o for o in helm.render("--set=remoteControl.enabled=true") if o["metadata"]["name"] == NAME]
    assert sorted(o["kind"] for o in more) == [
        "ClusterRole",
        "Role",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ]
    pod = helm.pod("node1")
    pod["metadata"]["name"] = POD
    pod["spec"]["containers"] = [{"name": name, "image": "x"} for name in ("heartbeat", "kube-sync")]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": MOVER, "namespace": "default"}}
    helm.apply(apiserver, *more, pod, account)
    home = {"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}  # whither an exec would go
    apiserver.kubectl("patch", "node", "node1", "--subresource=status", "--type=merge", "-p", json.dumps(home))
    who = f"--serviceaccount=default:{MOVER}"
    apiserver.kubectl("create", "clusterrolebinding", MOVER, f"--clusterrole={NAME}", who)
    apiserver.kubectl("create", "rolebinding", MOVER, f"--namespace={AGENT_NAMESPACE}", f"--role={NAME}", who)
    try:
        with somebody(apiserver, helm.token(apiserver, namespace="default", account=MOVER)) as found:
            wait(lambda: passed(found.tries(run(*op("report")))), 15, "the right to count")
            wait(lambda: not passed(found.tries(run("sh"))), 15, "the policy to be in force")
            yield found
    finally:
        whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*more, pod, account]})
        apiserver.kubectl("delete", "--wait=false", "--grace-period=0", "--force", "-f", "-", stdin=whole)
        apiserver.kubectl("delete", "clusterrolebinding", MOVER)
        apiserver.kubectl("delete", "rolebinding", MOVER, f"--namespace={AGENT_NAMESPACE}")


@pytest.mark.parametrize("name", OPS)
def test_what_the_command_asks(mover: Somebody, name: str) -> None:
    answer = mover.tries(run(*op(name)))
    assert passed(answer), answer.text


@pytest.mark.parametrize(
    "attempt",
    [
        run("sh"),
        by_websocket(run("sh")),
        run("python3", "-c", "print()"),
        run(*op("configure")),
        run(*op("metrics")),
        run(*op("report")[:-1]),
        run(*op("force")[:-1], '{"to":"Active"}'),
        run(*op("report"), "sh"),
        run(*asked.PROGRAM, "/run/other.sock", "report", "-"),
        run("python3", *op("report")[2:]),
        run(*op("report"), container="kube-sync"),
        run(*op("report"), container=None),
    ],
    ids=lambda a: a.path.rpartition("exec?")[2],
)
def test_anything_else_is_refused(mover: Somebody, apiserver: ApiServer, attempt: Try) -> None:
    answer = mover.tries(attempt)
    assert answer.status_code == 403
    assert "only the daemon's ops report, force, history and restart may be run here" in answer.text
    with somebody(apiserver, admin=True) as admin:  # who may create pods there
        assert "only the daemon's ops" not in admin.tries(attempt).text


@pytest.mark.parametrize(
    "attempt",
    [
        Try("attach", "POST", f"{core(AGENT_NAMESPACE, 'pods', POD)}/attach?stdin=true&container=heartbeat"),
        Try("forward", "POST", f"{core(AGENT_NAMESPACE, 'pods', POD)}/portforward?ports=80"),
        tries.read("secrets", core(AGENT_NAMESPACE, "secrets")),
        tries.read("config maps", core(AGENT_NAMESPACE, "configmaps")),
        tries.delete("the pod", core(AGENT_NAMESPACE, "pods", POD)),
        run(*op("report"), namespace="kube-system"),
    ],
    ids=lambda a: a.title,
)
def test_the_roles_give_nothing_else(mover: Somebody, attempt: Try) -> None:
    answer = mover.tries(attempt)
    assert answer.status_code == 403
    assert "cannot" in answer.text
