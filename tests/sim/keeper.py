"""The address worker on virtual time: what `edge/addresses.py` does to a real kernel, step by step.

It shares that module's arithmetic (`edge/grants.py`), and its rules but not its code: the newest Hold wins, what is
late gets less, one gate stands before every write and another look after a slow one. A freeze may fall before the gate,
or between the gate and the kernel.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping

from vyos_agent.core.events import Held
from vyos_agent.core.model import Vip
from vyos_agent.edge.grants import SLIP_MS, Grant, granted

if typing.TYPE_CHECKING:
    from sim.host import Host

RETRY_MS = 1_000
"""A refused address is tried again with the next renewal, or after this."""


class Keeper:
    """One life's worker; a kill ends it where it stands."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._wanted: dict[Vip, Grant] | None = None
        self._level = 0
        self._told: Held | None = None
        self._first = True
        self._queued = False
        self._passed: int | None = None
        """The gate was passed at this time, and then the process was frozen before the call."""

    def hold(self, lifetimes_ms: Mapping[Vip, int], at_ms: int) -> None:
        """Carry out a Hold, after the time that netlink takes."""
        old = self._wanted or {}
        wanted = {vip: granted(old.get(vip), life_ms, at_ms) for vip, life_ms in lifetimes_ms.items()}
        if self._wanted is None or old.keys() != wanted.keys():
            self._level += 1
            self._told = None
        self._wanted = wanted
        self.wake()

    def wake(self) -> None:
        """Something is to be done or looked at."""
        if not self._queued:
            self._queued = True
            self._host.later(self._host.netlink_delay_ms(), self._work)

    def thawed(self) -> None:
        """The process runs again: first of all, a call that was under way comes back."""
        passed, self._passed = self._passed, None
        if passed is not None:
            self._write(passed)

    def froze(self) -> None:
        """Half of the freezes catch a queued call between its gate and the kernel."""
        if self._queued and self._host.rng.random() < 0.5 and self._gate():
            self._passed = self._host.now

    def _work(self) -> None:
        self._queued = False
        if self._passed is None:
            self._write(self._host.now)

    def _gate(self) -> bool:
        node = self._host.node
        return node is not None and node.may_hold(self._host.now)

    def _write(self, gated_ms: int) -> None:
        """Lifetimes and gate as of `gated_ms`; the kernel's answer as of now."""
        host, now = self._host, self._host.now
        if self._wanted is None or host.node is None:
            return
        held = host.kernel.holds(now)
        lives = dict.fromkeys(self._wanted, 0)
        if gated_ms != now or self._gate():
            for vip, grant in self._wanted.items():
                if grant.due or vip not in held:
                    lives[vip] = 1000 * grant.seconds(gated_ms)
        left_ms = host.kernel.left_ms(now) if self._first else {}
        failed = host.kernel.apply(lives, now)
        if now - gated_ms > SLIP_MS and not self._gate():
            for vip, life_ms in lives.items():
                if life_ms:
                    host.kernel.remove(vip)
        self._wanted = {
            v: dataclasses.replace(g, due=False) if lives[v] and v not in failed else g for v, g in self._wanted.items()
        }
        host.look()
        answer = Held(
            host.kernel.holds(now), failed, {v: t for v, t in left_ms.items() if v in self._wanted or self._first}
        )
        self._first = False
        if failed:
            host.later(RETRY_MS, self.wake)
        if answer != self._told:
            self._told = dataclasses.replace(answer, left_ms={})
            level = self._level
            host.later(0, lambda: self._answer(level, answer))

    def _answer(self, level: int, answer: Held) -> None:
        if level == self._level:
            self._host.feed(answer)
