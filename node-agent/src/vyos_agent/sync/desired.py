"""Which clusters the daemon shall serve: a pure function of what the API shows and of what runs already.

`configure` is a level: a cluster that is missing in it is released. So this module never lets one go because something
is missing, unreadable or deleted by hand; only because the API server said that the cluster itself is gone (another
module asks) or that this node is no member any more. What cannot be judged yet runs on as it is.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from vyos_agent.sync import entries
from vyos_api import names, nodeconfig


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One cluster as the daemon is told it."""

    config: nodeconfig.NodeConfig
    keys: nodeconfig.KeySet


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A cluster that the daemon serves; `item` is what it was told in this process's life, if anything."""

    uid: str
    item: Item | None


@dataclasses.dataclass(frozen=True, slots=True)
class Desired:
    """The answer: what to tell, and what stands in the way."""

    items: tuple[Item, ...]
    ask: frozenset[tuple[str, str]]
    """(cluster, uid) that run with nothing behind them: does the API still know them?"""
    held: tuple[str, ...]
    """Clusters that run on and cannot be told again. Anything sent while there are any would release them."""
    problems: Mapping[str, str]
    """Why a cluster is not served as the API says, by cluster."""


def config_of(labels: Mapping[str, str], data: Mapping[str, str], node: str) -> nodeconfig.NodeConfig | str:
    """The NodeConfig in a ConfigMap of this node, or why there is none."""
    if names.CONFIG_KEY not in data:
        return f"its ConfigMap has no {names.CONFIG_KEY}"
    try:
        config = nodeconfig.node_config_from_json(data[names.CONFIG_KEY])
    except nodeconfig.ConfigError as error:
        return f"{names.CONFIG_KEY}: {error}"
    if config.node != node:
        return f"{names.CONFIG_KEY}: is for node {config.node!r}, and this is {node!r}"
    if config.cluster != labels.get(names.LABEL_CLUSTER):
        return f"{names.CONFIG_KEY}: is of cluster {config.cluster!r}, the label says otherwise"
    return config


def keys_of(kind: str | None, data: Mapping[str, str]) -> nodeconfig.KeySet | str:
    """The KeySet in a cluster's Secret, or why there is none; the text never quotes what is secret."""
    if kind != names.SECRET_TYPE:
        return f"its Secret is not of type {names.SECRET_TYPE}"
    if names.KEYS_KEY not in data:
        return f"its Secret has no {names.KEYS_KEY}"
    try:
        return nodeconfig.key_set_from_json(base64.b64decode(data[names.KEYS_KEY], validate=True))
    except binascii.Error:
        return f"{names.KEYS_KEY}: is not base64"
    except nodeconfig.ConfigError as error:
        return f"{names.KEYS_KEY}: {error}"


def desired(
    configs: Mapping[str, nodeconfig.NodeConfig | str],
    keys: Mapping[str, nodeconfig.KeySet | str],
    known: Mapping[str, Known],
    gone: Collection[tuple[str, str]],
) -> Desired:
    """What the daemon shall serve, given ConfigMaps and Secrets by cluster, what it serves, and what is gone."""
    items: list[Item] = []
    ask: set[tuple[str, str]] = set()
    held: list[str] = []
    problems: dict[str, str] = {}
    for cluster in sorted({*configs, *known}):
        found = item(configs.get(cluster), keys.get(cluster))
        if isinstance(found, Item):
            items.append(found)
            continue
        runs = known.get(cluster)
        if runs is not None and (cluster, runs.uid) in gone:
            if cluster in configs:  # a successor of the same name that is not complete yet
                problems[cluster] = found
            continue
        problems[cluster] = found
        if runs is None:
            continue
        if _may_be_gone(configs.get(cluster), runs):
            ask.add((cluster, runs.uid))
        if runs.item is not None:
            items.append(runs.item)
        else:
            held.append(cluster)
    return Desired(tuple(items), frozenset(ask), tuple(held), problems)


def item(config: nodeconfig.NodeConfig | str | None, keys: nodeconfig.KeySet | str | None) -> Item | str:
    """What the daemon is told of a cluster that the API shows so, or why that cannot be told."""
    if config is None:
        return "its ConfigMap is missing"
    if isinstance(config, str):
        return config
    if keys is None:
        return f"its Secret {names.key_secret(config.cluster)!r} is missing"
    if isinstance(keys, str):
        return keys
    if keys.uid != config.uid:
        return f"its Secret belongs to another life of the cluster (uid {keys.uid}, not {config.uid})"
    return Item(config, keys)


def request(items: Collection[Item], claims: Mapping[str, Mapping[str, entries.StatusClaim]]) -> dict[str, Any]:
    """The `configure` request; it holds secrets."""
    return {
        "op": "configure",
        "clusters": [
            {
                "config": nodeconfig.node_config_to_dict(item.config),
                "keys": nodeconfig.key_set_to_dict(item.keys),
                "claims": {
                    group: dataclasses.asdict(claim) for group, claim in claims.get(item.config.cluster, {}).items()
                },
            }
            for item in items
        ],
    }


def _may_be_gone(config: nodeconfig.NodeConfig | str | None, runs: Known) -> bool:
    """Whether what the API shows fits a cluster that was deleted, deleted and made anew, or left by this node."""
    return config is None or (not isinstance(config, str) and config.uid != runs.uid)
