"""Nodes that a spec names no more and that still own a group: they run the new configuration until they handed over.

An agent whose ConfigMap is deleted leaves the cluster without knowing who is to have its groups. So its ConfigMap is
deleted last: with the new configuration it hands over to the best member that the configuration names
(docs/protocol.md [MOVE-10]), and says in its status entry that it owns nothing any more. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vyos_api import names
from vyos_api.status import NodeStatus, Status
from vyos_operator import presence
from vyos_operator.health import OWNING
from vyos_operator.world import World

HOLDING = OWNING | {"Yielding"}
"""States of a member that has an address of the group in its kernel, or may have (docs/protocol.md section 8)."""


def departing(world: World, members: Collection[str], known: Status) -> tuple[str, ...]:
    """The nodes that depart, in order of their names. One that cannot be seen at work is not waited for."""
    entries = {entry.name: entry for entry in known.nodes}
    configured = {node for body in world.config_maps if (node := _node_of(body["metadata"], world)) is not None}
    holding = [n for n in sorted(configured - set(members)) if n in entries and _holds(entries[n])]
    absent = presence.absences(holding, nodes=world.nodes, lost=world.lost, agents=world.agents)
    return tuple(node for node in holding if node not in absent)


def _holds(entry: NodeStatus) -> bool:
    refuses = any(d.kind == "Configuration" for d in entry.deviations or ())
    return not refuses and any(group.state in HOLDING for group in entry.groups or ())


def _node_of(meta: Mapping[str, Any], world: World) -> str | None:
    """The node of a ConfigMap that was made for this life of the cluster."""
    uid = world.cluster["metadata"].get("uid")
    mine = any(o.get("kind") == names.KIND and o.get("uid") == uid for o in meta.get("ownerReferences") or ())
    return (meta.get("annotations") or {}).get(names.ANNOTATION_NODE) if mine else None
