"""Whole daemons on a LAN: nobody claims a group while no heartbeat can pass, or while a member has its address."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import values
from edge.lan import Lan, Router, lan
from edge.waiting import wait

pytestmark = pytest.mark.netns

VIP, VIP6, OTHER = "192.168.0.123", "fd00::123", "192.168.0.124"
K, D, INIT = 100, 1000, 1500
QUIET_S = (INIT + 2 * D) / 1000
"""Long enough for a first claim that nothing holds up."""
MEMBERS = ("r1", "r2")


@contextlib.contextmanager
def routers(directory: Path, **changes: Any) -> Iterator[Lan]:
    """Two of them with their daemons, not configured yet."""
    with lan(directory, *MEMBERS) as found:
        for name in MEMBERS:
            found[name].start()
        yield found


def configure(found: Lan, *names: str, addresses: tuple[str, ...] = (f"{VIP}/24/eth0",), **changes: Any) -> None:
    group = values.group("cluster", *addresses, members=MEMBERS)
    for name in names or MEMBERS:
        times = {"keepalive_ms": K, "dead_ms": D, "init_dead_ms": INIT}
        found[name].configure(values.order(values.config(name, group, **{**times, **changes})))


def stays_unclaimed(found: Lan, address: str = VIP) -> None:
    time.sleep(QUIET_S)
    assert found.watcher.holders(address) == frozenset()
    assert [r.owner() for r in found.routers.values()] == [None, None]


def heartbeat(router: Router) -> list[tuple[str, str]]:
    return [(name, state) for kind, name, state in router.deviations() if kind == "Heartbeat"]


def why(router: Router) -> list[str]:
    answer = router.ask("explain")
    assert answer is not None
    return list(answer["clusters"][0]["groups"][0]["waits"])


# -- no link


def test_a_heartbeat_interface_that_does_not_exist(tmp_path: Path) -> None:
    with routers(tmp_path) as found:
        configure(found, interfaces=("eth9",))
        stays_unclaimed(found)
        said = "eth9: there is no such interface: correct spec.interfaces, or create eth9"
        for router in found.routers.values():
            assert heartbeat(router) == [(said, "Missing")]
            assert why(router) == ["no heartbeat link carries a frame here", said]
        configure(found, generation=2)
        found.held_by("r1")
        found.all_hear_all()
        assert all(r.deviations() == [] for r in found.routers.values())
        assert why(found["r2"]) == []


def test_an_ipv4_group_on_a_lan_with_ipv6_only(tmp_path: Path) -> None:
    with routers(tmp_path) as found:
        for router in found.routers.values():
            router.ip("-4", "addr", "flush", "dev", "eth0")
        configure(found, addresses=(f"{VIP6}/64/eth0",))
        stays_unclaimed(found, VIP6)
        lacks = "eth0: it has no IPv4 address of its own for mcastGroup 239.251.252.253: give it one, or set "
        for router in found.routers.values():
            assert heartbeat(router) == [(lacks + "spec.mcastGroup to an IPv6 group", "NoAddress")]
        for number, name in enumerate(MEMBERS, 1):
            found[name].ip("addr", "add", f"192.168.0.1{number}/24", "dev", "eth0")
        found.held_by("r1", address=VIP6)
        found.all_hear_all()
        assert all(r.deviations() == [] for r in found.routers.values())
        assert found.watcher.most(VIP6, 0) == 1


def test_an_ipv6_group_passes_on_a_lan_with_ipv6_only(tmp_path: Path) -> None:
    with routers(tmp_path) as found:
        for router in found.routers.values():
            router.ip("-4", "addr", "flush", "dev", "eth0")
        configure(found, addresses=(f"{VIP6}/64/eth0",), mcast_group="ff05::4:2")
        found.held_by("r1", address=VIP6)
        found.all_hear_all()


def test_a_member_alone_waits_for_its_carrier_and_then_listens(tmp_path: Path) -> None:
    with routers(tmp_path) as found:
        found.cable("r1", plugged=False)
        configure(found, "r1")
        stays_unclaimed(found)
        said = "eth0: it has no carrier: connect it and set it up, or name another in spec.interfaces"
        assert heartbeat(found["r1"]) == [(said, "Down")]
        plugged = time.monotonic()
        found.cable("r1", plugged=True)
        found.held_by("r1")
        assert time.monotonic() - plugged > 0.9 * INIT / 1000, "it listens for initDeadInterval first"


def test_what_a_firewall_refuses_is_told(tmp_path: Path) -> None:
    """An unreachable route for the group: the kernel refuses each frame at once."""
    with routers(tmp_path) as found:
        for router in found.routers.values():
            router.exec("nft", "add table ip t; add chain ip t o { type filter hook output priority 0; }")
            router.exec("nft", "add rule ip t o ip daddr 239.251.252.253 reject")
        configure(found)
        stays_unclaimed(found)
        said = "eth0: the kernel refuses heartbeats (EPERM): look at the node's firewall and log"
        for router in found.routers.values():
            assert heartbeat(router) == [(said, "Refused")]
            router.exec("nft", "delete table ip t")
        found.held_by("r1")
        assert found.watcher.most(VIP, 0) == 1


def test_an_owner_goes_on_without_a_link(tmp_path: Path) -> None:
    with routers(tmp_path) as found:
        configure(found)
        found.held_by("r1")
        found.all_hear_all()
        since = time.monotonic()
        found["r2"].end()
        found["r1"].ip("addr", "del", "192.168.0.11/24", "dev", "eth0")
        wait(lambda: heartbeat(found["r1"]), "r1 to say so")
        time.sleep(QUIET_S)
        assert found.watcher.holders(VIP) == {"r1"}
        assert found.watcher.dark_s(VIP, since) == 0


# -- an address that is a member's own


def occupied(router: Router) -> list[str]:
    return [name for kind, name, state in router.deviations() if (kind, state) == ("Address", "Occupied")]


@pytest.mark.parametrize(("address", "prefix"), [(VIP, 24), (VIP6, 64)])
@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("device", ["eth0", "lo"])
def test_nobody_claims_an_address_that_a_member_has_for_good(
    tmp_path: Path, address: str, prefix: int, member: str, device: str
) -> None:
    text = f"{address}/{prefix}/eth0"
    with routers(tmp_path) as found:
        found[member].ip("addr", "add", f"{address}/{prefix}", "dev", device)
        configure(found, addresses=(text,))
        stays_unclaimed(found, address)
        other = found["r1" if member == "r2" else "r2"]
        cure = f"{text}: {device} has it for good: remove it there, or take it out of the cluster"
        assert occupied(found[member]) == [cure]
        assert occupied(other) == []
        for router in found.routers.values():
            assert why(router) == [f"{member} has an address of it for good, and not from this project"]
        assert f"{address}/{prefix}" in found[member].ip("addr", "show", "dev", device), "it is left alone"
        found[member].ip("addr", "del", f"{address}/{prefix}", "dev", device)
        found.held_by("r1", address=address)
        wait(lambda: not occupied(found[member]), "the deviation to go")


@pytest.mark.parametrize(("prefix", "device"), [(32, "lo"), (24, "eth0")])
def test_an_address_set_for_good_while_the_cluster_runs(tmp_path: Path, prefix: int, device: str) -> None:
    """The owner goes on; the standby says so, is no candidate, and is one again when the address is gone."""
    with routers(tmp_path) as found:
        configure(found)
        found.held_by("r1")
        found.all_hear_all()
        since = time.monotonic()
        found["r2"].ip("addr", "add", f"{VIP}/32", "dev", "eth0")
        wait(lambda: occupied(found["r2"]), "r2 to say so")
        found["r1"].ip("addr", "add", f"{VIP}/{prefix}", "dev", device)
        wait(lambda: occupied(found["r1"]), "the owner to say so")
        time.sleep(QUIET_S)
        assert found["r1"].state() == "Owner"
        assert found.watcher.holders(VIP) == {"r1"}
        assert found.watcher.dark_s(VIP, since) == 0
        found["r1"].end()
        assert f"{VIP}/{prefix}" in found["r1"].ip("addr", "show", "dev", device), "it is left alone"
        time.sleep(QUIET_S)
        assert found["r2"].state() == "Standby"
        assert f"{VIP}/32" in found["r2"].ip("addr", "show", "dev", "eth0"), "it is left alone"
        found["r2"].ip("addr", "del", f"{VIP}/32", "dev", "eth0")
        found.held_by("r2")


def test_other_groups_are_claimed(tmp_path: Path) -> None:
    groups = (
        values.group("one", f"{VIP}/24/eth0", members=MEMBERS),
        values.group("two", f"{OTHER}/24/eth0", members=("r2", "r1")),
    )
    with routers(tmp_path) as found:
        found["r2"].ip("addr", "add", f"{VIP}/24", "dev", "eth0")
        for name in MEMBERS:
            config = values.config(name, *groups, keepalive_ms=K, dead_ms=D, init_dead_ms=INIT)
            found[name].configure(values.order(config))
        found.held_by("r2", address=OTHER)
        time.sleep(QUIET_S)
        assert found.watcher.holders(VIP) == frozenset()
        assert (found["r1"].owner("one"), found["r1"].owner("two")) == (None, "r2")


# -- unicast


def test_unicast_carries_what_a_misspelt_interface_does_not(tmp_path: Path) -> None:
    nodes = {"r1": ("192.168.0.11",), "r2": ("192.168.0.12",)}
    with routers(tmp_path) as found:
        configure(found, "r1", interfaces=("eth9",), unicast=True, nodes=nodes)
        found.held_by("r1")
        assert heartbeat(found["r1"]) == [], "it is alone, and its frames go out"
        configure(found, "r2", interfaces=("eth9",), unicast=True, nodes=nodes)
        found.all_hear_all()
        time.sleep(QUIET_S)
        assert found.watcher.holders(VIP) == {"r1"}
        assert found.watcher.most(VIP, 0) == 1
