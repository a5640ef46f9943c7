"""Whole daemons on a LAN: two heartbeat links of which one is cut, and what a takeover says on the wire."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import signal
import time
from pathlib import Path

import pytest

from edge import values, wire
from edge.lan import Lan, lan
from edge.test_lan import VIP, D, K
from edge.test_lan_moves import links
from edge.waiting import wait
from vyos_agent.edge import arp
from vyos_api.nodeconfig import Announcements

pytestmark = pytest.mark.netns

AT_ONCE_S = 1.0
"""It takes milliseconds; the machine may be busy."""
COUNT, INTERVAL_MS = 3, 50


def run(found: Lan, *names: str, **changes: object) -> None:
    for name in names:
        config = values.config(name, keepalive_ms=K, dead_ms=D, init_dead_ms=4000)
        found[name].start()
        found[name].configure(values.order(dataclasses.replace(config, **changes)))  # type: ignore[arg-type]
    found.held_by("r1")
    found.all_hear_all()


def test_a_cut_link_of_the_address_beside_one_that_still_carries_frames(tmp_path: Path) -> None:
    with lan(tmp_path, "r1", "r2", links=2) as found:
        run(found, "r1", "r2", interfaces=("eth0", "eth1"))
        wait(lambda: links(found, "r2") == ["eth0", "eth1"], "both links to carry frames")
        cut = time.monotonic()
        found.cable("r1", plugged=False)
        found.held_by("r2", timeout_s=AT_ONCE_S)
        assert found.watcher.dark_s(VIP, cut) < AT_ONCE_S
        wait(lambda: links(found, "r2") == ["eth1"], "r1 to be heard over eth1 only", D / 1000 + 2)
        assert found["r2"].cluster()["peers"] == {"ready": 1, "all": 1}, "it lives"
        assert found["r1"].deviations() == [("Interface", "eth0", "Down")]
        assert found["r1"].owner() == "r2"
        plugged = time.monotonic()
        found.cable("r1", plugged=True)
        wait(lambda: links(found, "r2") == ["eth0", "eth1"], "eth0 to carry frames again")
        wait(lambda: all(r.deviations() == [] for r in found.routers.values()), "all to be well")
        assert found.watcher.holders(VIP) == {"r2"}
        assert [r.owner() for r in found.routers.values()] == ["r2", "r2"]
        assert found.watcher.most(VIP, plugged) == 1
        assert found.watcher.dark_s(VIP, plugged) == 0


def test_a_takeover_is_announced_as_often_as_is_configured(tmp_path: Path) -> None:
    """To a third machine, which is no member: in pairs, for some neighbours heed only requests, and others replies."""
    with lan(tmp_path, "r1", "r2", "peer") as found:
        run(found, "r1", "r2", announcements=Announcements(count=COUNT, interval_ms=INTERVAL_MS))
        mac = bytes.fromhex(found["r2"].exec("cat", "/sys/class/net/eth0/address").strip().replace(":", ""))
        said: list[tuple[float, bytes]] = []
        with wire.listening(found["peer"].place) as ear:
            found["r1"].end(signal.SIGKILL)
            found.held_by("r2")
            end = time.monotonic() + 3 * COUNT * INTERVAL_MS / 1000 + AT_ONCE_S
            while time.monotonic() < end:
                said += [(at, data) for at, data in ear.frames() if is_about(data, mac)]
                time.sleep(INTERVAL_MS / 1000)
        requests, replies = (
            [at for at, data in said if data == arp.gratuitous(ipaddress.IPv4Address(VIP), mac, operation)]
            for operation in (arp.ARP_REQUEST, arp.ARP_REPLY)
        )
        assert len(said) == len(requests) + len(replies)
        assert (len(requests), len(replies)) == (COUNT, COUNT)
        assert all(0 <= reply - request < 0.02 for request, reply in zip(requests, replies, strict=True)), "in pairs"
        rounds_ms = [1000 * (b - a) for a, b in itertools.pairwise(requests)]
        assert all(0.5 * INTERVAL_MS < gap < 4 * INTERVAL_MS for gap in rounds_ms), rounds_ms


def is_about(data: bytes, mac: bytes) -> bool:
    """An ARP frame of this machine's, in which it says that it has the address."""
    return data[6:12] == mac and data[12:14] == b"\x08\x06" and data[28:32] == ipaddress.IPv4Address(VIP).packed
