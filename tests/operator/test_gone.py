"""Agents that can report no more: what Kubernetes and their peers tell of them -> conditions."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from vyos_operator import plan, presence
from vyos_operator.checks import field
from vyos_operator.world import Absence

from .worlds import carried_out, cluster, conditions, group, message, owned, reported, said, world

Json = dict[str, Any]
THREE = carried_out(world(cluster(group("cluster", "node1", "node2", "node3"))))
OWNER = said("node1", cluster=("Owner", "node1"))
STANDBYS = (said("node2", cluster=("Standby", "node1")), said("node3", cluster=("Standby", "node1")))


def standby(node: str, *deviations: tuple[str, str, str], owner: str = "node2") -> Json:
    return said(node, deviations=deviations, cluster=("Standby", owner))


DEAD = Absence("its agent's container heartbeat does not run (CrashLoopBackOff)", dead=True)
MUTE = Absence("its agent's container kube-sync does not run (CrashLoopBackOff)", dead=False)


@pytest.mark.parametrize(
    ("lost", "agents", "expected"),
    [
        pytest.param("", "+++", ("True", "Available"), id="all run"),
        pytest.param("123", "+++", ("Unknown", "NoAgents"), id="all Nodes are silent"),
        pytest.param("12", "+++", ("True", "Available"), id="one Node is not silent"),
        pytest.param("4", "+++", ("True", "Available"), id="somebody else's Node is silent"),
        pytest.param("", "   ", ("Unknown", "NoAgents"), id="no pods at all"),
        pytest.param("", "xxx", ("Unknown", "NoAgents"), id="all are dead"),
        pytest.param("", "mmm", ("Unknown", "NoAgents"), id="nobody can report"),
        pytest.param("1", " xm", ("Unknown", "NoAgents"), id="each for a reason of its own"),
        pytest.param("1", "x+m", ("True", "Available"), id="one runs, and knows of the others that they live"),
    ],
)
def test_when_no_agent_is_left_the_last_reports_are_not_believed(
    lost: str, agents: str, expected: tuple[str, str]
) -> None:
    absences = {"+": None, "x": DEAD, "m": MUTE}
    found = reported(
        THREE,
        OWNER,
        *STANDBYS,
        groups=(owned("node1"),),
        lost=frozenset(f"node{n}" for n in lost),
        agents={f"node{i}": absences[a] for i, a in enumerate(agents, 1) if a != " "},
    )
    found.cluster["status"].pop("conditions", None)
    assert conditions(plan.plan_for(found))["Available"] == expected


def test_who_is_gone_is_said_with_the_reason() -> None:
    agents = {"node1": DEAD, "node2": None}
    found = reported(THREE, OWNER, lost=frozenset({"node2"}), agents=agents)
    assert message(plan.plan_for(found), "Available") == (
        "nobody is left to report: node1: its agent's container heartbeat does not run (CrashLoopBackOff); "
        "node2: its Node is silent; node3: no agent's pod is on its Node (spec.groups[0].secondaries[1])"
    )
    back = plan.plan_for(dataclasses.replace(carried_out(found), lost=frozenset()))
    assert conditions(back)["Available"] == ("False", "NoOwner"), "it clears with the first that is back"


def test_a_new_cluster_without_agents_is_told_so_at_once() -> None:
    assert conditions(plan.plan_for(world(agents={})))["Available"] == ("Unknown", "NoAgents")
    assert conditions(plan.plan_for(world()))["Available"] == ("False", "Pending")


@pytest.mark.parametrize(
    ("entries", "agents", "available", "members", "degraded"),
    [
        pytest.param(
            [OWNER, *STANDBYS],
            {"node1": None, "node2": None},
            ("True", "Available"),
            "2/3",
            "node3: no agent's pod is on its Node (spec.groups[0].secondaries[1]); stale in status.nodes: node3",
            id="a standby has lost its pod",
        ),
        pytest.param(
            [OWNER, *STANDBYS],
            {"node1": DEAD, "node2": None, "node3": None},
            ("False", "NoOwner"),
            "2/3",
            f"node1: {DEAD.why}; stale in status.nodes: node1",
            id="the owner is dead, and its peers have not told yet",
        ),
        pytest.param(
            [OWNER, said("node2", dead={"node1": 9}, cluster=("Owner", "node2"))],
            {"node1": DEAD, "node2": None},
            ("False", "NoOwner"),
            "1/3",
            f"node1: {DEAD.why}; node3: no agent's pod is on its Node (spec.groups[0].secondaries[1]); "
            "stale in status.nodes: node1",
            id="one never had an agent, so has no entry that could be stale",
        ),
        pytest.param(
            [OWNER, *STANDBYS],
            {"node1": MUTE, "node2": None, "node3": None},
            ("True", "Available"),
            "3/3",
            f"node1 may be unable to report: {MUTE.why}; perhaps stale in status.nodes: node1",
            id="the owner lives and cannot report: its peers would know if it did not",
        ),
        pytest.param(
            [said("node1", dead={"node3": 9}, cluster=("Owner", "node1")), *STANDBYS],
            {"node1": None, "node2": MUTE, "node3": DEAD},
            ("True", "Available"),
            "2/3",
            f"node3: {DEAD.why}; node2 may be unable to report: {MUTE.why}; stale in status.nodes: node3; "
            "perhaps stale in status.nodes: node2",
            id="one is dead, and another cannot report",
        ),
        pytest.param(
            [said("node1", dead={"node3": 9}, cluster=("Owner", "node1")), *STANDBYS],
            {"node1": None, "node2": None, "node3": MUTE},
            ("True", "Available"),
            "2/3",
            "node3 is dead (node1); stale in status.nodes: node3",
            id="its peers know better than that it cannot report",
        ),
        pytest.param(
            [said("node1", dead={"node2": 9}, cluster=("Owner", "node1")), *STANDBYS],
            {"node1": DEAD, "node2": None, "node3": None},
            ("False", "NoOwner"),
            "2/3",
            f"node1: {DEAD.why}; stale in status.nodes: node1",
            id="the word of a dead one counts for nothing",
        ),
        pytest.param(
            [OWNER, *STANDBYS],
            {},
            ("Unknown", "NoAgents"),
            "0/3",
            "node1: no agent's pod is on its Node (spec.groups[0].primary); "
            "node2: no agent's pod is on its Node (spec.groups[0].secondaries[0]); "
            "node3: no agent's pod is on its Node (spec.groups[0].secondaries[1]); "
            "stale in status.nodes: node1, node2, node3",
            id="nobody is left",
        ),
    ],
)
def test_a_dead_agents_entry_is_stale(
    entries: list[Json], agents: dict[str, Absence | None], available: tuple[str, str], members: str, degraded: str
) -> None:
    found = reported(THREE, *entries, groups=(owned("node1"),), agents=agents)
    found.cluster["status"].pop("conditions", None)
    done = plan.plan_for(found)
    assert done.status is not None
    assert (conditions(done)["Available"], done.status["members"]) == (available, members)
    assert message(done, "Degraded") == degraded
    well = reported(found, OWNER, *STANDBYS, groups=(owned("node1"),), agents=THREE.agents)
    assert conditions(plan.plan_for(well))["Degraded"] == ("False", "Healthy"), "it clears by itself"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        pytest.param({"lost": frozenset({"node2"})}, "its Node is silent", id="silent"),
        pytest.param({"nodes": frozenset({"node1", "node3"})}, "no Node is called so", id="deleted"),
    ],
)
def test_a_member_that_its_peers_hear_but_not_kubernetes(more: dict[str, Any], why: str) -> None:
    found = carried_out(reported(THREE, OWNER, *STANDBYS, groups=(owned("node1"),)))
    done = plan.plan_for(dataclasses.replace(found, **more))
    assert conditions(done)["Degraded"] == ("True", "MemberDown")
    assert message(done, "Degraded") == f"node2 may be unable to report: {why}; perhaps stale in status.nodes: node2"
    assert conditions(done)["Available"] == ("True", "Available")
    assert done.status is not None
    assert done.status["members"] == "3/3"
    back = plan.plan_for(dataclasses.replace(carried_out(found, done), lost=THREE.lost, nodes=THREE.nodes))
    assert conditions(back)["Degraded"] == ("False", "Healthy")


def test_a_pod_that_is_replaced_is_one_time_of_being_degraded() -> None:
    """As a rolling upgrade goes about it: kube-sync may end first, and begin last."""
    completed = dataclasses.replace(MUTE, why="its agent's container kube-sync does not run (Completed)")
    creating = dataclasses.replace(DEAD, why="its agent's container heartbeat does not run (ContainerCreating)")
    left = [standby(n, ("Peer", "node3", "Left"), owner="node1") for n in ("node1", "node2")]
    left[0]["groups"] = OWNER["groups"]
    ended = said("node3", cluster=("Yielding", "node1"))
    phases: list[tuple[Absence | None, list[Json], bool, str]] = [
        (None, [OWNER, *STANDBYS], False, "3/3"),
        (completed, [OWNER, *STANDBYS], True, "3/3"),
        (DEAD, [*left, ended], True, "2/3"),
        (presence.NO_POD, [*left, ended], True, "2/3"),
        (creating, [*left, ended], True, "2/3"),
        (completed, [OWNER, STANDBYS[0], ended], True, "2/3"),
        (None, [OWNER, STANDBYS[0], ended], False, "2/3"),
        (None, [OWNER, *STANDBYS], False, "3/3"),
    ]
    found, since = THREE, set()
    for second, (absence, entries, degraded, members) in enumerate(phases):
        now = THREE.now + datetime.timedelta(seconds=second)
        agents = {**THREE.agents, "node3": absence}
        seen = reported(found, *entries, groups=(owned("node1", seconds=3600),), agents=agents, now=now)
        done = plan.plan_for(seen)
        assert done.events == (), second
        found = carried_out(seen, done)
        says = {c["type"]: c for c in found.cluster["status"]["conditions"]}
        assert (says["Degraded"]["status"] == "True", found.cluster["status"]["members"]) == (degraded, members), second
        assert (says["Accepted"]["status"], says["Available"]["status"]) == ("True", "True"), second
        since.add(says["Degraded"]["lastTransitionTime"])
    assert len(since) == 3, "before, meanwhile, and after"


def test_a_member_that_reported_before_is_degraded_and_the_spec_stays_accepted() -> None:
    """So that a rolling upgrade, which takes each pod away for a moment, is no new verdict and makes no Event."""
    found = reported(THREE, OWNER, *STANDBYS, groups=(owned("node1"),), agents={"node1": None, "node2": None})
    assert conditions(plan.plan_for(found))["Accepted"] == ("True", "Accepted")
    never = reported(THREE, OWNER, STANDBYS[0], groups=(owned("node1"),), agents={"node1": None, "node2": None})
    assert conditions(plan.plan_for(never))["Accepted"] == ("True", "NoAgent")
    assert message(plan.plan_for(never), "Accepted").startswith("spec.groups[0].secondaries[1]: no agent's pod is on")


def test_a_field_is_where_a_member_is_named_first() -> None:
    groups = [("a", "b"), ("b", "c", "d")]
    assert [field(groups, m) for m in "abdx"] == [
        "spec.groups[0].primary",
        "spec.groups[0].secondaries[0]",
        "spec.groups[1].secondaries[1]",
        "spec.groups",
    ]


FOUR = carried_out(
    world(
        cluster(group("cluster", "node1", "node2", "node3", "node4")),
        nodes=frozenset({"node1", "node2", "node3", "node4"}),
    )
)
VANISHED = ("Peer", "node1", "Unheard")
OTHERS = tuple(("Peer", name, "Unheard") for name in ("node2", "node3", "node4"))


@pytest.mark.parametrize(
    ("entries", "lost", "available", "degraded"),
    [
        pytest.param(
            [
                OWNER,
                said("node2", deviations=(VANISHED,), cluster=("Owner", "node2")),
                standby("node3", VANISHED),
                standby("node4", VANISHED),
            ],
            "",
            ("True", "Available"),
            "node1 is dead (node2, node3, node4); stale in status.nodes: node1",
            id="the survivors began anew, and the vanished one said nothing of them",
        ),
        pytest.param(
            [
                OWNER,
                said("node2", deviations=(VANISHED, ("Peer", "node4", "Unheard")), cluster=("Owner", "node2")),
                standby("node3", VANISHED, ("Peer", "node4", "Unheard")),
                said("node4", cluster=("Standby", "node1")),
            ],
            "",
            ("True", "Available"),
            "node1 is dead (node2, node3); node4 is dead (node2, node3); stale in status.nodes: node1, node4",
            id="two vanished that heard each other at last",
        ),
        pytest.param(
            [
                said("node1", dead={"node2": 500, "node3": 500, "node4": 500}, cluster=("Owner", "node1")),
                said("node2", deviations=(VANISHED,), cluster=("Owner", "node2")),
                standby("node3", VANISHED),
                standby("node4", VANISHED),
            ],
            "1",
            ("True", "Available"),
            "node1 is dead (node2, node3, node4); stale in status.nodes: node1",
            id="it outlived them, then vanished with its Node, and they came back",
        ),
        pytest.param(
            [
                said("node1", dead={"node2": 500, "node3": 500, "node4": 500}, cluster=("Owner", "node1")),
                said("node2", deviations=(VANISHED,), cluster=("Owner", "node2")),
                standby("node3", VANISHED),
                standby("node4", VANISHED),
            ],
            "",
            ("False", "SplitBrain"),
            "group cluster is owned by node1 and node2: they do not hear each other",
            id="two halves indeed: its pod runs and its Node answers",
        ),
        pytest.param(
            [
                said("node1", deviations=OTHERS, cluster=("Owner", "node1")),
                said("node2", deviations=(VANISHED,), cluster=("Owner", "node2")),
                standby("node3", VANISHED),
                standby("node4", VANISHED),
            ],
            "",
            ("False", "SplitBrain"),
            "group cluster is owned by node1 and node2: they do not hear each other",
            id="two halves that all began anew",
        ),
        pytest.param(
            [
                said("node1", dead={"node2": 12, "node3": 12, "node4": 12}, cluster=("Owner", "node1")),
                said("node2", deviations=(VANISHED,), cluster=("Owner", "node2")),
                standby("node3", VANISHED),
                standby("node4", VANISHED),
            ],
            "1",
            ("False", "SplitBrain"),
            "group cluster is owned by node1 and node2: they do not hear each other",
            id="they lost each other at one time, and Kubernetes lost one, too: it may own",
        ),
        pytest.param(
            [
                OWNER,
                said("node2", deviations=(VANISHED,), cluster=("Standby", "node1")),
                standby("node3", owner="node1"),
                standby("node4", owner="node1"),
            ],
            "",
            ("True", "Available"),
            "node2: Peer node1 is Unheard",
            id="a third one hears it",
        ),
    ],
)
def test_a_member_that_vanished_is_no_half_of_a_split(
    entries: list[Json], lost: str, available: tuple[str, str], degraded: str
) -> None:
    seen = next((s for e in entries for g in e["groups"] if (s := g.get("owner")) and e["name"] == "node2"), "node1")
    found = reported(FOUR, *entries, groups=(owned(seen),), lost=frozenset(f"node{n}" for n in lost))
    found.cluster["status"].pop("conditions", None)
    done = plan.plan_for(found)
    assert conditions(done)["Available"] == available
    assert message(done, "Degraded").startswith(degraded)
