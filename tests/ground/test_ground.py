"""The ground itself: each kind of fault does what it says and can be undone. (That `down` leaves nothing, the
fixture asserts at the end of every session.)
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from ground import images, layout, lifecycle
from ground.api import Ground
from ground.shell import GroundError

pytestmark = pytest.mark.e2e_long  # the end-to-end tests use the same faults, so `make test` has them once

ADDRESS = "192.168.0.200"
GROUP = ("239.251.252.253", 694)
# An ordinary pod on every node; its process ends on TERM (a container's first process ignores what it does not expect)
PROGRAM = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); print('up'); signal.sigwait([15])"
DAEMONSET = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "dummy"},
    "spec": {
        "selector": {"matchLabels": {"app": "dummy"}},
        "template": {
            "metadata": {"labels": {"app": "dummy"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "dummy",
                        "image": images.IMAGES["agent"],
                        "imagePullPolicy": "Never",
                        "command": ["python3", "-uc", PROGRAM],
                    }
                ],
            },
        },
    },
}


@pytest.fixture(scope="module")
def pods(ground: Ground) -> Iterator[None]:
    ground.kubectl("apply", "-f", "-", stdin=json.dumps(DAEMONSET))
    ground.kubectl("rollout", "status", "daemonset/dummy", "--timeout=60s", timeout_s=70)
    yield
    ground.kubectl("delete", "daemonset", "dummy", "--cascade=foreground")


@pytest.fixture
def held(ground: Ground) -> Iterator[str]:
    """Put an address on node1, by hand."""
    ground.exec("node1", "ip", "address", "add", f"{ADDRESS}/32", "dev", "eth0")
    yield ADDRESS
    if ground.holders(ADDRESS):
        ground.exec("node1", "ip", "address", "del", f"{ADDRESS}/32", "dev", "eth0")


def hears(ground: Ground, sender: str, receiver: str, interface: str = "eth0") -> bool:
    """Say whether a multicast datagram of one machine arrives at another: one way, and without ARP."""
    with (
        closing(ground.socket(receiver, socket.AF_INET, socket.SOCK_DGRAM)) as listening,
        closing(ground.socket(sender, socket.AF_INET, socket.SOCK_DGRAM)) as sending,
    ):
        listening.bind(GROUP)
        membership = socket.inet_aton(GROUP[0]) + socket.inet_aton(layout.address(receiver, interface))
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        listening.settimeout(0.2)
        here = socket.inet_aton(layout.address(sender, interface))
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        sending.sendto(b"hello", GROUP)
        try:
            return listening.recv(100) == b"hello"
        except TimeoutError:
            return False


def test_three_ready_routers_with_addresses(ground: Ground) -> None:
    items = ground.get("nodes")["items"]
    addresses = {item["metadata"]["name"]: item["status"]["addresses"][0]["address"] for item in items}
    assert addresses == {"node1": "192.168.0.11", "node2": "192.168.0.12", "node3": "192.168.0.13"}
    assert {item["status"]["nodeInfo"]["kubeletVersion"] for item in items} == {"v1.34.4"}
    assert ground.exec("node2", "hostname").strip() == ground.ssh("node2", "hostname").strip() == "node2"


def test_both_lans_carry_multicast(ground: Ground) -> None:
    assert hears(ground, "node1", "node2", "eth0")
    assert hears(ground, "node1", "node3", "eth1")
    assert hears(ground, "node1", "client")


def test_probe_counts_what_a_client_misses(ground: Ground, held: str) -> None:
    assert ground.holders(held) == {"node1"}
    with ground.probe(held, interval_ms=1) as probe:
        time.sleep(0.5)
        assert ground.client_arp(held) == ground.mac("node1")
    assert probe.lost == 0
    assert probe.answered > 300
    with ground.probe(held) as probe:
        time.sleep(0.2)
        ground.fault.pull("node1", "eth0")
        time.sleep(0.5)
        ground.fault.plug("node1", "eth0")
        ground.wait(lambda: probe.samples[-1].answered_s, 5, "an answer after the gap")
    assert 450 < probe.longest_gap_ms < 2500
    assert len(probe.gaps_ms(longer_than_ms=400)) == 1


def test_probe_speaks_ipv6(ground: Ground) -> None:
    with ground.probe(layout.address6("node2")) as probe:
        ground.wait(lambda: probe.answered > 5, 5, "answers")


@pytest.mark.parametrize(("fault", "inverse"), [("pull", "plug"), ("mute", "unmute")])
def test_a_cable_is_one_of_two(ground: Ground, fault: str, inverse: str) -> None:
    getattr(ground.fault, fault)("node1", "eth0")
    assert not hears(ground, "node1", "node2")
    assert hears(ground, "node1", "node2", "eth1")
    carrier = ground.exec("node1", "ip", "-j", "link", "show", "eth0")
    assert ("LOWER_UP" in carrier) == (fault == "mute")
    getattr(ground.fault, inverse)("node1", "eth0")
    ground.wait(lambda: hears(ground, "node1", "node2"), 5, "node1 to be heard again")


def test_cut_between_two_leaves_the_third(ground: Ground) -> None:
    ground.fault.split("node1", "node2")
    assert not hears(ground, "node1", "node2")
    assert not hears(ground, "node2", "node1")
    assert not hears(ground, "node1", "node2", "eth1")
    assert hears(ground, "node1", "node3")
    assert hears(ground, "node3", "node2")
    ground.fault.heal()
    assert hears(ground, "node1", "node2")


def test_one_way_deaf_and_dumb(ground: Ground) -> None:
    ground.fault.one_way("node1", "node2")
    assert not hears(ground, "node1", "node2")
    assert hears(ground, "node2", "node1")
    ground.fault.heal()
    ground.fault.deaf("node1")
    assert hears(ground, "node1", "node2")
    assert not hears(ground, "node2", "node1")
    ground.fault.heal()
    ground.fault.dumb("node1", "eth0")
    assert not hears(ground, "node1", "node2")
    assert hears(ground, "node2", "node1")
    assert hears(ground, "node1", "node2", "eth1")
    ground.fault.heal()
    assert hears(ground, "node1", "node2")


def test_partition_into_sides(ground: Ground) -> None:
    ground.fault.partition("node1,client", "node2,node3,ctl")
    assert hears(ground, "node1", "client")
    assert hears(ground, "node2", "node3")
    assert not hears(ground, "node1", "node3")
    assert not hears(ground, "node2", "client")
    ground.fault.heal()


def test_loss_is_by_chance(ground: Ground) -> None:
    with ground.probe(layout.address("node3"), interval_ms=2) as probe:
        ground.wait(lambda: probe.answered, 5, "an answer")
        ground.fault.loss("node3", 30)
        before = len(probe.samples)
        time.sleep(1)
        after = len(probe.samples)
        ground.fault.heal()
    lost = [sample for sample in probe.samples[before:after] if sample.answered_s is None]
    # each way 30 %: 51 % in the mean; five standard deviations of 500 probes are 11 %
    assert 0.35 < len(lost) / (after - before) < 0.67


def test_a_hung_node_still_answers_ping(ground: Ground) -> None:
    ground.fault.hang("node3")
    with ground.probe(layout.address("node3")) as probe, pytest.raises(GroundError):
        ground.ssh("node3", "true")
    ground.fault.unhang("node3")
    assert probe.answered > 50
    assert ground.ssh("node3", "echo", "back") == "back\n"


def test_units_stop_start_and_crash(ground: Ground) -> None:
    ground.fault.service_stop("node2", "ssh")
    with pytest.raises(GroundError, match="refused"):
        ground.ssh("node2", "true")
    ground.fault.service_start("node2", "ssh")
    before = ground.exec("node2", "systemctl", "show", "-P", "MainPID", "kube-proxy")
    ground.fault.service_crash("node2", "kube-proxy")

    def started_again() -> bool:
        return ground.exec("node2", "systemctl", "show", "-P", "MainPID", "kube-proxy").strip() not in (
            "0",
            before.strip(),
        )

    ground.wait(started_again, 10, "kube-proxy to be started again")
    assert ground.ssh("node2", "true") == ""


def test_api_server_stops_and_hangs(ground: Ground) -> None:
    ground.fault.api_stop()
    assert not ground.api.ready()
    ground.fault.api_start()
    ground.wait(ground.api.ready, 20, "the API server")
    ground.fault.api_hang()
    assert not ground.api.ready()
    ground.fault.api_resume()
    ground.wait(ground.api.ready, 10, "the API server to go on")


def test_etcd_stops_and_has_its_data_again(ground: Ground) -> None:
    before = ground.get("namespace", "default")["metadata"]["uid"]
    ground.fault.etcd_stop()
    try:  # /readyz answers out of its memory for a moment
        ground.wait(lambda: not ground.api.ready(), 10, "the API server to miss it")
    finally:
        ground.fault.etcd_start()
    ground.wait(ground.api.ready, 20, "the API server")
    assert ground.get("namespace", "default")["metadata"]["uid"] == before


@pytest.mark.usefixtures("pods")
def test_containers_pause_and_die(ground: Ground) -> None:
    ground.fault.pause("node1", "dummy")
    assert "PAUSED" in ground.exec("node1", "ctr", "-n", "k8s.io", "tasks", "ls")
    ground.fault.resume("node1", "dummy")
    assert "PAUSED" not in ground.exec("node1", "ctr", "-n", "k8s.io", "tasks", "ls")
    ground.fault.kill("node1", "dummy", "TERM")

    def restarts() -> int:
        pods = ground.get("pods", "-l", "app=dummy", "--field-selector=spec.nodeName=node1")["items"]
        return int(pods[0]["status"]["containerStatuses"][0]["restartCount"])

    ground.wait(lambda: restarts() == 1, 15, "the kubelet to start the container again")
    assert "up" in ground.kubectl("logs", "daemonset/dummy")


@pytest.mark.usefixtures("pods")
def test_power_cut_with_a_paused_container(ground: Ground, held: str) -> None:
    ground.fault.pause("node1", "dummy")
    start = time.monotonic()
    ground.fault.power_off("node1")
    assert time.monotonic() - start < 3
    assert ground.holders(held) == set()
    with pytest.raises(GroundError, match="node1"):
        ground.exec("node1", "true")
    ground.fault.power_on("node1")
    ground.wait(lambda: ground.ready("node1"), 60, "node1 to be Ready")


def test_clean_reboot_has_a_new_boot_id(ground: Ground) -> None:
    before = ground.get("node", "node2")["status"]["nodeInfo"]["bootID"]
    ground.fault.reboot("node2")

    def rebooted() -> bool:
        return bool(ground.get("node", "node2")["status"]["nodeInfo"]["bootID"] != before)

    ground.wait(rebooted, 60, "node2 to report its new boot")
    ground.wait(lambda: ground.ready("node2"), 30, "node2 to be Ready")


def test_mend_undoes_everything(ground: Ground) -> None:
    ground.fault.service_stop("node1", "kubelet")
    ground.fault.hang("node1")
    ground.fault.pull("node2")
    ground.fault.split("node2", "client")
    ground.fault.shutdown("node3")
    ground.wait(lambda: "node3: off" in lifecycle.status(), 60, "node3 to switch itself off")
    ground.fault.api_hang()
    ground.fault.etcd_stop()
    ground.mend()
    assert hears(ground, "client", "node2")
    assert hears(ground, "node1", "node2")
    assert hears(ground, "node2", "node3")
    assert "ok" in ground.kubectl("get", "--raw", "/readyz")


def test_a_second_ground_is_refused(ground: Ground) -> None:
    with pytest.raises(GroundError, match="is up already"):
        lifecycle.up()
