"""`make demo`: what a newcomer sees first. Three routers, one resource, a power cut, and the address lives on.

Everything is real but the machines, which are namespaces of this one (tests/ground/README.md); all of it goes at the
end, whatever happens.
"""

from __future__ import annotations

import os
import sys
import time

import yaml

from ground import layout, lifecycle
from ground.api import Ground, running
from ground.cli import INSTALL
from ground.shell import GroundError, exit_code, say
from product import AGENTS_NAMESPACE, NAMESPACE, ROOT, Product

EXAMPLE = "examples/demo.yaml"
ADDRESS = "192.168.0.123"
INTERVAL_MS = 10
BEFORE_S, AFTER_S = 3, 2
"""How long the client probes before the power cut, and after the address has moved."""


def main() -> int:
    """Run the demo; the exit code."""
    return exit_code("demo", _tour, "interrupted; everything was taken down")


def _tour() -> None:
    _refuse_where_it_cannot_run()
    with running() as ground:
        show(ground)
    say("all of it is gone again; `tests/ground/ground up` gives you the routers to play with, and this the product:")
    say(f"  {INSTALL}")


def show(ground: Ground) -> None:
    """The tour; raises GroundError where something does not come about in time."""
    product = Product(ground)
    say("installing the chart: the operator, and an agent on every router ...")
    product.install()
    say(f"the operator runs in namespace {NAMESPACE}, the agents in {AGENTS_NAMESPACE}")
    _run(ground, "apply", "-f", EXAMPLE)
    product.wait_condition("edge", "Available")
    _run(ground, "get", "vyosclusters")
    owner = ground.wait_holder(ADDRESS)
    _addresses(ground, owner)
    dead = next(d for d in yaml.safe_load_all((ROOT / EXAMPLE).read_text()) if d["kind"] == "VyosCluster")
    say(f"a client at {layout.address('client')} begins to ping {ADDRESS}, once every {INTERVAL_MS} ms")
    with ground.probe(ADDRESS, interval_ms=INTERVAL_MS) as probe:
        time.sleep(BEFORE_S)
        say(f"cutting the power of {owner} (deadInterval: {dead['spec']['deadInterval']}) ...")
        ground.fault.power_off(owner)
        heir = ground.wait_holder(ADDRESS, 30, other_than=owner)
        time.sleep(AFTER_S)
    _addresses(ground, heir)
    product.wait_owner("edge", "cluster", heir)
    _run(ground, "get", "vyosclusters")
    for event in product.events("edge"):
        say(f"  event {event['reason']}: {event['message']}")
    say(f"{heir} owns {ADDRESS} now. The client was without an answer for {probe.longest_gap_ms} ms")
    say(f"({probe})")


def _refuse_where_it_cannot_run() -> None:
    if os.geteuid() != 0:
        raise GroundError("the routers are network namespaces of this machine: run it as root (sudo make demo)")
    lifecycle.check()


def _run(ground: Ground, *arguments: str) -> None:
    """Run kubectl as a person would, and show it."""
    print(f"\n$ kubectl {' '.join(arguments)}", flush=True)
    print(ground.kubectl(*(str(ROOT / a) if a == EXAMPLE else a for a in arguments)), flush=True)


def _addresses(ground: Ground, node: str) -> None:
    print(f"\n{node}$ ip -brief address show dev eth0", flush=True)
    print(ground.exec(node, "ip", "-brief", "-4", "address", "show", "dev", "eth0"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
