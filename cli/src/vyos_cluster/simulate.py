"""Where every group would go if a node were lost: read off a living member's `explain`, with nothing moved.

It follows one rule of the election, the takeover after a death: the best candidate but the lost one. What would come
after that (a failback, a monitor that goes with the node) is not foretold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any


class UnknownNodeError(ValueError):
    """No cluster of the answer has such a member."""


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """One group, before and after."""

    cluster: str
    group: str
    owner: str | None
    then: str | None
    why_not: tuple[str, ...] = ()
    """When nobody takes it: each other member, and why not."""

    def line(self) -> str:
        """The forecast in words."""
        what = f"{self.cluster}/{self.group}"
        if self.owner == self.then:
            return f"{what}: stays at {self.owner}" if self.owner else f"{what}: has no owner, and gets none"
        if self.then is None:
            return f"{what}: {self.owner} -> nobody ({'; '.join(self.why_not)})"
        return f"{what}: {self.owner or 'nobody'} -> {self.then}"


def without(answer: Mapping[str, Any], node: str) -> list[Move]:
    """Every group of an `explain` answer, after the loss of the node. Raises UnknownNodeError."""
    members = {row["name"] for cluster in answer["clusters"] for g in cluster["groups"] for row in g["candidates"]}
    if node not in members:
        known = ", ".join(sorted(members)) or "none"
        raise UnknownNodeError(f"{node} is a member of no group that this router knows; members are: {known}")
    return [_move(cluster["cluster"], g, node) for cluster in answer["clusters"] for g in cluster["groups"]]


def _move(cluster: str, group: Mapping[str, Any], node: str) -> Move:
    owner = group["owner"]
    if owner is not None and owner != node:
        return Move(cluster, group["name"], owner, owner)
    others = [row for row in group["candidates"] if row["name"] != node]
    heir = next((row["name"] for row in others if row["candidate"]), None)
    return Move(cluster, group["name"], owner, heir, () if heir else tuple(_reasons(others)))


def _reasons(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["state"] is None:
            yield f"{row['name']} is not heard"
        else:
            yield f"{row['name']} is {row['state']} and no candidate"
