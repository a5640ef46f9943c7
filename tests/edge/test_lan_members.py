"""An owner that a new configuration takes out of the group: the members learn of it one after the other."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import values
from edge.lan import Lan, lan
from edge.test_lan import VIP, D, K, config
from edge.waiting import wait

pytestmark = pytest.mark.netns

MANIFEST = f"""
apiVersion: cluster.vyos.io/v1alpha1
kind: VyosCluster
metadata: {{name: edge, generation: GENERATION}}
spec:
  interfaces: [eth0]
  keepaliveInterval: {K}ms
  deadInterval: {D}ms
  monitorDeadInterval: {D}ms
  initDeadInterval: 4s
  preSharedSecret: {{value: S3cr#t}}
  groups:
    - {{name: cluster, primary: PRIMARY, secondaries: [SECONDARIES], services: [{VIP}/24/eth0]}}
"""


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Lan]:
    with lan(tmp_path, "r1", "r2", "r3") as found:
        yield found


def manifest(path: Path, generation: int, *members: str) -> Path:
    text = MANIFEST.replace("GENERATION", str(generation)).replace("PRIMARY", members[0])
    path.write_text(text.replace("SECONDARIES", ", ".join(members[1:])))
    return path


def test_the_heir_learns_of_it_last(three: Lan) -> None:
    for name in three.routers:
        three[name].start()
        three[name].configure(values.order(config(name, ("r1", "r2", "r3"))))
    three.held_by("r1")
    three.all_hear_all()
    since = time.monotonic()
    for name in ("r3", "r1", "r2"):
        three[name].configure(values.order(config(name, ("r2", "r3"), generation=2)))
    three.held_by("r2")
    assert three.watcher.dark_s(VIP, since) == 0
    assert "-> Owner" not in three["r3"].log, "it knew of the configuration first, and is not the heir"


def test_a_file_that_names_its_router_no_more(three: Lan, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.yaml" for name in three.routers}
    for name, file in files.items():
        three[name].start("--config", str(manifest(file, 1, "r1", "r2", "r3")))
    three.held_by("r1")
    three.all_hear_all()
    since = time.monotonic()
    for name in ("r1", "r3", "r2"):
        manifest(files[name], 2, "r2", "r3")
        three[name].send(signal.SIGHUP)
    three.held_by("r2")
    assert three.watcher.dark_s(VIP, since) == 0
    three["r1"].logged(f"{files['r1']} names r1 no more: handing over its groups")
    wait(lambda: three["r1"].cluster()["groups"] == [], "r1 to be a member of nothing")
