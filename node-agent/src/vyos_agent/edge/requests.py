"""The requests that the daemon answers on its control socket: reading their fields, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from vyos_agent.core.model import Force
from vyos_agent.edge import orders
from vyos_agent.edge.control import ControlError, Handler
from vyos_agent.edge.daemon import Daemon

TIMEOUT_MS = 30_000
TIMEOUT_MAX_MS = 60_000
"""A poll that is never answered would hide that its client is gone."""


def handlers(daemon: Daemon, *, file: str | None, restart: Callable[[], Awaitable[None]]) -> dict[str, Handler]:
    """By `op`. `file`: where the configuration comes from instead of this socket. `restart`: leave and begin anew."""

    async def configure(request: Mapping[str, Any]) -> dict[str, Any]:
        if file is not None:
            raise ControlError(f"this daemon is configured by {file}; edit that and send SIGHUP")
        try:
            ordered = orders.read(request.get("clusters"), daemon.node)
        except orders.OrderError as error:
            raise ControlError(str(error)) from None
        return {"refused": [refusal.as_json() for refusal in await daemon.configure(ordered)]}

    async def report(request: Mapping[str, Any]) -> dict[str, Any]:
        after = _number(request, "after", None, 2**53)
        timeout_ms = _number(request, "timeoutMs", TIMEOUT_MS, TIMEOUT_MAX_MS)
        return {"report": await daemon.report(after, (timeout_ms or 0) / 1000)}

    async def explain(request: Mapping[str, Any]) -> dict[str, Any]:
        return {"node": daemon.node, "clusters": daemon.explain(_name(request, "cluster"))}

    async def history(request: Mapping[str, Any]) -> dict[str, Any]:
        cluster, group = _name(request, "cluster"), _name(request, "group")
        found = [_of_group(c, group) for c in daemon.history(cluster) if group in (None, *c["groups"])]
        if not found and (cluster, group) != (None, None):
            known = ", ".join(f"{c['cluster']}/{g}" for c in daemon.history(None) for g in c["groups"])
            raise ControlError(f"{_nowhere(cluster, group)}; it is one of: {known or 'none'}")
        return {"node": daemon.node, "clusters": found}

    async def metrics(request: Mapping[str, Any]) -> dict[str, Any]:
        return {"metrics": daemon.metrics()}

    async def force(request: Mapping[str, Any]) -> dict[str, Any]:
        words = [command.value for command in Force]
        to, cluster, group = request.get("to"), _name(request, "cluster"), _name(request, "group")
        if to not in words:
            raise ControlError(f"to: must be {' or '.join(words)}")
        concerned = daemon.force(Force(to), cluster, group)
        if not concerned:
            raise ControlError(_nowhere(cluster, group))
        return {"clusters": concerned}

    async def begin_anew(request: Mapping[str, Any]) -> dict[str, Any]:
        await restart()
        return {"instance": daemon.instance}

    return {
        "configure": configure,
        "report": report,
        "explain": explain,
        "history": history,
        "metrics": metrics,
        "force": force,
        "restart": begin_anew,
    }


def _of_group(cluster: dict[str, Any], group: str | None) -> dict[str, Any]:
    if group is None:
        return cluster
    return cluster | {"groups": [group], "moves": [move for move in cluster["moves"] if move["group"] == group]}


def _nowhere(cluster: str | None, group: str | None) -> str:
    what = f"group {group}" if group is not None else "group"
    where = f"cluster {cluster}" if cluster is not None else "any cluster here"
    return f"this node is a member of no {what} of {where}"


def _name(request: Mapping[str, Any], field: str) -> str | None:
    value = request.get(field)
    if value is not None and not isinstance(value, str):
        raise ControlError(f"{field}: must be a name")
    return value


def _number(request: Mapping[str, Any], name: str, default: int | None, most: int) -> int | None:
    value = request.get(name, default)
    if value is not None and (type(value) is not int or not 0 <= value <= most):
        raise ControlError(f"{name}: must be a whole number from 0 to {most}")
    return value
