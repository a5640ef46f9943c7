"""Configurations as the tests write them: one line a group, sensible intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vyos_agent.core.model import Config, Group, Keyring, Vip

KEY = bytes(range(32))
KEYRING = Keyring(1, {1: KEY})
VIP = Vip("192.168.0.123", 24, "eth0")
CLUSTER_ID = b"sim-cluster-uid!"


def group(
    name: str = "g",
    members: Sequence[str] = ("a", "b"),
    *,
    auto_failback: bool = False,
    vip: Vip = VIP,
    delay_ms: int = 1000,
    monitors: Sequence[str] = (),
    units: Sequence[str] = (),
    maintenance: Iterable[str] = (),
) -> Group:
    return Group(
        name=name,
        members=tuple(members),
        auto_failback=auto_failback,
        failback_delay_ms=delay_ms,
        vips=(vip,),
        monitors=tuple(monitors),
        units=tuple(units),
        maintenance=frozenset(maintenance),
    )


def config(
    me: str,
    groups: Iterable[Group],
    *,
    keepalive_ms: int = 500,
    dead_ms: int = 3000,
    init_dead_ms: int = 6000,
    generation: int = 1,
    key: bytes = KEY,
    keyring: Keyring | None = None,
    interfaces: tuple[str, ...] = ("eth0",),
    standby: bool = False,
) -> Config:
    return Config(
        cluster_id=CLUSTER_ID,
        generation=generation,
        me=me,
        interfaces=interfaces,
        keepalive_ms=keepalive_ms,
        dead_ms=dead_ms,
        init_dead_ms=init_dead_ms,
        announce_count=5,
        announce_interval_ms=200,
        announce_refresh_ms=60_000,
        groups=tuple(groups),
        keyring=keyring or (KEYRING if key == KEY else Keyring(1, {1: key})),
        standby=standby,
    )
