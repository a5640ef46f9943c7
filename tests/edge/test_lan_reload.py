"""A router's own file, edited under a whole daemon: what is no part of the core's configuration is in force, too."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.lan import Lan, lan
from edge.test_lan import VIP, D, K
from edge.waiting import wait
from vyos_agent.edge import fence

pytestmark = pytest.mark.netns

GATEWAY = "192.168.0.1"
LATE_S = 10.0
"""A file is read by a process of its own; far less than the monitors' first dead interval."""
MANIFEST = f"""
apiVersion: cluster.vyos.io/v1alpha1
kind: VyosCluster
metadata: {{name: edge}}
spec:
  interfaces: [eth0]
  keepaliveInterval: {K}
  deadInterval: {D}
  monitorDeadInterval: 29s
  initDeadInterval: {D}
  fence: None
  preSharedSecret: {{value: S3cr#t}}
  groups:
    - name: cluster
      primary: r1
      secondaries: [r2]
      monitors: [{GATEWAY}]
      services: [{VIP}/24/eth0]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edge.yaml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture
def alone(tmp_path: Path, file: Path) -> Iterator[Lan]:
    """One router, which owns the group."""
    with lan(tmp_path, "r1") as found:
        found.bridge("addr", "add", f"{GATEWAY}/24", "dev", "br0")
        found["r1"].start("--config", str(file))
        found.held_by("r1")
        yield found


def edit(found: Lan, file: Path, old: str, new: str) -> None:
    assert MANIFEST.count(old) == 1
    file.write_text(MANIFEST.replace(old, new))
    found["r1"].send(signal.SIGHUP)


@pytest.mark.skipif(not Path(fence.NFT).exists(), reason="there is no nft")
def test_a_fence_is_put_up_and_taken_away(alone: Lan, file: Path) -> None:
    def fenced() -> bool:
        return VIP in alone["r1"].exec(fence.NFT, "list", "ruleset")

    assert not fenced()
    edit(alone, file, "fence: None", "fence: Nftables")
    wait(fenced, "the fence", LATE_S)
    assert alone.watcher.holders(VIP) == {"r1"}
    edit(alone, file, "fence: None", "fence: None # again")
    wait(lambda: not fenced(), "the fence to be gone", LATE_S)


def test_monitors_are_given_another_time(alone: Lan, file: Path) -> None:
    wait(lambda: alone["r1"].cluster()["monitors"] == {"ready": 1, "all": 1}, "the monitor to answer")
    edit(alone, file, "monitorDeadInterval: 29s", "monitorDeadInterval: 1s")
    alone.bridge("addr", "del", f"{GATEWAY}/24", "dev", "br0")
    wait(lambda: ("Monitor", GATEWAY, "Unreachable") in alone["r1"].deviations(), "its loss to be told", LATE_S)
