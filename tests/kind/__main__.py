"""`make kind-demo`: a kind cluster, the chart, an example, and a failover when a node's container is stopped."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from ground.shell import GroundError, say
from kind.cluster import Kind, down, running


def main(arguments: list[str]) -> int:
    """Show the demo, or take down what is left (`down`); the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    if arguments not in ([], ["down"]):
        print("usage: python -m kind [down]", file=sys.stderr)
        return 2
    try:
        if arguments:
            down()
        else:
            with running() as kind:
                show(kind)
            say("all of it is gone again")
    except GroundError as error:
        print(f"kind: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("kind: interrupted; everything was taken down", file=sys.stderr)
        return 130
    return 0


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


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
