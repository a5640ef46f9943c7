"""A release as processes of this machine, for tests that need the real pages: no pods, no kubelet, but all the rest.

An operator and two routers, each a daemon in a network namespace of its own and a kube-sync beside it, on one API
server with the chart's accounts and policy; and a Prometheus that scrapes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from chart import helm
from chart.helm import AGENT_NAMESPACE, RELEASE_NAMESPACE
from edge.lan import Lan, lan
from edge.waiting import wait
from ground.apiserver import ApiServer
from vyos_api import names

ROUTERS = ("r1", "r2")
NAME = "watched"
KEEPALIVE_S, DEAD_S = 0.2, 3.0
CLUSTER = {
    "apiVersion": "cluster.vyos.io/v1alpha1",
    "kind": "VyosCluster",
    "metadata": {"name": NAME},
    "spec": {
        "interfaces": ["eth0"],
        "keepaliveInterval": "200ms",
        "deadInterval": "3s",
        "monitorDeadInterval": "3s",
        "initDeadInterval": "4s",
        "preSharedSecret": {"secretKeyRef": {"name": NAME, "key": "secret"}},
        "groups": [{"name": "g", "primary": "r1", "secondaries": ["r2"], "services": ["192.168.0.123/24/eth0"]}],
    },
}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": NAME, "namespace": RELEASE_NAMESPACE},
    "stringData": {"secret": "of a test"},
}
START_S = 40.0
"""Five Python processes on a busy machine."""
_straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclasses.dataclass(frozen=True)
class Stack:
    """What runs, and the ports of its pages on 127.0.0.1."""

    lan: Lan
    agents: Mapping[str, int]
    operator: int

    def pages(self) -> list[str]:
        return [get(f"http://127.0.0.1:{port}/metrics") for port in (*self.agents.values(), self.operator)]


class Prometheus:
    """Its HTTP API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(get(f"{self._url}/-/ready"))
        return False

    def ask(self, path: str, **fields: str) -> Any:
        """`data` of an answer; one that is an error raises with its words."""
        query = urllib.parse.urlencode(fields)
        try:
            answer = json.loads(get(f"{self._url}/api/v1/{path}?{query}"))
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path} {fields}: {error.read().decode()}") from None
        assert answer["status"] == "success", answer
        assert not answer.get("warnings"), answer
        return answer["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Series with their value now."""
        found = self.ask("query", query=expr)
        assert found["resultType"] == "vector", found
        result: list[dict[str, Any]] = found["result"]
        return result


def get(url: str) -> str:
    """A page of this machine, whatever proxy it has for the outer world."""
    with _straight.open(url, timeout=10) as answer:
        return str(answer.read().decode())


@contextlib.contextmanager
def process(log: Path, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run it for the length of a `with`; its last words are shown if that fails."""
    with log.open("wb") as out:
        guarded = ["setpriv", "--pdeathsig=KILL", "--", *command]
        env = {"PATH": os.environ["PATH"], **environment}
        found = subprocess.Popen(guarded, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")
    try:
        yield found
    finally:
        found.terminate()
        try:
            found.wait(10)
        except subprocess.TimeoutExpired:
            found.kill()
            found.wait()
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def stack(api: ApiServer, folder: Path) -> Iterator[Stack]:
    """All of it, with a cluster that both routers serve."""
    with contextlib.ExitStack() as running:
        tokens = running.enter_context(helm.agents(api, *ROUTERS))
        account = helm.token(api, namespace=RELEASE_NAMESPACE, account="vyos-cluster-operator")
        running.enter_context(_objects(api))
        routers = running.enter_context(lan(folder, *ROUTERS))
        agents = {name: free_port() for name in ROUTERS}
        operator = free_port()
        running.enter_context(
            process(
                folder / "operator.log",
                *(sys.executable, "-m", "vyos_operator"),
                KUBECONFIG=str(api.kubeconfig_with_token(account)),
                OPERATOR_NAMESPACE=RELEASE_NAMESPACE,
                AGENT_NAMESPACE=AGENT_NAMESPACE,
                LIVENESS_ADDRESS="127.0.0.1",
                LIVENESS_PORT=str(operator),
            )
        )
        for name, port in agents.items():
            routers[name].start()
            running.enter_context(
                process(
                    folder / f"kube-sync-{name}.log",
                    *(sys.executable, "-m", "vyos_agent.sync"),
                    KUBECONFIG=str(tokens[name]),
                    NODE_NAME=name,
                    AGENT_NAMESPACE=AGENT_NAMESPACE,
                    CONTROL_SOCKET=str(routers[name].socket),
                    HEALTH_PORT=str(port),
                )
            )
        # First of all that ends: a kube-sync waits for the last words of its daemon
        running.callback(lambda: [router.end() for router in routers.routers.values() if router.process])
        wait(lambda: "r1" in _served(api), "the cluster to have an owner in its status", START_S)
        yield Stack(routers, agents, operator)


@contextlib.contextmanager
def prometheus(stack: Stack, rules: Path, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the stack every second, and judges these rules as often."""
    program = shutil.which("prometheus")
    assert program is not None, "prometheus is not installed; `tests/ground/ground deps` installs it"
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "agents", "static_configs": [{"targets": [f"127.0.0.1:{p}" for p in stack.agents.values()]}]},
            {"job_name": "operator", "static_configs": [{"targets": [f"127.0.0.1:{stack.operator}"]}]},
        ],
    }
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    listen = f"--web.listen-address=127.0.0.1:{port}"
    store = f"--storage.tsdb.path={folder / 'data'}"
    with process(folder / "prometheus.log", program, f"--config.file={path}", listen, store):
        found = Prometheus(port)
        wait(found.ready, "Prometheus to be ready", START_S)
        yield found


@contextlib.contextmanager
def _objects(api: ApiServer) -> Iterator[None]:
    """The cluster and its secret; and what follows from them is removed, too (nobody here collects it soon)."""
    helm.apply(api, SECRET, CLUSTER)
    try:
        yield
    finally:
        api.kubectl("delete", "vyoscluster", NAME)
        api.kubectl("delete", "secret", NAME, f"--namespace={RELEASE_NAMESPACE}")
        selector = f"--selector={names.LABEL_CLUSTER}={NAME}"
        api.kubectl("delete", "configmaps,secrets", selector, f"--namespace={AGENT_NAMESPACE}")


def _served(api: ApiServer) -> str:
    return api.kubectl("get", "vyoscluster", NAME, "-o", "jsonpath={.status.groups[*].owner}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
