"""The live view of VyosClusters by their status: owners, members, what is not as it should be. Pure.

A member's counts are its own last words; who is gone is told by the others, as in `resource`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from vyos_api.v1alpha1 import VyosCluster
from vyos_cluster import resource
from vyos_cluster.printing import table
from vyos_cluster.refusal import printable
from vyos_cluster.resource import View
from vyos_cluster.status import Presence

LIFE = {
    Presence.HEARD: ("Alive", "green"),
    Presence.GONE: ("Gone", "red"),
    Presence.UNHEARD: ("No report", "red"),
}


def picture(clusters: Sequence[VyosCluster]) -> RenderableType:
    """Groups, members and conditions of all clusters."""
    groups = table("Groups", "group", "owner", "epoch", "why", "since", "resources")
    members = table("Members", "cluster", "member", "is", "here", "peers", "links", "monitors")
    for cluster in clusters:
        views = resource.views([cluster], None)
        for view in views:
            groups.add_row(*_group(view))
        for name in dict.fromkeys(member for view in views for member in view.spec.members):
            members.add_row(*_member(views, name))
    wrong = [
        Text(printable(f"{c.metadata.name}: {k.type} is {k.status}: {k.reason}: {k.message}"), "red")
        for c in clusters
        for k in resource.unwell(c)
    ]
    return Group(*wrong, groups, members)  # a terminal that is too short shows the top


def _group(view: View) -> tuple[Text, ...]:
    record, owner = view.record, view.owner
    told = record is not None and record.owner == owner
    cells = [
        str(record.epoch) if record else "",
        (record.reason or "") if record and told else "",
        (record.since or "") if record and told else "",
        " ".join(view.group().resources),
    ]
    name = Text(f"{view.cluster.metadata.name}/{view.spec.name}")
    return name, Text(printable(owner), "green") if owner else Text("nobody", "red"), *map(_plain, cells)


def _member(views: Sequence[View], name: str) -> tuple[Text, ...]:
    mine = [view for view in views if name in view.spec.members]
    presence, entry = mine[0].presence(name), mine[0].entries.get(name)
    here = " ".join(f"{v.spec.name}:{v.state(name)}" for v in mine if presence is Presence.HEARD and v.state(name))
    counts = [(entry and getattr(entry, field)) or "" for field in ("peers", "interfaces", "monitors")]
    return Text(mine[0].cluster.metadata.name), Text(name), Text(*LIFE[presence]), _plain(here), *map(_plain, counts)


def _plain(text: object) -> Text:
    """With escapes for what a terminal might obey: a status holds what agents were told by their hosts."""
    return Text(printable(str(text)))
