"""What the operator tells of ownership in Events: each move once, in the words of the core."""

from typing import Any

import pytest

from vyos_operator import plan

from .worlds import at, carried_out, owned, reported, said, world


@pytest.mark.parametrize(
    ("entry", "former", "action", "kind", "note"),
    [
        (
            owned("node2"),
            {"cluster": "node1"},
            "Takeover",
            "Warning",
            "node2 took group cluster (epoch 7): node1 was not heard for its dead interval",
        ),
        (
            owned("node2"),
            {},
            "Takeover",
            "Warning",
            "node2 took group cluster (epoch 7): its former owner was not heard for its dead interval",
        ),
        (
            owned("node2", reason="PeerLeft"),
            {"cluster": "node1"},
            "Takeover",
            "Normal",
            "node2 took group cluster (epoch 7): node1 has left",
        ),
        (
            owned("node2", reason="PeerReleased"),
            {"cluster": "node2"},
            "Takeover",
            "Normal",
            "node2 took group cluster (epoch 7): its former owner has let it go",
        ),
        (
            owned("node1", reason="FirstClaim", epoch=1),
            {},
            "FirstClaim",
            "Normal",
            "node1 took group cluster (epoch 1): it had no owner",
        ),
        (
            owned("node1", reason="FirstClaim", epoch=9),
            {"cluster": "node2"},
            "FirstClaim",
            "Normal",
            "node1 took group cluster (epoch 9): it goes on, node2 was recorded as the owner",
        ),
        (
            owned("node1", reason="Failback"),
            {"cluster": "node2"},
            "Failback",
            "Normal",
            "node1 took group cluster (epoch 7) back from node2",
        ),
        (
            owned("node1", reason="HandoverRequested"),
            {"cluster": "node2"},
            "Handover",
            "Normal",
            "node1 took group cluster (epoch 7) from node2: it was asked to",
        ),
        (
            owned("node1", reason="MonitorsLost"),
            {"cluster": "node2"},
            "Handover",
            "Normal",
            "node1 took group cluster (epoch 7) from node2: it reaches more monitors",
        ),
        (
            owned("node1", reason="Settled"),
            {"cluster": "node2"},
            "Settlement",
            "Normal",
            "node1 took group cluster (epoch 7): it goes on, node2 has let it go",
        ),
        (owned("node1", reason="FromAFuture"), {}, "FromAFuture", "Normal", "node1 took group cluster (epoch 7)"),
    ],
)
def test_a_move_is_told(entry: Any, former: dict[str, str], action: str, kind: str, note: str) -> None:
    found = reported(carried_out(world()), said("node1"), groups=(entry,), former=former)
    (event,) = plan.plan_for(found).events
    assert (event["action"], event["type"], event["note"]) == (action, kind, note)
    assert event["reason"] == entry["reason"], "the same word as in log and status"


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(owned("node1", reason="EpochRaised"), id="nothing moved"),
        pytest.param(owned("node1", reason="Adopted"), id="adopted"),
        pytest.param(owned("node1", seconds=601), id="history"),
        pytest.param({"name": "cluster", "owner": "node1", "epoch": 1}, id="no reason and no time"),
        pytest.param(owned("node1", "unknown"), id="a group that is not ours"),
    ],
)
def test_what_is_no_news_is_not(entry: Any) -> None:
    assert plan.plan_for(reported(carried_out(world()), said("node1"), groups=(entry,))).events == ()


def test_each_epoch_is_told_once() -> None:
    one, again, next_ = (
        plan.plan_for(reported(carried_out(world()), groups=(entry,))).events[0]["metadata"]["name"]
        for entry in (owned("node2", seconds=60), owned("node2", seconds=61), owned("node2", epoch=8))
    )
    assert one == again
    assert one != next_


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        (("Heartbeat", "eth9: there is no such interface: …", "Missing"), "NoHeartbeatLink"),
        (("Address", "192.168.0.123/24/eth0: eth0 has it for good: …", "Occupied"), "AddressOccupied"),
        (("Address", "192.168.0.123/24/eth0", "Failed"), None),
    ],
)
def test_what_keeps_a_group_from_its_first_claim_is_told_once(deviation: tuple[str, str, str], reason: str) -> None:
    before = carried_out(world())
    found = reported(before, said("node1", deviations=(deviation,)), said("stranger", deviations=(deviation,)))
    told = [e for e in plan.plan_for(found).events if e["reason"] == reason]
    assert [(e["type"], e["note"]) for e in told] == ([("Warning", f"node1: {deviation[1]}")] if reason else [])
    assert [e for e in plan.plan_for(found).events if e["reason"] == reason] == told, "the same name: told once"
    for entry in found.cluster["status"]["nodes"]:
        entry["deviations"][0]["since"] = at(3600)
    assert [e for e in plan.plan_for(found).events if e["reason"] == reason] == [], "history is no news"
