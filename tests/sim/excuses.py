"""Until when two hosts may have the same thing, and why: the exceptions that the invariants name, as instants.

The promise, in the words of design.md section 5: "never two holders after a kill or freeze of the owner's agent when
n >= 0 and no more than n of its last frames were lost ... Beyond that, and in a kill in the middle of a handover, the
overlap ends with the lifetime (at most 1 s + 1.1 s)."
"""

from __future__ import annotations

import typing

from sim import bounds
from sim.kernel import LATE_MS
from sim.network import NEVER_MS
from sim.peace import NEVER
from sim.services import RETRY_MS
from vyos_agent.core.model import State, Vip
from vyos_agent.core.relocation import UNNUMBERED_MS

if typing.TYPE_CHECKING:
    from sim.world import World

Excuse = tuple[int, str]


class Excuses:
    """Reads the world; keeps nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def holders(self, vip: Vip, x: str, y: str, since: int) -> Excuse:
        """Until when both may hold the address."""
        limits = bounds.of(self._world)
        name = self._world.was_of(vip)
        found = [
            (since + limits.drift(limits.dead_ms), "the grain of two clocks"),
            self._handed(name, x, y, since, limits),
            self._relocated(vip, x, y, since, limits),
            self._apart(x, y, since, limits.contact_ms + bounds.REMOVE_MS),
            self.paused(x, limits),
            self.paused(y, limits),
            self._killed(x, y, name, since, limits),
            self._killed(y, x, name, since, limits),
        ]
        return max(found)

    def services(self, name: str, x: str, y: str, since: int) -> Excuse:
        """Until when units of the group may run on both."""
        limits = bounds.of(self._world)
        stop_ms = 6 * limits.job_ms
        back_ms = limits.dead_ms + limits.contact_ms + stop_ms
        found = [
            (since - 1, "none"),
            self._apart(x, y, since, limits.contact_ms + stop_ms),
            self._was_down(x, back_ms),
            self._was_down(y, back_ms),
        ]
        until, why = max(found)
        for host in (self._world.hosts[x], self._world.hosts[y]):
            if until >= since and not host.systemd.stuck.isdisjoint(self._world.groups[name].units):
                return NEVER, f"those of {host.name} do not stop"
            if until >= since and host.systemd.unstuck_ms + RETRY_MS >= since:
                until = max(until, host.systemd.unstuck_ms + RETRY_MS + stop_ms)
        return until, why

    # -- one by one

    def _handed(self, name: str | None, x: str, y: str, since: int, limits: bounds.Bounds) -> Excuse:
        """(ii): old and new for at most one delay, one loop and 20 ms; each lost frame costs a resend."""
        giving = self._world.history.handed(name, x, y)
        if giving is None or giving.at_ms > since:
            return NEVER_MS, "no handover"
        lost_ms = max(since, self._world.network.lost_ms(x, y) + bounds.RESEND_MS)
        end_ms = lost_ms + limits.handover_ms
        for host in (self._world.hosts[x], self._world.hosts[y]):
            down = self._world.history.downs.get(host.name)
            if down is not None and down.at_ms >= giving.at_ms:
                given_ms = down.at_ms + bounds.GIVEN_LIFE_MS + LATE_MS
                end_ms = max(end_ms, given_ms + limits.drift(3_000), host.up_ms + limits.contact_ms)
        return end_ms, "handover"

    def _relocated(self, vip: Vip, x: str, y: str, since: int, limits: bounds.Bounds) -> Excuse:
        """The former owner keeps an address that moved to another group until the new one has said that it has it."""
        keeper = next((h for h in (x, y) if (vip, h) in self._world.history.relocated), None)
        if keeper is None or self._world.history.relocated[vip, keeper] < since:
            return NEVER_MS, "not moved between groups"
        end_ms = (
            max(since + UNNUMBERED_MS, self._world.network.lost_ms(x, y) + limits.keepalive_ms) + limits.handover_ms
        )
        down = self._world.history.downs.get(keeper)
        if down is not None and down.at_ms >= since:
            end_ms = max(end_ms, down.at_ms + bounds.GIVEN_LIFE_MS + LATE_MS + limits.drift(3_000))
        return end_ms, f"{keeper} keeps it for another group"

    def _apart(self, x: str, y: str, since: int, after_ms: int) -> Excuse:
        """(iii): members cut from each other, both ways or one, until 2 x keepalive after contact."""
        network, limits = self._world.network, bounds.of(self._world)
        if not (network.hears(x, y) and network.hears(y, x)):
            return NEVER, "cut"
        pairs = network.pairs[x, y], network.pairs[y, x]
        cut_ms = max(p.was_cut_ms for p in pairs)
        for host in (self._world.hosts[x], self._world.hosts[y]):
            down = self._world.history.downs.get(host.name)
            if down is not None and down.at_ms <= cut_ms < host.up_ms:  # nobody is in contact with one that is frozen
                cut_ms = host.up_ms
        # Frames lost at random in a row are a cut, too; not for one that was killed: there the promise counts them.
        run = self._world.hosts[x].runs and self._world.hosts[y].runs
        silent = run and any(p.lost_ms >= since - limits.dead_ms for p in pairs)
        if cut_ms < since - 3 * limits.dead_ms - limits.settled_ms and not silent:
            return NEVER_MS, "never cut"
        return max(cut_ms, *(p.lost_ms for p in pairs)) + after_ms, "contact"

    def paused(self, x: str, limits: bounds.Bounds) -> Excuse:
        """A machine that is paused as a whole (VM suspend) is outside the promise, until it hears of a claim."""
        host, down = self._world.hosts[x], self._world.history.downs.get(x)
        resumed_ms = host.resumed_ms
        if not resumed_ms:
            return NEVER_MS, f"{x} was never paused"
        until = resumed_ms + limits.contact_ms + bounds.REMOVE_MS
        if down is not None and down.at_ms <= resumed_ms and (not host.runs or host.up_ms > resumed_ms):
            life_ms = bounds.lifetime_ms(down.dead_ms, down.keepalive_ms)  # it hears nothing, and its kernel goes on
            until = max(until, resumed_ms + life_ms + LATE_MS + limits.drift(limits.dead_ms))
        return until, f"{x} was paused"

    def _killed(self, x: str, y: str, name: str | None, since: int, limits: bounds.Bounds) -> Excuse:
        """(i): x was killed or frozen, and more of its last frames were lost to y than the promise allows for."""
        down = self._world.history.downs.get(x)
        if down is None or down.at_ms > self._world.now:
            return NEVER_MS, f"{x} was never killed"
        drift_ms = limits.drift(limits.dead_ms)
        life_ms = bounds.lifetime_ms(down.dead_ms, down.keepalive_ms)
        match down.states.get(name or ""):
            case State.GIVING:
                return down.at_ms + bounds.GIVEN_LIFE_MS + LATE_MS + drift_ms, f"{x} killed in a handover"
            case State.YIELDING | State.ASKING:  # the lives of one that yields to a rival are as long as an owner's
                return down.at_ms + life_ms + LATE_MS + drift_ms, f"{x} killed as it let go"
            case _ if since <= down.at_ms:  # two held it already, and this one was stopped as it learned of that
                return down.at_ms + life_ms + LATE_MS + drift_ms, f"{x} killed beside {y}"
            case _:
                pass
        n = bounds.allowance(down.dead_ms, down.keepalive_ms)
        lost = down.frames - self._world.network.pairs[x, y].delivered
        if n >= 0 and lost <= n:
            return NEVER_MS, f"{x} went down with {lost} of {n} frames lost"
        return down.at_ms + life_ms + LATE_MS + drift_ms, f"{x} went down with {lost} frames lost"

    def _was_down(self, x: str, after_ms: int) -> Excuse:
        """Services outlive a kill or a freeze of the agent, until it is back and has swept or heard of the claim."""
        host = self._world.hosts[x]
        if not host.runs:
            return NEVER, f"{x} is down"
        if x not in self._world.history.downs and not host.resumed_ms:
            return NEVER_MS, f"{x} was never down"
        return host.up_ms + after_ms, f"{x} was down"
