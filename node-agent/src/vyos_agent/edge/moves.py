"""What happens beside the addresses when a group comes or goes: hooks are called, and addresses wait for one of them.

Only addresses that this node is about to add wait, for a hook that exists, and no longer than that hook may run. What
was adopted is there already and waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from vyos_agent.core.effects import Decided
from vyos_agent.core.model import OWNING, Config, Reason, Vip
from vyos_agent.edge.hooks import Call, Event, Hooks


class Moves:
    """Of one cluster."""

    def __init__(self, hooks: Hooks, cluster: str, hold_again: Callable[[frozenset[Vip]], None]) -> None:
        """`hold_again(vips)`: addresses that waited may go live now."""
        self._hooks = hooks
        self._cluster = cluster
        self._hold_again = hold_again
        self._waiting: dict[str, tuple[frozenset[Vip], asyncio.Future[None]]] = {}

    def decided(self, decision: Decided, core: Config) -> None:
        """A group changed its state; before the effects that follow from it."""
        before, after = decision.before in OWNING, decision.after in OWNING
        if before == after:
            return
        self._let_go(decision.group)
        facts = {
            "NODE": core.me,
            "EPOCH": str(decision.epoch),
            "REASON": str(decision.reason),
            "PEER": decision.peer or "",
            "ADDRESSES": " ".join(vip.text for vip in _vips(core, decision.group)),
        }
        if not after:
            self._call(Event.RELEASE, decision.group, facts)
            return
        if decision.reason is not Reason.ADOPTED and self._hooks.has(Event.BEFORE_ACQUIRE):
            done = self._call(Event.BEFORE_ACQUIRE, decision.group, facts)
            self._waiting[decision.group] = (frozenset(_vips(core, decision.group)), done)
            done.add_done_callback(lambda _: self._over(decision.group, done))
            limit_s = Event.BEFORE_ACQUIRE.limit_s  # also for one that waits behind another, or is slow to be killed
            asyncio.get_running_loop().call_later(limit_s, self._over, decision.group, done)
        self._call(Event.ACQUIRE, decision.group, facts)

    def conflict(self, core: Config, vip: Vip, mac: bytes) -> None:
        """Somebody else says that it has an address of ours."""
        for group in core.groups:
            if vip in group.vips:
                facts = {"NODE": core.me, "ADDRESS": vip.text, "MAC": mac.hex(":")}
                self._call(Event.CONFLICT, group.name, facts)

    def ready(self, lifetimes_ms: Mapping[Vip, int]) -> Mapping[Vip, int]:
        """Those addresses that need not wait."""
        if not self._waiting:
            return lifetimes_ms
        wait = frozenset(vip for vips, _ in self._waiting.values() for vip in vips)
        return {vip: life_ms for vip, life_ms in lifetimes_ms.items() if vip not in wait}

    def _call(self, event: Event, group: str, facts: Mapping[str, str]) -> asyncio.Future[None]:
        return self._hooks.call(Call(event, self._cluster, group, facts))

    def _over(self, group: str, done: asyncio.Future[None]) -> None:
        found = self._waiting.get(group)
        if found is not None and found[1] is done:
            self._let_go(group)
            self._hold_again(found[0])

    def _let_go(self, group: str) -> None:
        self._waiting.pop(group, None)


def _vips(core: Config, name: str) -> tuple[Vip, ...]:
    return next((group.vips for group in core.groups if group.name == name), ())
