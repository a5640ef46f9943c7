"""What this node is told to serve: the `configure` request, read item by item so that one bad item harms no other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from vyos_agent import config as configs
from vyos_agent.core.events import Hint
from vyos_agent.core.model import EPOCH_MAX, Config
from vyos_api import nodeconfig
from vyos_api.nodeconfig import ConfigError, KeySet, NodeConfig

CLUSTERS_MAX = 64
"""Clusters of one node: each has its sockets and its timer."""


class OrderError(ValueError):
    """A request that is none; the text is for a person."""


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One cluster to serve, checked."""

    config: NodeConfig
    keys: KeySet
    core: Config
    endpoint: configs.Endpoint
    claims: Mapping[str, Hint]
    """What the status says of each group's epoch and owner."""
    sought: frozenset[str] = frozenset()
    """Addresses that name no interface: in `core` they have the one that was found."""

    @property
    def uid(self) -> str:
        """Which cluster it is."""
        return self.config.uid


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """One item that cannot be taken."""

    cluster: str
    uid: str
    generation: int
    message: str

    def as_json(self) -> dict[str, Any]:
        """As docs/control-socket.md has it."""
        return {"cluster": self.cluster, "generation": self.generation, "message": self.message}


def refusal(item: Item, message: str) -> Refusal:
    """Why an item that was read well cannot be taken."""
    return Refusal(item.config.cluster, item.uid, item.config.generation, message)


@dataclasses.dataclass(frozen=True, slots=True)
class Orders:
    """The complete set of clusters to serve."""

    items: tuple[Item, ...]
    refused: tuple[Refusal, ...]


def read(raw: object, node: str) -> Orders:
    """The orders in `clusters` of a request. Raises OrderError when that is no list of objects."""
    if not isinstance(raw, list) or not all(isinstance(entry, Mapping) for entry in raw):
        raise OrderError("clusters: must be a list of objects")
    if len(raw) > CLUSTERS_MAX:
        raise OrderError(f"clusters: at most {CLUSTERS_MAX} are taken, not {len(raw)}")
    items: list[Item] = []
    refused: list[Refusal] = []
    for entry in raw:
        try:
            item = _item(entry, node)
            for other in items:
                apart(item, other)
            items.append(item)
        except ConfigError as error:
            refused.append(_refusal(entry, str(error)))
    return Orders(tuple(items), tuple(refused))


def item(config: NodeConfig, keys: KeySet, claims: Mapping[str, Hint], node: str) -> Item:
    """One cluster to serve, checked. Raises ConfigError."""
    if config.node != node:
        raise ConfigError(f"node: this is for {config.node!r}, and this node is {node!r}")
    core = configs.resolve(config, keys)
    return Item(config, keys, core, configs.endpoint(config), claims, configs.sought(config))


def apart(new: Item, other: Item) -> None:
    """Two clusters of one node must not hold one address, nor be one cluster. Raises ConfigError."""
    if new.core.cluster_id == other.core.cluster_id:
        raise ConfigError(f"uid: {new.uid} is there twice (clusters {other.config.cluster} and {new.config.cluster})")
    taken = {vip.address for group in other.core.groups for vip in group.vips}
    for i, group in enumerate(new.core.groups):
        for j, vip in enumerate(group.vips):
            if vip.address in taken:
                path = f"groups[{i}].addresses[{j}]"
                raise ConfigError(f"{path}: {vip.address} belongs to cluster {other.config.cluster} here; remove one")


def _item(entry: Mapping[str, object], node: str) -> Item:
    unknown = entry.keys() - {"config", "keys", "claims"}
    if unknown:
        raise ConfigError(f"{min(unknown)}: is not a known field")
    config = nodeconfig.node_config_from_dict(entry.get("config"))
    keys = nodeconfig.key_set_from_dict(entry.get("keys"))
    return item(config, keys, _claims(entry.get("claims")), node)


def _claims(raw: object) -> dict[str, Hint]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise ConfigError("claims: must be an object with an entry for each group")
    return {group: _claim(f"claims.{group}", claim) for group, claim in raw.items()}


def _claim(path: str, raw: object) -> Hint:
    if not isinstance(raw, Mapping) or raw.keys() != {"epoch", "owner"}:
        raise ConfigError(f"{path}: must be an object with epoch and owner")
    epoch, owner = raw["epoch"], raw["owner"]
    if type(epoch) is not int or not 0 <= epoch <= EPOCH_MAX:
        raise ConfigError(f"{path}.epoch: must be a whole number from 0 to {EPOCH_MAX}")
    if not isinstance(owner, str) or not owner:
        raise ConfigError(f"{path}.owner: must be the name of a member")
    return Hint(epoch, owner)


def _refusal(entry: Mapping[str, object], message: str) -> Refusal:
    """As much as can be told of an item that cannot be read."""
    raw = entry.get("config")
    fields = raw if isinstance(raw, Mapping) else {}
    cluster, uid, generation = fields.get("cluster"), fields.get("uid"), fields.get("generation")
    return Refusal(
        cluster=cluster if isinstance(cluster, str) else "",
        uid=uid if isinstance(uid, str) else "",
        generation=generation if type(generation) is int else 0,
        message=message,
    )
