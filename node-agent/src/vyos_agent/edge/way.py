"""A way for frames: where they go, and the key that seals them. A value, which outlives the process."""

from __future__ import annotations

import base64
import dataclasses
import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vyos_agent.config import UNICAST
from vyos_agent.core.model import Keyring

if TYPE_CHECKING:
    from vyos_agent.edge.orders import Item


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """Where frames go, and the key that seals them."""

    group: str
    port: int
    ttl: int
    interfaces: tuple[str, ...]
    nodes: Mapping[str, tuple[str, ...]]
    """With unicast: the members' node addresses."""
    unicast: bool
    key_id: int
    key: bytes = dataclasses.field(repr=False)

    @property
    def links(self) -> tuple[str, ...]:
        """In the order of their numbers."""
        return (*self.interfaces, UNICAST) if self.unicast else self.interfaces

    def reaches(self, other: Way, keyring: Keyring) -> bool:
        """Whether a member that has only the other way is heard, and hears, as well by this one."""
        same = (self.group, self.port) == (other.group, other.port) and self.links[: len(other.links)] == other.links
        return same and keyring.keys.get(other.key_id) == other.key

    def as_json(self) -> dict[str, Any]:
        """For the state directory: with the key."""
        fields = {name: getattr(self, name) for name in ("group", "port", "ttl", "unicast")}
        nodes = {name: list(addresses) for name, addresses in self.nodes.items()}
        key = {"id": self.key_id, "secret": base64.b64encode(self.key).decode()}
        return {**fields, "interfaces": list(self.interfaces), "nodes": nodes, "key": key}

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Way:
        """What `as_json` made. Raises LookupError, TypeError or ValueError."""
        return cls(
            group=str(ipaddress.ip_address(raw["group"])),
            port=int(raw["port"]),
            ttl=int(raw["ttl"]),
            interfaces=tuple(map(str, raw["interfaces"])),
            nodes={str(name): tuple(map(str, addresses)) for name, addresses in raw["nodes"].items()},
            unicast=bool(raw["unicast"]),
            key_id=int(raw["key"]["id"]),
            key=base64.b64decode(raw["key"]["secret"], validate=True),
        )


def way(item: Item) -> Way:
    """The one of a configuration."""
    config, key = item.config, item.keys.send
    group = str(item.endpoint.group)
    return Way(group, config.port, config.ttl, config.interfaces, config.nodes, config.unicast, key.id, key.secret)
