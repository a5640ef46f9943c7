"""`make kind-demo`: a kind cluster, the chart, an example, and a failover when a node's container is stopped."""

from __future__ import annotations

import sys
import time

from ground.shell import exit_code, say
from kind.cluster import Kind, down, running


def main(arguments: list[str]) -> int:
    """Show the demo, or take down what is left (`down`); the exit code."""
    if arguments not in ([], ["down"]):
        print("usage: python -m kind [down]", file=sys.stderr)
        return 2
    return exit_code("kind", down if arguments else _run, "interrupted; everything was taken down")


def _run() -> None:
    with running() as kind:
        show(kind)
    say("all of it is gone again")


def show(kind: Kind) -> None:
    """The tour; raises GroundError where something does not come about in time."""
    print(kind.kubectl("get", "nodes"), flush=True)
    say("installing the chart: the operator, and an agent on every node ...")
    product = kind.install()
    say("applying examples/demo.yaml, with this cluster's nodes and an address of its network")
    print(kind.kubectl("apply", "-f", "-", stdin=kind.example()), flush=True)
    product.wait_condition("edge", "Available")
    address = kind.address().partition("/")[0]
    owner = kind.wait_holder(address)
    print(kind.kubectl("get", "vyosclusters"), flush=True)
    kind.wait(lambda: kind.answers(address), 10, f"{address} to answer")
    say(f"{address} answers, on {owner}. docker kill {owner} ...")
    start = time.monotonic()
    kind.run("docker", "kill", owner)
    heir = kind.wait_holder(address, other_than=owner)
    kind.wait(lambda: kind.answers(address), 10, f"{address} to answer")
    say(f"{address} answers again, on {heir}, {time.monotonic() - start:.1f} s after the kill (seen from here)")
    product.wait_owner("edge", "cluster", heir)
    print(kind.kubectl("get", "vyosclusters"), flush=True)
    say("deleting the cluster and the release")
    product.delete("edge")
    product.uninstall()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
