"""What `helm test` runs in a pod: is everything that the chart installs there and at work?

Not about anybody's cluster: those have conditions. Asks the API server with an account of its own, which may read the
two objects that are named; what the API server serves, everybody may ask. It changes nothing, but where it is told an
interface: then an address is moved (throwaway.py), and the account may do that too.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from kubernetes.aio import client
from kubernetes.aio.config import ConfigException

from vyos_operator import cluster, throwaway
from vyos_operator.cluster import Cluster
from vyos_operator.kinds import Kind
from vyos_operator.queue import Retry
from vyos_operator.throwaway import Trial

DEPLOYMENTS = Kind("apps/v1", "Deployment", "deployments", namespaced=True)
DAEMON_SETS = Kind("apps/v1", "DaemonSet", "daemonsets", namespaced=True)
WAIT_S = 60
"""Enough for both to come up where the images are there; helm waits for five minutes."""
POLL_S = 1.0

Body = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Look until all is well or the time is over; 0 if it is, 1 with what is not."""
    parser = argparse.ArgumentParser(prog="python3 -m vyos_operator.checkup", description=main.__doc__)
    parser.add_argument("--operator", required=True, type=_place, metavar="NAMESPACE/DEPLOYMENT")
    parser.add_argument("--agents", required=True, type=_place, metavar="NAMESPACE/DAEMONSET")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="SECONDS", help="default: %(default)s")
    parser.add_argument("--move", metavar="NAME", help="move an address, by a VyosCluster of this name")
    parser.add_argument("--interface", metavar="INTERFACE", help="of the routers, for --move")
    parser.add_argument("--address", metavar="ADDRESS/LENGTH", help="that nobody has, for --move")
    parser.add_argument("--node", action="append", default=[], metavar="NODE", help="for --move, twice; or any two")
    options = parser.parse_args(argv)
    if options.move and not (
        options.interface and options.address and len(set(options.node)) == len(options.node) != 1
    ):
        parser.error("--move needs --interface, --address, and two nodes or none")
    try:
        problems = asyncio.run(_all(options))
    except ConfigException as error:
        problems = [f"neither a pod's ServiceAccount nor a kubeconfig to log in with: {error}"]
    except asyncio.CancelledError:
        problems = ["interrupted"]
    for problem in problems:
        print(f"not well: {problem}", file=sys.stderr)
    return 1 if problems else 0


def operator_problems(found: Body, name: str) -> list[str]:
    """What is wrong with the operator's Deployment."""
    status = found.get("status", {})
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return [f"deployment {name}: its newest version has not been looked at yet"]
    if status.get("updatedReplicas", 0) < 1 or status.get("availableReplicas", 0) < 1:
        return [f"deployment {name}: the operator does not run; kubectl describe says why"]
    return []


def agent_problems(found: Body, name: str) -> list[str]:
    """What is wrong with the agents' DaemonSet."""
    status = found.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return [f"daemonset {name}: its newest version has not been looked at yet"]
    if not wanted:
        return [f"daemonset {name}: no node shall run an agent; see agents.nodeSelector and agents.affinity"]
    ready, updated = status.get("numberReady", 0), status.get("updatedNumberScheduled", 0)
    if ready < wanted or updated < wanted:
        text = f"{ready} agents of {wanted} are ready, {updated} are of the newest version"
        return [f"daemonset {name}: {text}; kubectl describe says why"]
    return []


async def _all(options: argparse.Namespace) -> list[str]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # so that what was made is removed
    api = Cluster(client.ApiClient(await cluster.configuration()))
    try:
        problems = await _look(api, options.operator, options.agents, options.wait)
        if problems:
            return problems
        print("all is well: VyosClusters are served, the operator runs, and so does an agent on each node that shall")
        if options.move:
            try:
                nodes = tuple(options.node) or await throwaway.two_nodes(api, options.agents[0])
                trial = Trial(options.move, options.interface, options.address, nodes)
                await throwaway.move(api, trial, lambda text: print(text, flush=True))
            except (Retry, throwaway.Failed) as error:
                return [f"moving an address: {error}"]
        else:
            print("no address was moved: say over which interface with test.interface")
        return []
    finally:
        await api.close()


async def _look(api: Cluster, operator: tuple[str, str], agents: tuple[str, str], wait_s: float) -> list[str]:
    end = time.monotonic() + wait_s
    while True:
        try:
            problems = await _problems(api, operator, agents)
        except Retry as error:
            problems = [str(error)]
        if not problems or time.monotonic() >= end:
            return problems
        await asyncio.sleep(POLL_S)


async def _problems(api: Cluster, operator: tuple[str, str], agents: tuple[str, str]) -> list[str]:
    problems = []
    if not await api.serves_clusters():
        problems.append("the API server does not serve VyosClusters: install the CRD (crds.enabled)")
    problems += operator_problems(await api.read(DEPLOYMENTS, *operator), "/".join(operator))
    problems += agent_problems(await api.read(DAEMON_SETS, *agents), "/".join(agents))
    return problems


def _place(text: str) -> tuple[str, str]:
    namespace, _, name = text.partition("/")
    if not namespace or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAMESPACE/NAME")
    return namespace, name


if __name__ == "__main__":
    sys.exit(main())
