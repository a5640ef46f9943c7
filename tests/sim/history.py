"""What has come about: who is what to which group, who held which address when, and which transitions were made.

Facts only, as an observer outside sees them; what they may be is for the invariants to say.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import typing
from collections.abc import Callable

from vyos_agent.core.effects import Decided
from vyos_agent.core.events import Served
from vyos_agent.core.model import OWNING, Reason, Serving, State, Vip

if typing.TYPE_CHECKING:
    from sim.host import Host
    from sim.world import World

SPANS_MAX = 4_000
FRAMES_REMEMBERED = 3
"""An owner's lifetimes go by the smallest dead interval in its last three frames (protocol section 1)."""
GIVINGS_MAX = 8
FAILURES = frozenset({Reason.ADD_FAILED})
DAMPING = frozenset({Reason.TAKEN_BACK, Reason.CANCELLED})
"""A move that came to nothing: the next voluntary one waits."""
BACKOFF_MS, BACKOFF_MAX_MS = 30_000, 3_600_000
"""30 s x 2^n, at most an hour (design.md section 5, rule 6)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Giving:
    """The last time that a group was given away."""

    giver: str
    target: str | None
    at_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class Down:
    """The last time that a host's daemon was killed or frozen, and what it was doing."""

    at_ms: int
    states: dict[str, State]
    frames: int
    """How many frames it had sent."""
    dead_ms: int
    """The smallest dead interval in its last three frames."""
    keepalive_ms: int


class History:
    """See the module's text."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.states: dict[str, dict[str, State]] = collections.defaultdict(dict)
        """By group and host; a host that has no daemon is in none."""
        self.moved_ms: dict[str, int] = {}
        """When any member's state of a group changed last."""
        self.spans: dict[Vip, collections.deque[tuple[int, frozenset[str]]]] = {}
        self.crowded: set[Vip] = set()
        """Addresses with more than one holder now."""
        self.givings: dict[str, collections.deque[Giving]] = collections.defaultdict(
            lambda: collections.deque(maxlen=GIVINGS_MAX)
        )
        """By group: the last times that it was given away."""
        self.relocated: dict[tuple[Vip, str], int] = {}
        """(address, host): when the host last held it for the owner of another group."""
        self.downs: dict[str, Down] = {}
        self.failed_ms: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
        """By host and group: when it could not bring the group up, or move it."""
        self._failing: set[tuple[str, str]] = set()
        """By host and group: services that failed in this life, and did not run since."""
        self.transitions: collections.Counter[tuple[State, State, Reason]] = collections.Counter()
        self.facts: collections.Counter[str] = collections.Counter()
        """What else came about, by name: those rows of the state table that change no state."""
        self._dead_ms: dict[str, collections.deque[int]] = collections.defaultdict(
            lambda: collections.deque(maxlen=FRAMES_REMEMBERED)
        )

    # -- facts

    def started(self, host: Host) -> None:
        self._failing -= {(host.name, group.name) for group in host.config.groups}
        for states in self.states.values():
            states.pop(host.name, None)
        for group in host.config.groups:
            if host.name in group.members:
                self.states[group.name][host.name] = State.LISTENING

    def restored(self, host: Host) -> None:
        """Its daemon is as it was at some earlier time."""
        assert host.node is not None
        for group in host.node.report().groups:
            self.states[group.name][host.name] = group.state

    def went_down(self, host: Host) -> None:
        """Killed or frozen just now."""
        self.downs[host.name] = Down(
            at_ms=self._world.now,
            states={g: s[host.name] for g, s in self.states.items() if host.name in s},
            frames=self._world.network.frames[host.name],
            dead_ms=min(self._dead_ms[host.name], default=host.config.dead_ms),
            keepalive_ms=host.config.keepalive_ms,
        )

    def ended(self, host: Host) -> None:
        for states in self.states.values():
            states.pop(host.name, None)

    def sent(self, host: Host) -> None:
        self._dead_ms[host.name].append(host.config.dead_ms)

    def decided(self, host: Host, d: Decided) -> None:
        now = self._world.now
        self.states[d.group][host.name] = d.after
        self.moved_ms[d.group] = now
        self.transitions[d.before, d.after, d.reason] += 1
        if d.after is State.GIVING:
            self.givings[d.group].append(Giving(host.name, d.peer, now))
        if d.reason in FAILURES | DAMPING:
            self._failed(host, d.group)

    def served(self, host: Host, told: Served) -> None:
        """A daemon is told what its host services do, whatever it makes of it (it may lose the group all the same)."""
        key = (host.name, told.group)
        if told.state is Serving.RUNNING:
            self._failing.discard(key)
        elif told.state in (Serving.FAILED, Serving.ABSENT) and host.services.wanted.get(told.group):
            if key not in self._failing:
                self._failed(host, told.group)
            self._failing.add(key)

    def _failed(self, host: Host, group: str) -> None:
        times = self.failed_ms[host.name, group]
        times.append(self._world.now)
        del times[:-16]

    def held(self, vip: Vip, holders: set[str]) -> None:
        spans = self.spans.setdefault(vip, collections.deque([(0, frozenset())], maxlen=SPANS_MAX))
        spans.append((self._world.now, frozenset(holders)))
        if len(holders) > 1:
            self.crowded.add(vip)
        else:
            self.crowded.discard(vip)

    # -- questions

    def claimants(self, group: str) -> list[str]:
        """Hosts whose state is a claim."""
        return [h for h, state in self.states.get(group, {}).items() if state in OWNING]

    def handed(self, group: str | None, x: str, y: str) -> Giving | None:
        """When one of the two gave the group to the other last."""
        return next((g for g in reversed(self.givings[group or ""]) if {g.giver, g.target} == {x, y}), None)

    def stands_back(self, host: str, group: str, within_ms: int) -> bool:
        """Whether that host may stand back still, or has done so within that time."""
        times = self.failed_ms.get((host, group))
        if not times:
            return False
        return self._world.now <= times[-1] + min(BACKOFF_MAX_MS, BACKOFF_MS << (len(times) - 1)) + within_ms

    def damped(self, group: str, within_ms: int) -> bool:
        """Whether any host may."""
        return any(self.stands_back(host, group, within_ms) for host, name in self.failed_ms if name == group)

    def moving(self, group: str, within_ms: int) -> bool:
        """Whether it was given away so lately that two may claim it."""
        return any(self._world.now - g.at_ms <= within_ms for g in self.givings[group])

    def since_ms(self, vip: Vip) -> int:
        """When the holders of an address changed last."""
        spans = self.spans.get(vip)
        return spans[-1][0] if spans else 0

    def before(self, vip: Vip) -> frozenset[str]:
        """Who held it before the last change."""
        spans = self.spans.get(vip)
        return spans[-2][1] if spans and len(spans) > 1 else frozenset()

    def total_ms(self, vip: Vip, since: int, wanted: Callable[[frozenset[str]], bool]) -> int:
        """For how long the holders were as wanted."""
        spans = [*self.spans.get(vip, [(0, frozenset())]), (self._world.now, frozenset())]
        return sum(
            max(0, end - max(begin, since)) for (begin, held), (end, _) in itertools.pairwise(spans) if wanted(held)
        )
