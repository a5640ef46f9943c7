"""Who is there by the word of Kubernetes: pods and Nodes -> what each member's agent is short of."""

from __future__ import annotations

from typing import Any

import pytest

from vyos_operator.presence import NO_NODE, NO_POD, SILENT_NODE, absences, gone, of_node, of_pod
from vyos_operator.world import Absence

Json = dict[str, Any]
RUNS: Json = {"running": {"startedAt": "2026-11-24T12:00:00Z"}}
ENDED: Json = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
WAITS: Json = {"waiting": {"reason": "CrashLoopBackOff"}}
DEAD = Absence("dead", dead=True)
MUTE = Absence("mute", dead=False)


def pod(phase: str | None = "Running", *, leaving: bool = False, reason: str = "", **states: Json) -> Json:
    found = [{"name": name.replace("_", "-"), "state": state} for name, state in states.items()]
    meta = {"name": "agent-x7", "namespace": "agents"} | ({"deletionTimestamp": "2026"} if leaving else {})
    status = {"phase": phase, "reason": reason, "containerStatuses": found} if phase else {}
    return {"metadata": meta, "spec": {"nodeName": "node1"}, "status": status}


@pytest.mark.parametrize(
    ("body", "why", "dead"),
    [
        pytest.param(pod(heartbeat=RUNS, kube_sync=RUNS), None, None, id="runs"),
        pytest.param(
            pod(heartbeat=RUNS, kube_sync=RUNS, mesh=WAITS), None, None, id="what is not ours does not matter"
        ),
        pytest.param(pod(heartbeat=RUNS, kube_sync=RUNS, leaving=True), None, None, id="still runs, though deleted"),
        pytest.param(pod(heartbeat=ENDED, kube_sync=RUNS), None, None, id="between two lives of a container"),
        pytest.param(
            pod(heartbeat=WAITS, kube_sync=RUNS),
            "container heartbeat does not run (CrashLoopBackOff)",
            True,
            id="waits",
        ),
        pytest.param(
            pod(heartbeat=ENDED, kube_sync=ENDED, leaving=True),
            "container heartbeat does not run (OOMKilled)",
            True,
            id="ended for good",
        ),
        pytest.param(
            pod(heartbeat=RUNS, kube_sync=WAITS),
            "container kube-sync does not run (CrashLoopBackOff)",
            False,
            id="lives and cannot tell",
        ),
        pytest.param(
            pod("Pending", heartbeat={"waiting": {"reason": "ErrImagePull"}}),
            "container heartbeat does not run (ErrImagePull)",
            True,
            id="no image",
        ),
        pytest.param(pod("Pending"), "container heartbeat does not run (Pending)", True, id="not started"),
        pytest.param(pod(None), "container heartbeat does not run (Pending)", True, id="no status yet"),
        pytest.param(pod(heartbeat={}, kube_sync={}), "does not run (Running)", True, id="no states"),
        pytest.param(
            pod("Failed", reason="Evicted", heartbeat=RUNS, kube_sync=RUNS), "has ended (Evicted)", True, id="evicted"
        ),
        pytest.param(pod("Succeeded"), "its agent's pod has ended (Succeeded)", True, id="ended"),
    ],
)
def test_a_pod(body: Json, why: str | None, dead: bool | None) -> None:
    found = of_pod(body)
    if why is None:
        assert found is None
    else:
        assert found is not None
        assert why in found.why
        assert found.dead is dead


BEGAN, SOON, LATE = (f"2026-11-24T12:{minute}:00Z" for minute in ("00", "03", "10"))


def sync(state: str, ready: bool, end: str | None = None, **more: str | int) -> Json:
    """kube-sync beside a heartbeat that runs; `end`: of a life that began at BEGAN, the present or the former one."""
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": BEGAN, "finishedAt": end} | more}
    found = pod(heartbeat=RUNS, kube_sync=RUNS)
    container = found["status"]["containerStatuses"][1] | {"ready": ready}
    if state == "terminated":
        container["state"] = ended
    else:
        container["state"] = {state: {}} | ({"waiting": {"reason": "CrashLoopBackOff"}} if state == "waiting" else {})
        container |= {"lastState": ended} if end else {}
    found["status"]["containerStatuses"][1] = container
    return found


@pytest.mark.parametrize("state", ["terminated", "waiting", "running"])
def test_a_crash_loop_is_one_absence(state: str) -> None:
    """Else the condition would come and go with each try."""
    why = "its agent's container kube-sync ended soon after its start (Error)"
    assert of_pod(sync(state, False, SOON)) == Absence(why, dead=False)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(sync("running", False), id="it begins"),
        pytest.param(sync("running", True, SOON), id="it is well again"),
        pytest.param(sync("running", False, SOON, exitCode=0), id="it was told to end, as at a reboot"),
        pytest.param(sync("running", False, LATE), id="it was well, ended, and begins anew"),
        pytest.param(sync("terminated", False, LATE), id="it was well, and ends"),
        pytest.param(sync("terminated", False, SOON, startedAt=""), id="nobody knows when it began"),
    ],
)
def test_a_container_that_ends_once_is_no_news(body: Json) -> None:
    assert of_pod(body) is None


@pytest.mark.parametrize(
    ("pods", "best"),
    [([], NO_POD), ([DEAD], DEAD), ([DEAD, None], None), ([DEAD, MUTE], MUTE), ([None, MUTE], None)],
)
def test_the_best_of_a_nodes_pods_counts(pods: list[Absence | None], best: Absence | None) -> None:
    assert of_node(pods) == best
    assert of_node(pods[::-1]) == best


@pytest.mark.parametrize(
    ("nodes", "lost", "agents", "absent", "gone_"),
    [
        pytest.param("ab", "", {"a": None, "b": None}, {}, "", id="both run"),
        pytest.param("ab", "", {"a": None}, {"b": NO_POD}, "b", id="one has no pod"),
        pytest.param("ab", "", {"a": None, "b": DEAD}, {"b": DEAD}, "b", id="one is dead"),
        pytest.param("ab", "b", {"a": None, "b": DEAD}, {"b": SILENT_NODE}, "", id="a silent Node's pod tells nothing"),
        pytest.param("a", "", {"a": None, "b": None}, {"b": NO_NODE}, "", id="a Node deleted under a running agent"),
        pytest.param("ab", "", {"a": None, "b": MUTE}, {"b": MUTE}, "", id="one cannot report: its peer would know"),
        pytest.param("ab", "ab", {"a": None, "b": None}, {"a": SILENT_NODE, "b": SILENT_NODE}, "ab", id="silence"),
        pytest.param("ab", "a", {"a": None}, {"a": SILENT_NODE, "b": NO_POD}, "ab", id="no peer is left to know"),
        pytest.param("", "", {}, {"a": NO_NODE, "b": NO_NODE}, "ab", id="no Nodes"),
    ],
)
def test_who_is_gone(
    nodes: str, lost: str, agents: dict[str, Absence | None], absent: dict[str, Absence], gone_: str
) -> None:
    found = absences("ab", nodes=set(nodes), lost=set(lost), agents=agents)
    assert found == absent
    assert gone("ab", found) == {member: absent[member].why for member in gone_}
