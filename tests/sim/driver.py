"""Who inflicts faults on a world: knows what is broken already, mends it in time, and publishes configurations.

It plays the operator too: one specification of the cluster, rendered for each member, with a generation that rises.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping

from sim import bounds
from sim.build import config
from sim.faults import Fault, inflict
from sim.host import Host
from sim.world import World
from vyos_agent.core.model import Config, Group, Keyring

HEAL_LIMIT_MS = 3_600_000
"""Far above the longest fault."""
LATE_MS = (0, 400)
"""How long after its publication a configuration reaches a member, when nothing holds it up."""


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """One cluster as its resource says it."""

    groups: tuple[Group, ...]
    keepalive_ms: int
    dead_ms: int
    init_dead_ms: int
    interfaces: tuple[str, ...]
    keyring: Keyring
    generation: int = 1
    standby: frozenset[str] = frozenset()

    def render(self, me: str) -> Config:
        """The NodeConfig of one member."""
        return config(
            me,
            self.groups,
            keepalive_ms=self.keepalive_ms,
            dead_ms=self.dead_ms,
            init_dead_ms=self.init_dead_ms,
            generation=self.generation,
            interfaces=self.interfaces,
            keyring=self.keyring,
            standby=me in self.standby,
        )


class Driver:
    """One run."""

    def __init__(
        self, spec: Spec, members: Iterable[str], *, seed: int | str, delay_ms: tuple[int, int] = (0, 2)
    ) -> None:
        self.spec = spec
        self.world = World([spec.render(m) for m in members], seed=seed, delay_ms=delay_ms)
        self.world.careful = True
        self.done: collections.Counter[str] = collections.Counter()
        self.deprived: set[str] = set()
        """Members that no configuration reaches now."""
        self.changing = self.rotating = False
        """A change of intervals, or of keys, is under way."""
        self._mending = 0

    def host(self, name: str) -> Host:
        return self.world.hosts[name]

    def inflict(self, fault: Fault) -> None:
        """Wait, and do it."""
        self.world.run(fault.wait_ms)
        done = inflict(self, fault)
        self.world.note("!", f"{fault.kind} {' '.join(fault.args)}{'' if done else ' (not now)'}")
        if done:
            self.done[fault.kind] += 1
        self.world.reckon()

    # -- faults that end by themselves

    def mend_later(self, wait_ms: int, mend: Callable[[], None]) -> None:
        """This fault is over after that time."""
        self._mending += 1

        def over() -> None:
            self._mending -= 1
            mend()
            self.world.reckon()

        self.world.at(self.world.now + max(1, wait_ms), over)

    @property
    def broken(self) -> bool:
        """Whether a fault goes on still."""
        return self._mending > 0

    def harm(self, groups: Iterable[str] | None = None) -> None:
        """This may move these groups; None: any."""
        self.world.peace.harm(groups)

    def harm_of(self, name: str) -> None:
        """Losing this member may move what it owns, or what is on its way; no other group."""
        world = self.world
        for group in world.groups:
            claimants = world.history.claimants(group)
            if len(claimants) != 1 or name in claimants or self._unsettled(group):
                self.harm([group])

    def harm_back(self, name: str) -> None:
        """Its return may move what comes back to it."""
        for group in self.world.groups.values():
            claimants = self.world.history.claimants(group.name)
            returns = group.auto_failback or bool(group.monitors) or name in claimants or len(claimants) != 1
            if returns or self._unsettled(group.name):
                self.harm([group.name])

    def _unsettled(self, group: str) -> bool:
        world = self.world
        return world.now - world.peace.quiet_since(group) <= bounds.of(world).placed_ms

    # -- the operator's part

    def publish(self, change: Callable[[Spec], Spec], *, late: Mapping[str, int] | None = None) -> None:
        """A new generation; members get it when it reaches them, and read it at their next start in any case."""
        self.spec = dataclasses.replace(change(self.spec), generation=self.spec.generation + 1)
        for host in self.world.hosts.values():
            wait_ms = (late or {}).get(host.name, self.world.rng.randint(*LATE_MS))
            if host.name not in self.deprived:
                self.world.at(self.world.now + wait_ms, lambda h=host: self.reach(h))  # type: ignore[misc]

    def reach(self, host: Host) -> None:
        """The newest configuration has come to this member."""
        if host.name not in self.deprived and host.config.generation < self.spec.generation:
            host.configure(self.spec.render(host.name))

    def with_group(self, name: str, change: Callable[[Group], Group]) -> Callable[[Spec], Spec]:
        """A change of the specification that changes one group."""
        return lambda spec: dataclasses.replace(
            spec, groups=tuple(change(g) if g.name == name else g for g in spec.groups)
        )

    # -- peace

    def heal(self) -> None:
        """Whatever is broken is mended now, and everybody runs."""
        world = self.world
        limit_ms = world.now + HEAL_LIMIT_MS
        while self._mending:
            world.run(100)
            assert world.now < limit_ms, "a fault does not end"
