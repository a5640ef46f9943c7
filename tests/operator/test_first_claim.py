"""What the operator says where nobody may make the first claim of a group."""

from __future__ import annotations

from typing import Any

import pytest

from vyos_operator import plan

from .worlds import carried_out, cluster, conditions, group, message, owned, reported, said, says, world

MEMBERS = ("node1", "node2", "node3")
THREE = carried_out(world(cluster(group("cluster", *MEMBERS))))
STANDBYS = (said("node2", cluster=("Standby", "node1")), said("node3", cluster=("Standby", "node1")))
NO_ETH9 = "eth9: there is no such interface: correct spec.interfaces, or create eth9"
TAKEN = "192.168.0.123/24/eth0: eth0 has it for good: remove it there, or take it out of the cluster"


@pytest.mark.parametrize(
    ("entries", "groups", "available", "degraded", "texts"),
    [
        pytest.param(
            [said(n, deviations=(("Heartbeat", NO_ETH9, "Missing"),), cluster=("Standby", None)) for n in MEMBERS],
            [],
            ("False", "NoHeartbeatLink"),
            ("True", "NoHeartbeatLink"),
            (
                "group cluster is not claimed: no heartbeat link carries a frame: "
                + "; ".join(f"{n}: {NO_ETH9}" for n in MEMBERS),
                "; ".join(f"{n}: {NO_ETH9}" for n in MEMBERS),
            ),
            id="no heartbeat link anywhere",
        ),
        pytest.param(
            [
                said("node1", deviations=(("Heartbeat", NO_ETH9, "Missing"),), cluster=("Standby", None)),
                said("node2", cluster=("Standby", None)),
                said("node3", cluster=("Standby", None)),
            ],
            [],
            ("False", "NoOwner"),
            ("True", "NoHeartbeatLink"),
            ("group cluster: nobody has taken it", f"node1: {NO_ETH9}"),
            id="no heartbeat link at one",
        ),
        pytest.param(
            [
                said("node1", deviations=(("Heartbeat", NO_ETH9, "Missing"),), cluster=("Owner", "node1")),
                *STANDBYS,
            ],
            [owned("node1")],
            ("True", "Available"),
            ("True", "NoHeartbeatLink"),
            ("every group", f"node1: {NO_ETH9}"),
            id="an owner goes on without a link",
        ),
        pytest.param(
            [
                said("node1", cluster=("Standby", None)),
                said("node2", deviations=(("Address", TAKEN, "Occupied"),), cluster=("Standby", None)),
                said("node3", cluster=("Standby", None)),
            ],
            [],
            ("False", "AddressOccupied"),
            ("True", "AddressOccupied"),
            (f"group cluster is not claimed: an address of it is in use for good: node2: {TAKEN}", f"node2: {TAKEN}"),
            id="an address that a member has for good",
        ),
        pytest.param(
            [said("node1", deviations=(("Address", TAKEN, "Occupied"),), cluster=("Owner", "node1")), *STANDBYS],
            [owned("node1")],
            ("True", "Available"),
            ("True", "AddressOccupied"),
            ("every group", f"node1: {TAKEN}"),
            id="an address that is the owner's own for good",
        ),
    ],
)
def test_conditions(
    entries: list[dict[str, Any]],
    groups: list[dict[str, Any]],
    available: tuple[str, str],
    degraded: tuple[str, str],
    texts: tuple[str, str],
) -> None:
    found = reported(THREE, *entries, groups=tuple(groups))
    says(found, available, degraded, texts)


def test_members_that_do_not_hear_each_other_for_want_of_a_link() -> None:
    """Both live, as both report; the interface is named on each."""
    entries = [
        said(m, deviations=(("Peer", o, "Unheard"), ("Heartbeat", NO_ETH9, "Missing")), cluster=("Standby", None))
        for m, o in (("node1", "node2"), ("node2", "node1"))
    ]
    done = plan.plan_for(reported(carried_out(world()), *entries))
    assert conditions(done)["Available"] == ("False", "NoHeartbeatLink")
    assert message(done, "Available").endswith(f"node1: {NO_ETH9}; node2: {NO_ETH9}")
