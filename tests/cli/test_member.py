"""The commands for a member against whole daemons on a LAN: what they tell of it, and what they move."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import values
from edge.lan import Lan, lan
from edge.waiting import wait

pytestmark = pytest.mark.netns

GATEWAY = "192.168.0.1"
SHOWN_PRIMARY = """\
=== Status report on primary node r1 ===

  Primary r1 (this node): {r1}

  Secondary r2: {r2}

  Monitor 192.168.0.1: {monitor}

  Resources [192.168.0.123/24/eth0]:
    {resources}

"""
SHOWN_SECONDARY = SHOWN_PRIMARY.replace("on primary node r1", "on secondary node r2").replace(
    "Primary r1 (this node): {r1}\n\n  Secondary r2:", "Primary r1: {r1}\n\n  Secondary r2 (this node):"
)


@pytest.fixture
def routers(tmp_path: Path) -> Iterator[Lan]:
    with lan(tmp_path, "r1", "r2") as found:
        found.bridge("addr", "add", f"{GATEWAY}/24", "dev", "br0")
        yield found


def start(found: Lan, name: str, **changes: Any) -> None:
    group = values.group("cluster", monitors=(GATEWAY,))
    config = values.config(name, group, keepalive_ms=300, dead_ms=2500, init_dead_ms=20_000, **changes)
    found[name].start()
    found[name].configure(values.order(config))


def both(found: Lan) -> None:
    for name in ("r1", "r2"):
        start(found, name)
    found.held_by("r1")
    found.all_hear_all()


def run(found: Lan, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "vyos_cluster", *args, "--socket", str(found[name].socket)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def shown(found: Lan, name: str) -> str:
    return run(found, name, "show", "status").stdout


def comes(found: Lan, name: str, text: str) -> None:
    try:
        wait(lambda: shown(found, name) == text, "the report", 30)
    except AssertionError:
        assert shown(found, name) == text


def test_the_report_of_vyos_from_start_to_loss(routers: Lan) -> None:
    start(routers, "r1")
    waiting = {"r1": "Started (waiting for secondary)", "r2": "Initializing", "monitor": "Initializing"}
    comes(routers, "r1", SHOWN_PRIMARY.format(**waiting, resources="Initializing"))
    assert run(routers, "r1", "show", "status").returncode == 3, "nobody owns it yet"
    start(routers, "r2")
    routers.held_by("r1")
    routers.all_hear_all()
    well = {"r1": "Active", "r2": "Active (standby)", "monitor": "Reachable"}
    comes(routers, "r1", SHOWN_PRIMARY.format(**well, resources="Active on primary r1 (this node)"))
    comes(routers, "r2", SHOWN_SECONDARY.format(**well, resources="Active on primary r1"))

    routers["r2"].ip("route", "add", "blackhole", f"{GATEWAY}/32")
    lost = well | {"r2": "Down (at least 1 monitor not reachable)"}
    comes(routers, "r1", SHOWN_PRIMARY.format(**lost, resources="Active on primary r1 (this node)"))
    lost |= {"monitor": "Unreachable"}
    comes(routers, "r2", SHOWN_SECONDARY.format(**lost, resources="Active on primary r1"))
    routers["r2"].ip("route", "del", "blackhole", f"{GATEWAY}/32")
    comes(routers, "r1", SHOWN_PRIMARY.format(**well, resources="Active on primary r1 (this node)"))

    routers["r1"].end(signal.SIGKILL)
    alone = {"r1": "Down", "r2": "Active", "monitor": "Reachable"}
    comes(routers, "r2", SHOWN_SECONDARY.format(**alone, resources="Active on secondary r2 (this node)"))
    data = json.loads(run(routers, "r2", "show", "status", "-o", "json").stdout)
    assert (data["node"], data["groups"][0]["owner"], data["deviations"]) == ("r2", "r2", [])


def test_a_person_moves_a_group_and_is_told_why_it_stays(routers: Lan) -> None:
    both(routers)
    text = run(routers, "r1", "explain", "cluster").stdout
    assert "r1 owns it" in text
    assert "FirstClaim" in text
    done = run(routers, "r1", "force", "standby", "cluster", "--wait", "20")
    assert (done.returncode, done.stdout) == (
        0,
        "Attempting to release cluster resources\nedge/cluster: r1 -> r2\n",
    )
    routers.held_by("r2")
    text = run(routers, "r1", "explain").stdout
    assert "r1 comes first, but autoFailback is off: it stays until somebody moves it.\n" in text
    assert "r2 comes after r1: it is less preferred.\n" in text
    done = run(routers, "r1", "force", "active", "--wait", "20")
    assert (done.returncode, done.stdout) == (
        0,
        "Requesting to take over cluster resources\nedge/cluster: r2 -> r1\n",
    )
    routers.held_by("r1")
    unknown = run(routers, "r1", "force", "active", "lan")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "this node is a member of no group lan of any cluster here" in unknown.stderr
    routers["r2"].end(signal.SIGKILL)
    wait(lambda: "r2 is no candidate: it is not heard any more.\n" in run(routers, "r1", "explain").stdout, "its death")
    nobody = run(routers, "r1", "force", "standby", "--wait", "1")
    assert (nobody.returncode, nobody.stdout.splitlines()[1:]) == (3, ["edge/cluster: stays at r1"])
