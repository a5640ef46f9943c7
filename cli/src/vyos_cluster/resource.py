"""What a VyosCluster's status tells, as the facts of a status report. Pure.

An agent writes its entry on change, and a dead one leaves its last words: whom others miss counts as gone. What the
status does not hold is not made up: a monitor that may be undecided is unknown, and of a member that never reported
nothing is said.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Collection, Iterator

from vyos_api import services
from vyos_api.nodeconfig import Address
from vyos_api.v1alpha1 import Condition, Deviation, GroupStatus, NodeStatus, VyosCluster
from vyos_api.v1alpha1 import Group as GroupSpec
from vyos_cluster.seen import UNIT
from vyos_cluster.status import FLUX, OWNING, Group, Member, Monitor, Presence

AWAY = {"Dead": Presence.GONE, "Left": Presence.GONE, "Unheard": Presence.UNHEARD}
"""By the states of a Peer deviation (docs/control-socket.md)."""
WELL = {"Accepted": "True", "Programmed": "True", "Available": "True", "Verified": "True", "Degraded": "False"}
"""Of each condition, the status of a cluster that is well."""
HINDERS = {"Interface": ("Down", "Missing"), "Address": ("NoInterface", "Occupied"), "Service": ("Failed", "Absent")}
"""Deviations that make a member no candidate of the groups that they concern."""


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """One group of a resource, with what is needed to judge it."""

    cluster: VyosCluster
    spec: GroupSpec
    node: str | None
    """As which member sees it; None: by all reports together."""

    @property
    def entries(self) -> dict[str, NodeStatus]:
        """What members reported, by name."""
        return {n.name: n for n in self.cluster.status.nodes}

    @property
    def record(self) -> GroupStatus | None:
        """What the newest owner wrote of the group."""
        return next((g for g in self.cluster.status.groups if g.name == self.spec.name), None)

    def state(self, member: str) -> str | None:
        """A member's part in the group by its own report; None: it says nothing of it."""
        entry = self.entries.get(member)
        return next((g.state for g in (entry and entry.groups) or () if g.name == self.spec.name), None)

    def sees(self, member: str) -> str | None:
        """Whom a member believes to be the owner."""
        entry = self.entries.get(member)
        return next((g.owner for g in (entry and entry.groups) or () if g.name == self.spec.name), None)

    def presence(self, member: str) -> Presence:
        """What is known of a member's life: by the member whose view it is, or by those that it does not miss itself.

        Two that miss each other may both live, in two halves of a partition.
        """
        if member == self.node:
            return Presence.HEARD
        if self.node is not None:
            return AWAY.get(_missed(self.entries.get(self.node), member) or "", self._reported(member))
        mine = self.entries.get(member)
        told = [
            AWAY[state]
            for name, entry in self.entries.items()
            if (state := _missed(entry, member)) in AWAY and _missed(mine, name) not in AWAY
        ]
        return (
            (Presence.GONE if mine or Presence.GONE in told else Presence.UNHEARD) if told else self._reported(member)
        )

    def _reported(self, member: str) -> Presence:
        return Presence.HEARD if member in self.entries else Presence.UNHEARD

    @property
    def living(self) -> tuple[str, ...]:
        """Members that reported, and that are not missed."""
        return tuple(m for m in self.spec.members if self.presence(m) is Presence.HEARD and m in self.entries)

    @property
    def owner(self) -> str | None:
        """Who owns the group; the record alone may be of an owner that is gone."""
        if self.node is not None:
            return self.sees(self.node)
        first = [self.record.owner] if self.record else []
        claims = (m for m in (*first, *self.living) if m in self.living and self.state(m) in OWNING | FLUX)
        owner = next(claims, None)
        if owner is None and self.record is not None and self.record.owner not in self.spec.members:
            return self.record.owner if any(self.sees(m) == self.record.owner for m in self.living) else None
        return owner

    def unreachable(self, member: str) -> frozenset[str]:
        """The group's monitors that a member does not reach."""
        down = {d.name for d in _deviations(self.entries.get(member)) if d.kind == "Monitor"}
        return frozenset(text for text in self.spec.monitors if str(ipaddress.ip_address(text)) in down)

    def decided(self, member: str) -> bool:
        """Whether a member knows of every monitor whether it reaches it, as far as the counts tell."""
        entry = self.entries.get(member)
        if entry is None or entry.monitors is None:
            return False
        ready, all_ = map(int, entry.monitors.split("/"))
        return ready + sum(d.kind == "Monitor" for d in _deviations(entry)) == all_

    def hindrances(self, member: str) -> list[str]:
        """Why a member cannot take the group, as far as its report tells: cordons and most of the rest it does not."""
        found = ["it is in maintenance"] if member in self.spec.maintenance else []
        interfaces, addresses = _places(self.spec)
        for d in _deviations(self.entries.get(member)):
            concerned = {
                "Interface": d.name in interfaces,
                "Address": d.name.partition(": ")[0] in addresses,
                "Service": d.name.startswith(f"{self.spec.name}: "),
            }
            if d.state in HINDERS.get(d.kind, ()) and concerned.get(d.kind):
                found.append(d.name if d.state == "Occupied" else f"{d.kind} {d.name} is {d.state}")
        return found

    @property
    def waits(self) -> tuple[str, ...]:
        """Why nobody makes the first claim, as living members report it: an address in use, or no heartbeat link."""
        if self.owner is not None:
            return ()
        reported = [(m, d) for m in self.living for d in _deviations(self.entries[m])]
        addresses = _places(self.spec)[1]
        taken = [
            f"{m}: {d.name}"
            for m, d in reported
            if (d.kind, d.state) == ("Address", "Occupied") and d.name.partition(": ")[0] in addresses
        ]
        mute = [(m, d.name) for m, d in reported if d.kind == "Heartbeat"]
        unheard = {m for m, _ in mute} >= set(self.living)
        return (*taken, *(f"{m}: {name}" for m, name in mute if unheard))

    def group(self) -> Group:
        """The facts of a report."""
        owner, me = self.owner, self.node
        asked = me or owner
        return Group(
            cluster=self.cluster.metadata.name,
            name=self.spec.name,
            node=me,
            owner=owner,
            members=tuple(self._members()),
            resources=tuple(_resources(self.spec)),
            monitors=tuple(Monitor(text, self._reached(asked, text)) for text in self.spec.monitors),
            waits=self.waits,
        )

    def _members(self) -> Iterator[Member]:
        for name in self.spec.members:
            presence = self.presence(name)
            yield Member(
                name=name,
                state=self.state(name) if presence is Presence.HEARD else None,
                presence=presence,
                monitors_lost=bool(self.unreachable(name)),
                candidate=not self.hindrances(name),
                maintenance=name in self.spec.maintenance,
            )

    def _reached(self, member: str | None, text: str) -> bool | None:
        if member is None or member not in self.entries:
            return None
        if text in self.unreachable(member):
            return False
        return True if self.decided(member) else None


def views(clusters: Collection[VyosCluster], node: str | None) -> list[View]:
    """Every group, as all reports together have it; with a node, the groups that it is a member of, as it sees them.

    With a node that has no part in any of them, all groups: to report on them says so, in VyOS's words.
    """
    found = [View(cluster, spec, node) for cluster in clusters for spec in cluster.spec.groups]
    return [view for view in found if node in (None, *view.spec.members)] or found


def unwell(cluster: VyosCluster) -> list[Condition]:
    """Conditions that are not as they should be."""
    return [k for k in cluster.status.conditions if WELL.get(k.type, k.status) != k.status]


def _missed(entry: NodeStatus | None, member: str) -> str | None:
    return next((d.state for d in _deviations(entry) if d.kind == "Peer" and d.name == member), None)


def _deviations(entry: NodeStatus | None) -> tuple[Deviation, ...]:
    return tuple((entry and entry.deviations) or ())


def _resources(spec: GroupSpec) -> Iterator[str]:
    """In the report's order: addresses first."""
    found = [services.parse(text) for text in spec.services]
    yield from (s.text for s in found if isinstance(s, Address))
    yield from (s.name.removesuffix(UNIT) for s in found if not isinstance(s, Address))


def _places(spec: GroupSpec) -> tuple[frozenset[str], frozenset[str]]:
    """Interfaces that the group's addresses name, and addresses as deviations name them."""
    found = [s for text in spec.services if isinstance(s := services.parse(text), Address)]
    return (
        frozenset(s.interface for s in found if s.interface),
        frozenset(name for s in found for name in (s.text, f"{s.address}/{s.prefix}")),
    )
