"""The operator's process: settings, one event loop, kopf and the workers in it, and a clean stop.

Wiring only; nothing here decides anything about a cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import kopf
from kubernetes.aio import client
from kubernetes.aio.config import ConfigException

from vyos_api import __version__, usage
from vyos_api.environment import SettingsError
from vyos_operator import cluster, handlers, kinds, logs, plan, settings
from vyos_operator.cluster import Cluster
from vyos_operator.liveness import Liveness
from vyos_operator.metrics import Metrics
from vyos_operator.queue import Retry, WorkQueue
from vyos_operator.settings import Settings
from vyos_operator.store import Store
from vyos_operator.watchdog import Watchdog

logger = logging.getLogger(__name__)

USAGE = """usage: vyos-cluster-operator [--help | --version]

Writes for each member of each VyosCluster what it is to do, and each VyosCluster's conditions and Events.
Settings come from the environment: OPERATOR_NAMESPACE, AGENT_NAMESPACE (both required), POD_NAME, LIVENESS_PORT,
LIVENESS_ADDRESS, RESYNC_SECONDS, AUDIT_SECONDS, LOG_FORMAT (text or json). No cluster may share the address in
KUBERNETES_SERVICE_HOST, which Kubernetes sets.
The API is that of the pod, or of KUBECONFIG.
"""
POLL_S = 2.0
"""How often a CRD that is not there yet is looked for."""
IDENTITY: Any = "vyos-cluster-operator"
"""kopf's name for us; without one it asks for the user's name, and a container's user has none."""


def main() -> None:
    """Entry point of vyos-cluster-operator."""
    usage.answer(USAGE, sys.argv[1:])
    try:
        found = settings.from_environment(os.environ)
    except SettingsError as error:
        sys.exit(f"vyos-cluster-operator: {error}")
    logs.configure(found.log_format)
    asyncio.run(run(found))


async def run(found: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    liveness = Liveness()
    queue = WorkQueue(lambda name: metrics.timed(_reconcile(name, store, api)))
    store = Store(found, queue.mark)
    metrics = Metrics(store.conditions)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(liveness.served(found.liveness_address, found.liveness_port, metrics.page))
        except OSError as error:
            address, port = found.liveness_address, found.liveness_port
            name, place = ("LIVENESS_ADDRESS", f"{address} port {port}") if address else ("LIVENESS_PORT", port)
            sys.exit(f"vyos-cluster-operator: {name}: cannot listen on {place}: {error.strerror}")
        try:
            api = Cluster(client.ApiClient(await cluster.configuration()))
        except ConfigException as error:
            sys.exit(f"vyos-cluster-operator: neither a pod's ServiceAccount nor a kubeconfig to log in with: {error}")
        stack.push_async_callback(api.close)
        logger.info("vyos-cluster-operator %s: agents in namespace %s", __version__, found.agent_namespace)
        if await _unless_stopped(_wait_for_crd(api)):
            await _operate(found, api, liveness, store, queue)
    logger.info("stopped")


async def _operate(found: Settings, api: Cluster, liveness: Liveness, store: Store, queue: WorkQueue) -> None:
    watches = kinds.watches(found)
    watchdog = Watchdog(api, store, liveness, [w for each in watches.values() for w in each], every_s=found.audit_s)
    stop = asyncio.Event()
    _on_signal(stop.set)
    ready = {namespace: asyncio.Event() for namespace in watches}

    async def work() -> None:
        await watchdog.whole()
        await queue.run()

    async def resync() -> None:
        while True:
            await asyncio.sleep(found.resync_s)
            for name in store.clusters():
                queue.mark(name)

    async def watch(namespace: str) -> None:
        try:
            await kopf.operator(
                registry=handlers.register(store, watches[namespace], watchdog.listed),
                settings=handlers.settings(),
                identity=IDENTITY,
                namespaces=[namespace],
                standalone=True,
                stop_flag=stop,
                ready_flag=ready[namespace],
            )
        finally:
            stop.set()  # one without the other is of no use
            ready[namespace].set()

    async with asyncio.TaskGroup() as group:
        # All before kopf begins: whatever is started after that, kopf takes for its own and waits for at the end
        own = [group.create_task(coroutine) for coroutine in (work(), resync(), watchdog.run())]
        for namespace in watches:
            group.create_task(watch(namespace))
        for event in ready.values():
            await event.wait()
        _on_signal(stop.set)  # each kopf has set its own: they are to end together
        await stop.wait()
        for task in own:
            task.cancel()


async def _reconcile(name: str, store: Store, api: Cluster) -> None:
    """One look at one cluster: gather, plan, carry out."""
    world = store.world(name, datetime.datetime.now(datetime.UTC))
    if world is None:
        return
    todo = plan.plan_for(world)
    if todo.unreadable_status:
        logger.warning("cluster %s: its status cannot be read; keys, status and Events are left as they are", name)
    if todo.holds is not None:  # at once, so that no other worker gives the same address away meanwhile
        store.plan_to_hold(name, todo.holds)
    await api.carry_out(name, todo, store)


async def _wait_for_crd(api: Cluster) -> None:
    """Wait until VyosClusters are served: kopf does not notice a kind that comes later."""
    said = ""
    while True:
        try:
            if await api.serves_clusters():
                return
            problem = f"the API server does not serve {kinds.CLUSTERS.plural} yet (is the CRD installed?)"
        except Retry as error:
            problem = str(error)
        if problem != said:
            logger.warning("waiting: %s", problem)
            said = problem
        await asyncio.sleep(POLL_S)


async def _unless_stopped(doing: Coroutine[None, None, None]) -> bool:
    """Await something, but no longer than until SIGTERM or SIGINT; whether it was done."""
    task = asyncio.ensure_future(doing)
    _on_signal(task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True


def _on_signal(do: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, do)


if __name__ == "__main__":
    main()
