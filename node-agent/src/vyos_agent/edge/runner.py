"""The loop around one Node: feed, perform, re-arm. Decides nothing.

Whatever wakes it, a turn first takes what the sockets have queued, for a node that judges its peers before it has read
their frames would call them dead. `turn` and everything in it is synchronous and never waits; slow work is given away
and comes back as an event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

from vyos_agent.core.effects import Announce, Decided, Effect, Hold, Persist, Send, Serve, Stopped
from vyos_agent.core.events import Event, Frame, Sent, Woke
from vyos_agent.core.model import Ending, Vip
from vyos_agent.core.node import Node
from vyos_agent.edge.clock import now

logger = logging.getLogger(__name__)

COMPLAIN_MS = 60_000
"""An observer may fail in each turn; that is logged once in this time."""


class Ports(Protocol):
    """What a runner drives. No method waits."""

    def drain(self, at_ms: int) -> tuple[Frame, ...]:
        """Frames that have come."""

    def heard(self, frames: tuple[Frame, ...]) -> None:
        """The node has taken these in, or refused them; told last in a turn."""

    def send(self, datagrams: Mapping[str, tuple[bytes, ...]]) -> bool:
        """Multicast; whether it was accepted."""

    def hold(self, lifetimes_ms: Mapping[Vip, int], at_ms: int) -> None:
        """Have the kernel hold these addresses; answered by Held, later."""

    def serve(self, running: Mapping[str, tuple[str, ...]]) -> None:
        """Have these host services run, by group; answered by Served, later."""

    def announce(self, vips: tuple[Vip, ...]) -> None:
        """Tell the LAN."""

    def persist(self, epochs: Mapping[str, int]) -> None:
        """Write the epochs to the disk, later."""

    def decided(self, decision: Decided) -> None:
        """A group changed its state."""

    def changed(self) -> None:
        """The report says something new."""

    def stopped(self, ending: Ending) -> None:
        """The node's life is over."""

    def crashed(self, error: Exception) -> None:
        """A fault of ours: the node cannot go on."""


class Runner:
    """One Node, its timer, and its ports."""

    def __init__(self, node: Node, ports: Ports, clock: Callable[[], int] = now) -> None:
        self.node = node
        self.over = False
        """No further turn is taken."""
        self._ports = ports
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_ms: int | None = None
        self._revision = node.revision - 1
        self._complain_ms = 0

    def turn(self, *events: Event) -> None:
        """Take in what the sockets have, then these events, and do what follows."""
        if self.over:
            return
        try:
            at_ms = self._clock()
            frames = self._ports.drain(at_ms)
            for event in (Woke(frames), *events):
                if not self._step(event, at_ms):
                    return
            if self.node.revision != self._revision:
                self._revision = self.node.revision
                self._observe(self._ports.changed)
            self._rearm()
            self._observe(self._ports.heard, frames)
        except Exception as error:  # a fault of ours in one cluster is no reason to drop the others
            self.end()
            self._ports.crashed(error)

    def end(self) -> None:
        """No more turns."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _step(self, event: Event, at_ms: int) -> bool:
        """Whether the node lives on."""
        for effect in self.node.step(event, at_ms):
            self._perform(effect, at_ms)
        return not self.over

    def _perform(self, effect: Effect, at_ms: int) -> None:
        match effect:
            case Send(datagrams):
                self._step(Sent(self._ports.send(datagrams)), at_ms)
            case Hold(lifetimes_ms):
                self._ports.hold(lifetimes_ms, at_ms)
            case Serve(running):
                self._ports.serve(running)
            case Announce(vips):
                if self.node.may_hold(self._clock()):
                    self._ports.announce(vips)
            case Persist(epochs):
                self._ports.persist(epochs)
            case Decided():
                self._observe(self._ports.decided, effect)
            case Stopped(ending):
                self.end()
                self._ports.stopped(ending)
            case _:
                assert_never(effect)

    def _observe(self, tell: Callable[..., None], *what: object) -> None:
        """Tell an observer (log, history, metrics, report). Its fault ends nothing, and removes no address."""
        try:
            tell(*what)
        except Exception:
            at_ms = self._clock()
            if at_ms >= self._complain_ms:
                self._complain_ms = at_ms + COMPLAIN_MS
                logger.exception("a fault of ours in what is reported; the addresses are served as ever")

    def _rearm(self) -> None:
        if self._armed_ms == self.node.deadline and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ms = self.node.deadline
        # asyncio's clock is the same one, and its poll rounds up: a timer is never early by more than its resolution
        self._timer = self._loop.call_at(self._armed_ms / 1000, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.turn()
