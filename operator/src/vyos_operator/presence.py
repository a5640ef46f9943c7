"""Whose agent is there at all, by the word of Kubernetes: the Nodes, and the pods of the agents. Pure.

Agents tell of each other, and what they tell goes before this. It is for what they cannot tell: the death of the last
one, and a Node that never had one. Kubernetes' word is coarse: a container that runs may hang, a kubelet is missed only
40 s or more after its Node has lost power (--node-monitor-grace-period), and an agent that Kubernetes does not see may
live on, as its peers then know.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping

from vyos_operator.world import Absence, Body

HEARTBEAT = "heartbeat"
"""The container without which an agent is dead."""
KUBE_SYNC = "kube-sync"
"""The container without which an agent lives, and tells nothing here."""
SHORT = datetime.timedelta(minutes=10)
"""A container that ran for less than that is started later each time (twice the longest wait, in the kubelet)."""
NO_NODE = Absence("no Node is called so", dead=False)
SILENT_NODE = Absence("its Node is silent", dead=False)
NO_POD = Absence("no agent's pod is on its Node", dead=True)


def of_pod(pod: Body) -> Absence | None:
    """What an agent's pod is short of; None where it runs, as far as its kubelet tells."""
    status = pod.get("status") or {}
    phase = status.get("phase") or "Pending"
    if phase in ("Failed", "Succeeded"):
        return Absence(f"its agent's pod has ended ({status.get('reason') or phase})", dead=True)
    containers = {c.get("name"): c for c in status.get("containerStatuses") or ()}
    restarts = "deletionTimestamp" not in pod["metadata"]
    for container in (HEARTBEAT, KUBE_SYNC):
        found = containers.get(container, {})
        state = found.get("state") or {}
        if container == KUBE_SYNC and restarts and (end := _crash(found)) is not None:
            why = end.get("reason") or f"exit code {end.get('exitCode')}"
            return Absence(f"its agent's container {container} ended soon after its start ({why})", dead=False)
        # A container that has ended is started anew at once, or its kubelet soon says that it waits: no news yet.
        if not ("running" in state or ("terminated" in state and restarts)):
            why = next((s["reason"] for s in state.values() if s and s.get("reason")), phase)
            return Absence(f"its agent's container {container} does not run ({why})", dead=container == HEARTBEAT)
    return None


def of_node(pods: Collection[Absence | None]) -> Absence | None:
    """What the agent of a Node with these pods is short of: the best of them counts, as an old one may be leaving."""
    return min(pods, key=lambda absence: 0 if absence is None else 1 + absence.dead, default=NO_POD)


def absences(
    members: Iterable[str], *, nodes: Collection[str], lost: Collection[str], agents: Mapping[str, Absence | None]
) -> dict[str, Absence]:
    """The members whose agent is not there or cannot be seen. `agents`: of Nodes with a pod, what their agent lacks."""
    found: dict[str, Absence] = {}
    for member in members:
        if member not in nodes:
            absence: Absence | None = NO_NODE
        else:
            absence = SILENT_NODE if member in lost else agents.get(member, NO_POD)
        if absence is not None:
            found[member] = absence
    return found


def gone(members: Collection[str], absent: Mapping[str, Absence]) -> dict[str, str]:
    """The members whose last report counts for nothing, and why.

    Of an agent that only cannot be seen, its peers would know whether it lives; where no peer is left, nobody does.
    """
    nobody = len(absent) == len(members)
    return {member: absence.why for member, absence in absent.items() if absence.dead or nobody}


def _crash(container: Body) -> Body | None:
    """The end of a container's last life, where that was short and in disorder, and it is not ready since.

    So a crash loop is one absence from its first end on, and not one more at each try.
    """
    states = (container.get(key) or {} for key in ("state", "lastState"))
    ended = next((state["terminated"] for state in states if state.get("terminated")), None)
    if ended is None or not ended.get("exitCode") or container.get("ready"):
        return None
    try:
        began, ends = (datetime.datetime.fromisoformat(ended.get(at) or "") for at in ("startedAt", "finishedAt"))
    except ValueError:
        return None
    return ended if ends - began < SHORT else None
