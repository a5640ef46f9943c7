"""On which interface a shared address belongs when nobody says: the one whose subnet holds it, most specific first.

Asked again whenever an address of the node's own comes or goes. An address that has its interface keeps it until
another subnet holds it: a lease that is renewed late must move nothing.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence

from vyos_agent.config import UNFOUND
from vyos_agent.core.model import Config
from vyos_agent.edge.kernel import Entry
from vyos_agent.edge.orders import Item


@dataclasses.dataclass(frozen=True, slots=True)
class Subnet:
    """An address of the node's own that brings a subnet along, and where."""

    interface: str
    entry: Entry


def find(address: str, subnets: Iterable[Subnet], preferred: Sequence[str]) -> str | None:
    """The interface, None where no subnet holds the address. Of two alike, a preferred one, then the older one."""
    ip = ipaddress.ip_address(address)
    fits = [s for s in subnets if s.entry.ip.version == ip.version and ip in s.entry.network]
    best = min(
        fits,
        key=lambda s: (-s.entry.prefix, _place(s.interface, preferred), s.entry.index),
        default=None,
    )
    return None if best is None else best.interface


class Finder:
    """Remembers where every address was found."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], str] = {}

    def locate(self, item: Item, subnets: Collection[Subnet]) -> Item:
        """The item with an interface for each address that names none; `UNFOUND` where there is none now."""
        if not item.sought:
            return item
        found: dict[str, str] = {}
        for address in item.sought:
            key = (item.uid, address)
            here = find(address, subnets, item.core.interfaces) or self._found.get(key)
            if here is not None:
                found[address] = self._found[key] = here
        return dataclasses.replace(item, core=_with(item.core, {a: found.get(a, UNFOUND) for a in item.sought}))

    def keep(self, uids: Collection[str]) -> None:
        """Forget all other clusters."""
        self._found = {key: name for key, name in self._found.items() if key[0] in uids}


def _with(core: Config, interfaces: Mapping[str, str]) -> Config:
    groups = tuple(
        dataclasses.replace(
            group,
            vips=tuple(dataclasses.replace(v, interface=interfaces.get(v.address, v.interface)) for v in group.vips),
        )
        for group in core.groups
    )
    return dataclasses.replace(core, groups=groups)


def _place(name: str, preferred: Sequence[str]) -> int:
    return preferred.index(name) if name in preferred else len(preferred)
