"""The failover that `helm test` tries where it is told an interface: a VyosCluster of its own, moved once and removed.

Its address is one that nobody has (RFC 5737), for one host, so that nothing is routed to it; what it shows is that
heartbeats arrive between two routers, that their kernels take the address, and that the LAN agrees on who has it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import time
from collections.abc import Callable
from typing import Any

from vyos_operator.cluster import ApiError, Cluster
from vyos_operator.kinds import CLUSTERS, PODS
from vyos_operator.queue import Outage, Retry

KEEPALIVE, DEAD, INIT_DEAD = "200ms", "3s", "5s"
"""As in examples/demo.yaml: quick, and patient with a busy node."""
GROUP = "test"
WAIT_S, REMOVE_S = 50.0, 20.0
"""For each step, and for the removal at the end, which a pod that is stopped has 30 s for."""
ASKED_S = 10.0
"""By then a standby has asked the LAN twice, and told what was wrong (2 s, 1 s, 3 s, 1 s: edge/probing.py)."""
POLL_S = 0.2
NOT_FOUND = 404

Body = dict[str, Any]
Say = Callable[[str], None]


class Failed(Exception):
    """The move did not come to pass; the text says what did not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """What is moved, and between whom."""

    name: str
    interface: str
    address: str
    nodes: tuple[str, str]

    def manifest(self) -> Body:
        """The VyosCluster; its secret is good for this once."""
        first, second = self.nodes
        group = {"name": GROUP, "primary": first, "secondaries": [second], "services": [self.service]}
        return {
            "apiVersion": CLUSTERS.api,
            "kind": CLUSTERS.name,
            "metadata": {"name": self.name},
            "spec": {
                "interfaces": [self.interface],
                "keepaliveInterval": KEEPALIVE,
                "deadInterval": DEAD,
                "monitorDeadInterval": DEAD,
                "initDeadInterval": INIT_DEAD,
                "preSharedSecret": {"value": secrets.token_urlsafe(32)},
                "groups": [group],
            },
        }

    @property
    def service(self) -> str:
        """The address and its interface, as a spec names them."""
        return f"{self.address}/{self.interface}"


async def two_nodes(api: Cluster, namespace: str) -> tuple[str, str]:
    """The first two nodes by name on which an agent is ready. Raises Failed, ApiError or Unreachable."""
    query = {"labelSelector": PODS.label_selector}
    pods = (await api.request("GET", PODS.path(namespace), query, what=f"list of pods in {namespace}"))["items"]
    found = sorted({pod["spec"].get("nodeName", "") for pod in pods if _ready(pod)} - {""})
    if len(found) < 2:
        raise Failed(f"an address moves between two routers; agents are ready on: {', '.join(found) or 'none'}")
    return found[0], found[1]


async def move(api: Cluster, trial: Trial, say: Say, wait_s: float = WAIT_S) -> None:
    """Make it, move it, see it moved, remove it. Raises Failed, ApiError or Unreachable; it is removed then as well."""
    await _remove(api, trial)  # of a run that was killed
    try:
        await api.request("POST", CLUSTERS.path(), body=trial.manifest(), what=f"creation of {trial.name}")
        before = await _owned(api, trial, "own", lambda owner, _: owner is not None, wait_s)
        say(f"{before} owns {trial.service}")
        (other,) = set(trial.nodes) - {before}
        at_s = time.monotonic()
        await _maintain(api, trial, before)
        await _owned(api, trial, f"move to {other}", lambda owner, _: owner == other, wait_s)
        say(f"{other} owns it now, {(time.monotonic() - at_s) * 1000:.0f} ms after {before} was put into maintenance")
        await asyncio.sleep(min(wait_s, ASKED_S))
        await _owned(api, trial, "be verified", lambda owner, verified: owner == other and verified, wait_s)
        say(f"the LAN, asked by {before}, has {trial.address} at {other} and nowhere else")
    except (Retry, Failed, asyncio.CancelledError) as first:
        try:
            await _remove(api, trial)
        except (Retry, Failed) as second:
            raise Failed(f"{first or 'interrupted'}; and {second}") from None
        raise
    await _remove(api, trial)


async def _maintain(api: Cluster, trial: Trial, node: str) -> None:
    groups = trial.manifest()["spec"]["groups"]
    body = {"spec": {"groups": [groups[0] | {"maintenance": [node]}]}}
    where = CLUSTERS.path(name=trial.name)
    await api.request(
        "PATCH", where, body=body, content_type="application/merge-patch+json", what=f"patch of {trial.name}"
    )


async def _owned(api: Cluster, trial: Trial, what: str, done: Callable[[str | None, bool], bool], wait_s: float) -> str:
    """Wait for the group's owner, and whether it is verified, to be as asked; the owner."""
    end_s = time.monotonic() + wait_s
    while True:
        try:
            found = await api.request("GET", CLUSTERS.path(name=trial.name), what=f"look at {trial.name}")
        except Outage:  # a moment's; a longer one is told by the time
            found = {}
        status = found.get("status") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        owner = next((g.get("owner") for g in status.get("groups") or () if g["name"] == GROUP), None)
        if done(owner, (conditions.get("Verified") or {}).get("status") == "True"):
            return str(owner)
        if time.monotonic() > end_s:
            told = [f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in conditions.values()]
            raise Failed(f"{trial.service} did not {what} within {wait_s:.0f} s; {'; '.join(told) or 'no conditions'}")
        await asyncio.sleep(POLL_S)


async def _remove(api: Cluster, trial: Trial) -> None:
    path, end_s = CLUSTERS.path(name=trial.name), time.monotonic() + REMOVE_S
    while True:
        try:
            await api.request("DELETE", path, what=f"delete of {trial.name}")
        except ApiError as error:
            if error.status == NOT_FOUND:
                return
            if not isinstance(error, Outage):
                raise
        except Outage:
            pass
        if time.monotonic() > end_s:
            raise Failed(f"VyosCluster {trial.name} is still there; delete it by hand")
        await asyncio.sleep(POLL_S)


def _ready(pod: Body) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
