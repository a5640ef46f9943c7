"""From report to status entries: tables."""

import dataclasses
from typing import Any

import pytest

from sync import fakes
from vyos_agent.core import model
from vyos_agent.edge import orders
from vyos_agent.sync import desired, entries, report
from vyos_agent.sync.entries import StatusClaim
from vyos_agent.sync.report import ClusterReport, Count, Deviation, GroupReport, Refusal, Report
from vyos_api import limits
from vyos_api.status import GroupStatus, NodeStatus

SINCE_MS = 1_790_000_000_999
SINCE = "2026-09-21T14:13:20Z"
OWNER = GroupReport("g1", "Owner", "node1", 7, SINCE_MS, "PeerDead", ("192.168.0.123/24/eth0",), ())
STANDBY = GroupReport("g1", "Standby", "node2", 7, SINCE_MS, None, (), ())
EMPTY = entries.View("uid-1", False, frozenset({"node1", "node2"}), {}, None)


def cluster(*groups: GroupReport, **change: Any) -> ClusterReport:
    made = ClusterReport("edge", "uid-1", 3, groups, Count(1, 1), Count(0, 0), Count(1, 1), ())
    return dataclasses.replace(made, **change)


def whole(*clusters: ClusterReport, refused: tuple[Refusal, ...] = ()) -> Report:
    return Report(1, "node1", "0.1.0", "abc", clusters, refused)


def found(what: ClusterReport, shown: entries.View = EMPTY, refused: tuple[Refusal, ...] = ()) -> dict[str, Any]:
    return {e.manager: e.value for e in entries.entries("node1", whole(what, refused=refused), what, shown)}


def showing(owner: str, epoch: int) -> entries.View:
    return dataclasses.replace(EMPTY, groups={"g1": {"name": "g1", "owner": owner, "epoch": epoch}})


def test_an_owner_writes_its_group_and_itself() -> None:
    assert found(cluster(OWNER)) == {
        "vyos-cluster-group-g1": {
            "name": "g1",
            "owner": "node1",
            "epoch": 7,
            "since": SINCE,
            "reason": "PeerDead",
            "addresses": ["192.168.0.123/24/eth0"],
            "services": [],
        },
        "vyos-cluster-node-node1": {
            "name": "node1",
            "configGeneration": 3,
            "agentVersion": "0.1.0",
            "groups": [{"name": "g1", "state": "Owner", "owner": "node1"}],
            "peers": "1/1",
            "monitors": "0/0",
            "interfaces": "1/1",
            "deviations": [],
        },
    }


def test_a_standby_writes_only_itself() -> None:
    assert list(found(cluster(STANDBY))) == ["vyos-cluster-node-node1"]


def test_nobody_as_owner_is_left_out() -> None:
    alone = dataclasses.replace(STANDBY, state="Listening", owner=None, epoch=None)
    assert found(cluster(alone))["vyos-cluster-node-node1"]["groups"] == [{"name": "g1", "state": "Listening"}]


def test_entries_fit_the_schema() -> None:
    dead = Deviation("Peer", "node2", "Dead", SINCE_MS)
    made = found(cluster(OWNER, deviations=(dead,)), refused=(Refusal("edge", 4, "no"),))
    GroupStatus.model_validate(made["vyos-cluster-group-g1"])
    assert NodeStatus.model_validate(made["vyos-cluster-node-node1"]).config_generation == 3


@pytest.mark.parametrize("state", sorted(entries.OWNING))
def test_every_owning_state_is_a_claim(state: str) -> None:
    assert "vyos-cluster-group-g1" in found(cluster(dataclasses.replace(OWNER, state=state)))


def test_owning_states_are_the_cores() -> None:
    assert {s.name.title() for s in model.OWNING} == entries.OWNING


@pytest.mark.parametrize("state", ["Listening", "Standby", "Yielding"])
def test_no_other_state_is(state: str) -> None:
    assert "vyos-cluster-group-g1" not in found(cluster(dataclasses.replace(OWNER, state=state)))


@pytest.mark.parametrize(
    ("owner", "epoch", "written", "claims"),
    [
        pytest.param("node2", 6, 7, {}, id="takeover"),
        pytest.param("node1", 7, 7, {}, id="still mine"),
        pytest.param("node1", 6, 7, {}, id="taken again"),
        pytest.param("node2", 9, None, {"g1": StatusClaim(9, "node2")}, id="the other one is ahead"),
        pytest.param("node1", 9, None, {"g1": StatusClaim(9, "node1")}, id="this one's disk is behind"),
        pytest.param("node2", 7, None, {"g1": StatusClaim(7, "node2")}, id="two claimed the same epoch"),
    ],
)
def test_epochs(owner: str, epoch: int, written: int | None, claims: dict[str, StatusClaim]) -> None:
    made = found(cluster(OWNER), showing(owner, epoch)).get("vyos-cluster-group-g1", {})
    assert made.get("epoch") == written
    assert entries.unknown_claims("node1", cluster(OWNER), showing(owner, epoch)) == claims


def test_an_epoch_far_ahead_goes_in_steps_that_the_policy_takes() -> None:
    ahead = dataclasses.replace(OWNER, epoch=2500)
    assert found(cluster(ahead), showing("node2", 7))["vyos-cluster-group-g1"]["epoch"] == 1007
    assert found(cluster(ahead), showing("node1", 1007))["vyos-cluster-group-g1"]["epoch"] == 2007
    assert found(cluster(ahead), showing("node1", 2007))["vyos-cluster-group-g1"]["epoch"] == 2500
    assert found(cluster(ahead))["vyos-cluster-group-g1"]["epoch"] == 1000, "the first one, too"
    assert found(cluster(ahead), showing("node1", 1000))["vyos-cluster-group-g1"]["epoch"] == 2000


@pytest.mark.parametrize(
    ("shown", "hint"),
    [
        pytest.param(showing("node2", limits.EPOCH - 1), limits.EPOCH - 1, id="as high as can be gone over"),
        pytest.param(showing("node2", limits.EPOCH), limits.EPOCH, id="the last one"),
        pytest.param(showing("node2", limits.EPOCH + 1), limits.EPOCH, id="what an older schema let through"),
    ],
)
def test_no_hint_is_more_than_the_daemon_takes(shown: entries.View, hint: int) -> None:
    """It refuses a higher one, and with it all that it is told."""
    claims = entries.unknown_claims("node1", cluster(OWNER), shown)
    assert claims == {"g1": StatusClaim(hint, "node2")}
    told = desired.request((desired.Item(fakes.config(), fakes.keys()),), {"edge": claims})
    assert orders.read(told["clusters"], "node1").refused == ()


def test_two_that_claim_the_last_epoch_are_told_no_higher_one() -> None:
    last = dataclasses.replace(OWNER, epoch=limits.EPOCH)
    claims = entries.unknown_claims("node1", cluster(last), showing("node2", limits.EPOCH))
    assert claims == {"g1": StatusClaim(limits.EPOCH, "node2")}


def test_the_last_epoch_is_the_cores() -> None:
    assert limits.EPOCH == model.EPOCH_MAX


@pytest.mark.parametrize(
    ("group", "claimed"),
    [
        pytest.param(STANDBY, [], id="known"),
        pytest.param(dataclasses.replace(STANDBY, epoch=6), [7], id="behind"),
        pytest.param(dataclasses.replace(STANDBY, owner=None, epoch=None), [7], id="unknown"),
        pytest.param(None, [7], id="not reported yet"),
    ],
)
def test_claims_for_a_member_that_does_not_own(group: GroupReport | None, claimed: list[int]) -> None:
    reported = cluster(group) if group else None
    found = entries.unknown_claims("node1", reported, showing("node2", 7))
    assert list(found.items()) == [("g1", StatusClaim(epoch, "node2")) for epoch in claimed]


def test_a_refused_configuration_is_told() -> None:
    refused = (Refusal("edge", 4, "groups[0]: " + "x" * 300), Refusal("lab", 1, "other"))
    (told,) = found(cluster(), refused=refused)["vyos-cluster-node-node1"]["deviations"]
    assert (told["kind"], told["state"]) == ("Configuration", "Refused")
    assert told["name"].startswith("generation 4: groups[0]: xxx")
    assert len(told["name"]) == limits.NODE_NAME


def test_a_cluster_that_never_ran_has_no_generation() -> None:
    unserved = ClusterReport.unserved("edge", "uid-1")
    made = found(unserved, refused=(Refusal("edge", 1, "no"),))["vyos-cluster-node-node1"]
    assert "configGeneration" not in made
    assert len(made["deviations"]) == 1


def test_no_more_than_the_schema_takes() -> None:
    many = tuple(Deviation("Peer", f"n{i}", "Dead", SINCE_MS) for i in range(limits.DEVIATIONS + 1))
    made = found(cluster(deviations=many))["vyos-cluster-node-node1"]
    assert len(made["deviations"]) == limits.DEVIATIONS


def test_view() -> None:
    seen = entries.view(
        {
            "metadata": {"uid": "u", "deletionTimestamp": SINCE},
            "spec": {"groups": [{"name": "g1", "primary": "a", "secondaries": ["b", "c"]}]},
            "status": {"groups": [{"name": "g1", "epoch": 1}], "nodes": [{"name": "a"}, {"name": "b", "peers": "1/2"}]},
        },
        "b",
    )
    assert seen == entries.View(
        "u", True, frozenset("abc"), {"g1": {"name": "g1", "epoch": 1}}, {"name": "b", "peers": "1/2"}
    )
    assert entries.view({"metadata": {"uid": "u"}}, "b") == entries.View("u", False, frozenset(), {}, None)


def test_document() -> None:
    entry = entries.entries("node1", whole(), cluster(), EMPTY)[0]
    assert entry.document("edge") == {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "metadata": {"name": "edge"},
        "status": {"nodes": [entry.value]},
    }


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (None, "report: must be an object"),
        ({"revision": "1"}, "report.revision: must be int, not str"),
        ({"revision": True}, "report.revision: must be int, not bool"),
        (
            {"revision": 1, "node": "n", "agentVersion": "v", "instance": "i", "clusters": [1], "refused": []},
            "report.clusters[0]: must be an object",
        ),
        (
            {"revision": 1, "node": "n", "agentVersion": "v", "instance": "i", "clusters": []},
            "report.refused: must be list, not NoneType",
        ),
    ],
)
def test_reports_that_are_none(raw: object, problem: str) -> None:
    with pytest.raises(report.ReportError) as caught:
        report.parse(raw)
    assert str(caught.value) == problem
