"""A failover while a stranger on the LAN sends what it can: as sure as without, and nothing is accepted.

How fast it is beside each storm, and what the kernel drops, `make bench` measures; here are bounds only.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.storm import Storm
from bench.words import Fault
from edge import values
from edge.lan import Lan, Router, lan
from edge.test_lan import VIP, D, K, config

pytestmark = pytest.mark.netns

SLACK_S = 2.0
"""A kernel removes up to 1.1 s late, the rest is a busy machine."""
STORM_S = 1.5
GRAIN_S = 0.05
"""Of the watcher."""


@pytest.fixture
def routers(tmp_path: Path) -> Iterator[Lan]:
    with lan(tmp_path, "r1", "r2", "stranger") as found:
        for router in (found["r1"], found["r2"]):
            router.start()
            router.configure(values.order(config(router.name, ("r1", "r2"))))
        found.held_by("r1")
        found.all_hear_all()
        yield found


@pytest.mark.parametrize(
    ("kind", "drop"),
    [(Fault.REPLAYED, "Old"), (Fault.GARBLED, None), (Fault.FILTERED, None), (Fault.FORGED, "BadTag")],
)
def test_a_failover_beside_a_storm(routers: Lan, kind: Fault, drop: str | None) -> None:
    storm = Storm(routers["stranger"].place, kind, owner=_mac(routers["r1"]), stranger=_mac(routers["stranger"]))
    before, epoch = routers["r2"].cluster()["drops"], _epoch(routers["r2"])
    storm.begin()
    try:
        time.sleep(STORM_S)
        assert routers.watcher.holders(VIP) == {"r1"}, "a storm alone moves nothing"
        at = time.monotonic()
        routers["r1"].end(signal.SIGKILL)
        routers.held_by("r2", timeout_s=D / 1000 + SLACK_S)
        time.sleep(2 * K / 1000)
        after = routers["r2"].cluster()
    finally:
        figures = storm.end()
    assert figures["storm_sent"] > 500, figures
    assert _taken_at(routers, at) - at > (D - K) / 1000 - GRAIN_S, "no storm makes it early"
    assert _epoch(routers["r2"]) == epoch + 1, "one move, and it was the death"
    assert ("Peer", "r1", "Dead") in routers["r2"].deviations(), "no recording revives it"
    told = {name: n - before.get(name, 0) for name, n in after["drops"].items()}
    assert drop is None or told.get(drop, 0) > 100, told
    assert routers["r2"].memory_kib()["Pss"] < 40 * 1024


def _taken_at(found: Lan, since: float) -> float:
    return next(at for at, names in found.watcher.spans[VIP] if at > since and "r2" in names)


def _mac(router: Router) -> str:
    (found,) = json.loads(router.ip("-j", "link", "show", "eth0"))
    return str(found["address"])


def _epoch(router: Router) -> int:
    (group,) = router.cluster()["groups"]
    return int(group["epoch"])
