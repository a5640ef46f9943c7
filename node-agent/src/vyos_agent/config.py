"""From what a member is told to what its core can use: NodeConfig and KeySet in, `core.model.Config` and Endpoint out.

Pure. `vyos_api.nodeconfig` has checked that every field is there and of its type; here is checked what the core and
the sockets must be able to trust (parse, don't validate). Whatever fails is a ConfigError that begins with the field's
path in the NodeConfig; a configuration that fails changes nothing that runs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import re
import uuid
from collections.abc import Iterable

from vyos_agent.core import wire
from vyos_agent.core.model import Config, Group, Keyring, Vip, wire_id
from vyos_api import limits
from vyos_api.nodeconfig import Address, ConfigError, KeySet, NodeConfig
from vyos_api.nodeconfig import Group as ConfigGroup

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
PORT_MAX = 65_535
TTL_MAX = 255
UID_TEXT = 64
"""Kubernetes' UIDs have 36 characters; the name of an abstract unix socket, of which the UID is a part, at most 107."""
INTERFACE = re.compile(rf"[!-.0-9;-~]{{1,{limits.INTERFACE_NAME}}}")
"""Printable ASCII but '/' and ':', which Linux refuses in names (dev_valid_name in net/core/dev.c)."""
NO_FENCE, NFTABLES = "None", "Nftables"
UNFOUND = ":unfound"
"""The interface of an address for which none is named, until one is found (`edge.finding`)."""
UNICAST = ":unicast"
"""The link by which frames go straight to the members' node addresses. No interface has ':' in its name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a cluster's frames go: what the core need not know."""

    group: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    ttl: int


def resolve(config: NodeConfig, keys: KeySet) -> Config:
    """The core's configuration. Raises ConfigError."""
    _numbers(config)
    _names("node", "member", config.members)
    _names("groups", "group", (g.name for g in config.groups))
    _most("groups", len(config.groups), limits.GROUPS)
    _most("groups", len(config.members), limits.MEMBERS, "members in all")
    if keys.uid != config.uid:
        raise ConfigError(f"uid: the keys are for {keys.uid!r}, not for {config.uid!r}")
    _most("interfaces", len(config.interfaces), limits.INTERFACES)
    for i, name in enumerate(config.interfaces):
        _interface(f"interfaces[{i}]", name)
    if len(set(config.interfaces)) != len(config.interfaces):
        raise ConfigError("interfaces: one is named twice")
    endpoint(config)
    if config.fence not in (NO_FENCE, NFTABLES):
        raise ConfigError(f"fence: {config.fence!r} is neither {NO_FENCE} nor {NFTABLES}")
    for name, addresses in config.nodes.items():
        for j, text in enumerate(addresses):
            _node_address(f"nodes.{name}[{j}]", text)
    groups = tuple(_group(f"groups[{i}]", g) for i, g in enumerate(config.groups))
    _distinct(groups)
    return Config(
        cluster_id=cluster_id(config.uid),
        generation=config.generation,
        me=config.node,
        interfaces=(*config.interfaces, *([UNICAST] if config.unicast else [])),
        keepalive_ms=config.keepalive_ms,
        dead_ms=config.dead_ms,
        init_dead_ms=config.init_dead_ms,
        announce_count=config.announcements.count,
        announce_interval_ms=config.announcements.interval_ms,
        announce_refresh_ms=config.announcements.refresh_ms,
        groups=groups,
        keyring=Keyring(keys.send.id, {k.id: k.secret for k in keys.keys}),
        standby=config.standby,
    )


def sought(config: NodeConfig) -> frozenset[str]:
    """The addresses that name no interface."""
    unnamed = [a.address for g in config.groups for a in g.addresses if a.interface is None]
    return frozenset(str(ipaddress.ip_address(text)) for text in unnamed)


def endpoint(config: NodeConfig) -> Endpoint:
    """Where the frames of this cluster go. Raises ConfigError."""
    try:
        group = ipaddress.ip_address(config.mcast_group)
    except ValueError:
        raise ConfigError(f"mcastGroup: {config.mcast_group!r} is no IP address") from None
    if not group.is_multicast or "%" in config.mcast_group:
        raise ConfigError(f"mcastGroup: {group} is no multicast group (239.0.0.0/8 or ff00::/8)")
    if config.port > PORT_MAX:
        raise ConfigError(f"port: must be at most {PORT_MAX}, not {config.port}")
    if config.ttl > TTL_MAX:
        raise ConfigError(f"ttl: must be at most {TTL_MAX}, not {config.ttl}")
    return Endpoint(group, config.port, config.ttl)


def cluster_id(uid: str) -> bytes:
    """The 16 bytes that name a cluster in a frame: its UID, or a digest of what is not written as a UUID."""
    try:
        return uuid.UUID(uid).bytes
    except ValueError:
        return hashlib.sha256(uid.encode()).digest()[:16]


def _numbers(config: NodeConfig) -> None:
    if not 0 < len(config.uid) <= UID_TEXT:
        raise ConfigError(f"uid: must have 1 to {UID_TEXT} characters, not {len(config.uid)}")
    if config.generation > U64_MAX:
        raise ConfigError(f"generation: must be at most {U64_MAX}")
    if config.dead_ms > wire.DEAD_MS_MAX:
        raise ConfigError(f"deadMs: must be at most {wire.DEAD_MS_MAX}, not {config.dead_ms}")
    if config.init_dead_ms > U32_MAX:
        raise ConfigError(f"initDeadMs: must be at most {U32_MAX}, not {config.init_dead_ms}")


def _names(path: str, what: str, names: Iterable[str]) -> None:
    """Two names with one identity on the wire cannot be told apart: one in four billion pairs."""
    seen: dict[int, str] = {}
    for name in names:
        other = seen.setdefault(wire_id(name), name)
        if other != name:
            raise ConfigError(
                f"{path}: the {what}s {other!r} and {name!r} have the same identity on the wire; rename one"
            )


def _most(path: str, count: int, most: int, what: str = "") -> None:
    if count > most:
        raise ConfigError(f"{path}: at most {most} {what or path} are taken, not {count}")


def _interface(path: str, name: str) -> None:
    if not INTERFACE.fullmatch(name) or name in (".", ".."):
        raise ConfigError(f"{path}: {name!r} is no interface name")


def _node_address(path: str, text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ConfigError(f"{path}: {text!r} is no IP address") from None
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        raise ConfigError(f"{path}: {address} is no address that frames can be sent to")


def _group(path: str, group: ConfigGroup) -> Group:
    _most(f"{path}.addresses", len(group.addresses), limits.SERVICES, "addresses")
    _most(f"{path}.members", len(group.members), 1 + limits.SECONDARIES, "members")
    return Group(
        name=group.name,
        members=group.members,
        auto_failback=group.auto_failback,
        failback_delay_ms=group.failback_delay_ms,
        vips=tuple(_vip(f"{path}.addresses[{j}]", a) for j, a in enumerate(group.addresses)),
        monitors=tuple(_monitor(f"{path}.monitors[{j}]", a) for j, a in enumerate(group.monitors)),
        units=group.units,
        maintenance=frozenset(group.maintenance),
    )


def _monitor(path: str, text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ConfigError(f"{path}: {text!r} is no IP address") from None
    if address.is_multicast or address.is_unspecified or "%" in text:
        raise ConfigError(f"{path}: {text} is no address that can be pinged")
    return str(address)


def _vip(path: str, raw: Address) -> Vip:
    try:
        address = ipaddress.ip_address(raw.address)
    except ValueError:
        raise ConfigError(f"{path}.address: {raw.address!r} is no IP address") from None
    if address.is_multicast or address.is_unspecified or address.is_loopback or "%" in raw.address:
        raise ConfigError(f"{path}.address: {address} is no address that a router can share")
    if raw.prefix > address.max_prefixlen:
        raise ConfigError(f"{path}.prefix: must be at most {address.max_prefixlen}, not {raw.prefix}")
    if raw.interface is not None:
        _interface(f"{path}.interface", raw.interface)
    return Vip(str(address), raw.prefix, raw.interface or UNFOUND, _broadcast(path, raw.broadcast, address.version))


def _broadcast(path: str, text: str | None, version: int) -> str | None:
    if text is None:
        return None
    try:
        broadcast = ipaddress.IPv4Address(text)
    except ValueError:
        raise ConfigError(f"{path}.broadcast: {text!r} is no IPv4 address") from None
    if version != 4:
        raise ConfigError(f"{path}.broadcast: only an IPv4 address has one")
    return str(broadcast)


def _distinct(groups: tuple[Group, ...]) -> None:
    """One address in two groups would have two owners."""
    seen: dict[str, str] = {}
    for i, group in enumerate(groups):
        for j, vip in enumerate(group.vips):
            other = seen.setdefault(vip.address, f"groups[{i}].addresses[{j}]")
            if other != f"groups[{i}].addresses[{j}]":
                raise ConfigError(f"groups[{i}].addresses[{j}]: {vip.address} is {other} already; remove one")
