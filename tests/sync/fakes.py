"""A heartbeat daemon that speaks the control protocol and nothing else, an API in memory, and small configurations.

The daemon is not what is tested here: it takes every configuration, and its groups are in the state that a test says.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from vyos_agent.sync.api import ApiProblem, Counts, Kind, NoSuchCluster, NoSuchType, Object
from vyos_api import names, nodeconfig

NODE = "node1"
CONTRACT = Path(__file__).parents[2] / "docs/control-socket.md"


def config(
    cluster: str = "edge",
    *,
    uid: str = "uid-1",
    generation: int = 1,
    node: str = NODE,
    groups: Mapping[str, tuple[str, ...]] | None = None,
) -> nodeconfig.NodeConfig:
    """A NodeConfig with groups given as name: members."""
    return nodeconfig.NodeConfig(
        cluster=cluster,
        uid=uid,
        generation=generation,
        node=node,
        interfaces=("eth0",),
        keepalive_ms=200,
        dead_ms=1000,
        monitor_dead_ms=1000,
        init_dead_ms=2000,
        mcast_group="239.251.252.253",
        port=694,
        ttl=1,
        announcements=nodeconfig.Announcements(),
        groups=tuple(
            nodeconfig.Group(
                name=name,
                members=members,
                auto_failback=False,
                failback_delay_ms=1000,
                addresses=(nodeconfig.Address("192.168.0.123", 24, "eth0"),),
            )
            for name, members in (groups or {"g1": ("node1", "node2")}).items()
        ),
    )


def keys(uid: str = "uid-1", fill: int = 7) -> nodeconfig.KeySet:
    """A KeySet with one key."""
    return nodeconfig.KeySet(uid, (nodeconfig.Key(1, "send", bytes([fill]) * nodeconfig.KEY_BYTES),))


def config_map(found: nodeconfig.NodeConfig) -> dict[str, Any]:
    """The ConfigMap that the operator makes of a NodeConfig."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.config_map(found.cluster, found.node),
            "labels": {names.LABEL_CLUSTER: found.cluster, names.LABEL_NODE: names.short(found.node)},
            "annotations": {names.ANNOTATION_NODE: found.node},
        },
        "data": {names.CONFIG_KEY: nodeconfig.node_config_to_json(found)},
    }


def secret(cluster: str, found: nodeconfig.KeySet) -> dict[str, Any]:
    """The Secret that the operator makes of a KeySet."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": names.SECRET_TYPE,
        "metadata": {"name": names.key_secret(cluster), "labels": {names.LABEL_CLUSTER: cluster}},
        "data": {names.KEYS_KEY: base64.b64encode(nodeconfig.key_set_to_json(found).encode()).decode()},
    }


def vyos_cluster(found: nodeconfig.NodeConfig, status: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The VyosCluster that a NodeConfig came from."""
    return {
        "metadata": {"name": found.cluster, "uid": found.uid, "generation": found.generation},
        "spec": {
            "groups": [{"name": g.name, "primary": g.members[0], "secondaries": g.members[1:]} for g in found.groups]
        },
        **({"status": dict(status)} if status else {}),
    }


def documented_metrics() -> dict[str, Any]:
    """The answer to `metrics` as the contract shows it."""
    text = CONTRACT.read_text().split("## metrics")[1].split("```text\n")[1].split("```")[0]
    found: dict[str, Any] = json.loads(re.sub(r"\s+# .*", "", text))
    return found


async def until(condition: Callable[[], object], timeout_s: float = 10.0, what: str = "") -> None:
    """Return as soon as the condition holds; fail when it does not within the time."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or condition}")
        await asyncio.sleep(0.01)


class Daemon:
    """A daemon on a control socket; a `with` is one life of it, and what it was told survives in `running`."""

    def __init__(self, path: Path, node: str = NODE) -> None:
        self.path = path
        self.node = node
        self.running: dict[str, nodeconfig.NodeConfig] = {}
        self.requests: list[dict[str, Any]] = []
        """Every `configure` that came."""
        self.refuse: dict[str, str] = {}
        """Cluster: why its configuration is refused."""
        self.takes = asyncio.Event()
        """Cleared: what it is told, it neither runs nor answers."""
        self.takes.set()
        self.groups: dict[tuple[str, str], dict[str, Any]] = {}
        """(cluster, group): what differs from a standby that knows no owner."""
        self.deviations: list[dict[str, Any]] = []
        self._revision = 0
        self._changed = asyncio.Condition()
        self._instance = ""
        self._refused: list[dict[str, Any]] = []

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncIterator[Daemon]:
        """Serve the socket."""
        self._instance = secrets.token_hex(4)
        self._revision = 1
        handlers: set[asyncio.Task[Any]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.add(task)
            try:
                while line := await reader.readline():
                    answer = await self._answer(json.loads(line))
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await writer.drain()
            except (OSError, asyncio.CancelledError):
                pass
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

        self.path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(serve, str(self.path), limit=1 << 20)
        try:
            yield self
        finally:
            await asyncio.sleep(0.01)  # a connection that was accepted just now gets its handler first
            server.close()
            for task in handlers:
                task.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)
            self.path.unlink(missing_ok=True)

    async def own(self, cluster: str, group: str, epoch: int, reason: str = "FirstClaim") -> None:
        """Let this node own a group."""
        await self.becomes(
            cluster,
            group,
            state="Owner",
            owner=self.node,
            epoch=epoch,
            reason=reason,
            addresses=["192.168.0.123/24/eth0"],
        )

    async def becomes(self, cluster: str, group: str, **change: Any) -> None:
        """Let a group be reported otherwise."""
        self.groups[cluster, group] = {**self.groups.get((cluster, group), {}), **change}
        await self._bump()

    async def deviates(self, *deviations: dict[str, Any]) -> None:
        """Report these deviations for every cluster."""
        self.deviations = list(deviations)
        await self._bump()

    @property
    def told(self) -> dict[str, int]:
        """Cluster: generation, as the last request said."""
        return {c["config"]["cluster"]: c["config"]["generation"] for c in self.requests[-1]["clusters"]}

    @property
    def claims(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The claims of the last request."""
        return {c["config"]["cluster"]: c["claims"] for c in self.requests[-1]["clusters"]}

    async def _bump(self) -> None:
        async with self._changed:
            self._revision += 1
            self._changed.notify_all()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "configure":
                return await self._configure(request)
            case "report":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(request.get("timeoutMs", 0) / 1000), self._changed:
                        await self._changed.wait_for(lambda: self._revision != request.get("after"))
                return {"ok": True, "report": self._report()}
            case other:
                return {"ok": False, "error": f"unknown op {other!r}"}

    async def _configure(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        await self.takes.wait()
        items = {c["config"]["cluster"]: nodeconfig.node_config_from_dict(c["config"]) for c in request["clusters"]}
        for item in request["clusters"]:
            nodeconfig.key_set_from_dict(item["keys"])
        self._refused = [
            {"cluster": c, "generation": items[c].generation, "message": m}
            for c, m in self.refuse.items()
            if c in items
        ]
        kept = {c: f for c, f in self.running.items() if c in self.refuse and c in items}
        self.running = {**{c: f for c, f in items.items() if c not in self.refuse}, **kept}
        await self._bump()
        return {"ok": True, "refused": self._refused}

    def _report(self) -> dict[str, Any]:
        return {
            "revision": self._revision,
            "node": self.node,
            "agentVersion": "0.1.0",
            "instance": self._instance,
            "clusters": [self._cluster(f) for f in self.running.values()],
            "refused": self._refused,
        }

    def _cluster(self, found: nodeconfig.NodeConfig) -> dict[str, Any]:
        return {
            "cluster": found.cluster,
            "uid": found.uid,
            "generation": found.generation,
            "groups": [
                {
                    "name": g.name,
                    "state": "Standby",
                    "owner": None,
                    "epoch": 0,
                    "sinceMs": 1_790_000_000_000,
                    "reason": None,
                    "addresses": [],
                    "services": [],
                    **self.groups.get((found.cluster, g.name), {}),
                }
                for g in found.groups
                if self.node in g.members
            ],
            "peers": {"ready": 1, "all": 1},
            "monitors": {"ready": 0, "all": 0},
            "interfaces": {"ready": 1, "all": 1},
            "deviations": self.deviations,
            "drops": {},
        }


class FakeApi:
    """The part of `Api` that the loops use, in memory. Nothing is checked; `down` makes every request fail."""

    def __init__(self) -> None:
        self.clusters: dict[str, dict[str, Any]] = {}
        self.served = True
        """Whether the type VyosCluster is."""
        self.down = False
        self.refuse: dict[str, ApiProblem] = {}
        """Field manager: how its applies are refused."""
        self.applied: list[tuple[str, str, dict[str, Any]]] = []
        """Every successful apply: cluster, manager, entry."""
        self.requests = 0
        self.counts = Counts()
        self._objects: dict[Kind, dict[str, Object]] = {k: {} for k in Kind}
        self._events: dict[Kind, list[asyncio.Queue[tuple[str, Object]]]] = {k: [] for k in Kind}

    def put(self, manifest: Mapping[str, Any], *, silent: bool = False) -> None:
        """Create or replace a ConfigMap or Secret; `silent`: the watches miss it."""
        kind = Kind(manifest["kind"])
        meta = manifest["metadata"]
        found = Object(meta["name"], meta["labels"], manifest.get("type"), manifest["data"])
        self._objects[kind][found.name] = found
        self._tell(kind, "MODIFIED", found, silent)

    def delete(self, manifest: Mapping[str, Any], *, silent: bool = False) -> None:
        """Delete a ConfigMap or Secret."""
        kind = Kind(manifest["kind"])
        self._tell(kind, "DELETED", self._objects[kind].pop(manifest["metadata"]["name"]), silent)

    def add(self, found: nodeconfig.NodeConfig, status: Mapping[str, Any] | None = None, fill: int = 7) -> None:
        """A whole cluster: the resource, this node's ConfigMap, the Secret."""
        self.clusters[found.cluster] = vyos_cluster(found, status)
        self.put(secret(found.cluster, keys(found.uid, fill)))
        self.put(config_map(found))

    def remove(self, found: nodeconfig.NodeConfig) -> None:
        """Delete a whole cluster, as the garbage collector does."""
        del self.clusters[found.cluster]
        self.delete(config_map(found))
        self.delete(secret(found.cluster, keys(found.uid)))

    def entries(self, manager: str) -> list[dict[str, Any]]:
        """What was applied under a manager."""
        return [entry for _, m, entry in self.applied if m == manager]

    def status(self, cluster: str) -> dict[str, Any]:
        """The status of a cluster."""
        return self.clusters[cluster].setdefault("status", {})

    async def list(self, kind: Kind) -> tuple[str, dict[str, Object]]:
        self._check()
        return "1", dict(self._objects[kind])

    async def watch(self, kind: Kind, version: str, timeout_s: int) -> AsyncIterator[tuple[str, Object]]:
        queue: asyncio.Queue[tuple[str, Object]] = asyncio.Queue()
        self._events[kind].append(queue)
        try:
            while True:
                yield await queue.get()
                self._check()
        finally:
            self._events[kind].remove(queue)

    async def cluster(self, name: str) -> Mapping[str, Any]:
        self._check()
        if not self.served:
            raise NoSuchType(name)
        if name not in self.clusters:
            raise NoSuchCluster(name)
        return copy.deepcopy(self.clusters[name])

    async def apply_status(self, name: str, manager: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check()
        if name not in self.clusters:
            raise NoSuchCluster(name)
        if manager in self.refuse:
            raise self.refuse[manager]
        ((field, (entry,)),) = copy.deepcopy(document["status"]).items()
        listed = self.status(name).setdefault(field, [])
        self.status(name)[field] = [*(e for e in listed if e["name"] != entry["name"]), entry]
        self.applied.append((name, manager, copy.deepcopy(entry)))
        return copy.deepcopy(self.clusters[name])

    def _tell(self, kind: Kind, event: str, found: Object, silent: bool) -> None:
        if not silent:
            for queue in self._events[kind]:
                queue.put_nowait((event, found))

    def _check(self) -> None:
        self.requests += 1
        if self.down:
            raise ApiProblem("down", None)
