"""One machine in the simulator: the production core, and a shell that does what the real one does, on virtual time."""

from __future__ import annotations

import typing

from sim.kernel import Kernel
from vyos_agent.core import effects, events
from vyos_agent.core.model import Config, Ending, Serving, Vip
from vyos_agent.core.node import Node

if typing.TYPE_CHECKING:
    from sim.world import World

QUEUE_MAX = 256
"""Receive buffer, in frames; when it is full the newest is lost, as a socket does it."""


class Host:
    """A machine that can be killed, frozen, powered off and started again."""

    def __init__(self, world: World, config: Config) -> None:
        self.world, self.config = world, config
        self.kernel = Kernel(world.rng)
        self.node: Node | None = None
        self.frozen = False
        self.disk: dict[str, int] = {}
        self.decisions: list[tuple[int, effects.Decided]] = []
        self.endings: list[Ending] = []
        self.serving: dict[str, tuple[str, ...]] = {}
        """What this life of the daemon was told to run, by group."""
        self.serve_ms = 50
        self.absent: set[str] = set()
        self.cannot_start: set[str] = set()
        self.cannot_stop: set[str] = set()
        self._life = 0
        self._queue: list[events.Frame] = []
        self._pending: list[events.Event] = []
        self._level: typing.Collection[Vip] = ()

    @property
    def name(self) -> str:
        return self.config.me

    # -- life

    def start(self) -> None:
        """Power on, or start the daemon again."""
        self._life += 1
        self._queue.clear()
        self._pending.clear()
        self.serving.clear()
        self.frozen = False
        incarnation = self.world.rng.getrandbits(64)
        self.node = Node(self.config, incarnation=incarnation, epochs=dict(self.disk), now=self.world.now)
        self.turn()

    def kill(self) -> None:
        """The daemon is gone; the kernel keeps what it has until its time is over."""
        self._life += 1
        self.node = None

    def power_off(self) -> None:
        """Everything is gone but the disk."""
        self.kill()
        self.kernel = Kernel(self.world.rng)
        for name in list(self.world.running):
            self.world.serve(self.name, name, running=False)
        self.world.look()

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        if self.node is not None:
            self.turn()

    # -- the shell

    def receive(self, data: bytes, interface: str) -> None:
        if self.node is None or len(self._queue) >= QUEUE_MAX:
            return
        self._queue.append(events.Frame(data, interface, self.world.now))
        if not self.frozen:
            self.turn()

    def feed(self, event: events.Event) -> None:
        if self.node is None:
            return
        self._pending.append(event)
        if not self.frozen:
            self.turn()

    def turn(self) -> None:
        """Drain the sockets, then everything else: the runner's turn."""
        assert self.node is not None
        frames, self._queue = tuple(self._queue), []
        self._step(events.Woke(frames))
        pending, self._pending = self._pending, []
        for event in pending:
            self._step(event)
        if self.node is None:
            return
        assert self.node.deadline > self.world.now, "a deadline in the past makes a timer that spins"
        life = self._life
        self.world.at(self.node.deadline, lambda: self._timer(life))

    def _timer(self, life: int) -> None:
        node = self.node
        if node is not None and life == self._life and not self.frozen and self.world.now >= node.deadline:
            self.turn()

    def _step(self, event: events.Event) -> None:
        if self.node is None:
            return
        for effect in self.node.step(event, self.world.now):
            self._perform(effect)

    def _perform(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Send(datagrams):
                sent = [self.world.send(self.name, i, data) for i, parts in datagrams.items() for data in parts]
                self._step(events.Sent(any(sent)))
            case effects.Hold(lifetimes):
                life = self._life
                self._level = lifetimes.keys()
                delay = self.world.rng.randint(*self.world.netlink_ms)
                self.world.at(self.world.now + delay, lambda: self._netlink(dict(lifetimes), life))
            case effects.Serve(running):
                for name in running.keys() | self.serving.keys():
                    self._serve(name, running.get(name))
            case effects.Announce(vips):
                self.world.announce(self.name, vips)
            case effects.Persist(epochs):
                self.disk = dict(epochs)
            case effects.Decided():
                self.decisions.append((self.world.now, effect))
                self.world.note(self.name, effect)
            case effects.Stopped(ending):
                self.endings.append(ending)
                self.kill()

    def _serve(self, name: str, units: tuple[str, ...] | None) -> None:
        """systemd, which takes its time: services outlive the daemon, and end with the power."""
        if units is None or self.serving.get(name, (None,)) == units:
            return
        first = name not in self.serving
        self.serving[name] = units
        if name in self.absent:
            self.feed(events.Served(name, Serving.ABSENT, "not-found"))
            return
        running = bool(units)
        if not first or running:
            self.feed(events.Served(name, Serving.STARTING if running else Serving.STOPPING))
        life = self._life
        self.world.at(self.world.now + self.serve_ms, lambda: self._has_served(name, units, life))

    def _has_served(self, name: str, units: tuple[str, ...], life: int) -> None:
        if life != self._life or self.serving.get(name) != units:
            return
        refused = name in (self.cannot_start if units else self.cannot_stop)
        if not refused:
            self.world.serve(self.name, name, running=bool(units))
        done = Serving.RUNNING if units else Serving.STOPPED
        self.feed(events.Served(name, Serving.FAILED if refused else done, "refused" if refused else ""))

    def _netlink(self, lifetimes: dict[typing.Any, int], life: int) -> None:
        """The address worker's turn: every add goes through the gate, also when a freeze came in between."""
        if self.node is None or life != self._life:
            return
        if self.frozen:
            self.world.at(self.world.now + 1, lambda: self._netlink(lifetimes, life))
            return
        if not self.node.may_hold(self.world.now):
            lifetimes = dict.fromkeys(lifetimes, 0)
        held, failed = self.kernel.apply(lifetimes, self.world.now)
        self.world.look()
        for gone_ms in self.kernel.changes_ms(self.world.now):
            self.world.at(gone_ms, self.world.look)
        if lifetimes.keys() != self._level:
            return  # an answer to an older set of addresses is not delivered
        self.feed(events.Held(held, failed, self.kernel.left_ms(self.world.now)))
