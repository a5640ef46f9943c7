"""A member's view of its groups: the daemon's `explain` as the facts of a status report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vyos_cluster.status import LISTENING, Group, Member, Monitor, Presence

PRESENCE = {
    "Alive": Presence.HEARD,
    LISTENING: Presence.HEARD,
    "Unheard": Presence.UNHEARD,
    "Dead": Presence.GONE,
    "Left": Presence.GONE,
}
"""By the states of a peer (docs/control-socket.md)."""
UNIT = ".service"
"""What systemd's short names leave out, and VyOS's services never had."""


def groups(answer: Mapping[str, Any]) -> list[Group]:
    """Every group of an `explain` answer."""
    node = answer["node"]
    return [_group(node, cluster, group) for cluster in answer["clusters"] for group in cluster["groups"]]


def _group(node: str, cluster: Mapping[str, Any], group: Mapping[str, Any]) -> Group:
    return Group(
        cluster=cluster["cluster"],
        name=group["name"],
        node=node,
        owner=group["owner"],
        members=tuple(_members(node, cluster, group)),
        resources=tuple(text.removesuffix(UNIT) for text in group["resources"]),
        monitors=tuple(Monitor(address, reachable) for address, reachable in group["monitors"].items()),
        waits=tuple(group.get("waits", ())),
    )


def _members(node: str, cluster: Mapping[str, Any], group: Mapping[str, Any]) -> Iterator[Member]:
    rows = {row["name"]: row for row in group["candidates"]}
    peers = {peer["name"]: peer["state"] for peer in cluster["peers"]}
    for name in group["members"]:
        row, peer = rows.get(name, {}), peers.get(name)
        state = row.get("state") or (LISTENING if peer == LISTENING else None)
        reached = row.get("monitors")
        yield Member(
            name=name,
            state=state,
            presence=Presence.HEARD if name == node else PRESENCE.get(peer or "", Presence.UNHEARD),
            monitors_lost=reached is not None and reached < len(group["monitors"]),
            candidate=bool(row.get("candidate")),
            maintenance=name in group["maintenance"],
        )
