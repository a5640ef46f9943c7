"""Why a group's owner owns it, as JSON for `explain` (docs/control-socket.md): members by the criteria of the ranking.

Apart from the report, since the table moves with every frame that says something new, and the status must not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from vyos_agent.config import UNICAST
from vyos_agent.core.report import CandidateReport, GroupReport, PeerReport, Report
from vyos_agent.edge.report import STATE_NAMES
from vyos_agent.edge.usable import Trouble
from vyos_api.nodeconfig import Group, NodeConfig


def cluster(config: NodeConfig, report: Report, troubles: Mapping[str, Trouble]) -> dict[str, Any]:
    """The groups that this node is a member of, and over which links it hears whom."""
    written = {group.name: group for group in config.groups}
    return {
        "cluster": config.cluster,
        "groups": [
            _group(group) | _written(written[group.name], report) | {"waits": _waits(group, report, troubles)}
            for group in report.groups
            if group.name in written
        ],
        "peers": [_peer(peer) for peer in report.peers],
    }


def _written(group: Group, report: Report) -> dict[str, Any]:
    """What the configuration makes of it, and whether its monitors are reached from here."""
    return {
        "members": list(group.members),
        "maintenance": list(group.maintenance),
        "failbackMs": group.failback_delay_ms if group.auto_failback else None,
        "resources": [*(address.text for address in group.addresses), *group.units],
        "monitors": {text: report.monitors.get(str(ipaddress.ip_address(text))) for text in group.monitors},
    }


def _waits(group: GroupReport, report: Report, troubles: Mapping[str, Trouble]) -> list[str]:
    """Why this member does not claim a group that, as far as it knows, never had an owner."""
    if group.owner is not None:
        return []
    found = [f"{name} has an address of it for good, and not from this project" for name in group.occupied]
    if report.mute:
        found.append("no heartbeat link carries a frame here")
        found += [trouble.text for _, trouble in sorted(troubles.items())]
    return found


def _peer(peer: PeerReport) -> dict[str, Any]:
    return {"name": peer.name, "state": peer.state, "links": [_link(name) for name in peer.links]}


def _link(name: str) -> str:
    """A link of a former way is called as its interface, ':' and a number (`edge.ways`)."""
    former = name.rfind(":") > 0
    link = name.rpartition(":")[0] if former else name
    return ("unicast" if link == UNICAST else link) + (" (before the change)" if former else "")


def _group(group: GroupReport) -> dict[str, Any]:
    move = group.handover
    return {
        "name": group.name,
        "state": STATE_NAMES[group.state],
        "owner": group.owner,
        "epoch": group.epoch or None,
        "reason": group.reason.value if group.reason is not None else None,
        "services": group.services.value if group.services is not None else None,
        "handover": None if move is None else {"target": move.target, "reason": move.reason.value, "given": move.given},
        "candidates": [_candidate(row) for row in group.candidates],
    }


def _candidate(row: CandidateReport) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": STATE_NAMES[row.state] if row.state is not None else None,
        "rank": row.rank,
        "candidate": row.candidate,
        "ready": row.ready,
        "monitors": row.monitors,
    }
