"""Why a group is where it is: a member's `explain` as a table of its candidates, and as sentences. Pure.

The order is the daemon's own (shared by takeover, failback and monitors): candidates, then whoever reaches more of the
same monitors, then the order of preference. Here that order is only told, never worked out again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vyos_cluster.printing import columns
from vyos_cluster.reasons import REASONS

HEAD = ("", "member", "state", "candidate", "monitors", "preference", "ready", "heard over")
SILENCE = {
    "Unheard": "was never heard",
    "Dead": "is not heard any more",
    "Left": "has left",
}
"""By the states of a peer (docs/control-socket.md) of which nothing is known."""

Row = dict[str, Any]


def rows(answer: Mapping[str, Any], cluster: str | None, group: str | None) -> list[Row]:
    """Each group of an `explain` answer that is asked for, for machines."""
    node = answer["node"]
    asked = [(c, g) for c in answer["clusters"] for g in c["groups"] if c["cluster"] == (cluster or c["cluster"])]
    return [_group(node, c, g) for c, g in asked if g["name"] == (group or g["name"])]


def text(row: Row) -> str:
    """The same for people."""
    cells = [_cells(row, c) for c in row["candidates"]]
    return "\n".join([*row["why"], "", columns([HEAD, *cells]), *row["order"], "", ""])


def _group(node: str, cluster: Mapping[str, Any], group: Mapping[str, Any]) -> Row:
    peers = {peer["name"]: peer for peer in cluster["peers"]}
    places = itertools.count(1)
    candidates = [
        {
            "place": next(places) if c["candidate"] else None,
            "name": c["name"],
            "here": c["name"] == node,
            "state": c["state"],
            "candidate": c["candidate"],
            "monitors": c["monitors"],
            "preference": group["members"].index(c["name"]) + 1 if c["name"] in group["members"] else None,
            "ready": c["ready"],
            "peer": peers[c["name"]]["state"] if c["name"] in peers else None,
            "links": peers[c["name"]]["links"] if c["name"] in peers else [],
            "maintenance": c["name"] in group["maintenance"],
        }
        for c in group["candidates"]
    ]
    row: Row = {
        "cluster": cluster["cluster"],
        "group": group["name"],
        "node": node,
        **{field: group[field] for field in ("state", "owner", "epoch", "reason", "services", "handover")},
        "failbackMs": group["failbackMs"],
        "waits": group.get("waits", []),
        "monitors": len(group["monitors"]),
        "candidates": candidates,
    }
    return row | {"why": list(_why(row)), "order": list(_order(candidates, row["monitors"]))}


# -- the table


def _cells(row: Row, candidate: Row) -> list[str]:
    known = candidate["monitors"] is not None
    links = "(this router)" if candidate["here"] else " ".join(candidate["links"])
    state = candidate["state"] or f"({candidate['peer'] or 'unknown'})"
    monitors = f"{candidate['monitors']}/{row['monitors']}" if known else "?"
    return [
        str(candidate["place"] or ""),
        candidate["name"],
        state,
        "yes" if candidate["candidate"] else "no",
        monitors,
        str(candidate["preference"] or ""),
        "yes" if candidate["ready"] else "no",
        links,
    ]


# -- why it is where it is


def _why(row: Row) -> Iterator[str]:
    name, owner = f"{row['cluster']}/{row['group']}", row["owner"]
    reason = row["reason"]
    because = f"{reason}: {REASONS.get(reason, 'a word of another release.')}" if reason else "it has just begun."
    if owner is None:
        yield f"{name}: nobody owns it, as far as {row['node']} knows."
        if row["waits"]:
            yield f"{row['node']} does not claim it: {'; '.join(row['waits'])}."
    else:
        yield f"{name}: {owner} owns it (epoch {row['epoch']})."
    if owner == row["node"]:
        yield f"{owner} took it: {because}"
    else:
        yield f"{row['node']}, which is asked here, is {row['state']}: {because}"
    if row["services"] is not None:
        yield f"Its host services on {row['node']}: {row['services']}."
    if row["handover"] is not None:
        move = row["handover"]
        how = "is given" if move["given"] else "is asked"
        yield f"A move is under way: {move['target']} {how} ({move['reason']})."
    elif owner is not None:
        yield from _stays(row, owner)


def _stays(row: Row, owner: str) -> Iterator[str]:
    """Why the best candidate is not the owner."""
    best = next((c for c in row["candidates"] if c["candidate"]), None)
    found = next((c for c in row["candidates"] if c["name"] == owner), None)
    if best is None or best["name"] == owner:
        return
    if found is None or not found["candidate"]:
        yield f"{best['name']} would be the next owner."
    elif _reaches_more(best, found):
        yield f"{best['name']} reaches more monitors than {owner}: a move follows when that lasts."
    elif row["failbackMs"] is None:
        yield f"{best['name']} comes first, but autoFailback is off: it stays until somebody moves it."
    else:
        yield f"{best['name']} comes first: autoFailback brings it back after {row['failbackMs'] / 1000:g} s."
    if not best["ready"]:
        yield f"{best['name']} is not ready for a move now."


# -- why the candidates stand in this order


def _order(candidates: Sequence[Row], monitors: int) -> Iterator[str]:
    ranked = [c for c in candidates if c["candidate"]]
    for before, after in itertools.pairwise(ranked):
        if _reaches_more(before, after):
            said = f"it reaches fewer monitors ({after['monitors']} of {monitors}, not {before['monitors']})"
        elif monitors and None in (before["monitors"], after["monitors"]):
            said = "it is less preferred (one of the two pings other monitors, so they do not count)"
        else:
            said = "it is less preferred"
        yield f"{after['name']} comes after {before['name']}: {said}."
    for candidate in candidates:
        if not candidate["candidate"]:
            yield f"{candidate['name']} is no candidate: it {_hindrance(candidate)}."


def _reaches_more(one: Row, other: Row) -> bool:
    known = one["monitors"] is not None and other["monitors"] is not None
    return known and one["monitors"] > other["monitors"]


def _hindrance(candidate: Row) -> str:
    if candidate["maintenance"]:
        return "is in maintenance"
    if candidate["state"] is None:
        return SILENCE.get(candidate["peer"] or "", "says nothing of this group")
    if candidate["state"] == "Listening":
        return "has just started, and listens"
    return (
        "has lost a link of the addresses, a host service failed or is missing there, its node is cordoned, or it has "
        "one of the addresses for good"
    )
