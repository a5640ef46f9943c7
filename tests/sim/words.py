"""What the hosts say in their frames, held against what is true: the claims, the epochs, and "standby".

A claim is what a frame says, not what a node thinks: two claims of one epoch are two frames.
"""

from __future__ import annotations

import collections
import typing
from collections.abc import Callable, Sequence

from sim import bounds
from vyos_agent.core.model import OWNING, State
from vyos_agent.core.wire import Beat, GroupEntry, Handover

if typing.TYPE_CHECKING:
    from sim.host import Host
    from sim.world import World

CLAIMS_MAX = 256
"""Epochs remembered of each group."""


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, name: str, quote: str, detail: str, log: Sequence[str]) -> None:
        self.name = name
        text = "\n".join(log)
        super().__init__(f"{name}: {detail}\n  must: {quote}\n{text}")
        self._made_of = (name, quote, detail, tuple(log))

    def __reduce__(self) -> tuple[object, ...]:
        """Over to another process, whole."""
        return (type(self), self._made_of)


class Words:
    """Everything said so far that later words must agree with."""

    def __init__(self, fail: Callable[[str, str, str], None]) -> None:
        self._fail = fail
        self._claims: dict[int, collections.OrderedDict[int, tuple[str, int]]] = collections.defaultdict(
            collections.OrderedDict
        )
        """By group: epoch to the claimant and when it said so first."""
        self._offers: collections.OrderedDict[tuple[int, int, int], int] = collections.OrderedDict()
        """By giver's life, group and epoch: whom it gave it to."""
        self._epochs: dict[tuple[str, int], tuple[int, int]] = {}
        """By host and group: its life, and the highest epoch that it has told."""

    def said(self, world: World, host: Host, beat: Beat) -> None:
        """One part of a frame."""
        for entry in beat.groups:
            self._epoch(host, beat, entry)
            if entry.state in OWNING:
                self._claim(world, host, entry)
            elif entry.state is State.STANDBY:
                self._standby(world, host, entry)
            if entry.handover is Handover.GO:
                self._offer(host, beat, entry)

    def forget(self, name: str) -> None:
        """That host is not bound to what it has said."""
        self._epochs = {key: told for key, told in self._epochs.items() if key[0] != name}

    def _epoch(self, host: Host, beat: Beat, entry: GroupEntry) -> None:
        life, epoch = self._epochs.get((host.name, entry.group), (0, 0))
        if life == beat.incarnation and entry.epoch < epoch:
            self._fail("epochs go up", "epochs never go back", f"{host.name} said {epoch} and says {entry.epoch}")
        if life == beat.incarnation and entry.epoch == epoch:
            return
        self._epochs[host.name, entry.group] = (beat.incarnation, entry.epoch)

    def _claim(self, world: World, host: Host, entry: GroupEntry) -> None:
        claims = self._claims[entry.group]
        before = claims.get(entry.epoch)
        if before is None or before[0] == host.name:
            if before is None:
                claims[entry.epoch] = (host.name, world.now)
                if len(claims) > CLAIMS_MAX:
                    claims.popitem(last=False)
            return
        other, at_ms = before
        limits = bounds.of(world)
        heard_ms = world.peace.joined_ms + limits.settled_ms
        new_ms = world.peace.same_ms + limits.exchange_ms  # before, one of the two may not have known the group
        if at_ms <= world.peace.whole_ms + limits.settled_ms:
            new_ms += limits.settled_ms  # who knows of it is not told by relay
        if at_ms > max(heard_ms, new_ms):
            self._fail(
                "one claim an epoch",
                "at most one claim per epoch and group while all members hear each other directly or by one relay",
                f"{host.name} claims epoch {entry.epoch}, which {other} claimed at {at_ms}",
            )
        claims[entry.epoch] = (host.name, world.now)

    def _standby(self, world: World, host: Host, entry: GroupEntry) -> None:
        for group in host.config.groups:
            name = group.name
            assert host.node is not None
            held = world.held[host.name] - host.node.relocated
            if group.id == entry.group and not held.isdisjoint(group.vips):
                self._fail(
                    "standby means swept",
                    'it says "standby" only after it has swept or adopted what an earlier life left; the loser removes '
                    "its addresses, then says so",
                    f"{host.name} says standby of {name} and holds its address",
                )

    def _offer(self, host: Host, beat: Beat, entry: GroupEntry) -> None:
        key = (beat.incarnation, entry.group, entry.epoch + 1)
        target = self._offers.setdefault(key, entry.target)
        if len(self._offers) > CLAIMS_MAX:
            self._offers.popitem(last=False)
        if target != entry.target:
            self._fail(
                "one offer an epoch",
                "at most one claim per epoch and group ... in every handover; a take-back burns an epoch",
                f"{host.name} gives epoch {entry.epoch + 1} to two members",
            )
