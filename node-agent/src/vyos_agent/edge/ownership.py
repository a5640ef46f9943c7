"""Ownership as the core sees it, checked against what the LAN says; and the one thing that is done about a rival.

A rival stops nothing and moves nothing: its word is nobody's. Clients may have heard it, though, so the owner says once
more where the address is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from vyos_agent.config import UNFOUND
from vyos_agent.core.model import OWNING, Config, State, Vip
from vyos_agent.core.node import Node
from vyos_agent.edge.arp import Announcer
from vyos_agent.edge.clock import now
from vyos_agent.edge.probing import Part, Prober

logger = logging.getLogger(__name__)

GAP_MS = 10_000
"""Two that announce whenever they hear each other are at war: one answer in so long (shared/protocol section 7)."""


class Ownership:
    """Of one cluster. `see` whenever the core's report changes."""

    def __init__(
        self,
        prober: Prober,
        announcer: Announcer,
        name: str,
        *,
        beacon: Callable[[str, str], str | None],
        on_change: Callable[[], None],
        on_conflict: Callable[[Vip, bytes], None],
        on_verified: Callable[[Vip, str], None],
        clock: Callable[[], int] = now,
    ) -> None:
        """`beacon(member, interface)`: the address that a member's frames come from there.

        `on_conflict(vip, mac)`: somebody else says that it has an address of ours; told as often as it is answered.
        `on_verified(vip, owner)`: asked on the LAN, the owner answers for it; told again each time.
        """
        self._name = name
        self._prober = prober
        self._on_conflict = on_conflict
        self._asking: set[asyncio.Task[None]] = set()
        """One for each group that was claimed first, as long as it asks."""
        self._announcer = announcer
        self._clock = clock
        self._node: Node | None = None
        self._told_ms: dict[Vip, int] = {}
        self._watch = prober.open(
            name, beacon=beacon, on_change=on_change, on_rival=self._rival, on_verified=on_verified
        )

    def see(self, core: Config, node: Node) -> None:
        """What this member is to each address of its groups now, and so whom to expect when the LAN is asked."""
        self._node = node
        groups = {group.name: group for group in core.groups}
        self._watch.set(
            {
                vip: Part(report.owner, mine=report.state in OWNING)
                for report in node.report().groups
                if report.name in groups
                for vip in groups[report.name].vips
                if vip.interface != UNFOUND
            }
        )

    def first_claim(self, vips: Collection[Vip]) -> None:
        """Nobody had these addresses, as far as this node knows: ask the LAN whether that is so."""
        task = asyncio.get_running_loop().create_task(self._prober.first_claim(self._watch, vips))
        self._asking.add(task)
        task.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.warning("%s: cannot ask who has its addresses: %s", self._name, error)

    @property
    def answers(self) -> dict[str, str]:
        """What is wrong, by address."""
        return self._watch.answers

    def close(self) -> None:
        """Ask no more."""
        for task in self._asking:
            task.cancel()
        self._watch.close()
        self._node = None

    def _rival(self, vip: Vip, mac: bytes) -> None:
        """Only as owner with no move under way: in a handover two announce, and both are right."""
        at_ms = self._clock()
        last_ms = self._told_ms.get(vip)
        if self._node is None or (last_ms is not None and at_ms - last_ms < GAP_MS):
            return
        owned = any(vip in g.vips and g.state is State.OWNER for g in self._node.report().groups)
        if owned and self._node.may_hold(at_ms):
            self._told_ms[vip] = at_ms
            self._announcer.announce((vip,))
            self._on_conflict(vip, mac)
