"""What a machine's shell knows of its links and of its administrator's addresses."""

from __future__ import annotations

from collections.abc import Callable

from vyos_agent.core import events


class Surroundings:
    """Of one machine; they outlive its daemon."""

    def __init__(self, feed: Callable[[events.Event], None]) -> None:
        self._feed = feed
        self.links: dict[str, bool] = {}
        """Whether an interface has a carrier."""
        self.mute: set[str] = set()
        """Interfaces that are up and can carry no heartbeat."""
        self.occupied: set[str] = set()
        """Addresses of the cluster that the administrator has set here for good."""

    def set_link(self, interface: str, up: bool) -> None:
        """Its carrier comes or goes."""
        self.links[interface] = up
        self._feed(self._link(interface))

    def set_mute(self, interface: str, mute: bool) -> None:
        """The interface has no address of the multicast group's family, or has one again."""
        (self.mute.add if mute else self.mute.discard)(interface)
        self._feed(self._link(interface))

    def occupy(self, *addresses: str) -> None:
        """These addresses, and no others of the cluster, are the machine's own now."""
        self.occupied = set(addresses)
        self._feed(events.Occupied(frozenset(addresses)))

    def events(self) -> list[events.Event]:
        """What a shell tells at its start."""
        found: list[events.Event] = [self._link(name) for name in dict.fromkeys((*self.links, *sorted(self.mute)))]
        return [*found, events.Occupied(frozenset(self.occupied))] if self.occupied else found

    def _link(self, interface: str) -> events.LinkChanged:
        return events.LinkChanged(interface, self.links.get(interface, True), False if interface in self.mute else None)
