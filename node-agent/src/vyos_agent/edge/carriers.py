"""Which of a cluster's links are up, and which can carry heartbeats: its interfaces, and unicast, which is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vyos_agent.config import UNICAST
from vyos_agent.core.events import LinkChanged
from vyos_agent.edge.clock import now
from vyos_agent.edge.links import Links
from vyos_agent.edge.node_addresses import NodeAddresses
from vyos_agent.edge.orders import Item
from vyos_agent.edge.usable import Trouble, trouble
from vyos_agent.edge.ways import Ways


class Carriers:
    """Of one cluster. `events` whenever its item changes, `look` whenever an interface does."""

    def __init__(
        self, links: Links, addresses: NodeAddresses, heartbeats: Ways, tell: Callable[[LinkChanged], None]
    ) -> None:
        self._links = links
        self._addresses = addresses
        self._told: dict[str, LinkChanged] = {}
        self._soon = False
        self._heartbeats = heartbeats
        self._tell = tell
        self._item: Item | None = None
        self._timer: asyncio.TimerHandle | None = None

    def events(self, item: Item) -> list[LinkChanged]:
        """The state of every link that matters to this member."""
        self._item = item
        names = dict.fromkeys([*interfaces(item), *self._heartbeats.core.interfaces])
        self._told = {name: self._event(name, item) for name in names}
        return list(self._told.values())

    def look(self) -> None:
        """A carrier came or went, or a dead interval is over since: judge unicast."""
        item = self._item
        names = [name for name in self._told if self._heartbeats.link(name) == UNICAST]
        if item is None or not names:
            return
        self._disarm()
        for name in names:
            self._tell_of(name, item)
        if not any(self._is_up(name) for name in item.config.interfaces):
            self._timer = asyncio.get_running_loop().call_later(item.core.dead_ms / 1000, self.look)

    def link_changed(self, name: str) -> None:
        """An interface came, went, or changed."""
        if self._item is not None:
            for known in [n for n in self._told if self._heartbeats.link(n) == name]:
                self._tell_of(known, self._item)
            self.look()

    def review(self) -> None:
        """A frame was sent, or an address came or went: soon tell which links can carry frames now."""
        item = self._item
        if item is None or self._soon or all(self._event(name, item) == event for name, event in self._told.items()):
            return
        self._soon = True  # not at once: whoever sends is in the middle of a turn
        asyncio.get_running_loop().call_soon(self._review)

    def troubles(self) -> dict[str, Trouble]:
        """Of each heartbeat interface that can carry no frame: why."""
        item = self._item
        names = item.config.interfaces if item is not None else ()
        return {name: why for name in names if item is not None and (why := self._trouble(name)) is not None}

    def _review(self) -> None:
        self._soon = False
        item = self._item
        for name, event in list(self._told.items()) if item is not None else ():
            if item is not None and self._event(name, item) != event:
                self._tell_of(name, item)

    def _tell_of(self, name: str, item: Item) -> None:
        self._told[name] = self._event(name, item)
        self._tell(self._told[name])

    def _event(self, name: str, item: Item) -> LinkChanged:
        link = self._heartbeats.link(name)
        if link == UNICAST:
            return LinkChanged(name, self._unicast_is_up(item), self._heartbeats.unicast_accepted(name))
        if name not in self._heartbeats.core.interfaces:
            return LinkChanged(name, self._is_up(link))
        return LinkChanged(name, self._is_up(link), self._trouble(name) is None)

    def _trouble(self, name: str) -> Trouble | None:
        interface = self._heartbeats.link(name)
        link = self._links.get(interface)
        families = self._addresses.families(link.index) if link is not None else None
        return trouble(interface, link, self._heartbeats.group(name), families, self._heartbeats.refusal(name))

    def scope(self) -> int:
        """The interface that link-local monitors are on: the first with heartbeats."""
        link = self._links.get(self._item.config.interfaces[0]) if self._item is not None else None
        return link.index if link is not None else 0

    def close(self) -> None:
        """Tell nothing any more."""
        self._item = None
        self._disarm()

    def _is_up(self, name: str) -> bool:
        link = self._links.get(name)
        return link is not None and link.up

    def _unicast_is_up(self, item: Item) -> bool:
        """Its frames may come by any interface: it is up while they do, or while one of the cluster's has a carrier."""
        heard_ms = self._heartbeats.unicast_heard_ms
        lately = heard_ms is not None and now() - heard_ms < item.core.dead_ms
        return lately or any(self._is_up(name) for name in item.config.interfaces)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def interfaces(item: Item) -> tuple[str, ...]:
    """Every interface that matters to a member: those with heartbeats, then those of its groups' addresses."""
    groups = [g for g in item.core.groups if item.core.me in g.members]
    return tuple(dict.fromkeys([*item.config.interfaces, *(v.interface for g in groups for v in g.vips)]))
