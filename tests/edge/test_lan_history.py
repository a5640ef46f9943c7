"""What whole daemons tell of their moves: a handover from both sides, a death, and an adoption."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import values
from edge.lan import START_S, Lan, lan
from edge.waiting import wait

pytestmark = pytest.mark.netns

K, D, LONG_D = 300, 2500, 20_000
"""The last gives addresses a life of 18 s: a daemon that starts slowly finds them alive."""
SLOW_MS = 5_000
"""A step that takes longer is wrong also on a busy machine."""


@pytest.fixture
def routers(tmp_path: Path) -> Iterator[Lan]:
    with lan(tmp_path, "r1", "r2") as found:
        for name in ("r1", "r2"):
            start(found, name)
        found.held_by("r1")
        found.all_hear_all()
        yield found


def start(found: Lan, name: str, dead_ms: int = D) -> None:
    found[name].start()
    group = values.group("cluster", "192.168.0.123/24/eth0", "fd00::123/64/eth0")
    config = values.config(name, group, keepalive_ms=K, dead_ms=dead_ms, init_dead_ms=max(4000, dead_ms))
    found[name].configure(values.order(config))


def moves(found: Lan, name: str) -> list[dict[str, Any]]:
    answer = found[name].ask("history", group="cluster")
    assert answer is not None
    assert answer["ok"], answer
    ((told),) = [c["moves"] for c in answer["clusters"]]
    return list(told)


def newest(found: Lan, name: str, kind: str, step: str, timeout_s: float = 10.0) -> dict[str, Any]:
    """The newest move, as soon as it is of this kind and has this step."""

    def look() -> dict[str, Any] | None:
        told = moves(found, name)
        return told[0] if told and told[0]["kind"] == kind and step in told[0]["stepsMs"] else None

    move = wait(look, f"{name} to tell of {kind} with {step}", timeout_s)
    assert move is not None
    return move


def in_order(move: dict[str, Any], *steps: str) -> None:
    """Exactly these steps, one after the other; the decision stands at 0."""
    told = move["stepsMs"]
    assert tuple(told) == steps
    assert all(before <= after for before, after in itertools.pairwise(told.values())), told
    assert all(ms < SLOW_MS for ms in told.values()), told


def test_a_handover_and_a_death(routers: Lan) -> None:
    first = newest(routers, "r1", "Taken", "announced")
    assert (first["reason"], first["peer"]) == ("FirstClaim", None)
    in_order(first, "addresses", "announced")
    assert moves(routers, "r2") == [], "it has made none"

    routers["r1"].ask("force", to="Standby")
    routers.held_by("r2")
    given = newest(routers, "r1", "Given", "removed")
    assert (given["reason"], given["outcome"], given["peer"]) == ("HandoverRequested", "HandedOver", "r2")
    in_order(given, "ready", "letGo", "removed")
    taken = newest(routers, "r2", "Taken", "announced")
    assert (taken["reason"], taken["outcome"], taken["peer"]) == ("HandoverRequested", None, "r1")
    in_order(taken, "lastBeat", "addresses", "announced")
    assert -SLOW_MS < taken["stepsMs"]["lastBeat"] <= 0, "it followed from a frame"
    assert taken["epoch"] > given["epoch"] == first["epoch"]
    verified = newest(routers, "r1", "Given", "verified", 30)
    assert verified["stepsMs"].items() > given["stepsMs"].items()
    assert verified["stepsMs"]["verified"] > given["stepsMs"]["removed"]

    before_ms = time.time() * 1000
    routers["r2"].end(signal.SIGKILL)
    routers.held_by("r1")
    heir = newest(routers, "r1", "Taken", "announced")
    assert (heir["reason"], heir["peer"], heir["epoch"]) == ("PeerDead", "r2", taken["epoch"] + 1)
    in_order(heir, "lastBeat", "addresses", "announced")
    assert D <= -heir["stepsMs"]["lastBeat"] < D + SLOW_MS, "its dead interval, and the time to notice"
    assert before_ms <= heir["atMs"] <= time.time() * 1000
    assert [m["kind"] for m in moves(routers, "r1")] == ["Taken", "Given", "Taken"]

    command = [sys.executable, "-P", "-m", "vyos_cluster", "history", "--socket", str(routers["r1"].socket)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if "cluster" in line]
    assert (done.returncode, len(lines)) == (0, 3), done
    assert f"taken from r2 PeerDead {heir['epoch']} last beat {heir['stepsMs']['lastBeat']}, addresses up" in lines[0]
    assert "given to r2 HandoverRequested" in lines[1]
    assert "taken FirstClaim" in lines[2]
    unknown = subprocess.run([*command, "lan"], capture_output=True, text=True, check=False, timeout=60)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "this node is a member of no group lan of any cluster here; it is one of: edge/cluster" in unknown.stderr


def test_an_adoption(tmp_path: Path) -> None:
    with lan(tmp_path, "r1", "r2") as routers:
        for name in ("r1", "r2"):
            start(routers, name, LONG_D)
        routers.held_by("r1")
        routers.all_hear_all()
        routers["r1"].end(signal.SIGKILL)
        start(routers, "r1", LONG_D)
        move = newest(routers, "r1", "Adopted", "announced", START_S)
        assert (move["reason"], move["peer"], move["outcome"]) == ("Adopted", None, None)
        in_order(move, "addresses", "announced")
        assert moves(routers, "r1") == [move], "its earlier life is forgotten"
        assert moves(routers, "r2") == []
