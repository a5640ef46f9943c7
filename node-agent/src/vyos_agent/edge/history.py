"""The last moves of one cluster's groups that this member made, for the `history` op: why, and how long each step took.

Pure: the shell tells it what happened and when, and nothing is decided by it. It holds what this daemon saw itself and
nothing of what others say they did, so a move between two other members is not in it. It ends with the daemon.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Collection, Iterable
from typing import Any

from vyos_agent.core.effects import Decided
from vyos_agent.core.model import OWNING, Reason, State, Vip

MOVES_MAX = 64
"""Two for each of a cluster's 32 groups (vyos_api.limits): a router that fails and comes back is still in it whole."""


class Kind(enum.StrEnum):
    """What became of the group here."""

    TAKEN = "Taken"
    ADOPTED = "Adopted"
    """This member's earlier life owned it."""
    GIVEN = "Given"
    """By a handover, which may be under way."""
    KEPT = "Kept"
    """It was to be given, and was not taken."""
    RELEASED = "Released"
    """Let go, with nobody to give it to, or in a hurry."""


class Step(enum.StrEnum):
    """An instant of a move, in the order in which they are told."""

    LAST_BEAT = "lastBeat"
    """The newest frame of the former owner that was heard here: before the decision."""
    ADDRESSES = "addresses"
    """The kernel has answered that it holds all of the group's addresses."""
    ANNOUNCED = "announced"
    """The LAN was told of the first of them."""
    READY = "ready"
    """The target can take the group: from here on services stop and lives are short."""
    KEPT = "kept"
    """The handover is over, and the group was not given."""
    LET_GO = "letGo"
    """The target's addresses are there (or its claim is the stronger one): this member's are to be removed."""
    REMOVED = "removed"
    """The kernel has answered that it holds none of them any more."""
    VERIFIED = "verified"
    """Asked on the LAN, the target's hardware address answers for each of them: anybody's word, and seconds later."""


_ORDER = {step: place for place, step in enumerate(Step)}
_TAKES = frozenset({Kind.TAKEN, Kind.ADOPTED})
_UNDER_WAY = frozenset({State.ASKING, State.GIVING})


@dataclasses.dataclass(slots=True, eq=False)
class Move:
    """One move. `at_ms`, its decision, is on the core's clock, and its steps count from there."""

    group: str
    kind: Kind
    reason: Reason
    peer: str | None
    epoch: int
    at_ms: int
    wall_ms: int
    vips: frozenset[Vip]
    outcome: Reason | None = None
    verified: set[Vip] = dataclasses.field(default_factory=set)
    steps_ms: dict[Step, int] = dataclasses.field(default_factory=dict)

    def note(self, step: Step, at_ms: int) -> None:
        """The first time counts."""
        self.steps_ms.setdefault(step, at_ms - self.at_ms)

    def as_json(self) -> dict[str, Any]:
        """An item of `moves` (docs/control-socket.md)."""
        return {
            "group": self.group,
            "kind": self.kind.value,
            "reason": self.reason.value,
            "outcome": self.outcome.value if self.outcome is not None else None,
            "peer": self.peer,
            "epoch": self.epoch,
            "atMs": self.wall_ms,
            "stepsMs": {step.value: self.steps_ms[step] for step in sorted(self.steps_ms, key=_ORDER.__getitem__)},
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """What the shell knows beside a decision."""

    at_ms: int
    wall_ms: int
    """The same instant for people, since 1970."""
    vips: Collection[Vip]
    """The group's addresses."""
    last_beat_ms: int | None
    """When the peer that the decision names was heard last; None: never, or it names none."""


class History:
    """Of one cluster, since it was started here. Bounded: the oldest move makes room for a new one."""

    def __init__(self) -> None:
        self._moves: collections.deque[Move] = collections.deque(maxlen=MOVES_MAX)
        self._open: dict[str, Move] = {}
        """By group, those of which a step may still come. A handover is among the moves only when it is given."""
        self._since_ms: dict[Vip, int] = {}
        """Since when the kernel holds what it holds, by its answers."""

    # -- what happens

    def decided(self, decision: Decided, scene: Scene) -> None:
        """A group changed its state, or something was noted that changed none."""
        if decision.before is decision.after:
            return
        before, after = decision.before in OWNING, decision.after in OWNING
        if after and not before:
            self._taken(decision, scene)
        elif before and not after:
            self._let_go(decision, scene)
        elif before:
            self._handover(decision, scene)
        elif decision.before is State.YIELDING:
            self._close(decision.group, Step.REMOVED, scene.at_ms)

    def held(self, vips: Iterable[Vip], at_ms: int) -> None:
        """The kernel's answer: all that it holds of this cluster."""
        self._since_ms = {vip: self._since_ms.get(vip, at_ms) for vip in vips}
        for move in [m for m in self._open.values() if m.kind in _TAKES]:
            self._look(move)

    def announced(self, vips: Collection[Vip], at_ms: int) -> None:
        """The LAN was told of these."""
        for move in [m for m in self._open.values() if m.kind in _TAKES and not m.vips.isdisjoint(vips)]:
            move.note(Step.ANNOUNCED, at_ms)
            self._look(move)

    def verified(self, vip: Vip, owner: str, at_ms: int) -> None:
        """Who stands by asked the LAN, and it says that the owner has this. Only who gave it away waits for that."""
        move = next((m for m in reversed(self._moves) if vip in m.vips), None)
        if move is None or move.outcome is not Reason.HANDED_OVER or move.peer != owner:
            return
        move.verified.add(vip)
        if Step.REMOVED in move.steps_ms and move.verified >= move.vips:
            move.note(Step.VERIFIED, at_ms)

    # -- what is told of it

    @property
    def groups(self) -> frozenset[str]:
        """Those of which there is a move."""
        return frozenset(move.group for move in self._moves)

    def as_json(self) -> list[dict[str, Any]]:
        """The moves, newest first."""
        return [move.as_json() for move in reversed(self._moves)]

    # -- moves

    def _taken(self, decision: Decided, scene: Scene) -> None:
        kind = Kind.ADOPTED if decision.reason is Reason.ADOPTED else Kind.TAKEN
        move = self._begin(kind, decision, scene)
        if scene.last_beat_ms is not None:
            move.note(Step.LAST_BEAT, scene.last_beat_ms)
        self._moves.append(move)
        self._look(move)

    def _handover(self, decision: Decided, scene: Scene) -> None:
        move = self._open.get(decision.group)
        if decision.after is State.ASKING:
            self._begin(Kind.GIVEN, decision, scene)
        elif decision.after is State.GIVING and move is not None:
            move.note(Step.READY, scene.at_ms)
            self._moves.append(move)
        elif decision.before in _UNDER_WAY and move is not None:
            # While it was only asked for nothing was touched: not a move, however often it is tried.
            move.kind, move.outcome = Kind.KEPT, decision.reason
            self._close(decision.group, Step.KEPT, scene.at_ms)

    def _let_go(self, decision: Decided, scene: Scene) -> None:
        move = self._open.get(decision.group)
        if move is None or decision.before not in _UNDER_WAY:
            self._moves.append(self._begin(Kind.RELEASED, decision, scene))
            return
        if decision.before is State.ASKING:
            self._moves.append(move)
        move.outcome = decision.reason
        if decision.reason is not Reason.HANDED_OVER:
            move.kind = Kind.RELEASED
        move.note(Step.LET_GO, scene.at_ms)

    def _begin(self, kind: Kind, decision: Decided, scene: Scene) -> Move:
        d = decision
        move = Move(d.group, kind, d.reason, d.peer, d.epoch, scene.at_ms, scene.wall_ms, frozenset(scene.vips))
        self._open[d.group] = move
        return move

    def _close(self, group: str, step: Step, at_ms: int) -> None:
        move = self._open.pop(group, None)
        if move is not None:
            move.note(step, at_ms)

    def _look(self, move: Move) -> None:
        """Whether all addresses are there, and with that and an announcement the move is complete."""
        if move.vips <= self._since_ms.keys() and move.vips:
            move.note(Step.ADDRESSES, max(self._since_ms[vip] for vip in move.vips))
        if not move.vips or {Step.ADDRESSES, Step.ANNOUNCED} <= move.steps_ms.keys():
            self._open.pop(move.group, None)
