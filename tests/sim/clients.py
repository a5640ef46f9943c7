"""Clients of the shared addresses: each an ARP cache in which the last word wins, whoever says it.

A client hears announcements, and asks now and then; then every holder answers, and the last answer stays. One kind of
client sits on the shared LAN and hears all; the other sits beside one router and hears what that router can hear.
"""

from __future__ import annotations

import dataclasses
import random
import typing
from collections.abc import Iterable

from vyos_agent.core.model import Vip

if typing.TYPE_CHECKING:
    from sim.world import World


@dataclasses.dataclass(slots=True)
class Client:
    """One machine on the LAN. `beside`: it hears what this host hears; None: everything."""

    name: str
    beside: str | None = None
    cache: dict[Vip, str] = dataclasses.field(default_factory=dict)


class Clients:
    """All of them."""

    def __init__(self, world: World, seed: int | str, beside: Iterable[str]) -> None:
        self._world = world
        self._rng = random.Random(f"clients {seed}")
        self.all = [Client("everywhere"), *(Client(f"beside {name}", name) for name in beside)]
        self.flips: list[tuple[int, str, Vip, str, str]] = []
        """(when, client, address, from, to) since the invariants last looked."""

    def announced(self, host: str, vips: Iterable[Vip]) -> None:
        """A gratuitous ARP pair, or an unsolicited neighbour advertisement."""
        for client in self.all:
            if self._hears(client, host):
                for vip in vips:
                    self._learn(client, vip, host)

    def changed(self, vip: Vip) -> None:
        """Who holds the address has changed: each client asks a little later, and again."""
        for client in self.all:
            for wait_ms in (self._rng.randint(0, 100), self._rng.randint(100, 3_000)):
                self._world.at(self._world.now + wait_ms, lambda c=client: self.probe(c, vip))  # type: ignore[misc]

    def probe(self, client: Client, vip: Vip) -> None:
        """An ARP request: all that hold the address answer, in any order."""
        answers = [h for h in self._world.holders(vip) if self._hears(client, h)]
        if answers:
            self._learn(client, vip, self._rng.choice(sorted(answers)))

    def _hears(self, client: Client, host: str) -> bool:
        return client.beside in (None, host) or (host, client.beside) not in self._world.network.cut

    def _learn(self, client: Client, vip: Vip, host: str) -> None:
        old = client.cache.get(vip)
        client.cache[vip] = host
        if old is not None and old != host:
            self._world.changed()
            self.flips.append((self._world.now, client.name, vip, old, host))
