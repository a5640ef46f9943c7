"""How long each peer was silent between two of its heartbeats: a histogram for each, for the `metrics` op.

Nothing is decided by it. It looks at frames that the core has judged already, since the core alone knows a forged, a
replayed or a held-back one; what it adds per frame is one bisect and one increment.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from vyos_agent.core import wire
from vyos_agent.core.events import Frame
from vyos_agent.core.model import MemberId, wire_id

BOUNDS_MS = (15, 30, 75, 150, 300, 750, 1_500, 3_000, 7_500, 15_000, 30_000)
"""Upper bounds, each one and a half times a round keepalive interval (10, 20, 50, 100 ms ... 20 s).

A gap above the bound of its interval has lost a frame (two intervals), one below has not. The first is of the shortest
interval that the API takes, the last the end of every dead interval (vyos_api.v1alpha1: keepaliveInterval from 10 ms,
deadInterval under 30 s)."""


@dataclasses.dataclass(slots=True)
class _Silence:
    """One peer's histogram, and its newest heartbeat: the gap to the next one begins there."""

    member: MemberId
    counts: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    sum_ms: int = 0
    incarnation: int = 0
    number: int = 0
    at_ms: int = 0


class Gaps:
    """Of one cluster, since it was started here; a peer that leaves the configuration is forgotten."""

    def __init__(self) -> None:
        self._peers: dict[str, _Silence] = {}
        self._senders: dict[MemberId, _Silence] = {}

    def configure(self, peers: Iterable[str]) -> None:
        """Exactly these have a histogram."""
        self._peers = {name: self._peers.get(name) or _Silence(MemberId(wire_id(name))) for name in peers}
        self._senders = {silence.member: silence for silence in self._peers.values()}

    def heard(self, frames: Iterable[Frame], newest_of: Callable[[MemberId], tuple[int, int] | None]) -> None:
        """Count the gaps before these frames, oldest first. `newest_of`: what the core has of each, these included.

        A heartbeat over two links, or in parts, is one. Between two lives of a peer there is no gap: it was away.
        """
        for frame in frames:
            label = wire.label(frame.data)
            silence = None if label is None else self._senders.get(label.sender)
            if label is None or silence is None:
                continue
            number = label.sequence - label.part  # parts count on
            same_life = label.incarnation == silence.incarnation
            if same_life and number <= silence.number:
                continue
            life, newest = newest_of(silence.member) or (0, 0)
            if label.incarnation != life or label.sequence > newest:
                continue  # of a life that is not believed, or refused: the newest is the last that was taken
            if same_life:
                gap_ms = max(0, frame.at_ms - silence.at_ms)
                silence.counts[bisect.bisect_left(BOUNDS_MS, gap_ms)] += 1
                silence.sum_ms += gap_ms
            silence.incarnation, silence.number, silence.at_ms = label.incarnation, number, frame.at_ms

    def as_json(self) -> dict[str, Any]:
        """`gaps` of the `metrics` op: how many gaps lie above the bound before and not above this one."""
        peers = {name: {"counts": list(s.counts), "sumMs": s.sum_ms} for name, s in sorted(self._peers.items())}
        return {"boundsMs": list(BOUNDS_MS), "peers": peers}
