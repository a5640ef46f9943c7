"""Whole daemons on a LAN: what a person would try first, asserted from outside."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import netns, values
from edge.lan import Lan, Router, lan
from edge.waiting import wait
from vyos_agent.sync import report as sync_report
from vyos_api.nodeconfig import NodeConfig

pytestmark = pytest.mark.netns

VIP, VIP6 = "192.168.0.123", "fd00::123"
K, D = 300, 2500
"""The shortest lifetime (1 s), and one lost frame allowed: floor((D - L - 1.1 s) / K) = 1 (design.md section 5)."""
SERVICES = (f"{VIP}/24/eth0", f"{VIP6}/64/eth0")


def config(node: str, members: tuple[str, ...], **changes: object) -> NodeConfig:
    built = values.config(
        node,
        values.group("cluster", *SERVICES, members=members),
        keepalive_ms=K,
        dead_ms=D,
        init_dead_ms=4000,
    )
    return dataclasses.replace(built, **changes)  # type: ignore[arg-type]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Lan]:
    with lan(tmp_path, "r1", "r2") as found:
        for router in found.routers.values():
            router.start()
            router.configure(values.order(config(router.name, ("r1", "r2"))))
        found.held_by("r1")
        found.all_hear_all()
        yield found


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Lan]:
    with lan(tmp_path, "r1", "r2", "r3") as found:
        for router in found.routers.values():
            router.start()
            router.configure(values.order(config(router.name, ("r1", "r2", "r3"))))
        found.held_by("r1")
        found.all_hear_all()
        yield found


def reason(router: Router) -> str:
    (group,) = router.cluster()["groups"]
    text: str = group["reason"]
    return text


def test_one_owner_and_everybody_knows_it(three: Lan) -> None:
    assert [r.state() for r in three.routers.values()] == ["Owner", "Standby", "Standby"]
    wait(lambda: [r.owner() for r in three.routers.values()] == ["r1"] * 3, "all to name r1")
    assert all(r.deviations() == [] for r in three.routers.values())
    (group,) = three["r1"].cluster()["groups"]
    assert sorted(group["addresses"]) == sorted(SERVICES)
    since = time.monotonic()
    time.sleep(1.2 * D / 1000)
    assert three.watcher.holders(VIP) == three.watcher.holders(VIP6) == {"r1"}
    assert three.watcher.dark_s(VIP, since) == three.watcher.dark_s(VIP6, since) == 0, "renewed, not added anew"
    three["r1"].logged("added", 2)


def test_a_killed_owner_leaves_no_stale_address(two: Lan) -> None:
    at = time.monotonic()
    two["r1"].end(signal.SIGKILL)
    for address in (VIP, VIP6):
        two.held_by("r2", address=address)
        assert two.watcher.most(address, at) == 1, "the kernel removed it before the standby took over"
        assert two.watcher.dark_s(address, at) < D / 1000
    assert time.monotonic() - at < D / 1000 + 2
    assert reason(two["r2"]) == "PeerDead"
    assert ("Peer", "r1", "Dead") in two["r2"].deviations()
    two["r2"].logged("edge/cluster: Standby -> Owner (PeerDead, epoch 2, r1)")
    two["r1"].start()
    wait(lambda: two["r1"].state() == "Standby", "r1 to come back, as the disk says")
    assert two["r1"].owner() == "r2"
    assert two.watcher.holders(VIP) == {"r2"}


def test_a_frozen_owner_loses_the_address_and_adds_nothing_when_it_wakes(two: Lan) -> None:
    at = time.monotonic()
    two["r1"].send(signal.SIGSTOP)
    two.held_by("r2")
    two["r1"].send(signal.SIGCONT)
    wait(lambda: two["r1"].state() == "Standby", "r1 to see that it was deposed")
    assert two.watcher.most(VIP, at) == 1
    assert two.watcher.holders(VIP) == {"r2"}


def test_sigterm_moves_at_once(two: Lan) -> None:
    at = time.monotonic()
    assert two["r1"].end(signal.SIGTERM) == 0
    two.held_by("r2", timeout_s=1)
    assert two.watcher.dark_s(VIP, at) == 0
    assert reason(two["r2"]) == "PeerLeft"
    assert two["r2"].deviations() == [("Peer", "r1", "Left")]
    assert not two["r1"].socket.exists()


def test_the_second_secondary_is_the_last(three: Lan) -> None:
    three["r1"].end()
    three.held_by("r2")
    three["r2"].end(signal.SIGKILL)
    three.held_by("r3")


def test_a_lost_cable(two: Lan) -> None:
    at = time.monotonic()
    two.cable("r1", plugged=False)
    wait(lambda: ("Interface", "eth0", "Down") in two["r1"].deviations(), "the lost carrier to be told", 2)
    wait(lambda: "r2" in two.watcher.holders(VIP), "the standby to take over", D / 1000 + 2)
    two.cable("r1", plugged=True)
    wait(lambda: len(two.watcher.holders(VIP)) == 1, "one to let go")
    wait(lambda: {r.owner() for r in two.routers.values()} == two.watcher.holders(VIP), "both to agree")
    assert two.watcher.dark_s(VIP, at) < D / 1000 + 0.5
    assert ("Interface", "eth0", "Down") not in two["r1"].deviations()


def test_a_partition_heals(two: Lan) -> None:
    two.isolate("r2", cut=True)
    two.held_by("r1", "r2")
    healed = time.monotonic()
    two.isolate("r2", cut=False)
    two.held_by("r2")
    assert time.monotonic() - healed < 2 * K / 1000 + 1
    assert two.watcher.dark_s(VIP, healed) == 0
    assert reason(two["r1"]) == "Settled"


def test_a_wrong_secret_is_ignored_and_counted(two: Lan) -> None:
    """One that knows no other: a secret that is changed under it is staged (test_lan_edits)."""
    two["r2"].end()
    for path in (two["r2"].directory / "state").iterdir():
        path.unlink()
    two["r2"].start()
    two["r2"].configure(values.order(config("r2", ("r1", "r2"), generation=2), values.keys(bytes(32))))
    wait(lambda: two["r1"].cluster()["drops"].get("BadTag", 0) > 3, "r1 to count")
    wait(lambda: two["r2"].cluster()["drops"].get("BadTag", 0) > 3, "r2 to count")
    assert ("Peer", "r2", "Left") in two["r1"].deviations()
    assert two["r1"].state() == "Owner"
    two["r2"].configure(values.order(config("r2", ("r1", "r2"), generation=3)))
    two.all_hear_all()
    wait(lambda: {r.owner() for r in two.routers.values()} == two.watcher.holders(VIP), "both to agree on one holder")


def test_a_restart_within_the_lease_moves_nothing_to_two(two: Lan) -> None:
    at = time.monotonic()
    two["r1"].end(signal.SIGKILL)
    two["r1"].start()
    wait(lambda: {two["r1"].owner(), two["r2"].owner()} in ({"r1"}, {"r2"}), "both to agree on one owner")
    wait(lambda: len(two.watcher.holders(VIP)) == 1, "one to hold it")
    assert two.watcher.most(VIP, at) == 1


def test_a_torn_state_file_is_reported_and_the_rest_runs(two: Lan) -> None:
    two["r2"].end()
    state = two["r2"].directory / "state"
    for path in state.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    two["r2"].start()
    assert two["r2"].cluster()["groups"] == []
    torn = "is ignored: it is torn"
    wait(lambda: two["r2"].log.count(torn) == 2, "configuration and ways to be called torn")
    two["r2"].configure(values.order(config("r2", ("r1", "r2"))))
    wait(lambda: two["r2"].log.count(torn) == 3, "the epochs, too")
    wait(lambda: two["r2"].owner() == "r1", "r2 to hear r1")
    two.held_by("r1")


def test_a_second_daemon_for_one_cluster(two: Lan) -> None:
    place = two["r1"].place
    twin = Router("r1", place, two["r1"].directory / "twin")
    twin.directory.mkdir()
    try:
        twin.start()
        answer = twin.ask("configure", clusters=[values.order(config("r1", ("r1", "r2")))])
        assert answer is not None
        assert "another heartbeat daemon in this network namespace" in answer["refused"][0]["message"]
        two.held_by("r1")
        assert two["r1"].end() == 0
        wait(lambda: twin.state() in ("Standby", "Owner"), "the twin to take the other's place")
    finally:
        twin.end()


def test_a_second_daemon_on_one_socket(two: Lan) -> None:
    rival = Router("r1", two["r1"].place, two["r1"].directory)
    rival.start()
    assert rival.process is not None
    assert rival.process.wait(10) == 1
    two["r1"].logged("another daemon listens on")
    two.held_by("r1")


def test_the_other_container_understands_it(two: Lan) -> None:
    """kube-sync reads the report, and the kubelet's probe asks for it."""
    for router in two.routers.values():
        answer = router.ask("report")
        assert answer is not None
        found = sync_report.parse(answer["report"])
        assert found.node == router.name
        assert found.clusters[0].groups[0].owner == "r1"
        assert found.clusters[0].peers.text == "1/1"
        probe = [sys.executable, "-I", "-m", "vyos_agent.sync.probe", str(router.socket)]
        assert subprocess.run(probe, check=False).returncode == 0


def test_the_keys_are_nowhere_to_be_read(two: Lan) -> None:
    secret = re.compile(rf"{values.SECRET.hex()}|AAECAwQF|\\x00\\x01\\x02")
    for router in two.routers.values():
        assert not secret.search(router.log)
        assert not secret.search(str(router.ask("report")))
        for path in (router.directory / "state").iterdir():
            assert path.stat().st_mode & 0o077 == 0


def test_three_capabilities_are_enough(tmp_path: Path) -> None:
    """As the chart gives them: no CHOWN, no DAC_OVERRIDE; the control socket's group is a supplementary one."""
    given = "-all,+net_admin,+net_raw,+net_bind_service"
    with lan(tmp_path, "r1") as found:
        router = found["r1"]
        router.under = ("setpriv", "--groups=65532", f"--bounding-set={given}", "--inh-caps=-all", "--no-new-privs")
        router.start("--control-gid", "65532")
        router.configure(values.order(config("r1", ("r1", "r2"), init_dead_ms=D)))
        found.held_by("r1")
        status = router.socket.stat()
        assert (status.st_mode & 0o777, status.st_gid) == (0o660, 65532)
        assert list((router.directory / "state").glob("*.config"))
        assert "WARNING" not in router.log
        assert router.end() == 0


MANIFEST = f"""\
apiVersion: cluster.vyos.io/v1alpha1
kind: VyosCluster
metadata: {{name: edge}}
spec:
  interfaces: [eth0]
  keepaliveInterval: {K}
  deadInterval: {D}
  initDeadInterval: 4s
  mcastGroup: ff05::694
  preSharedSecret: {{value: "S3cr#t"}}
  groups:
    - name: cluster
      primary: r1
      secondaries: [r2]
      services: [{SERVICES[0]}]
"""


def test_two_routers_without_kubernetes(tmp_path: Path) -> None:
    """From one file, over IPv6; edited on the fly, and edited badly."""
    file = tmp_path / "cluster.yaml"
    file.write_text(MANIFEST)
    with lan(tmp_path, "r1", "r2") as found:
        for router in found.routers.values():
            router.start("--config", str(file))
        found.held_by("r1")
        assert found.watcher.holders(VIP6) == frozenset()
        answer = found["r1"].ask("configure", clusters=[])
        assert answer is not None
        assert f"configured by {file}" in answer["error"]
        at = time.monotonic()
        file.write_text(MANIFEST.replace("services: [", f"services: [{SERVICES[1]}, "))
        for router in found.routers.values():
            router.send(signal.SIGHUP)
        found.held_by("r1", address=VIP6)
        file.write_text(MANIFEST.replace("primary: r1", "primary: r2"))
        found["r1"].send(signal.SIGHUP)
        wait(lambda: "the file is not taken" in found["r1"].log, "the bad file to be refused")
        found["r1"].logged("spec.groups[0]")
        assert "S3cr#t" not in found["r1"].log
        found.held_by("r1")
        found.held_by("r1", address=VIP6)
        assert found.watcher.dark_s(VIP, at) == 0, "a live edit interrupts nothing"
        assert not list((found["r1"].directory / "state").glob("*.config")), "the file is the configuration"
        assert found["r1"].end() == 0
        found.held_by("r2")


def test_json_lines_in_the_log(tmp_path: Path) -> None:
    with lan(tmp_path, "r1") as found:
        found["r1"].start("--log-format", "json", "--log-level", "DEBUG")
        found["r1"].configure(values.order(config("r1", ("r1", "r2"), init_dead_ms=D)))
        found.held_by("r1")
        lines = [json.loads(line) for line in found["r1"].log.splitlines()]
        assert "edge/cluster: Standby -> Owner (FirstClaim, epoch 1)" in [line["message"] for line in lines]
        assert found["r1"].deviations() == [("Peer", "r2", "Unheard")]


def test_ordinary_secondaries_survive(two: Lan) -> None:
    """The trap of promote_secondaries, with a router that gets its own address after the shared one."""
    place = two["r2"].place
    netns.ip("addr", "flush", "dev", "eth0", "to", "192.168.0.0/24", netns=place)
    two["r1"].end()
    two.held_by("r2")
    assert f"{VIP}/24" in netns.ip("addr", "show", "dev", "eth0", netns=place)
    netns.ip("addr", "add", "192.168.0.12/24", "dev", "eth0", netns=place)
    assert "192.168.0.12/24 scope global secondary" in netns.ip("addr", "show", "dev", "eth0", netns=place)
    two["r2"].end(signal.SIGKILL)
    two.held_by()
    assert "192.168.0.12/24" in netns.ip("addr", "show", "dev", "eth0", netns=place)
