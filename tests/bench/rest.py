"""A pair at rest: what owner and standby cost. The wire is counted by the switch, not by a listener with a cost too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from bench import cost
from bench.lan import NODES, VIP_RANGE, Lan
from bench.session import Session, Unsteady
from edge import netns

MEASURE_S = 12.0
CALM_S = 3.0
"""Announcements after the start are over (ours: 5 times 200 ms; keepalived repeats its own after 5 s)."""
FILL_S = 60.0
POLL_S = 0.2


def measure(session: Session, lan: Lan, seconds: float = MEASURE_S) -> Iterator[dict[str, Any]]:
    """A row for the owner and one for the standby. Raises Unsteady."""
    session.steady()
    _fill(session, lan)
    time.sleep(CALM_S)
    pids = {node: session.pids(node) for node in NODES}
    lan.watcher.changes.clear()
    load = os.getloadavg()[0]
    at_s = time.monotonic()
    before = {node: (cost.cpu_ns(pids[node]), *lan.sent(node)) for node in NODES}
    time.sleep(seconds)
    took_s = time.monotonic() - at_s
    after = {node: (cost.cpu_ns(pids[node]), *lan.sent(node)) for node in NODES}
    for node in NODES:
        used = cost.memory(pids[node])
        yield {
            "system": session.system.name,
            "setting": session.system.setting.name,
            "groups": len(session.system.addresses),
            "role": "owner" if node == NODES[0] else "standby",
            "processes": len(pids[node]),
            "pss_kib": used.pss,
            "pss_alone_kib": used.alone,
            "rss_kib": used.rss,
            "cpu_ms_per_s": round(cost.used_ns(before[node][0], after[node][0]) / 1e6 / took_s, 3),
            "bytes_per_s": round((after[node][1] - before[node][1]) / took_s, 1),
            "frames_per_s": round((after[node][2] - before[node][2]) / took_s, 2),
            "seconds": round(took_s, 1),
            "changes": len(lan.watcher.changes),
            "load": round(load, 2),
            "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
        }


def _fill(session: Session, lan: Lan) -> None:
    """Until the owner holds every address, which takes a system of scripts a while."""
    wanted, end = len(session.system.addresses), time.monotonic() + FILL_S
    while (found := _held(lan)) != wanted:
        if time.monotonic() > end:
            raise Unsteady(f"{session.system.name}: the owner holds {found} of {wanted} addresses")
        time.sleep(POLL_S)


def _held(lan: Lan) -> int:
    shown = netns.ip("-o", "addr", "show", "dev", "eth0", "to", VIP_RANGE, netns=lan.places[NODES[0]])
    return len(shown.splitlines())
