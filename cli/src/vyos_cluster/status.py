"""The report of VyOS's `show cluster status`, in its words, for any number of groups and members. Pure.

Facts in, words out: where they come from is `seen`'s business. For one group and one secondary the text is VyOS's to
the letter (vyatta-cluster, scripts/vyatta-show-cluster.pl), but for what VyOS could not know: a member's monitors are
its own word here, a dead member is told dead, and a group without an owner is not said to be active somewhere.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

LISTENING, STANDBY = "Listening", "Standby"
OWNING = frozenset({"Owner", "Asking"})
"""States of an owner at rest; one that is asked about a move owns as before."""
FLUX = frozenset({"Giving", "Suspended", "Yielding"})
"""States in which a group is neither here nor there (docs/protocol.md)."""

WAITING = "Initializing"
MOVING = "Node status in transition"
UNKNOWN = "Unknown"
DOWN = "Down"
ACTIVE = "Active"


class NotAMemberError(ValueError):
    """The node that asks has no part in the group; the text is VyOS's."""


class Presence(enum.Enum):
    """What is known of a member's life."""

    HEARD = enum.auto()
    UNHEARD = enum.auto()
    """Not once yet."""
    GONE = enum.auto()
    """Dead, or it said that it leaves."""


class Phase(enum.Enum):
    """How far a group is."""

    WAITING = enum.auto()
    """This node starts, and waits for another member."""
    MOVING = enum.auto()
    SETTLED = enum.auto()
    UNKNOWN = enum.auto()
    """This node says of itself what this release has no word for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One member of a group, by its own word."""

    name: str
    state: str | None = None
    """None: it says nothing of this group."""
    presence: Presence = Presence.HEARD
    monitors_lost: bool = False
    """It does not reach all of the group's monitors."""
    candidate: bool = True
    maintenance: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor of a group; None: undecided."""

    address: str
    reachable: bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """What is known of one group."""

    cluster: str
    name: str
    node: str | None
    """Whose view it is; None: nobody's."""
    owner: str | None
    members: tuple[Member, ...]
    """In order of preference: the primary first."""
    resources: tuple[str, ...]
    monitors: tuple[Monitor, ...] = ()
    waits: tuple[str, ...] = ()
    """Why nobody makes the first claim of it, as far as is known."""

    @property
    def me(self) -> Member | None:
        """The member whose view it is. Raises NotAMemberError."""
        if self.node is None:
            return None
        found = next((m for m in self.members if m.name == self.node), None)
        if found is None:
            primary, *secondaries = (m.name for m in self.members)
            whom = f"neither primary ({primary}) nor secondary ({', '.join(secondaries)})"
            raise NotAMemberError(f"Error: this node ({self.node}) is {whom}")
        return found

    def role(self, name: str) -> str:
        """Primary or secondary."""
        return "primary" if name == self.members[0].name else "secondary"


def text(groups: Sequence[Group]) -> str:
    """The report: VyOS's for one group, one after the other for more. Raises NotAMemberError."""
    return "".join(_block(group, named=len(groups) > 1) for group in groups)


def rows(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The same for machines. Raises NotAMemberError."""
    return [_row(group) for group in groups]


def _block(group: Group, *, named: bool) -> str:
    phase = _phase(group)
    where = "" if group.node is None else f" on {group.role(group.node)} node {group.node}"
    title = f", group {group.cluster}/{group.name}" if named else ""
    lines = [f"=== Status report{where}{title} ===", ""]
    for member in group.members:
        role = group.role(member.name).title()
        lines += [f"  {role} {_named(group, member.name)}: {_member(group, phase, member)}", ""]
    lines += [f"  Monitor {m.address}: {_monitor(phase, m)}" for m in group.monitors]
    lines += ["", f"  Resources [{' '.join(group.resources)}]:", f"    {_resources(group, phase)}", "", ""]
    return "\n".join(lines)


def _row(group: Group) -> dict[str, Any]:
    phase = _phase(group)
    return {
        "cluster": group.cluster,
        "group": group.name,
        "owner": group.owner,
        "status": _resources(group, phase),
        "resources": list(group.resources),
        "members": [
            {
                "name": m.name,
                "role": group.role(m.name),
                "here": m.name == group.node,
                "state": m.state,
                "status": _member(group, phase, m),
            }
            for m in group.members
        ],
        "monitors": [
            {"address": m.address, "reachable": m.reachable, "status": _monitor(phase, m)} for m in group.monitors
        ],
    }


def _phase(group: Group) -> Phase:
    me = group.me
    if me is not None and me.presence is Presence.HEARD:
        if me.state == LISTENING:
            waits = any(m.presence is Presence.UNHEARD for m in group.members)
            return Phase.WAITING if waits else Phase.MOVING
        if me.state not in OWNING | FLUX | {STANDBY}:
            return Phase.UNKNOWN
    if any(m.state in FLUX for m in group.members):
        return Phase.MOVING
    unclaimed = group.owner is None and not group.waits
    if unclaimed and any(m.state == STANDBY and m.candidate for m in group.members):
        return Phase.MOVING  # one of them takes it in a moment
    return Phase.SETTLED


def _member(group: Group, phase: Phase, member: Member) -> str:
    if phase is Phase.UNKNOWN:
        return UNKNOWN
    if phase is Phase.MOVING:
        return MOVING
    if phase is Phase.WAITING and member.name == group.node:
        return f"Started (waiting for {_awaited(group, member)})"
    if member.name == group.owner or member.state in OWNING:
        return ACTIVE
    if member.state == LISTENING or (phase is Phase.WAITING and member.presence is Presence.UNHEARD):
        return WAITING
    if member.presence is not Presence.HEARD:
        return DOWN
    if member.state != STANDBY:
        return UNKNOWN
    if member.monitors_lost:
        return "Down (at least 1 monitor not reachable)"
    if member.maintenance:
        return "Active (standby, in maintenance)"
    return "Active (standby)" if member.candidate else "Active (standby, no candidate)"


def _awaited(group: Group, me: Member) -> str:
    """VyOS's word where it can be one member only, and names where it can be several."""
    if len(group.members) == 2:
        return "secondary" if group.role(me.name) == "primary" else "primary"
    return ", ".join(m.name for m in group.members if m.presence is Presence.UNHEARD)


def _monitor(phase: Phase, monitor: Monitor) -> str:
    if phase is Phase.WAITING:
        return WAITING
    if phase is Phase.MOVING:
        return MOVING
    if monitor.reachable is None:
        return UNKNOWN
    return "Reachable" if monitor.reachable else "Unreachable"


def _resources(group: Group, phase: Phase) -> str:
    if phase is Phase.UNKNOWN:
        return UNKNOWN
    if phase is Phase.MOVING:
        return "Resource status in transition"
    if group.owner is None:
        why = "; ".join(group.waits) or "no member can take them"
        return WAITING if phase is Phase.WAITING else f"Active on no node: {why}"
    if group.owner not in {m.name for m in group.members}:
        return f"Active on {group.owner}, which is no member"
    return f"Active on {group.role(group.owner)} {_named(group, group.owner)}"


def _named(group: Group, name: str) -> str:
    return f"{name} (this node)" if name == group.node else name
