"""One running operator: agents that can report no more, by their pods and Nodes on a real API server."""

import time
from collections.abc import Callable, Iterator

import pytest

from . import harness
from .harness import Agents, Api, Operator, ago, spec, until

pytestmark = pytest.mark.apiserver
Make = Callable[..., Agents]
CRASHES = {"waiting": {"reason": "CrashLoopBackOff"}}


@pytest.fixture
def edge(api: Api, running: Operator, make: Make) -> Iterator[Agents]:
    """A cluster of node1 and node2 at work; afterwards every Node has its agent, whatever was done to it."""
    agents = make("edge")
    api.says("edge", "Programmed", "False", "Pending")
    agents.owns("node1", "cluster", 1, "FirstClaim")
    agents.says("node1", 1, {"cluster": ("Owner", "node1")})
    agents.says("node2", 1, {"cluster": ("Standby", "node1")})
    api.says("edge", "Available", "True", "Available")
    yield agents
    for node in harness.NODES:
        api.agent(node)
        api.ready(node, "True")


def test_nobody_is_left_to_report(api: Api, edge: Agents) -> None:
    api.no_agent("node2")
    api.agent("node1", heartbeat=CRASHES)
    assert api.says("edge", "Available", "Unknown", "NoAgents") == (
        "nobody is left to report: node1: its agent's container heartbeat does not run (CrashLoopBackOff); "
        "node2: no agent's pod is on its Node (spec.groups[0].secondaries[0])"
    )
    api.server.kubectl("wait", "--for=condition=Available=Unknown", "--timeout=5s", "vyoscluster/edge")
    api.agent("node1")
    api.says("edge", "Available", "True", "Available")


def test_all_nodes_are_silent(api: Api, edge: Agents) -> None:
    for node in ("node1", "node2"):
        api.ready(node, "Unknown")
    message = api.says("edge", "Available", "Unknown", "NoAgents")
    assert message == "nobody is left to report: node1: its Node is silent; node2: its Node is silent"
    api.ready("node2", "True")
    api.says("edge", "Available", "True", "Available")


def test_the_entry_of_a_dead_agent_goes_stale(api: Api, edge: Agents) -> None:
    """The last one, so that no peer tells: well within the dead interval (5 s) and 10 s."""
    api.no_agent("node2")
    begun = time.monotonic()
    api.says("edge", "Degraded", "True", "MemberDown")
    api.agent("node1", heartbeat=CRASHES)
    until(
        lambda: api.condition("edge", "Degraded")["message"].endswith("stale in status.nodes: node1, node2"),
        "both to be named",
    )
    assert time.monotonic() - begun < 15
    assert api.cluster("edge")["status"]["members"] == "0/2"
    assert [n["name"] for n in api.cluster("edge")["status"]["nodes"]] == ["node1", "node2"], "their last words stay"
    for node in ("node1", "node2"):
        api.agent(node)
    assert api.says("edge", "Degraded", "False", "Healthy") == "all members are well"
    assert api.cluster("edge")["status"]["members"] == "2/2"


def test_an_agent_that_cannot_report_is_told_of(api: Api, edge: Agents) -> None:
    api.agent("node1", **{"kube-sync": CRASHES})
    api.says("edge", "Degraded", "True", "MemberDown")
    assert api.condition("edge", "Degraded")["message"] == (
        "node1 may be unable to report: its agent's container kube-sync does not run (CrashLoopBackOff); "
        "perhaps stale in status.nodes: node1"
    )
    api.says("edge", "Available", "True", "Available")
    assert api.cluster("edge")["status"]["members"] == "2/2"
    api.agent("node1")
    api.says("edge", "Degraded", "False", "Healthy")
    api.ready("node2", "Unknown")
    told = "node2 may be unable to report: its Node is silent; perhaps stale in status.nodes: node2"
    until(lambda: api.condition("edge", "Degraded")["message"] == told, "a silent Node to be told of")
    api.ready("node2", "True")
    api.says("edge", "Degraded", "False", "Healthy")


def test_a_member_that_vanished_is_no_half_of_a_split(api: Api, edge: Agents) -> None:
    """node1's last words are those of an owner; node2 began anew since, so it cannot call it dead."""
    agents = edge
    agents.owns("node2", "cluster", 2, "PeerDead")
    agents.says("node2", 1, {"cluster": ("Owner", "node2")}, {"node1": ago(1)}, state="Unheard")
    told = "node1 is dead (node2); stale in status.nodes: node1"
    until(lambda: api.condition("edge", "Degraded")["message"] == told, "node1 to be missed")
    api.says("edge", "Available", "True", "Available")
    agents.says("node1", 1, {"cluster": ("Standby", "node2")})
    agents.says("node2", 1, {"cluster": ("Owner", "node2")})
    api.says("edge", "Degraded", "False", "Healthy")


def test_a_member_without_an_agent(api: Api, running: Operator, make: Make) -> None:
    api.no_agent("node3")
    try:
        agents = make("edge", spec(nodes=("node1", "node2", "node3")))
        message = api.says("edge", "Accepted", "True", "NoAgent")
        assert message.startswith("spec.groups[0].secondaries[1]: no agent's pod is on node3; the other members are")
        assert api.config_map("edge", "node1") is not None
        uid = api.cluster("edge")["metadata"]["uid"]
        assert [e["reason"] for e in api.events("edge") if e["regarding"]["uid"] == uid] == ["NoAgent"]
    finally:
        api.agent("node3")
    api.says("edge", "Accepted", "True", "Accepted")
    agents.says("node3", 1, {"cluster": ("Standby", None)})
    api.no_agent("node3")
    try:
        word = "node3: no agent's pod is on its Node (spec.groups[0].secondaries[1])"
        until(lambda: word in api.condition("edge", "Degraded")["message"], "the member to be told of")
        assert api.condition("edge", "Accepted")["reason"] == "Accepted"
    finally:
        api.agent("node3")
    until(lambda: word not in api.condition("edge", "Degraded")["message"], "it to clear")
