"""Why a group is where it is, as far as a VyosCluster's status tells: sentences, and its members as a table. Pure.

A member asked itself knows more (`explanation`): who is ready for a move, over which links who is heard, which move is
under way. The status holds none of that, and what follows from it is not said here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vyos_cluster.printing import columns
from vyos_cluster.reasons import REASONS
from vyos_cluster.refusal import printable
from vyos_cluster.resource import View
from vyos_cluster.status import LISTENING, Presence

HEAD = ("member", "state", "preference", "monitors", "cannot take it")
ABSENT = {Presence.GONE: "(gone)", Presence.UNHEARD: "(no report)"}
UNTOLD = (
    "The status does not tell who is ready for a move, over which links members hear each other, which move is under "
    "way, and whose node is cordoned: a router tells it (vyos-cluster explain --socket)."
)

Row = dict[str, Any]


def row(view: View) -> Row:
    """One group, for machines."""
    record, owner = view.record, view.owner
    by_owner = record is not None and record.owner == owner
    members = [
        {
            "name": name,
            "preference": place,
            "state": view.state(name) if view.presence(name) is Presence.HEARD else None,
            "presence": view.presence(name).name.title(),
            "sees": view.sees(name),
            "unreachable": sorted(view.unreachable(name)) if view.decided(name) else None,
            "hindrances": view.hindrances(name),
        }
        for place, name in enumerate(view.spec.members, 1)
    ]
    found: Row = {
        "cluster": view.cluster.metadata.name,
        "group": view.spec.name,
        "owner": owner,
        "epoch": record.epoch if record else None,
        "since": record.since if record and by_owner else None,
        "reason": record.reason if record and by_owner else None,
        "recorded": record.owner if record else None,
        "autoFailback": view.spec.auto_failback,
        "monitors": len(view.spec.monitors),
        "members": members,
        "waits": list(view.waits),
    }
    return found | {"why": list(_why(found))}


def text(found: Row) -> str:
    """The same for people."""
    cells = [_cells(found, member) for member in found["members"]]
    return _printable("\n".join([*found["why"], "", columns([HEAD, *cells]), UNTOLD, "", ""]))


def _printable(found: str) -> str:
    """With escapes for what a terminal might obey: a status holds what agents were told by their hosts."""
    return "\n".join(map(printable, found.split("\n")))


def _cells(found: Row, member: Row) -> list[str]:
    all_, lost = found["monitors"], member["unreachable"]
    return [
        member["name"],
        member["state"] or ABSENT.get(Presence[member["presence"].upper()], "(unknown)"),
        str(member["preference"]),
        "?" if lost is None else f"{all_ - len(lost)}/{all_}",
        "; ".join(member["hindrances"]),
    ]


def _why(found: Row) -> Iterator[str]:
    name, owner, recorded = f"{found['cluster']}/{found['group']}", found["owner"], found["recorded"]
    if owner is None:
        yield f"{name}: no member that lives reports to own it."
        if found["waits"]:
            yield f"Nobody claims it: {'; '.join(found['waits'])}."
        if recorded is not None:
            yield f"Recorded is {recorded} (epoch {found['epoch']}), by its last words."
        return
    if owner != recorded:
        yield f"{name}: {owner} owns it by its own report; it is not recorded yet."
        return
    yield f"{name}: {owner} owns it (epoch {found['epoch']}{', since ' + found['since'] if found['since'] else ''})."
    reason = found["reason"]
    if reason is not None:
        yield f"{owner} took it: {reason}: {REASONS.get(reason, 'a word of another release.')}"
    yield from _stays(found, owner)


def _stays(found: Row, owner: str) -> Iterator[str]:
    """Why the first in the order is not the owner."""
    preferred = [m for m in found["members"] if not m["hindrances"] and m["state"] not in (None, LISTENING)]
    if not preferred or preferred[0]["name"] == owner or all(m["name"] != owner for m in found["members"]):
        return
    first, own = preferred[0], next(m for m in found["members"] if m["name"] == owner)
    lost, kept = first["unreachable"], own["unreachable"]
    if own["preference"] < first["preference"]:
        return
    if lost and kept is not None and len(lost) > len(kept):
        yield f"{first['name']} is preferred, and reaches fewer monitors than {owner}."
    elif not found["autoFailback"]:
        yield f"{first['name']} is preferred, but autoFailback is off: it stays until somebody moves it."
    else:
        yield f"{first['name']} is preferred, and autoFailback brings it back after failbackDelay."
