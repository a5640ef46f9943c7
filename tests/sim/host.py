"""One machine in the simulator: the production core, and a shell that does what the real one does, on virtual time.

The machine has a kernel, a systemd, a disk and clocks of its own; the daemon is one life after another. What a life was
about to do is a queue of work, so that a freeze can fall between any decision and its effect.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import random
import typing
from collections.abc import Callable, Mapping

from sim.clock import Clock
from sim.keeper import Keeper
from sim.kernel import Kernel
from sim.services import Services, Systemd
from sim.sockets import Sockets
from sim.surroundings import Surroundings
from vyos_agent.core import effects, events
from vyos_agent.core.model import Config, Ending, Reason
from vyos_agent.core.node import Node

if typing.TYPE_CHECKING:
    from sim.world import World


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole machine at one instant of its own clock."""

    config: Config
    at_ms: int
    node: Node
    kernel: Kernel
    systemd: Systemd
    wanted: Mapping[str, tuple[str, ...]]


class Host:
    """A machine that can be killed, frozen, paused, powered off and started again."""

    def __init__(self, world: World, config: Config, seed: int | str, name: str | None = None) -> None:
        self.world, self.config = world, config
        self.name = name or config.me
        """Of the machine; two machines can call themselves the same member by mistake."""
        self.rng = random.Random(f"host {self.name} {seed}")
        self.clock = Clock(world.now, local_ms=world.now)
        self.kernel = Kernel(self.rng)
        self.systemd = Systemd(self.rng)
        self.node: Node | None = None
        self.keeper, self.services = Keeper(self), Services(self)
        self.frozen = False
        self.trap: str | None = None
        """Freeze before the next effect of this kind."""
        self.on_trap: Callable[[], None] | None = None
        self.disk: dict[str, int] = {}
        self.around = Surroundings(self.feed)
        self.links = self.around.links
        self.monitors: dict[str, bool] = {}
        self.monitored_after_ms = 0
        """How long after its start the daemon has its first verdicts."""
        self.twin = False
        """It found another living node of its name, and must not be started again by itself."""
        self.netlink_ms: tuple[int, int] | None = None
        """How long its netlink takes; None: as long as everybody's."""
        self.netlink_bounds_ms: list[int] = []
        """How long calls may be under way that have begun by now, one for each time that the kernel was slow."""
        self.decisions: list[tuple[int, effects.Decided]] = []
        self.down_ms: int | None = None
        """In the world's time: since when no process runs here, or it stands still."""
        self.up_ms = 0
        """In the world's time: when it last began to run, or was thawed or resumed."""
        self.resumed_ms = 0
        """In the world's time: when it last went on after a pause of the whole machine."""
        self.robbed_ms = 0
        """In the world's time: when somebody else removed an address from it last."""
        self.last_reason: dict[str, Reason] = {}
        """Of each group: why its state changed last here."""
        self.life = 0
        self._power = 0
        self._sockets = Sockets()
        self._pending: list[events.Event] = []
        self._work: collections.deque[tuple[events.Event | effects.Effect, int]] = collections.deque()
        self._suspended_ms: int | None = None
        self._slept_ms = 0
        """By how much CLOCK_BOOTTIME has gone ahead of the monotonic clock since the last turn."""
        self._armed_ms: int | None = None
        self._expiry_ms: int | None = None
        self._parked: list[Callable[[], None]] = []

    @property
    def now(self) -> int:
        """This machine's monotonic clock."""
        return self.clock.local(self.world.now)

    @property
    def seen_generation(self) -> int:
        """The generation that its daemon works by."""
        return self.node.config.generation if self.node is not None else 0

    @property
    def runs(self) -> bool:
        """Whether its daemon does anything at all now."""
        return self.node is not None and not self.frozen and not self.clock.paused

    # -- life

    def start(self, incarnation: int | None = None) -> None:
        """Power on, or start the daemon again."""
        self._end()
        incarnation = incarnation or self.rng.getrandbits(64) or 1
        self.frozen, self.down_ms, self.up_ms = False, None, self.world.now
        self.node = Node(self.config, incarnation=incarnation, epochs=dict(self.disk), now=self.now)
        self.keeper, self.services = Keeper(self), Services(self)
        self.world.started(self)
        hints = [events.Hinted(dict(self.world.status))] if self.world.status else []
        self.turn(*hints, *self.around.events())
        if self.config.monitors:
            self.later(self.monitored_after_ms, self.tell_monitors)

    def _end(self) -> None:
        self.life += 1
        self.last_reason.clear()
        self.node = None
        self._sockets = Sockets()
        self._pending.clear()
        self._work.clear()
        self._armed_ms, self.trap = None, None

    def kill(self) -> None:
        """The daemon is gone; the kernel keeps what it has until its time is over."""
        if self.down_ms is None:
            self.down_ms = self.world.now
            self.world.went_down(self)
        self._end()
        self.frozen = False
        self.world.ended(self)

    def power_off(self) -> None:
        """Everything is gone but the disk."""
        self.kill()
        self._power += 1
        self.kernel, self.systemd = Kernel(self.rng), Systemd(self.rng)
        self._expiry_ms = None
        self.look()
        self.world.services_changed(self, None)

    def freeze(self) -> None:
        """SIGSTOP, or a loop that is held up: the process stands, the kernel goes on."""
        if self.node is not None and not self.frozen:
            self.frozen, self.trap = True, None
            self.down_ms = self.world.now
            self.keeper.froze()
            self.world.went_down(self)

    def thaw(self) -> None:
        if self.frozen:
            self.world.disturbed()
            self.frozen, self.down_ms, self.up_ms = False, None, self.world.now
            self.world.reckon()
            self.keeper.thawed()
            self.services.thawed()
            self._go_on()
            if self.node is not None and not self.frozen:
                self.turn()

    def pause(self, *, suspend: bool = False) -> None:
        """The whole machine stands still: no process, no kernel, no clock (`suspend`: but CLOCK_BOOTTIME)."""
        if not self.clock.paused:
            self._suspended_ms = self.world.now if suspend else None
            self.world.disturbed()
            self.clock.pause(self.world.now)
            self.look()
            self.world.reckon()

    def resume(self) -> None:
        if self.clock.paused:
            self.world.disturbed()
            self.clock.resume(self.world.now)
            if self._suspended_ms is not None:
                self._slept_ms += self.world.now - self._suspended_ms
            self.up_ms = self.resumed_ms = self.world.now
            self.look()
            self.world.reckon()
            parked, self._parked = self._parked, []
            for action in parked:
                action()

    def snapshot(self) -> Snapshot | None:
        """What a hypervisor would save of it; None: there is no daemon."""
        if self.node is None:
            return None
        shared = {id(self.config): self.config, id(self.rng): self.rng}
        parts = copy.deepcopy((self.node, self.kernel, self.systemd), shared)
        return Snapshot(self.config, self.now, *parts, self.services.wanted)

    def roll_back(self, saved: Snapshot) -> None:
        """The machine is restored as it was, its clocks too: same life, older state."""
        self._end()
        self._power += 1  # what was under way in its kernel and its systemd is of a future that has not been
        self.frozen, self.down_ms, self.up_ms = False, None, self.world.now
        self.resumed_ms = self.world.now
        self.clock.set_back(self.world.now, saved.at_ms)
        # What is broken from outside is so still, or is not any more
        saved.kernel.refuses = self.kernel.refuses
        saved.systemd.take_faults(self.systemd)
        self.node, self.kernel, self.systemd = saved.node, saved.kernel, saved.systemd
        self._expiry_ms = None
        self.look()
        self.keeper, self.services = Keeper(self), Services(self)
        self.services.serve(saved.wanted)
        self.world.restored(self)
        # A hypervisor tells a restored machine what its cables are like now
        self.turn(*self.around.events())
        self.tell_monitors()

    # -- time

    def at_local(self, when: int, action: Callable[[], None]) -> None:
        """Do it when this machine's clock shows `when`; while it is paused nothing happens."""

        def fire() -> None:
            if self.clock.paused:
                self._parked.append(lambda: self.at_local(when, action))
            elif self.now < when:
                self.at_local(when, action)
            else:
                action()

        self.world.at(self.clock.world(when), fire)

    def later(self, wait_ms: int, action: Callable[[], None], *, outlives: bool = False) -> None:
        """Do it if this life (`outlives`: this power cycle) lasts that long."""
        life, power = self.life, self._power

        def fire() -> None:
            if self._power == power and (outlives or self.life == life):
                action()

        self.at_local(self.now + wait_ms, fire)

    def netlink_delay_ms(self) -> int:
        return self.rng.randint(*(self.netlink_ms or self.world.netlink_ms))

    # -- what comes in

    def receive(self, data: bytes, interface: str) -> bool:
        """A datagram for the socket; whether there was room."""
        if self.node is None or self.clock.paused:
            return False
        room = self._sockets.receive(data, interface, self.now + self.clock.wall_offset_ms)
        if room and not self.frozen:
            self.turn()
        return room

    def feed(self, event: events.Event) -> None:
        """An event for the daemon; a frozen one finds it when it wakes."""
        if self.node is None:
            return
        if not isinstance(event, (events.Held, events.Served)):
            self.world.disturbed()
        self._pending.append(event)
        if self.runs:
            self.turn()

    def set_link(self, interface: str, up: bool) -> None:
        self.around.set_link(interface, up)

    def tell_monitors(self) -> None:
        """Verdicts on every monitor, as this machine's pings find them."""
        if self.config.monitors:
            self.feed(events.Monitored({m: self.monitors.get(m, True) for m in self.config.monitors}))

    def configure(self, config: Config) -> None:
        """A new NodeConfig has come (a dead daemon finds it at its start)."""
        self.config = config
        self.feed(events.Configured(config))
        self.world.reckon()
        if config.monitors:
            self.later(self.monitored_after_ms, self.tell_monitors)

    # -- the shell's turn

    def turn(self, *more: events.Event) -> None:
        """Drain the sockets, then everything else: the runner's turn."""
        if self._work:
            self._pending.extend(more)
            return
        now = self.now
        slept_ms, self._slept_ms = self._slept_ms, 0
        self._work.append((events.Woke(self._sockets.drain(now, self.clock), slept_ms), now))
        pending, self._pending = self._pending, []
        self._work.extend((event, now) for event in (*pending, *more))
        self._go_on()

    def _go_on(self) -> None:
        while self._work and self.node is not None and not self.frozen:
            what, at_ms = self._work.popleft()
            if isinstance(what, effects.Effect):
                if self.trap == type(what).__name__:
                    self._work.appendleft((what, at_ms))
                    if self.on_trap is not None:
                        self.on_trap()
                    self.freeze()
                    return
                self._perform(what, at_ms)
            else:
                out = self.node.step(what, at_ms)
                self.world.stepped(self, what, at_ms)
                self._work.extendleft((effect, at_ms) for effect in reversed(out))
        if self.node is not None and not self.frozen:
            self._arm(self.node.deadline)
            if self._pending or self._sockets.waiting:
                self.later(0, self.turn_if_running)

    def turn_if_running(self) -> None:
        if self.runs:
            self.turn()

    def _arm(self, deadline: int) -> None:
        if self._armed_ms is not None and self._armed_ms <= deadline:
            return  # that timer looks at the deadline when it rings
        self._armed_ms = deadline
        life = self.life

        def ring() -> None:
            if life != self.life or self._armed_ms != deadline:
                return
            self._armed_ms = None
            node = self.node
            if node is None or self.frozen:
                return  # it is looked at again after the thaw
            if self.now >= node.deadline:
                self.turn()
            else:
                self._arm(node.deadline)

        self.at_local(deadline, ring)

    def _perform(self, effect: effects.Effect, at_ms: int) -> None:
        match effect:
            case effects.Send(datagrams):
                network = self.world.network
                network.begin_frame(self.name)
                # An interface counts when it took every part, as in edge/multicast.py.
                sent = [all([network.send(self.name, i, d) for d in parts]) for i, parts in datagrams.items()]
                self.world.sent(self, datagrams, accepted=any(sent))
                self._work.appendleft((events.Sent(any(sent)), at_ms))
            case effects.Hold(lifetimes):
                self.keeper.hold(lifetimes, at_ms)
            case effects.Serve(running):
                self.services.serve(running)
            case effects.Announce(vips):
                if self.node is not None and self.node.may_hold(self.now):
                    self.world.announce(self, vips)
            case effects.Persist(epochs):
                self.disk = dict(epochs)
            case effects.Decided():
                self.decisions.append((self.world.now, effect))
                self.last_reason[effect.group] = effect.reason
                self.world.decided(self, effect)
            case effects.Stopped(ending):
                self._stopped(ending)
            case _:
                typing.assert_never(effect)

    def _stopped(self, ending: Ending) -> None:
        self.world.history.facts[ending.value] += 1
        self.kill()
        if ending is Ending.ROLLED_BACK:
            self.later(1, self.start)
        self.twin = ending is Ending.TWIN

    # -- what the world looks at

    def look(self) -> None:
        """The kernel's addresses may have changed; be back when the next one expires."""
        self.world.look(self)
        gone_ms = self.kernel.next_gone_ms(self.now)
        if gone_ms is None or (self._expiry_ms is not None and self._expiry_ms <= gone_ms):
            return  # nothing will expire, or the timer that is set will look again
        self._expiry_ms = gone_ms
        kernel = self.kernel

        def expire() -> None:
            if self.kernel is kernel and self._expiry_ms == gone_ms:
                self._expiry_ms = None
                before = self.world.held[self.name]
                self.look()
                if self.node is not None and before != self.world.held[self.name]:
                    self.keeper.wake()  # RTM_DELADDR

        self.at_local(gone_ms, expire)

    def services_changed(self, group: str) -> None:
        self.world.services_changed(self, group)
