"""The kube-sync process against a real API server: its RBAC, its policy, its watches, its garbage collection."""

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chart.helm import AGENT_NAMESPACE
from ground.apiserver import ApiServer
from ground.refusing import refusing
from ground.shell import GroundError
from sync import fakes
from sync.fakes import Daemon, until
from sync.proxy import Proxy, proxy
from vyos_api import names, nodeconfig, render
from vyos_api.v1alpha1 import VyosCluster

pytestmark = pytest.mark.apiserver
RSS_MAX_KIB = 45 * 1024
REFUSED_S = 10
REQUESTS_PER_S_MAX = 5
"""Of one agent while nothing works: two watches and the status, each every 1.5 s at the most seldom."""
CLUSTER = {
    "apiVersion": "cluster.vyos.io/v1alpha1",
    "kind": "VyosCluster",
    "metadata": {"name": "edge"},
    "spec": {
        "interfaces": ["eth0"],
        "preSharedSecret": {"value": "x"},
        "groups": [{"name": "g1", "primary": "node1", "secondaries": ["node2"], "services": ["192.168.0.123/24/eth0"]}],
    },
}


class Operator:
    """What the operator does for this test: the resource, and a ConfigMap and a Secret that belong to it."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api

    def create(self) -> dict[str, Any]:
        """Create the cluster and everything that follows; returns it as the API shows it."""
        self.kubectl("create", CLUSTER)
        return self.follow()

    def follow(self, *nodes: str, fill: int = 7) -> dict[str, Any]:
        """Write the ConfigMaps and the Secret that the resource asks for."""
        found = self.show()
        model = VyosCluster.model_validate(found)
        for node in nodes or render.members(model.spec):
            self.kubectl("apply", self._owned(found, fakes.config_map(render.render(model, node))))
        uid = found["metadata"]["uid"]
        self.kubectl("apply", self._owned(found, fakes.secret("edge", fakes.keys(uid, fill))))
        return found

    def show(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.api.kubectl("get", "vyoscluster", "edge", "--show-managed-fields", "-o", "json")
        )
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.show().get("status", {})
        return found

    def group(self) -> dict[str, Any]:
        return next(iter(self.status().get("groups", [])), {})

    def node(self, name: str) -> dict[str, Any]:
        return next((n for n in self.status().get("nodes", []) if n["name"] == name), {})

    def delete(self) -> None:
        """Delete the cluster, and what is its own: the garbage collector knows a new type only after 30 s."""
        with contextlib.suppress(GroundError):
            self.api.kubectl("delete", "vyoscluster", "edge")
        selector = f"--selector={names.LABEL_CLUSTER}=edge"
        self.api.kubectl("delete", "configmaps,secrets", selector, f"--namespace={AGENT_NAMESPACE}")

    def kubectl(self, verb: str, manifest: dict[str, Any], *more: str) -> None:
        self.api.kubectl(verb, "-f", "-", *more, stdin=json.dumps(manifest))

    def _owned(self, owner: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
        reference = {
            "apiVersion": owner["apiVersion"],
            "kind": "VyosCluster",
            "name": "edge",
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
        metadata = manifest["metadata"] | {"namespace": AGENT_NAMESPACE, "ownerReferences": [reference]}
        return manifest | {"metadata": metadata}


@dataclasses.dataclass
class Agent:
    """One node: its daemon, its kube-sync process, and the way to the API server."""

    daemon: Daemon
    process: asyncio.subprocess.Process
    proxy: Proxy
    log: Path

    def rss_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


@pytest.fixture
def operator(apiserver: ApiServer, agents: dict[str, Path]) -> Any:
    made = Operator(apiserver)
    made.delete()
    yield made
    made.delete()


@pytest.fixture
def node(
    apiserver: ApiServer, agents: dict[str, Path], tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> Callable[..., contextlib.AbstractAsyncContextManager[Agent]]:
    @contextlib.asynccontextmanager
    async def start(
        name: str = "node1", *, reachable: bool = True, relist_s: int = 60, way_port: int = 0
    ) -> AsyncIterator[Agent]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        port = unused_tcp_port_factory()
        upstream = way_port or urlsplit(apiserver.url).port
        assert upstream is not None
        kubeconfig = agents[name].with_name(f"proxied-{name}.conf")
        kubeconfig.write_text(agents[name].read_text().replace(apiserver.url, f"https://127.0.0.1:{port}"))
        daemon = Daemon(folder / "control.sock", name)
        environ = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig),
            "NODE_NAME": name,
            "AGENT_NAMESPACE": AGENT_NAMESPACE,
            "CONTROL_SOCKET": str(daemon.path),
            "HEALTH_PORT": str(unused_tcp_port_factory()),
            "RELIST_SECONDS": str(relist_s),
            "LOG_LEVEL": "DEBUG",
        }
        with await asyncio.to_thread(open, folder / "log", "wb") as log:
            async with proxy(port, upstream) as way, daemon.life():
                if not reachable:
                    await way.stop()
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "vyos_agent.sync", env=environ, stdout=log, stderr=log
                )
                try:
                    yield Agent(daemon, process, way, folder / "log")
                finally:
                    if process.returncode is None:
                        process.kill()
                    await process.wait()
        text = (folder / "log").read_text()
        assert "BwcHBwcH" not in text  # the key, in base64
        assert "Traceback" not in text

    return start


async def shows(condition: Callable[[], object], timeout_s: float = 5.0, what: str = "") -> None:
    """Wait for what kubectl shows, without blocking the daemon."""
    end = time.monotonic() + timeout_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, f"not within {timeout_s} s: {what}"


async def test_from_apply_to_status_and_back(operator: Operator, node: Any) -> None:
    async with node("node1") as one, node("node2") as two:
        created = await asyncio.to_thread(operator.create)
        await until(lambda: one.daemon.requests and one.daemon.told == {"edge": 1}, what="node1 is told")
        await until(lambda: two.daemon.requests and two.daemon.told == {"edge": 1}, what="node2 is told")
        told = nodeconfig.node_config_from_dict(one.daemon.requests[-1]["clusters"][0]["config"])
        assert (told.node, told.uid) == ("node1", created["metadata"]["uid"])

        await one.daemon.own("edge", "g1", epoch=1)
        await two.daemon.becomes("edge", "g1", owner="node1", epoch=1)
        await shows(lambda: operator.group().get("owner") == "node1", what="node1 in the status")
        await shows(lambda: operator.node("node2").get("groups", [{}])[0].get("owner") == "node1", what="seen by node2")

        await one.daemon.becomes("edge", "g1", state="Standby", owner="node2", epoch=2, addresses=[])
        await two.daemon.own("edge", "g1", epoch=2, reason="PeerLeft")
        await shows(lambda: operator.group().get("owner") == "node2", what="node2 in the status")
        assert operator.group()["reason"] == "PeerLeft"

        managers = {m["manager"]: m for m in operator.show()["metadata"]["managedFields"] if "subresource" in m}
        assert set(managers) == {"vyos-cluster-group-g1", "vyos-cluster-node-node1", "vyos-cluster-node-node2"}
        assert {m["operation"] for m in managers.values()} == {"Apply"}

        before = operator.show()["metadata"]["resourceVersion"]
        await asyncio.sleep(1)
        assert operator.show()["metadata"]["resourceVersion"] == before, "a quiet cluster causes no writes"
        assert max(one.rss_kib(), two.rss_kib()) <= RSS_MAX_KIB

        await asyncio.to_thread(operator.delete)
        await until(lambda: one.daemon.told == two.daemon.told == {}, timeout_s=2, what="both released")


async def test_an_edit_and_a_new_key(operator: Operator, node: Any) -> None:
    await asyncio.to_thread(operator.create)
    async with node() as agent:
        await until(lambda: agent.daemon.requests and agent.daemon.told == {"edge": 1})
        spec = CLUSTER["spec"] | {"ttl": 2}  # type: ignore[operator]
        await asyncio.to_thread(operator.kubectl, "apply", CLUSTER | {"spec": spec})
        await asyncio.to_thread(operator.follow)
        await until(lambda: agent.daemon.told == {"edge": 2})
        before = len(agent.daemon.requests)
        await asyncio.to_thread(operator.follow, fill=8)
        await until(lambda: len(agent.daemon.requests) > before)
        await shows(lambda: operator.node("node1").get("configGeneration") == 2)


async def test_deleted_and_made_anew(operator: Operator, node: Any) -> None:
    await asyncio.to_thread(operator.create)
    async with node() as agent:
        await agent.daemon.own("edge", "g1", epoch=7)
        await shows(lambda: operator.group().get("epoch") == 7)
        first = operator.show()["metadata"]["uid"]
        await asyncio.to_thread(operator.delete)
        await asyncio.to_thread(operator.kubectl, "create", CLUSTER)
        await asyncio.sleep(0.5)
        assert operator.status() == {}, "the old life's daemon writes nothing into the new one"
        await asyncio.to_thread(operator.follow)
        await until(lambda: agent.daemon.running["edge"].uid != first, what="the new one is told")
        await agent.daemon.own("edge", "g1", epoch=1)
        await shows(lambda: operator.group().get("epoch") == 1)


async def test_an_api_server_that_is_gone_and_comes_back(operator: Operator, node: Any) -> None:
    await asyncio.to_thread(operator.create)
    async with node() as agent:
        await shows(lambda: operator.node("node1"))
        await agent.proxy.stop()
        await agent.daemon.own("edge", "g1", epoch=3)
        await asyncio.sleep(4)
        assert agent.daemon.told == {"edge": 1}
        await agent.proxy.start()
        await shows(lambda: operator.group().get("epoch") == 3, timeout_s=5, what="the status catches up")
        await asyncio.to_thread(operator.delete)
        await until(lambda: agent.daemon.told == {}, timeout_s=5)


async def test_an_api_server_that_falls_silent(operator: Operator, node: Any) -> None:
    await asyncio.to_thread(operator.create)
    async with node() as agent:
        await shows(lambda: operator.node("node1"))
        agent.proxy.freeze()
        await agent.daemon.own("edge", "g1", epoch=3)
        await asyncio.sleep(7)
        await agent.proxy.thaw()
        await shows(lambda: operator.group().get("epoch") == 3, timeout_s=5, what="the status catches up")


@pytest.mark.parametrize("status", [429, 500])
async def test_an_api_server_that_refuses(operator: Operator, node: Any, apiserver: ApiServer, status: int) -> None:
    await asyncio.to_thread(operator.create)
    with refusing(apiserver) as way:
        async with node(way_port=way.port) as agent:
            await shows(lambda: operator.node("node1"))
            way.refuse(status)
            await agent.daemon.own("edge", "g1", epoch=3)
            await asyncio.sleep(REFUSED_S)
            assert agent.daemon.told == {"edge": 1}
            assert len(way.refused) / REFUSED_S <= REQUESTS_PER_S_MAX
            way.mend()
            await shows(lambda: operator.group().get("epoch") == 3, timeout_s=5, what="the status catches up")
            assert agent.process.returncode is None


async def test_a_watch_that_falls_silent_is_healed_by_the_next_list(operator: Operator, node: Any) -> None:
    async with node(relist_s=3) as agent:
        await until(lambda: agent.daemon.requests)
        agent.proxy.freeze()
        await asyncio.to_thread(operator.create)
        await asyncio.sleep(1)
        agent.proxy._passing.set()  # new connections work; nothing said meanwhile on the old ones is known to be lost
        await until(lambda: agent.daemon.told == {"edge": 1}, timeout_s=8)


async def test_a_start_without_an_api_server(operator: Operator, node: Any) -> None:
    created = await asyncio.to_thread(operator.create)
    async with node(reachable=False) as agent:
        agent.daemon.running = {"edge": fakes.config(uid=created["metadata"]["uid"])}
        await asyncio.sleep(2.5)
        assert not agent.daemon.requests
        await agent.proxy.start()
        await until(lambda: agent.daemon.requests and agent.daemon.told == {"edge": 1}, timeout_s=5)


async def test_a_start_after_the_cluster_was_deleted(operator: Operator, node: Any) -> None:
    async with node(reachable=False) as agent:
        agent.daemon.running = {"edge": fakes.config(uid="of-old")}
        await agent.proxy.start()
        await until(lambda: agent.daemon.requests and agent.daemon.told == {}, timeout_s=5)


async def test_a_config_map_deleted_by_hand_releases_nothing(
    operator: Operator, node: Any, apiserver: ApiServer
) -> None:
    await asyncio.to_thread(operator.create)
    async with node() as agent:
        await until(lambda: agent.daemon.requests)
        delete = ("delete", "configmap", names.config_map("edge", "node1"), f"--namespace={AGENT_NAMESPACE}")
        await asyncio.to_thread(apiserver.kubectl, *delete)
        await until(lambda: "its ConfigMap is missing" in agent.log.read_text())
        await asyncio.sleep(1)
        assert agent.daemon.told == {"edge": 1}
        delete = ("delete", "secret", "edge", f"--namespace={AGENT_NAMESPACE}")
        await asyncio.to_thread(apiserver.kubectl, *delete)
        await asyncio.sleep(1)
        assert agent.daemon.told == {"edge": 1}


async def test_a_node_that_leaves_the_cluster(operator: Operator, node: Any, apiserver: ApiServer) -> None:
    await asyncio.to_thread(operator.create)
    async with node() as agent:
        await until(lambda: agent.daemon.requests and agent.daemon.told)
        group = CLUSTER["spec"]["groups"][0] | {"primary": "node3"}  # type: ignore[index]
        spec = CLUSTER["spec"] | {"groups": [group]}  # type: ignore[operator]
        await asyncio.to_thread(operator.kubectl, "apply", CLUSTER | {"spec": spec})
        delete = ("delete", "configmap", names.config_map("edge", "node1"), f"--namespace={AGENT_NAMESPACE}")
        await asyncio.to_thread(apiserver.kubectl, *delete)
        await until(lambda: agent.daemon.told == {}, timeout_s=2)


async def test_an_epoch_that_others_are_ahead_of(operator: Operator, node: Any) -> None:
    await asyncio.to_thread(operator.create)
    async with node("node1") as one, node("node2") as two:
        await two.daemon.own("edge", "g1", epoch=9)
        await shows(lambda: operator.group().get("epoch") == 9)
        await one.daemon.own("edge", "g1", epoch=4)
        await until(
            lambda: one.daemon.claims == {"edge": {"g1": {"epoch": 9, "owner": "node2"}}},
            what="node1's daemon hears of it",
        )
        assert operator.group()["owner"] == "node2"
        await one.daemon.own("edge", "g1", epoch=10)
        await shows(lambda: operator.group().get("owner") == "node1")


async def test_it_stops_in_order(operator: Operator, node: Any) -> None:
    await asyncio.to_thread(operator.create)
    async with node() as agent:
        await agent.daemon.own("edge", "g1", epoch=1)
        await shows(lambda: operator.group())
        agent.process.terminate()
        await agent.daemon.becomes("edge", "g1", state="Yielding", owner=None, addresses=[])
        await shows(lambda: operator.node("node1")["groups"] == [{"name": "g1", "state": "Yielding"}])
        assert agent.process.returncode is None, "it waits for the daemon's end"
        agent.process.terminate()
        async with asyncio.timeout(2):
            await agent.process.wait()
