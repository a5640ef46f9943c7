"""What the operator tells one member: the NodeConfig in a ConfigMap, the KeySet in a Secret.

Standard library only, because the heartbeat process reads them and carries no dependency it can do
without. This is not the user's API (`v1alpha1`): defaults are filled in, durations are integer milliseconds,
and what is wrong here is a fault of ours or a torn file, reported with the field's path. Unknown fields are ignored, so
that an agent can run beside a newer operator.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import logging
import re
from collections.abc import Mapping
from typing import Any, TypeVar

NODE_CONFIG_VERSION = 1
KEY_SET_VERSION = 1
KEY_BYTES = 32
"""Length of a heartbeat key: one SHA-256 output (RFC 2104 section 3 advises at least the hash's length)."""
KEY_ID_MAX = 255
"""The key id is one byte in a frame's header."""
KEYS_MAX = 4
"""Keys at once: a rotation needs two; the rest is room for one that is overtaken by the next."""

IGNORED_MAX, FIELD_TEXT = 64, 200
"""Unknown fields that are logged, each once, and how much of a name is."""
_ignored: set[str] = set()

T = TypeVar("T")

logger = logging.getLogger(__name__)


class ConfigError(ValueError):
    """A NodeConfig or KeySet that cannot be used; the text begins with the field's path."""


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """One IP service. `interface` None means: the one whose subnet holds the address."""

    address: str
    prefix: int
    interface: str | None = None
    broadcast: str | None = None

    @property
    def text(self) -> str:
        """As VyOS writes it: ADDRESS/PREFIX[/INTERFACE[/BROADCAST]]."""
        parts = [self.address, str(self.prefix), self.interface, self.broadcast]
        return "/".join(p for p in parts if p is not None)


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """One resource group; `members` is the order of preference, the primary first."""

    name: str
    members: tuple[str, ...]
    auto_failback: bool
    failback_delay_ms: int
    addresses: tuple[Address, ...]
    units: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    maintenance: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Announcements:
    """Gratuitous ARP and unsolicited neighbour advertisements."""

    count: int = 5
    interval_ms: int = 200
    refresh_ms: int = 60_000


@dataclasses.dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything one member must know of one cluster."""

    cluster: str
    uid: str
    generation: int
    node: str
    interfaces: tuple[str, ...]
    keepalive_ms: int
    dead_ms: int
    monitor_dead_ms: int
    init_dead_ms: int
    mcast_group: str
    port: int
    ttl: int
    announcements: Announcements
    groups: tuple[Group, ...]
    unicast: bool = False
    fence: str = "None"
    nodes: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """With unicast, the members' node addresses: frames go there too. Left out of the JSON where there are none, so
    that agents from before it read what they can use."""
    standby: bool = False
    """The node is cordoned, and onCordon is Standby. Left out of the JSON where it is not so, as above."""

    @property
    def members(self) -> tuple[str, ...]:
        """All members of the cluster, sorted: the order in which a frame names them."""
        return tuple(sorted({m for g in self.groups for m in g.members}))


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """One heartbeat key; `use` is "send" (exactly one in a set) or "accept"."""

    id: int
    use: str
    secret: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class KeySet:
    """The heartbeat keys of a cluster: one to send with, others that are still or already accepted."""

    uid: str
    keys: tuple[Key, ...]

    @property
    def send(self) -> Key:
        """The key that frames are sealed with."""
        return next(k for k in self.keys if k.use == "send")


def node_config_to_dict(config: NodeConfig) -> dict[str, Any]:
    """The JSON form of a NodeConfig."""
    fields = _camel_dict({k: v for k, v in dataclasses.asdict(config).items() if k not in ("nodes", "standby")})
    nodes = {"nodes": {name: list(addresses) for name, addresses in config.nodes.items()}} if config.nodes else {}
    standby = {"standby": True} if config.standby else {}
    return {"version": NODE_CONFIG_VERSION, **fields, **nodes, **standby}


def node_config_to_json(config: NodeConfig) -> str:
    """One text for one NodeConfig: sorted keys, so that an unchanged configuration is an unchanged ConfigMap."""
    return json.dumps(node_config_to_dict(config), indent=1, sort_keys=True)


def node_config_from_json(text: str | bytes) -> NodeConfig:
    """Parse what `node_config_to_json` wrote. Raises ConfigError."""
    return node_config_from_dict(_loads(text))


def node_config_from_dict(raw: object) -> NodeConfig:
    """Check every field's presence and type. Raises ConfigError with the field's path."""
    f = _Fields(raw, "")
    f.version(NODE_CONFIG_VERSION)
    config = NodeConfig(
        cluster=f.take("cluster", str),
        uid=f.take("uid", str),
        generation=f.number("generation"),
        node=f.take("node", str),
        interfaces=f.strings("interfaces"),
        keepalive_ms=f.number("keepaliveMs", minimum=1),
        dead_ms=f.number("deadMs", minimum=1),
        monitor_dead_ms=f.number("monitorDeadMs", minimum=1),
        init_dead_ms=f.number("initDeadMs", minimum=1),
        mcast_group=f.take("mcastGroup", str),
        port=f.number("port", minimum=1),
        ttl=f.number("ttl", minimum=1),
        announcements=_announcements(f.child("announcements")),
        groups=tuple(_group(g) for g in f.children("groups")),
        unicast=f.take("unicast", bool),
        fence=f.take("fence", str),
        nodes=_nodes(f.optional("nodes", dict) or {}),
        standby=f.optional("standby", bool) or False,
    )
    f.ignore_rest()
    if config.dead_ms <= 2 * config.keepalive_ms:
        raise ConfigError(f"deadMs: {config.dead_ms} is not more than 2 x keepaliveMs ({config.keepalive_ms})")
    if not config.interfaces:
        raise ConfigError("interfaces: at least one is needed to carry heartbeats")
    names = [g.name for g in config.groups]
    if len(set(names)) != len(names):
        raise ConfigError("groups: two groups have one name")
    return config


def key_set_to_dict(keys: KeySet) -> dict[str, Any]:
    """The JSON form of a KeySet. It holds secrets: write it into a Secret or a 0600 file, nowhere else."""
    return {
        "version": KEY_SET_VERSION,
        "uid": keys.uid,
        "keys": [{"id": k.id, "use": k.use, "key": base64.b64encode(k.secret).decode()} for k in keys.keys],
    }


def key_set_to_json(keys: KeySet) -> str:
    """One text for one KeySet."""
    return json.dumps(key_set_to_dict(keys), sort_keys=True)


def key_set_from_json(text: str | bytes) -> KeySet:
    """Parse what `key_set_to_json` wrote. Raises ConfigError, whose text never quotes a key."""
    return key_set_from_dict(_loads(text))


def key_set_from_dict(raw: object) -> KeySet:
    """Check a KeySet. Raises ConfigError, whose text never quotes a key."""
    f = _Fields(raw, "")
    f.version(KEY_SET_VERSION)
    uid = f.take("uid", str)
    keys = tuple(_key(k) for k in f.children("keys"))
    f.ignore_rest()
    if not 1 <= len(keys) <= KEYS_MAX:
        raise ConfigError(f"keys: 1 to {KEYS_MAX} keys are taken, not {len(keys)}")
    if len({k.id for k in keys}) != len(keys):
        raise ConfigError("keys: two keys have one id")
    if sum(k.use == "send" for k in keys) != 1:
        raise ConfigError('keys: exactly one key must have the use "send"')
    return KeySet(uid=uid, keys=keys)


def _nodes(raw: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    fields = _Fields(raw, "nodes.")
    return {name: fields.strings(name) for name in raw}


def _group(f: _Fields) -> Group:
    group = Group(
        name=f.take("name", str),
        members=f.strings("members"),
        auto_failback=f.take("autoFailback", bool),
        failback_delay_ms=f.number("failbackDelayMs"),
        addresses=tuple(_address(a) for a in f.children("addresses")),
        units=f.strings("units"),
        monitors=f.strings("monitors"),
        maintenance=f.strings("maintenance"),
    )
    f.ignore_rest()
    if len(group.members) < 2 or len(set(group.members)) != len(group.members):
        raise ConfigError(f"{f.path}members: a primary and at least one secondary are needed, each once")
    return group


def _address(f: _Fields) -> Address:
    address = Address(
        address=f.take("address", str),
        prefix=f.number("prefix"),
        interface=f.optional("interface", str),
        broadcast=f.optional("broadcast", str),
    )
    f.ignore_rest()
    return address


def _announcements(f: _Fields) -> Announcements:
    value = Announcements(
        count=f.number("count", minimum=1),
        interval_ms=f.number("intervalMs", minimum=1),
        refresh_ms=f.number("refreshMs", minimum=1),
    )
    f.ignore_rest()
    return value


def _key(f: _Fields) -> Key:
    key_id = f.number("id", minimum=1)
    use = f.take("use", str)
    text = f.take("key", str)
    f.ignore_rest()
    if key_id > KEY_ID_MAX:
        raise ConfigError(f"{f.path}id: must be at most {KEY_ID_MAX}")
    if use not in ("send", "accept"):
        raise ConfigError(f'{f.path}use: must be "send" or "accept"')
    try:
        secret = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ConfigError(f"{f.path}key: is not base64") from None
    if len(secret) != KEY_BYTES:
        raise ConfigError(f"{f.path}key: must be {KEY_BYTES} bytes, not {len(secret)}")
    return Key(id=key_id, use=use, secret=secret)


def _loads(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError("the file is not JSON (torn or foreign)") from None


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(r.title() for r in rest)


def _camel_dict(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel(k): _camel_dict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_camel_dict(v) for v in value]
    return value


class _Fields:
    """Takes fields out of a JSON object one by one; what is missing or mistyped is a ConfigError."""

    def __init__(self, raw: object, path: str) -> None:
        if not isinstance(raw, Mapping):
            raise ConfigError(f"{path.rstrip('.') or 'the file'}: must be an object")
        self.path = path
        self._raw = dict(raw)

    def take(self, name: str, kind: type[T]) -> T:
        if name not in self._raw:
            raise ConfigError(f"{self.path}{name}: is missing")
        value = self._raw.pop(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ConfigError(f"{self.path}{name}: must be {kind.__name__}, not {type(value).__name__}")
        return value

    def optional(self, name: str, kind: type[T]) -> T | None:
        if self._raw.get(name) is None:
            self._raw.pop(name, None)
            return None
        return self.take(name, kind)

    def number(self, name: str, minimum: int = 0) -> int:
        value = self.take(name, int)
        if value < minimum:
            raise ConfigError(f"{self.path}{name}: must be at least {minimum}, not {value}")
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        values: list[Any] = self.take(name, list)
        if not all(isinstance(v, str) for v in values):
            raise ConfigError(f"{self.path}{name}: must be a list of strings")
        return tuple(values)

    def child(self, name: str) -> _Fields:
        return _Fields(self.take(name, dict), f"{self.path}{name}.")

    def children(self, name: str) -> list[_Fields]:
        values: list[Any] = self.take(name, list)
        return [_Fields(v, f"{self.path}{name}[{i}].") for i, v in enumerate(values)]

    def version(self, known: int) -> None:
        found = self.take("version", int)
        if found != known:
            raise ConfigError(f"{self.path}version: {found} is not known here (this agent reads {known})")

    def ignore_rest(self) -> None:
        """Leave fields of a newer release alone: operator and agents may be upgraded in either order."""
        for name in sorted(map(str, self._raw)):
            field = re.sub(r"\[\d+\]", "[]", f"{self.path}{name}")[:FIELD_TEXT]
            if field not in _ignored and len(_ignored) < IGNORED_MAX:
                _ignored.add(field)
                logger.warning("%s: is not known to this release and is ignored: a newer operator wrote it", field)
