"""The ground for tests: one object that knows its nodes, breaks them, and looks at them from outside.

    def test_power_cut(ground: Ground) -> None:
        owner = ground.wait_holder("192.168.0.123")
        with ground.probe("192.168.0.123") as probe:
            ground.fault.power_off(owner)
            ground.wait_holder("192.168.0.123", 5, other_than=owner)
        assert probe.longest_gap_ms < 3000
        ground.mend()

The fixture `ground` is in tests/conftest.py. All waiting has an end, and its error says what was waited for.
"""

import ipaddress
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ground import lifecycle, network, nodes
from ground.bins import bins
from ground.faults import Faults
from ground.layout import NODES, netns
from ground.probe import Probe
from ground.shell import GroundError, run, wait
from ground.sockets import socket_in

T = TypeVar("T")

MEND_S = 240
"""After ten minutes without an API server a kubelet took more than a minute to come back, by its own growing waits."""


class Ground:
    """A running ground."""

    nodes = NODES

    def __init__(self) -> None:
        self.fault = Faults()
        self.api = lifecycle.api_server()

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig, for clients in the root namespace."""
        return lifecycle.KUBECONFIG

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Run kubectl as the admin and return what it printed."""
        return self.api.kubectl(*arguments, stdin=stdin, timeout_s=timeout_s)

    def get(self, *arguments: str) -> Any:
        """Run `kubectl get ... -o json` and return the object."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def helm(self, *arguments: str, timeout_s: float = 180) -> str:
        """Run helm and return what it printed."""
        return run(str(bins() / "helm"), *arguments, env=environment(), timeout_s=timeout_s)

    def exec(self, node: str, *command: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Run a command on a node, as root, and return what it printed."""
        return nodes.execute(node, *command, stdin=stdin, timeout_s=timeout_s)

    def ssh(self, node: str, *command: str) -> str:
        """Run a command on a node over ssh from the client; an error when nobody answers."""
        return run(*nodes.ssh(node, *command), timeout_s=20)

    def holders(self, address: str) -> set[str]:
        """Return the nodes that hold an IP address on any of their interfaces, by their kernels' own word."""
        wanted = ipaddress.ip_address(address.partition("/")[0])
        held: set[str] = set()
        for node in NODES:
            try:
                links = json.loads(network.ip(netns(node), "-j", "address", "show"))
            except GroundError:  # it is off: without power there is not even a network namespace
                continue
            local = [info.get("local", "") for link in links for info in link.get("addr_info", [])]
            if any(ipaddress.ip_address(text) == wanted for text in local if text):
                held.add(node)
        return held

    def wait_holder(self, address: str, timeout_s: float = 30, *, other_than: str = "") -> str:
        """Wait until exactly one node (other than a given one) holds an address, and return its name."""

        def one() -> set[str] | None:
            held = self.holders(address) - {other_than}
            return held if len(held) == 1 else None

        return next(iter(self.wait(one, timeout_s, f"one holder of {address}")))

    def probe(self, address: str, *, interval_ms: int = 10, hops: int = 64) -> Probe:
        """Return a client that pings an address while in a `with`; with one hop no router forwards its question."""
        return Probe(address, interval_ms=interval_ms, hops=hops)

    def socket(self, machine: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a socket in a machine's network (a node's, "ctl" or "client"): to listen and send there."""
        return socket_in(netns(machine), family, kind, protocol)

    def client_arp(self, address: str) -> str | None:
        """Return the MAC address that the client's neighbour table has for an address."""
        entries = json.loads(network.ip(netns("client"), "-j", "neigh", "show", address) or "[]")
        return next((entry["lladdr"] for entry in entries if "lladdr" in entry), None)

    def client_forgets(self, address: str) -> None:
        """Take an address out of the client's neighbour table."""
        network.ip(netns("client"), "neigh", "flush", "to", address)

    def mac(self, node: str, interface: str = "eth0") -> str:
        """Return the MAC address of a node's interface."""
        links = json.loads(network.ip(netns(node), "-j", "link", "show", interface))
        return str(links[0]["address"])

    def ready(self, node: str) -> bool:
        """Say whether Kubernetes calls a node Ready, and means its present boot."""
        return lifecycle.ready(node)

    def wait(self, condition: Callable[[], T | None], timeout_s: float, what: str) -> T:
        """Ask until the answer is truthy and return it; the error names what was waited for."""
        return wait(condition, timeout_s, what)

    def mend(self) -> None:
        """Undo every fault there is, switch all nodes on, and wait until all are Ready: for the end of a test."""
        self.fault.heal()
        lifecycle.start_etcd()
        if not self.api.ready():
            lifecycle.revive_api_server()
        for node in NODES:
            nodes.revive(node)
            for change in (self.fault.plug, self.fault.unmute):
                change(node)
        wait(self.api.ready, 30, "/readyz of the API server")
        lifecycle.renew_controllers()
        for node in NODES:
            wait(lambda node=node: self.ready(node), MEND_S, f"{node} to be Ready", every_s=0.2)  # type: ignore[misc]


def environment() -> dict[str, str]:
    """Return an environment in which kubectl and helm are found and find the ground's API server."""
    path = f"{bins()}:{os.environ.get('PATH', '')}"
    return {**os.environ, "KUBECONFIG": str(lifecycle.KUBECONFIG), "PATH": path, "NO_PROXY": "*"}


@contextmanager
def running() -> Iterator[Ground]:
    """Bring the ground up for the length of a `with`, and take it down whatever happens."""
    lifecycle.up()
    try:
        yield Ground()
    finally:
        lifecycle.down()
