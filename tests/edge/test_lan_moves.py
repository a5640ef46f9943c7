"""Whole daemons on a LAN: what monitors, host services and unicast do to a group, seen from outside."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import hosts, values
from edge.hosts import Host
from edge.lan import Lan, lan
from edge.test_lan import SERVICES, VIP, D, K
from edge.waiting import wait
from vyos_agent.edge import fence
from vyos_api import host_units
from vyos_api.nodeconfig import NodeConfig

pytestmark = pytest.mark.netns

GATEWAY, GATEWAY6 = "192.168.0.1", "fd00::1"
UNIT = "sleeper.service"


def config(node: str, *, group: dict[str, object] | None = None, **changes: object) -> NodeConfig:
    built = values.config(
        node,
        values.group("cluster", *SERVICES, members=("r1", "r2"), **(group or {})),
        keepalive_ms=K,
        dead_ms=D,
        init_dead_ms=4000,
        monitor_dead_ms=1000,
    )
    return dataclasses.replace(built, **changes)  # type: ignore[arg-type]


def reason(found: Lan, name: str) -> str:
    (group,) = found[name].cluster()["groups"]
    return str(group["reason"])


@pytest.fixture
def routers(tmp_path: Path) -> Iterator[Lan]:
    with lan(tmp_path, "r1", "r2") as found:
        for address in (f"{GATEWAY}/24", f"{GATEWAY6}/64"):
            found.bridge("addr", "add", address, "dev", "br0", *(["nodad"] if ":" in address else []))
        yield found


def run(found: Lan, **changes: object) -> None:
    for router in found.routers.values():
        router.start()
        router.configure(values.order(config(router.name, **changes)))  # type: ignore[arg-type]
    found.held_by("r1")
    found.all_hear_all()


def test_an_uplink_that_is_lost_moves_the_group_and_no_client_notices(routers: Lan) -> None:
    run(routers, group={"monitors": (GATEWAY, GATEWAY6)})
    wait(lambda: routers["r1"].cluster()["monitors"] == {"ready": 2, "all": 2}, "both monitors to answer")
    at = time.monotonic()
    routers["r1"].ip("route", "add", "blackhole", f"{GATEWAY}/32")
    routers.held_by("r2")
    assert routers.watcher.dark_s(VIP, at) == 0
    assert reason(routers, "r2") == "MonitorsLost"
    assert ("Monitor", GATEWAY, "Unreachable") in routers["r1"].deviations()
    assert routers["r1"].cluster()["monitors"] == {"ready": 1, "all": 2}
    routers["r1"].ip("route", "del", "blackhole", f"{GATEWAY}/32")
    wait(lambda: routers["r1"].deviations() == [], "the monitor to answer again")
    assert routers.watcher.holders(VIP) == {"r2"}, "a tie moves nothing"


def test_a_monitor_that_is_down_itself_moves_nothing(routers: Lan) -> None:
    run(routers, group={"monitors": (GATEWAY,)})
    wait(lambda: routers["r1"].cluster()["monitors"]["ready"] == 1, "the monitor to answer")
    routers.bridge("addr", "del", f"{GATEWAY}/24", "dev", "br0")
    for name in ("r1", "r2"):
        wait(lambda name=name: ("Monitor", GATEWAY, "Unreachable") in routers[name].deviations(), "it to be told")  # type: ignore[misc]
    time.sleep(3 * K / 1000)
    assert routers.watcher.holders(VIP) == {"r1"}


def test_a_person_moves_a_group_and_no_client_notices(routers: Lan) -> None:
    run(routers)
    at = time.monotonic()
    for name, to, other in (("r1", "Standby", "r2"), ("r1", "Active", "r1"), ("r2", "Active", "r2")):
        answer = routers[name].ask("force", to=to, group="cluster")
        assert answer is not None
        assert answer["clusters"] == ["edge"]
        routers.held_by(other)
        assert reason(routers, other) == "HandoverRequested"
    assert routers.watcher.dark_s(VIP, at) == 0


# -- unicast


NODES = {"r1": ("192.168.0.11", "fd00::11"), "r2": ("192.168.0.12",)}


def links(found: Lan, name: str) -> list[str]:
    """Over which links its one peer is heard."""
    answer = found[name].ask("explain", cluster="edge")
    assert answer is not None
    ((peer,),) = [c["peers"] for c in answer["clusters"]]
    return list(peer["links"])


def multicast(found: Lan, *, passes: bool) -> None:
    for name in found.routers:
        found.bridge_port(name, "mcast_flood", "on" if passes else "off")


def test_a_lan_that_loses_multicast(routers: Lan) -> None:
    run(routers, unicast=True, nodes=NODES)
    assert all(r.deviations() == [] for r in routers.routers.values())
    wait(lambda: links(routers, "r1") == ["eth0", "unicast"], "both links to carry frames")
    at = time.monotonic()
    multicast(routers, passes=False)
    for name, other in (("r1", "r2"), ("r2", "r1")):
        wait(lambda n=name, o=other: routers[n].deviations() == [("Multicast", o, "Lost")], "it to be told")  # type: ignore[misc]
    assert links(routers, "r1") == ["unicast"]
    time.sleep(1.5 * D / 1000)
    assert routers.watcher.most(VIP, at) == 1
    assert routers.watcher.dark_s(VIP, at) == 0, "they hear each other all the time"
    assert routers["r1"].end(signal.SIGTERM) == 0
    routers.held_by("r2", timeout_s=2)
    assert routers.watcher.dark_s(VIP, at) == 0, "a handover needs no multicast either"
    routers["r1"].start()
    routers.all_hear_all()
    multicast(routers, passes=True)
    wait(lambda: all(r.deviations() == [] for r in routers.routers.values()), "multicast to be heard again")
    assert {r.cluster()["drops"].get("Old", 0) for r in routers.routers.values()} == {0}, "a copy is no replay"


def test_without_unicast_the_same_lan_has_two_owners(routers: Lan) -> None:
    """What unicast is for; and that the test above tests it."""
    run(routers)
    multicast(routers, passes=False)
    routers.held_by("r1", "r2")


def test_unicast_is_switched_on_and_off_on_a_live_cluster(routers: Lan) -> None:
    run(routers)
    at = time.monotonic()
    for generation, changes in ((2, {"unicast": True, "nodes": NODES}), (3, {})):
        for router in routers.routers.values():
            router.configure(values.order(config(router.name, generation=generation, **changes)))
            time.sleep(2 * K / 1000)
        wait(lambda: all(r.deviations() == [] for r in routers.routers.values()), "all to be well")
    assert routers.watcher.dark_s(VIP, at) == 0
    assert routers.watcher.holders(VIP) == {"r1"}


# -- host services


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[dict[str, Host]]:
    if reason := hosts.possible():
        pytest.skip(reason)
    (tmp_path / "m1").mkdir()
    (tmp_path / "m2").mkdir()
    with hosts.host(tmp_path / "m1") as first, hosts.host(tmp_path / "m2") as second:
        for machine in (first, second):
            machine.service("sleeper", "ExecStart=/bin/sleep 1000")
        yield {"r1": first, "r2": second}


@pytest.fixture
def serving(routers: Lan, machines: dict[str, Host]) -> Lan:
    for name, machine in machines.items():
        routers[name].environment["DBUS_SYSTEM_BUS_ADDRESS"] = machine.address
    machines["r2"].ctl("start", UNIT)  # as if it were enabled at boot
    run(routers, group={"units": (UNIT,)})
    wait(lambda: running(machines) == {"r1"}, "the service to run at the owner only")
    return routers


def running(machines: dict[str, Host]) -> set[str]:
    return {name for name, machine in machines.items() if machine.active(UNIT) in ("active", "deactivating")}


def test_a_service_follows_its_group(serving: Lan, machines: dict[str, Host]) -> None:
    wait(lambda: serving["r1"].cluster()["groups"][0]["services"] == [UNIT], "the report to say so")
    at = time.monotonic()
    assert serving["r1"].end(signal.SIGTERM) == 0
    assert machines["r1"].active(UNIT) == "inactive", "stopped before it left"
    assert machines["r1"].leases() == []
    serving.held_by("r2", timeout_s=2)
    wait(lambda: running(machines) == {"r2"}, "the service to run at the new owner")
    assert serving.watcher.dark_s(VIP, at) == 0
    serving["r1"].start()
    wait(lambda: serving["r1"].state() == "Standby", "r1 to come back")
    time.sleep(0.5)
    assert running(machines) == {"r2"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_service_never_runs_twice(serving: Lan, machines: dict[str, Host], number: signal.Signals) -> None:
    """Nobody is left to stop it but systemd, and that is done before the standby takes over."""
    serving["r1"].send(number)
    most: set[str] = set()
    end = time.monotonic() + D / 1000 + 5
    while time.monotonic() < end and running(machines) != {"r2"}:
        most |= running(machines) if len(running(machines)) > 1 else set()
    assert most == set()
    assert running(machines) == {"r2"}
    if number is signal.SIGSTOP:
        serving["r1"].send(signal.SIGCONT)
        wait(lambda: serving["r1"].state() == "Standby", "r1 to see that it was deposed")
        time.sleep(1)
        assert running(machines) == {"r2"}


def test_a_service_that_fails_gives_the_group_away(serving: Lan, machines: dict[str, Host]) -> None:
    machines["r1"].ctl("kill", "-s", "KILL", UNIT)
    serving.held_by("r2")
    wait(lambda: running(machines) == {"r2"}, "the service to run at the new owner")
    assert reason(serving, "r2") in ("ServiceFailed", "PeerReleased")


def test_a_member_without_the_unit_is_no_candidate(routers: Lan, machines: dict[str, Host]) -> None:
    for name, machine in machines.items():
        routers[name].environment["DBUS_SYSTEM_BUS_ADDRESS"] = machine.address
    (machines["r1"].directory / "systemd/user" / UNIT).unlink()
    machines["r1"].ctl("daemon-reload")
    for router in routers.routers.values():
        router.start()
        router.configure(values.order(config(router.name, group={"units": (UNIT,)})))
    routers.held_by("r2")
    wait(
        lambda: ("Service", f"cluster: {UNIT} does not exist on this node", "Absent") in routers["r1"].deviations(),
        "the report to name the unit",
    )


def test_a_unit_that_is_not_allowed_is_left_as_it_is(routers: Lan, machines: dict[str, Host]) -> None:
    for name, machine in machines.items():
        routers[name].environment["DBUS_SYSTEM_BUS_ADDRESS"] = machine.address
        machine.ctl("start", UNIT)
    for router in routers.routers.values():
        router.start("--host-services=ssh,openvpn@*")
        router.configure(values.order(config(router.name, group={"units": (UNIT,)})))
    routers.held_by("r1")
    name = f"cluster: {UNIT}: the list of allowed units does not have it: {host_units.CURE}"
    for router in routers.routers.values():
        wait(
            lambda router=router: ("Service", name, "NotAllowed") in router.deviations(), "the report to name the unit"
        )
    assert routers["r1"].cluster()["groups"][0]["services"] == []
    assert routers["r1"].end(signal.SIGTERM) == 0
    routers.held_by("r2", timeout_s=2)
    assert running(machines) == {"r1", "r2"}


def test_a_service_goes_with_its_group(serving: Lan, machines: dict[str, Host]) -> None:
    other = values.group("other", "192.168.0.200/24/eth0", members=("r1", "r2"))
    for router in serving.routers.values():
        router.configure(values.order(dataclasses.replace(config(router.name, generation=2), groups=(other,))))
    wait(lambda: running(machines) == set(), "it to be stopped")
    serving.held_by(address=VIP)
    serving.held_by("r1", address="192.168.0.200")
    for router in serving.routers.values():
        router.configure()
    serving.held_by(address="192.168.0.200")


def test_a_service_that_left_the_configuration_is_stopped(serving: Lan, machines: dict[str, Host]) -> None:
    for router in serving.routers.values():
        router.configure(values.order(config(router.name, generation=2)))
    wait(lambda: running(machines) == set(), "it to be stopped")
    assert serving.watcher.holders(VIP) == {"r1"}


# -- the exact fence, at intervals that no address lifetime can follow


FENCED = """
apiVersion: cluster.vyos.io/v1alpha1
kind: VyosCluster
metadata: {name: edge}
spec:
  interfaces: [eth0]
  keepaliveInterval: 100ms
  deadInterval: 300ms
  monitorDeadInterval: 300ms
  initDeadInterval: 4s
  fence: Nftables
  preSharedSecret: {value: S3cr#t}
  groups:
    - name: cluster
      primary: r1
      secondaries: [r2]
      services: [192.168.0.123/24/eth0]
"""


@pytest.mark.skipif(not Path(fence.NFT).exists(), reason="there is no nft")
def test_a_frozen_owner_answers_no_longer_than_its_fence(routers: Lan, tmp_path: Path) -> None:
    """Its kernel holds the address for a second and more; what it would answer meanwhile is dropped."""
    file = tmp_path / "edge.yaml"
    file.write_text(FENCED)
    for router in routers.routers.values():
        router.start("--config", str(file))
    routers.held_by("r1")
    for router in routers.routers.values():
        wait(lambda r=router: "fence is up" in r.log, "the fence")  # type: ignore[misc]
    mac = routers["r1"].exec("cat", "/sys/class/net/eth0/address").strip()
    routers.bridge("neigh", "replace", VIP, "lladdr", mac, "dev", "br0", "nud", "permanent")
    answers = Pings(routers, VIP)
    time.sleep(0.5)
    routers["r1"].send(signal.SIGSTOP)
    at = time.monotonic()
    wait(lambda: "r2" in routers.watcher.holders(VIP), "the standby to take over", 2)
    taken_s = time.monotonic() - at
    last_s = answers.last() - at
    assert routers.watcher.holders(VIP) == {"r1", "r2"}, "both kernels hold it: without the fence both would answer"
    assert taken_s < 0.6
    assert 0.05 < last_s < 0.3, f"r1 answered for {last_s:.3f} s, r2 held it after {taken_s:.3f} s"
    assert last_s < taken_s
    wait(lambda: routers.watcher.holders(VIP) == {"r2"}, "the kernel to remove it at r1", 4)
    routers["r1"].send(signal.SIGCONT)
    assert routers["r1"].end() == 0
    assert routers["r2"].end() == 0
    for router in routers.routers.values():
        assert "vyos-cluster" not in router.exec(fence.NFT, "list", "tables")


class Pings:
    """Pings every 5 ms, and when the last one was answered."""

    def __init__(self, found: Lan, address: str) -> None:
        self._process = subprocess.Popen(
            found.inside("ping", "-n", "-i0.005", "-W1", address), stdout=subprocess.PIPE, text=True
        )
        self._last = 0.0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "bytes from" in line:
                self._last = time.monotonic()

    def last(self) -> float:
        self._process.terminate()
        self._thread.join()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._last
