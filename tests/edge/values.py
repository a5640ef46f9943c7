"""Ready-made configurations for the tests of the shell."""

from __future__ import annotations

import dataclasses
from typing import Any

from vyos_agent.edge import orders
from vyos_agent.edge.orders import Item
from vyos_api import nodeconfig
from vyos_api.nodeconfig import Address, Announcements, Group, Key, KeySet, NodeConfig

UID = "6a1f8f9e-3b0d-4b5e-9d57-6a1a8b1d2c3e"
SECRET = bytes(range(32))


def address(text: str) -> Address:
    """ADDRESS/PREFIX/INTERFACE[/BROADCAST]."""
    ip, prefix, *rest = text.split("/")
    interface, broadcast = (*rest, None, None)[:2]
    return Address(ip, int(prefix), interface, broadcast)


def group(name: str = "cluster", *addresses: str, members: tuple[str, ...] = ("r1", "r2"), **changes: Any) -> Group:
    texts = addresses or ("192.168.0.123/24/eth0",)
    built = Group(name, members, False, 1000, tuple(address(t) for t in texts))
    return dataclasses.replace(built, **changes)


def config(node: str = "r1", *groups: Group, **changes: Any) -> NodeConfig:
    built = NodeConfig(
        cluster="edge",
        uid=UID,
        generation=1,
        node=node,
        interfaces=("eth0",),
        keepalive_ms=100,
        dead_ms=1000,
        monitor_dead_ms=1000,
        init_dead_ms=1500,
        mcast_group="239.251.252.253",
        port=694,
        ttl=1,
        announcements=Announcements(),
        groups=groups or (group(),),
    )
    return dataclasses.replace(built, **changes)


def keys(secret: bytes = SECRET, uid: str = UID) -> KeySet:
    return KeySet(uid, (Key(1, "send", secret),))


def item(node: str = "r1", *groups: Group, secret: bytes = SECRET, **changes: Any) -> Item:
    built = config(node, *groups, **changes)
    return orders.item(built, keys(secret, built.uid), {}, node)


def order(config: NodeConfig, key_set: KeySet | None = None, **more: Any) -> dict[str, Any]:
    """One item of `configure`."""
    key_set = key_set or keys(uid=config.uid)
    return {
        "config": nodeconfig.node_config_to_dict(config),
        "keys": nodeconfig.key_set_to_dict(key_set),
        **more,
    }
