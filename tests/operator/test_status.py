"""How a cluster does, from what its agents report: reports -> conditions, in the words that people read."""

from typing import Any

import pytest

from vyos_agent.edge.probing import Answer
from vyos_api.host_units import CURE
from vyos_api.reasons import VerifiedReason
from vyos_operator import plan

from .worlds import carried_out, cluster, conditions, group, message, owned, reported, said, says, world

Json = dict[str, Any]
THREE = carried_out(world(cluster(group("cluster", "node1", "node2", "node3"))))
OWNER = said("node1", cluster=("Owner", "node1"))
STANDBYS = (said("node2", cluster=("Standby", "node1")), said("node3", cluster=("Standby", "node1")))


def standby(node: str, owner: str | None = "node1", **more: Any) -> Json:
    return said(node, cluster=("Standby", owner), **more)


@pytest.mark.parametrize(
    ("entries", "groups", "available", "degraded", "members", "texts"),
    [
        pytest.param(
            [],
            [],
            ("False", "Pending"),
            ("True", "MemberDown"),
            "0/3",
            ("no member has reported yet", "node1, node2, node3 have not reported"),
            id="nobody has reported",
        ),
        pytest.param(
            [said(n, cluster=("Listening", None)) for n in ("node1", "node2", "node3")],
            [],
            ("False", "NoOwner"),
            ("False", "Healthy"),
            "0/3",
            ("group cluster: nobody has taken it", "all members are well"),
            id="all listen",
        ),
        pytest.param(
            [OWNER, *STANDBYS],
            [owned("node1")],
            ("True", "Available"),
            ("False", "Healthy"),
            "3/3",
            ("every group has one owner, and all living members see it", "all members are well"),
            id="well",
        ),
        pytest.param(
            [OWNER, STANDBYS[0]],
            [owned("node1")],
            ("True", "Available"),
            ("True", "MemberDown"),
            "2/3",
            ("every group", "node3 has not reported"),
            id="one has not reported",
        ),
        pytest.param(
            [
                OWNER,
                said("node2", dead={"node1": 9}, cluster=("Owner", "node2")),
                standby("node3", "node2", dead={"node1": 9}),
            ],
            [owned("node2")],
            ("True", "Available"),
            ("True", "MemberDown"),
            "2/3",
            ("every group", "node1 is dead (node2, node3)"),
            id="taken over from a dead one",
        ),
        pytest.param(
            [OWNER, standby("node2", None, dead={"node1": 9}), standby("node3", None, dead={"node1": 9})],
            [owned("node1")],
            ("False", "NoOwner"),
            ("True", "MemberDown"),
            "2/3",
            ("group cluster: its last owner node1 is dead", "node1 is dead (node2, node3)"),
            id="the owner is dead and nobody has taken over",
        ),
        pytest.param(
            [standby("node1", None), standby("node2", None), standby("node3", None)],
            [owned("node1")],
            ("False", "NoOwner"),
            ("False", "Healthy"),
            "3/3",
            ("group cluster: its last owner node1 has let it go", "all members"),
            id="the owner has let go",
        ),
        pytest.param(
            [standby("node2", None), standby("node3", None)],
            [owned("node1")],
            ("False", "NoOwner"),
            ("True", "MemberDown"),
            "2/3",
            ("group cluster: its last owner node1 does not report", "node1 has not reported"),
            id="the owner's entry is gone",
        ),
        pytest.param(
            [
                said("node1", cluster=("Standby", "node2")),
                said("node2", cluster=("Owner", "node2")),
                standby("node3", "node2"),
            ],
            [owned("node1")],
            ("False", "NoOwner"),
            ("False", "Healthy"),
            "3/3",
            ("group cluster: node2 owns it, but node1 is recorded", "all members"),
            id="the record is behind",
        ),
        pytest.param(
            [OWNER, *STANDBYS],
            [],
            ("False", "NoOwner"),
            ("False", "Healthy"),
            "3/3",
            ("group cluster: node1 owns it, but has not recorded it yet", "all members"),
            id="no record yet",
        ),
        pytest.param(
            [OWNER, standby("node2"), standby("node3", None)],
            [owned("node1")],
            ("False", "Disagreement"),
            ("False", "Healthy"),
            "3/3",
            ("group cluster: node3 sees no owner, node1 is recorded", "all members"),
            id="one does not see the owner",
        ),
        pytest.param(
            [OWNER, standby("node2"), said("node3")],
            [owned("node1")],
            ("False", "Disagreement"),
            ("False", "Healthy"),
            "2/3",
            ("group cluster: node3 sees no owner", "all members"),
            id="one does not know the group yet",
        ),
        pytest.param(
            [
                said("node1", dead={"node2": 9}, cluster=("Owner", "node1")),
                said("node2", dead={"node1": 8}, cluster=("Owner", "node2")),
                standby("node3"),
            ],
            [owned("node1")],
            ("False", "SplitBrain"),
            ("True", "SplitBrain"),
            "3/3",
            (
                "group cluster is owned by node1 and node2: they do not hear each other",
                "group cluster is owned by node1 and node2: they do not hear each other; node1: Peer node2 is Dead; "
                "node2: Peer node1 is Dead",
            ),
            id="split brain",
        ),
        pytest.param(
            [
                said("node1", dead={"node2": 10}, cluster=("Owner", "node1")),
                said("node2", dead={"node1": 500}, cluster=("Owner", "node2")),
                standby("node3"),
            ],
            [owned("node1")],
            ("True", "Available"),
            ("True", "MemberDown"),
            "2/3",
            ("every group", "node2 is dead (node1)"),
            id="no split brain: the last words of a dead owner",
        ),
        pytest.param(
            [said("node1", cluster=("Giving", "node1")), *STANDBYS],
            [owned("node1")],
            ("True", "Available"),
            ("False", "Healthy"),
            "3/3",
            ("every group", "all members"),
            id="in a handover",
        ),
        pytest.param(
            [said("node1", deviations=(("Interface", "eth1", "Down"),), cluster=("Owner", "node1")), *STANDBYS],
            [owned("node1")],
            ("True", "Available"),
            ("True", "InterfaceDown"),
            "3/3",
            ("every group", "node1: Interface eth1 is Down"),
            id="an interface is down",
        ),
        pytest.param(
            [
                said(
                    "node1",
                    deviations=(("Interface", "eth1", "Down"), ("Monitor", "10.0.0.1", "Silent")),
                    cluster=("Owner", "node1"),
                ),
                *STANDBYS,
            ],
            [owned("node1")],
            ("True", "Available"),
            ("True", "Several"),
            "3/3",
            ("every group", "node1: Interface eth1 is Down; node1: Monitor 10.0.0.1 is Silent"),
            id="several things",
        ),
        pytest.param(
            [said("node1", deviations=(("Clock", "wall", "Late"),), cluster=("Owner", "node1")), *STANDBYS],
            [owned("node1")],
            ("True", "Available"),
            ("True", "Other"),
            "3/3",
            ("every group", "node1: Clock wall is Late"),
            id="a kind that is not known here",
        ),
        pytest.param(
            [
                said("node1", deviations=(("Address", "10.0.0.9/24", "NoInterface"),), cluster=("Owner", "node1")),
                *STANDBYS,
            ],
            [owned("node1")],
            ("True", "Available"),
            ("True", "AddressFailed"),
            "3/3",
            ("every group", "node1: Address 10.0.0.9/24 is NoInterface"),
            id="an address without its interface",
        ),
        pytest.param(
            [
                said(
                    "node1",
                    deviations=(("Service", f"cluster: kubelet.service: a node needs it: {CURE}", "NotAllowed"),),
                    cluster=("Owner", "node1"),
                ),
                *STANDBYS,
            ],
            [owned("node1")],
            ("True", "Available"),
            ("True", "ServiceNotAllowed"),
            "3/3",
            ("every group", f"node1: cluster: kubelet.service: a node needs it: {CURE}"),
            id="a host service that the node needs",
        ),
        pytest.param(
            [said("node1", deviations=(("Peer", "node2", "Unheard"),), cluster=("Owner", "node1")), *STANDBYS],
            [owned("node1")],
            ("True", "Available"),
            ("True", "PeerUnheard"),
            "3/3",
            ("every group", "node1: Peer node2 is Unheard"),
            id="one that lives is not heard by another",
        ),
        pytest.param(
            [said("node1", deviations=(("Multicast", "node2", "Lost"),), cluster=("Owner", "node1")), *STANDBYS],
            [owned("node1")],
            ("True", "Available"),
            ("True", "MulticastLost"),
            "3/3",
            ("every group", "node1: Multicast node2 is Lost"),
            id="only unicast arrives",
        ),
    ],
)
def test_health(
    entries: list[Json],
    groups: list[Json],
    available: tuple[str, str],
    degraded: tuple[str, str],
    members: str,
    texts: tuple[str, str],
) -> None:
    found = reported(THREE, *entries, groups=tuple(groups))
    done = says(found, available, degraded, texts)
    assert done.status is not None
    assert done.status["members"] == members


ADDRESS = "192.168.0.123"


@pytest.mark.parametrize(
    ("entries", "groups", "expected", "text"),
    [
        pytest.param(
            [said("node1", cluster=("Owner", "node1")), *STANDBYS],
            [owned("node1")],
            ("True", "Verified"),
            "no member finds",
            id="nobody finds anything",
        ),
        pytest.param(
            [
                said("node1", cluster=("Owner", "node1")),
                said("node2", deviations=(("Answer", ADDRESS, "NoAnswer"),), cluster=("Standby", "node1")),
                standby("node3"),
            ],
            [owned("node1")],
            ("False", "NoAnswer"),
            f"node2 finds NoAnswer for {ADDRESS}",
            id="no answer",
        ),
        pytest.param(
            [
                said("node1", deviations=(("Answer", ADDRESS, "TwoMACs"),), cluster=("Owner", "node1")),
                said("node2", deviations=(("Answer", ADDRESS, "WrongMAC"),), cluster=("Standby", "node1")),
                standby("node3"),
            ],
            [owned("node1")],
            ("False", "TwoMACs"),
            f"node1 finds TwoMACs for {ADDRESS}; node2 finds WrongMAC for {ADDRESS}",
            id="a rival",
        ),
        pytest.param([*STANDBYS], [], ("Unknown", "NotChecked"), "group cluster has no owner", id="no owner"),
        pytest.param(
            [said("node1", dead={"node2": 9, "node3": 9}, cluster=("Owner", "node1"))],
            [owned("node1")],
            ("Unknown", "NotChecked"),
            "group cluster has no other living member to ask",
            id="nobody to ask",
        ),
    ],
)
def test_verified(entries: list[Json], groups: list[Json], expected: tuple[str, str], text: str) -> None:
    found = reported(THREE, *entries, groups=tuple(groups))
    found.cluster["status"].pop("conditions", None)
    done = plan.plan_for(found)
    (condition,) = (c for c in (done.status or {})["conditions"] if c["type"] == "Verified")
    assert (condition["status"], condition["reason"]) == expected
    assert message(done, "Verified").startswith(text)
    assert "Answer" not in message(done, "Degraded"), "what strangers say degrades nothing"


def test_the_agents_words_for_answers_are_known() -> None:
    assert {str(a) for a in Answer} <= {str(r) for r in VerifiedReason}


@pytest.mark.parametrize(
    ("generations", "expected", "text"),
    [
        ((3, 3, 3), ("True", "Programmed"), "every member runs generation 3"),
        (
            (3, 2, None),
            ("False", "Pending"),
            "generation 3 is awaited from node2 (runs generation 2), node3 (has not reported)",
        ),
        ((3, 0, 3), ("False", "Pending"), "generation 3 is awaited from node2 (runs generation 0)"),
    ],
)
def test_programmed(generations: tuple[int | None, ...], expected: tuple[str, str], text: str) -> None:
    entries = [said(f"node{i}", g, cluster=("Standby", None)) for i, g in enumerate(generations, 1) if g is not None]
    found = reported(THREE, *entries)
    found.cluster["status"].pop("conditions", None)
    done = plan.plan_for(found)
    assert conditions(done)["Programmed"] == expected
    assert message(done, "Programmed") == text


def test_an_agent_that_refuses() -> None:
    refusal = ("Configuration", "generation 3: groups[0].members: node1 twice", "Refused")
    done = plan.plan_for(reported(THREE, OWNER, said("node2", 2, deviations=(refusal,)), groups=(owned("node1"),)))
    assert conditions(done)["Programmed"] == ("False", "Refused")
    assert message(done, "Programmed") == "node2 refuses generation 3: groups[0].members: node1 twice"
    assert conditions(done)["Degraded"] == ("True", "MemberDown"), "node3 is silent; a refusal degrades nothing"


def test_two_groups_print_two_owners_and_many_are_cut() -> None:
    groups = [group(f"g{i}", services=(f"10.0.0.{i + 1}/8/eth0",)) for i in range(32)]
    entries = tuple(owned("node1", f"g{i}") for i in range(32))
    few = plan.plan_for(reported(world(cluster(*groups[:2])), groups=entries[:2])).status
    many = plan.plan_for(reported(world(cluster(*groups)), groups=entries)).status
    assert few is not None
    assert many is not None
    assert few["owners"] == "g0=node1,g1=node1"
    assert many["owners"].endswith("...")
    assert len(many["owners"]) == 256
    assert "owners" not in (plan.plan_for(world()).status or {})


def test_a_message_names_a_few_of_many() -> None:
    members = tuple(f"node{i:02}" for i in range(20))
    done = plan.plan_for(world(cluster(group("cluster", *members)), nodes=frozenset(members)))
    assert message(done, "Degraded").endswith("node06, node07 and 12 more have not reported")
