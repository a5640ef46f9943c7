"""Lives of the operator's process: start, quiet, restart, outage, a watch that falls silent, stop."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ground.apiserver import ApiServer
from ground.apiserver import apiserver as run_apiserver

from . import harness
from .conftest import ROOT, settled
from .harness import Agents, Api, Operator, ago, spec, until
from .proxy import Proxy, proxy

pytestmark = pytest.mark.apiserver
Make = Callable[..., Agents]
Run = Callable[..., AbstractContextManager[Operator]]

WRITES = ("APPLY", "PATCH", "POST", "PUT", "DELETE")


def writes(api: Api) -> dict[str, int]:
    """How many write requests about our objects the API server has answered so far, whoever sent them."""
    metrics = api.server.kubectl("get", "--raw", "/metrics")
    found = {}
    for line in metrics.splitlines():
        if line.startswith("apiserver_request_total{") and any(f'verb="{verb}"' in line for verb in WRITES):
            resource = re.search(r',resource="([a-z]+)"', line)
            if resource and resource[1] in ("vyosclusters", "configmaps", "secrets", "events"):
                found[line.rsplit(" ", 1)[0]] = int(float(line.rsplit(" ", 1)[1]))
    return found


def at_work(api: Api, make: Make) -> Agents:
    """A cluster whose members report, one takeover ago."""
    agents = make("edge")
    agents.owns("node1", "cluster", 1, "FirstClaim")
    agents.rests("node1", "node2")
    api.says("edge", "Available", "True", "Available")
    api.says("edge", "Programmed", "True", "Programmed")
    return agents


def test_quiet_means_no_request_that_writes(api: Api, run_operator: Run, make: Make) -> None:
    with run_operator(RESYNC_SECONDS="1", AUDIT_SECONDS="1") as operator:
        at_work(api, make)
        wanted = {"secretKeyRef": {"name": "nowhere", "key": "psk"}}
        make("refused", spec(preSharedSecret=wanted, address="192.168.0.9/24/eth0"))
        api.says("refused", "Accepted", "False", "SecretNotFound")
        versions, count = settled(api), writes(api)
        time.sleep(5)
        assert writes(api) == count
        assert api.versions() == versions
        assert operator.health() == (200, "ok\n")
        assert 'vyos_cluster_operator_clusters{condition="Accepted",status="True"}' in operator.metrics()
        assert not operator.logged("ERROR")
        assert not operator.logged("Traceback")
        assert re.search(r"all watches have shown everything \(6 tasks\)", operator.log.read_text())


def test_a_restart_writes_nothing_and_repeats_no_event(api: Api, run_operator: Run, make: Make) -> None:
    with run_operator() as operator:
        agents = at_work(api, make)
        agents.owns("node2", "cluster", 2, "PeerDead")
        until(lambda: any(e["reason"] == "PeerDead" for e in api.events("edge")), "the Event")
        before = settled(api)
        assert operator.stop() < 3
        assert operator.logged("stopped")
    with run_operator() as operator:
        until(lambda: operator.logged("all watches have shown everything"), "the second life to be at work")
        assert settled(api) == before
        # ... and it is at work: what changed is seen, what was missed is caught up
        agents.owns("node1", "cluster", 3, "Failback")
        until(lambda: any(e["reason"] == "Failback" for e in api.events("edge")), "the next Event")
        operator.process.kill()
        operator.process.wait()
    agents.owns("node2", "cluster", 4, "PeerLeft")
    agents.owns("node1", "cluster", 5, "Failback", since=ago(3600))
    with run_operator() as operator:
        until(lambda: operator.logged("all watches have shown everything"), "the third life to be at work")
        until(lambda: api.cluster("edge")["status"]["owners"] == "cluster=node1", "the status to catch up")
        settled(api)
    notes = [e["note"] for e in api.events("edge") if "epoch 5" in e["note"]]
    assert notes == [], "an hour ago is no news"


def test_kills_in_the_middle_of_a_change_of_the_key(api: Api, run_operator: Run, make: Make) -> None:
    """Each life takes one step, is killed, and the members answer while nobody listens; none takes a step too early."""
    api.psk("turning", psk="turning-one")
    agents = make("edge", spec(preSharedSecret={"secretKeyRef": {"name": "turning", "key": "psk"}}))

    agents.owns("node1", "cluster", 1, "FirstClaim")
    agents.rests("node1", "node2")
    with run_operator():
        api.says("edge", "Programmed", "True", "Programmed")
    api.psk("turning", psk="turning-two")
    steps = (
        ({1: "send", 2: "accept"}, (1, (1, 2))),
        ({1: "accept", 2: "send"}, (2, (1, 2))),
        ({2: "send"}, (2, (2,))),
    )
    for numbers, answer in steps:
        with run_operator() as operator:
            until(lambda numbers=numbers: api.key_numbers("edge") == numbers, f"the keys {numbers}")
            operator.process.kill()
            operator.process.wait()
        agents.keys = answer
        agents.rests("node1")
        with run_operator() as operator:
            until(lambda operator=operator: operator.logged("all watches have shown everything"), "a life between")
            settled(api)
            assert api.key_numbers("edge") == numbers, "node2 has not answered"
            operator.process.kill()
            operator.process.wait()
        agents.rests("node2")
    with run_operator() as operator:
        until(lambda: operator.logged("all watches have shown everything"), "the last life to be at work")
        api.says("edge", "Programmed", "True", "Programmed")
        assert api.key_numbers("edge") == {2: "send"}


def test_edits_and_deletions_made_while_it_was_away(api: Api, run_operator: Run, make: Make) -> None:
    with run_operator():
        at_work(api, make)
        make("other", spec(address="192.168.0.9/24/eth0"))
        until(lambda: api.config_map("other", "node2"), "the other cluster")
    make("edge", spec(address="192.168.0.124/24/eth0"))
    api.request("DELETE", f"{harness.CLUSTERS}/other")
    api.collect("other")
    with run_operator():
        until(lambda: api.config("edge", "node2")["generation"] == 2, "the edit to arrive")
        settled(api)
        assert api.config_map("other", "node1") is None


def test_a_member_with_a_long_name(api: Api, run_operator: Run, make: Make) -> None:
    long = "router-" + "x" * 80 + ".example.org"
    with run_operator():
        make("edge", spec(nodes=("node1", long)))
        until(lambda: api.config_map("edge", long), "its ConfigMap")
        found = api.config_map("edge", long)
        assert found is not None
        assert found["metadata"]["annotations"]["cluster.vyos.io/node-name"] == long
        assert api.config("edge", long)["node"] == long
        agents = Agents(api, "edge")
        agents.says(long, 1, {"cluster": ("Standby", None)})
        until(lambda: api.cluster("edge")["status"]["members"] == "1/2", "its report to count")
        make("edge", spec(nodes=("node1", "node3")))
        until(lambda: not api.cluster("edge")["status"].get("nodes"), "its entry to be pruned")


@pytest.fixture
def between(api: Api, account: Path, tmp_path: Path) -> Iterator[tuple[Proxy, Path]]:
    """A proxy, and the operator's kubeconfig through it."""
    port = int(api.server.url.rpartition(":")[2])
    with proxy(port) as found:
        through = account.with_name("proxied.conf")
        through.write_text(account.read_text().replace(f":{port}", f":{found.port}"))
        yield found, through


def test_a_watch_that_falls_silent_fails_the_probe(
    api: Api, between: tuple[Proxy, Path], make: Make, tmp_path: Path
) -> None:
    found, kubeconfig = between
    with harness.operator(kubeconfig, tmp_path, AUDIT_SECONDS="1") as operator:
        make("edge")
        api.says("edge", "Accepted", "True", "Accepted")
        found.freeze()
        time.sleep(1)
        assert operator.health()[0] == 200, "a silent watch with nothing to tell is no fault"
        make("edge", spec(address="192.168.0.124/24/eth0"))
        until(lambda: operator.health()[0] == 503, "the probe to fail", 40)
        assert "watch of vyosclusters: it has not shown 1 objects as they are now (edge, ...)" in operator.health()[1]
        found.thaw()
        until(lambda: operator.health()[0] == 200, "the probe to be well again", 40)
        until(lambda: api.config("edge", "node1")["generation"] == 2, "the edit to be carried out")


def test_an_api_server_that_is_away_is_waited_for(
    api: Api, between: tuple[Proxy, Path], make: Make, tmp_path: Path
) -> None:
    found, kubeconfig = between
    with harness.operator(kubeconfig, tmp_path, AUDIT_SECONDS="1") as operator:
        make("edge")
        api.says("edge", "Accepted", "True", "Accepted")
        found.cut()
        make("edge", spec(address="192.168.0.124/24/eth0"))
        make("second", spec(address="192.168.0.9/24/eth0"))
        time.sleep(8)
        assert operator.health()[0] == 200
        found.mend()
        until(lambda: api.config("edge", "node1")["generation"] == 2, "the edit to be carried out")
        until(lambda: api.config_map("second", "node1"), "the new cluster to be carried out")
        assert operator.health()[0] == 200


def test_a_cluster_deleted_during_an_outage_keeps_no_address(
    api: Api, between: tuple[Proxy, Path], make: Make, tmp_path: Path
) -> None:
    """The watches come back with lists, which say nothing of what is gone; its address is free all the same."""
    found, kubeconfig = between
    with harness.operator(kubeconfig, tmp_path) as operator:
        make("keeps", spec(address="192.168.0.9/24/eth0"))  # so that no list is empty
        make("edge")
        api.says("edge", "Accepted", "True", "Accepted")
        found.cut()
        api.request("DELETE", f"{harness.CLUSTERS}/edge")
        api.collect("edge")
        make("next")
        found.mend()
        api.says("next", "Accepted", "True", "Accepted")
        until(lambda: api.config_map("next", "node1"), "the next cluster's configuration")
        assert api.config_map("edge", "node1") is None
        assert operator.health()[0] == 200


def test_rights_that_are_missing_are_said_and_waited_for(api: Api, make: Make, tmp_path: Path) -> None:
    poor = f"system:serviceaccount:{harness.OPERATOR_NS}:poor"
    binding = ["-n", harness.OPERATOR_NS, "--role", harness.ACCOUNT, f"--serviceaccount={harness.OPERATOR_NS}:poor"]
    kubectl = api.server.kubectl
    kubectl("create", "serviceaccount", "poor", "-n", harness.OPERATOR_NS)
    try:
        kubectl("create", "clusterrolebinding", "op-poor", f"--clusterrole={harness.ACCOUNT}", f"--user={poor}")
        kubectl("create", "rolebinding", "poor", *binding)
        token = kubectl("create", "token", "poor", "-n", harness.OPERATOR_NS).strip()
        with harness.operator(api.server.kubeconfig_with_token(token), tmp_path) as operator:
            said = f"waiting for the watch of configmaps in {harness.AGENT_NS}: "
            until(
                lambda: operator.logged(f"{said}list of configmaps in {harness.AGENT_NS}: 403 Forbidden"), "the words"
            )
            assert operator.health()[0] == 200
            make("edge")
            kubectl("create", "rolebinding", "poor", "-n", harness.AGENT_NS, *binding[2:])
            kubectl(
                "create", "rolebinding", "poor-events", "-n", "default", f"--role={harness.ACCOUNT}-events", binding[-1]
            )
            api.says("edge", "Accepted", "True", "Accepted")
    finally:
        kubectl("delete", "clusterrolebinding", "op-poor")
        for namespace in (harness.OPERATOR_NS, harness.AGENT_NS):
            kubectl("delete", "rolebinding", "poor", "-n", namespace, "--ignore-not-found")
        kubectl("delete", "rolebinding", "poor-events", "-n", "default", "--ignore-not-found")
        kubectl("delete", "serviceaccount", "poor", "-n", harness.OPERATOR_NS)


def test_it_waits_for_the_crd(run_operator: Run, tmp_path: Path) -> None:
    with run_apiserver() as server:
        server.kubectl("apply", "-f", "-", stdin=harness.RBAC)
        token = server.kubectl("create", "token", harness.ACCOUNT, "-n", harness.OPERATOR_NS).strip()
        kubeconfig = server.kubeconfig_with_token(token)
        with harness.operator(kubeconfig, tmp_path) as operator:
            until(lambda: operator.logged("does not serve vyosclusters yet"), "the operator to wait")
            assert operator.health() == (200, "ok\n")
            assert operator.stop() < 2
        with harness.operator(kubeconfig, tmp_path) as operator:
            until(lambda: operator.logged("does not serve vyosclusters yet"), "the operator to wait")
            serve(server)
            api = Api(server)
            api.psk("psk", secret=harness.SECRET)
            until(lambda: api.get(harness.CLUSTERS), "VyosClusters to be served")
            api.apply(f"{harness.CLUSTERS}/edge", harness.cluster("edge", spec()))
            api.says("edge", "Accepted", "True", "NodeNotFound")
            until(lambda: api.config_map("edge", "node2"), "the ConfigMaps")


def serve(server: ApiServer) -> None:
    server.kubectl("apply", "-f", str(ROOT / "crds/vyosclusters.cluster.vyos.io.yaml"))


def test_no_api_server_at_all(account: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nowhere = account.with_name("nowhere.conf")
    nowhere.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", account.read_text()))
    with harness.operator(nowhere, tmp_path) as operator:
        until(lambda: operator.logged("waiting: discovery: ClientConnectorError"), "the operator to wait")
        assert operator.health()[0] == 200
        assert operator.stop() < 2


def test_a_bad_environment_is_said_in_one_line() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "vyos_operator"],
        env={"PATH": os.environ["PATH"], "OPERATOR_NAMESPACE": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert found.stderr == (
        "vyos-cluster-operator: AGENT_NAMESPACE: is not set; it must name the namespace of the agents\n"
    )


NOBODY = """
import pwd, runpy
def getpwuid(uid):
    raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = getpwuid
runpy.run_module("vyos_operator", run_name="__main__")
"""
"""A container's user 65532 has no entry in /etc/passwd, and USER is not set."""


def test_no_way_to_log_in_and_no_port_are_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "OPERATOR_NAMESPACE": "a",
        "AGENT_NAMESPACE": "b",
        "LIVENESS_PORT": str(port),
    }

    def ends(**more: str) -> str:
        command = [sys.executable, "-m", "vyos_operator"]
        found = subprocess.run(command, env=environment | more, capture_output=True, text=True, check=False, timeout=30)
        assert found.returncode == 1
        return found.stderr

    assert "vyos-cluster-operator: neither a pod's ServiceAccount nor a kubeconfig to log in with: " in ends()
    with socket.create_server(("0.0.0.0", 0)) as taken:
        number = taken.getsockname()[1]
        text = ends(LIVENESS_PORT=str(number))
    assert text.startswith(f"vyos-cluster-operator: LIVENESS_PORT: cannot listen on {number}: ")
    text = ends(LIVENESS_ADDRESS="192.0.2.1")
    assert text.startswith(f"vyos-cluster-operator: LIVENESS_ADDRESS: cannot listen on 192.0.2.1 port {port}: ")


def test_it_needs_no_user_name(account: Path, tmp_path: Path) -> None:
    with harness.operator(account, tmp_path, program=("-c", NOBODY), LOG_FORMAT="json") as operator:
        until(lambda: operator.logged("all watches have shown everything"), "the operator to be at work")
        for line in operator.log.read_text().splitlines():
            assert set(json.loads(line)) == {"time", "level", "logger", "message"}


def test_the_probe_is_reachable_over_ipv6_too(api: Api, run_operator: Run) -> None:
    with run_operator() as operator:
        until(lambda: operator.logged("agents in namespace"), "the operator")
        try:
            with socket.create_connection(("::1", operator.port), timeout=2) as connection:
                connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.0 200")
        except (OSError, urllib.error.URLError) as error:
            if not Path("/proc/sys/net/ipv6").exists():
                pytest.skip("this machine has no IPv6")
            raise error
