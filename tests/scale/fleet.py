"""The agents of hundreds of simulated nodes, as far as the API server sees them: a watch, and status entries.

They are not what is measured; they answer for the nodes that have no real kube-sync, so that a cluster can become
Programmed at all. One watch and a few connections stand for all of them.
"""

from __future__ import annotations

import asyncio
import json
import time

from scale.http import Http, Json
from vyos_api import names

CLUSTERS = "/apis/cluster.vyos.io/v1alpha1/vyosclusters"
SENDERS = 12
"""Status entries under way at once: agents of different nodes do not wait for each other."""


class Fleet:
    """All agents but those of `real` nodes. The first member of each group owns it."""

    def __init__(self, http: Http, namespace: str, real: frozenset[str]) -> None:
        self._http = http
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._real = real
        self._due: asyncio.Queue[Json] = asyncio.Queue()
        self._owned: set[tuple[str, str]] = set()
        self.seen: dict[tuple[str, str], tuple[int, float]] = {}
        """By cluster and node: the newest generation in a ConfigMap, and when the watch told of it."""
        self._told = asyncio.Condition()

    async def reaches(self, cluster: str, members: list[str], generation: int) -> float:
        """Wait until all these members have a ConfigMap of that generation; when the last one came."""
        async with self._told:
            await self._told.wait_for(
                lambda: all(self.seen.get((cluster, m), (0, 0.0))[0] >= generation for m in members)
            )
        return max(self.seen[cluster, m][1] for m in members)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            for _ in range(SENDERS):
                group.create_task(self._send())

    async def _follow(self) -> None:
        listed = await self._http.request("GET", self._path)
        async for event, body in self._http.watch(self._path, listed["metadata"]["resourceVersion"]):
            if event not in ("ADDED", "MODIFIED") or names.CONFIG_KEY not in body.get("data", {}):
                continue
            config: Json = json.loads(body["data"][names.CONFIG_KEY])
            key, generation = (config["cluster"], config["node"]), config["generation"]
            if self.seen.get(key, (0, 0.0))[0] != generation:
                self.seen[key] = generation, time.monotonic()
                async with self._told:
                    self._told.notify_all()
                if config["node"] not in self._real:
                    self._due.put_nowait(config)

    async def _send(self) -> None:
        while True:
            config = await self._due.get()
            await self._entry(config)
            for group in config["groups"]:
                if group["members"][0] == config["node"] and (config["cluster"], group["name"]) not in self._owned:
                    self._owned.add((config["cluster"], group["name"]))
                    await self.owns(config["cluster"], group["name"], config["node"], epoch=1)

    async def _entry(self, config: Json) -> None:
        node = config["node"]
        groups = [
            {"name": g["name"], "state": "Owner" if g["members"][0] == node else "Standby", "owner": g["members"][0]}
            for g in config["groups"]
        ]
        entry = {
            "name": node,
            "configGeneration": config["generation"],
            "agentVersion": "0.1.0",
            "groups": groups,
            "peers": "2/2",
            "monitors": "0/0",
            "interfaces": "1/1",
            "deviations": [],
        }
        await self._apply(config["cluster"], names.node_manager(node), {"nodes": [entry]})

    async def owns(self, cluster: str, group: str, node: str, epoch: int) -> None:
        """Write as that node that it owns the group."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        reason = "FirstClaim" if epoch == 1 else "HandoverRequested"
        entry = {"name": group, "owner": node, "epoch": epoch, "since": since, "reason": reason}
        await self._apply(cluster, names.group_manager(group), {"groups": [entry]})

    async def _apply(self, cluster: str, manager: str, status: Json) -> None:
        body = {"apiVersion": "cluster.vyos.io/v1alpha1", "kind": "VyosCluster", "metadata": {"name": cluster}}
        await self._http.apply(f"{CLUSTERS}/{cluster}/status", {**body, "status": status}, manager)
