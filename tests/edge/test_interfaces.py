"""Addresses on bridges, VLANs, bonds and macvlans: claimed, announced, and given up when the carrier goes.

The node's own address is on the interface as administrators have it there; the cable below is a veth's. A kernel that
lacks a kind of interface skips that kind, with its own words.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import values
from edge.lan import Lan, Router, lan
from edge.test_lan import D, K
from edge.waiting import wait

pytestmark = pytest.mark.netns

VIP, VIP6 = "192.168.0.123", "fd00::123"
ROUTERS = ("r1", "r2")
NAME = "lan0"
KINDS: dict[str, list[str]] = {
    "bridge": ["link add {name} type bridge", "link set eth0 master {name}"],
    "vlan": ["link add {name} link eth0 type vlan id 5"],
    "bond": [
        "link add {name} type bond mode active-backup miimon 50",
        "link set eth0 down",
        "link set eth0 master {name}",
    ],
    "macvlan": ["link add {name} link eth0 type macvlan mode bridge"],
}
"""How it comes to be, above eth0."""


@pytest.fixture(params=KINDS)
def routers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lan]:
    """Two routers and a client, each with its address on an interface of that kind."""
    kind = str(request.param)
    with lan(tmp_path, *ROUTERS, "client") as found:
        for number, router in enumerate(found.routers.values(), 1):
            _build(router, kind, f"192.168.0.1{number}/24", f"fd00::1{number}/64")
        for name in ROUTERS:
            found[name].start()
            order = values.config(
                name,
                values.group("cluster", f"{VIP}/24/{NAME}", f"{VIP6}/64/{NAME}", members=ROUTERS),
                interfaces=(NAME,),
                keepalive_ms=K,
                dead_ms=D,
                init_dead_ms=4000,
            )
            found[name].configure(values.order(order))
        found.held_by("r1")
        found.all_hear_all()
        yield found


def test_an_address_is_claimed_announced_and_moved(routers: Lan) -> None:
    client = routers["client"]
    for address in (VIP, VIP6):
        client.exec("ping", "-c1", "-W5", address)
        assert _neighbour(client, address) in _macs(routers["r1"])
    routers["r1"].end()
    routers.held_by("r2", timeout_s=2)
    for address in (VIP, VIP6):
        wait(
            lambda a=address: _neighbour(client, a) in _macs(routers["r2"]),  # type: ignore[misc]
            f"the client to learn where {address} is now, without asking",
            3,
        )
        client.exec("ping", "-c1", "-W5", address)


def test_a_lost_carrier_below_is_one_of_the_interface(routers: Lan) -> None:
    routers.cable("r1", plugged=False)
    wait(lambda: ("Interface", NAME, "Down") in routers["r1"].deviations(), "the lost carrier to be told", 3)
    wait(lambda: "r2" in routers.watcher.holders(VIP), "the standby to take over", D / 1000 + 2)
    routers.cable("r1", plugged=True)
    wait(lambda: len(routers.watcher.holders(VIP)) == 1, "one to let go")
    wait(lambda: ("Interface", NAME, "Down") not in routers["r1"].deviations(), "its return to be told")


def _build(router: Router, kind: str, *addresses: str) -> None:
    for line in KINDS[kind]:
        command = ["ip", "-n", router.place, *line.format(name=NAME).split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "Unknown device type" in done.stderr or "Operation not supported" in done.stderr:
            pytest.skip(f"this kernel has no {kind}: {done.stderr.strip()}")
        assert done.returncode == 0, f"{line}: {done.stderr}"
    router.ip("addr", "flush", "dev", "eth0")
    for address in addresses:
        router.ip("addr", "add", address, "dev", NAME, *(["nodad"] if ":" in address else []))
    router.ip("link", "set", "eth0", "up")
    router.ip("link", "set", NAME, "up")


def _macs(router: Router) -> set[str]:
    """The hardware addresses it answers with: with arp_ignore 0 it does so on a macvlan and on what lies below it."""
    return {str(link["address"]) for link in json.loads(router.ip("-j", "link", "show")) if link["ifname"] != "lo"}


def _neighbour(router: Router, address: str) -> str | None:
    """The hardware address that it believes in."""
    entries = json.loads(router.ip("-j", "neigh", "show", address, "dev", NAME) or "[]")
    return next((str(e["lladdr"]) for e in entries if "lladdr" in e), None)
