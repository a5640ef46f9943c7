"""Why nobody makes the first claim of a group, by what its members report: a link, or an address. Pure."""

from __future__ import annotations

from vyos_api.nodeconfig import Group
from vyos_api.reasons import DegradedReason
from vyos_operator.health import Health

HEARTBEAT_KIND = "Heartbeat"
"""Kind of the deviations of a member none of whose heartbeat links carries a frame; the name is why, and the cure."""
OCCUPIED = ("Address", "Occupied")
"""Kind and state of a deviation: the member has an address of it for good; the name is where, and the cure."""


def reason(kind: str, state: str) -> DegradedReason | None:
    """What a deviation by which a member keeps a group from its first claim is called; None: it is another one."""
    if kind == HEARTBEAT_KIND:
        return DegradedReason.NO_HEARTBEAT_LINK
    return DegradedReason.ADDRESS_OCCUPIED if (kind, state) == OCCUPIED else None


def without_a_link(group: Group, health: Health) -> list[str]:
    """What each member says of its heartbeat links, where none of the living ones can be heard."""
    reported: dict[str, list[str]] = {}
    for member, kind, name, _ in health.deviations:
        if kind == HEARTBEAT_KIND and member in group.members:
            reported.setdefault(member, []).append(f"{member}: {name}")
    able = [m for m in group.members if m in health.living and m not in reported]
    return [] if able else [text for texts in reported.values() for text in texts]


def occupied(group: Group, health: Health) -> list[str]:
    """Which members have an address of the group for good."""
    mine = {address.address for address in group.addresses}
    return [
        f"{member}: {name}"
        for member, kind, name, state in health.deviations
        if (kind, state) == OCCUPIED and name.partition("/")[0] in mine
    ]
