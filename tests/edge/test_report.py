"""The JSON of the report: levels, counts, what deviates, and times that stay the same."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import Any

import pytest

from edge import values
from edge.fakes import Clock
from vyos_agent.core.model import Keyring, Reason, Serving, State, Vip
from vyos_agent.core.report import GroupReport, PeerReport, Report
from vyos_agent.edge import clock as clocks
from vyos_agent.edge import usable
from vyos_agent.edge.kernel import Link
from vyos_agent.edge.report import ClusterReporter, Facts

VIP = Vip("192.168.0.123", 24, "eth0")
REPORT = Report(
    revision=3,
    generation=2,
    groups=(GroupReport("cluster", State.OWNER, "r1", 7, Reason.PEER_DEAD, 999_000, (VIP,)),),
    peers=(PeerReport("r2", "Alive", 998_000),),
    links={"eth0": True},
    failed={},
    drops={"BadTag": 12},
)


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> ClusterReporter:
    clock = Clock()
    monkeypatch.setattr(clocks, "now", clock)
    return ClusterReporter(lambda name: name != "gone", clock)


def build(reporter: ClusterReporter, *failed: str, **changes: Any) -> dict[str, Any]:
    return reporter.build(
        values.config(),
        Keyring(2, {1: b"old", 2: b"new"}),
        dataclasses.replace(REPORT, **changes),
        Facts(failed=failed),
    )


def test_all_is_well(reporter: ClusterReporter) -> None:
    built = build(reporter)
    since = built["groups"][0].pop("sinceMs")
    assert 1.6e12 < since < 4e12
    assert built == {
        "cluster": "edge",
        "uid": values.UID,
        "generation": 2,
        "keys": {"send": 2, "accept": [1, 2]},
        "groups": [
            {
                "name": "cluster",
                "state": "Owner",
                "owner": "r1",
                "epoch": 7,
                "reason": "PeerDead",
                "addresses": ["192.168.0.123/24/eth0"],
                "services": [],
            }
        ],
        "peers": {"ready": 1, "all": 1},
        "monitors": {"ready": 0, "all": 0},
        "interfaces": {"ready": 1, "all": 1},
        "deviations": [],
        "drops": {"BadTag": 12},
    }


def test_one_event_has_one_time(reporter: ClusterReporter, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(reporter, "192.168.0.123/24/eth0", links={"eth0": False})
    monkeypatch.setattr(clocks.time, "time_ns", lambda: 5)
    assert build(reporter, "192.168.0.123/24/eth0", links={"eth0": False}) == first


def test_what_ends_and_comes_again_has_a_new_time(reporter: ClusterReporter, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(reporter, links={"eth0": False})["deviations"]
    build(reporter)
    monkeypatch.setattr(clocks.time, "time_ns", lambda: 5_000_000)
    again = build(reporter, links={"eth0": False})["deviations"]
    assert again == [{**first[0], "sinceMs": 5}]


def test_a_host_service_that_is_not_allowed(reporter: ClusterReporter) -> None:
    group = values.group("cluster", "192.168.0.123/24/eth0", members=("r1", "r2"))
    config = dataclasses.replace(
        values.config(), groups=(dataclasses.replace(group, units=("a.service", "b.service")),)
    )
    groups = (dataclasses.replace(REPORT.groups[0], services=Serving.RUNNING),)
    facts = Facts(refused_units={"cluster": {"b.service": "b.service: a node needs b.service"}})
    built = reporter.build(config, Keyring(2, {2: b"new"}), dataclasses.replace(REPORT, groups=groups), facts)
    assert built["groups"][0]["services"] == ["a.service"]
    ((kind, name, state),) = [(d["kind"], d["name"], d["state"]) for d in built["deviations"]]
    assert (kind, state) == ("Service", "NotAllowed")
    assert name == (
        "cluster: b.service: a node needs b.service: remove it from the group, or allow it (agents.hostServices.allow)"
    )


@pytest.mark.parametrize("state", ["Dead", "Left", "Unheard"])
def test_a_peer_that_is_not_there(reporter: ClusterReporter, state: str) -> None:
    built = build(reporter, peers=(PeerReport("r2", state, 998_000),))
    assert built["peers"] == {"ready": 0, "all": 1}
    assert [(d["kind"], d["name"], d["state"]) for d in built["deviations"]] == [("Peer", "r2", state)]


def test_while_this_member_listens_nobody_is_missed(reporter: ClusterReporter) -> None:
    listening = (dataclasses.replace(REPORT.groups[0], state=State.LISTENING, owner=None, epoch=0, reason=None),)
    built = build(reporter, groups=listening, peers=(PeerReport("r2", "Unheard", 998_000),))
    assert built["deviations"] == []
    assert built["peers"] == {"ready": 0, "all": 1}
    assert (built["groups"][0]["owner"], built["groups"][0]["epoch"], built["groups"][0]["reason"]) == (None,) * 3


def test_a_peer_that_listens_is_not_ready_and_no_deviation(reporter: ClusterReporter) -> None:
    built = build(reporter, peers=(PeerReport("r2", "Listening", 998_000),))
    assert (built["peers"]["ready"], built["deviations"]) == (0, [])


def test_interfaces_and_addresses(reporter: ClusterReporter) -> None:
    built = build(reporter, VIP.text, links={"eth0": False, "gone": False, "eth1": True})
    assert built["interfaces"] == {"ready": 1, "all": 3}
    assert [(d["kind"], d["name"], d["state"]) for d in built["deviations"]] == [
        ("Interface", "eth0", "Down"),
        ("Interface", "gone", "Missing"),
        ("Address", "192.168.0.123/24/eth0", "Failed"),
    ]


MISSING = usable.Trouble("Missing", "gone: there is no such interface: …")
LACKING = usable.Trouble("NoAddress", "eth0: it has no IPv4 address of its own: …")


@pytest.mark.parametrize(
    ("mute", "troubles", "told"),
    [
        (False, {}, []),
        (False, {"gone": MISSING}, []),
        (False, {"eth0": LACKING}, [("Interface", LACKING.text, "NoAddress")]),
        (
            True,
            {"gone": MISSING, "eth0": LACKING},
            [("Heartbeat", LACKING.text, "NoAddress"), ("Heartbeat", MISSING.text, "Missing")],
        ),
        (
            True,
            {},
            [("Heartbeat", "no heartbeat is accepted for sending: look at the node's firewall and log", "Refused")],
        ),
    ],
)
def test_links_that_carry_no_heartbeats(
    reporter: ClusterReporter, mute: bool, troubles: dict[str, usable.Trouble], told: list[tuple[str, str, str]]
) -> None:
    report = dataclasses.replace(REPORT, mute=mute)
    built = reporter.build(values.config(), Keyring(2, {2: b"new"}), report, Facts(troubles=troubles))
    assert [(d["kind"], d["name"], d["state"]) for d in built["deviations"]] == told


@pytest.mark.parametrize(
    ("group", "families", "refusal", "state", "said"),
    [
        ("239.1.1.1", {4, 6}, None, None, ""),
        ("239.1.1.1", None, None, None, ""),
        ("239.1.1.1", {6}, None, "NoAddress", "no IPv4 address of its own for mcastGroup 239.1.1.1: give it one, or "),
        ("ff05::1", {4}, None, "NoAddress", "no IPv6 address of its own for mcastGroup ff05::1: .* an IPv4 group"),
        ("ff05::1", set(), None, "NoAddress", "no IPv6 address"),
        ("ff05::1", {6}, "EPERM", "Refused", "the kernel refuses heartbeats .EPERM.: look at the node's firewall"),
    ],
)
def test_what_keeps_a_link_from_carrying(
    group: str, families: set[int] | None, refusal: str | None, state: str | None, said: str
) -> None:
    link = Link(3, "eth0", b"", 1, up=True, promotes=True)
    found = usable.trouble("eth0", link, ipaddress.ip_address(group), families, refusal)
    assert (found.state if found else None) == state
    assert found is None or re.search(said, found.text)
    down = usable.trouble("eth0", dataclasses.replace(link, up=False), ipaddress.ip_address(group), families, refusal)
    gone = usable.trouble("eth0", None, ipaddress.ip_address(group), families, refusal)
    assert [t and t.state for t in (down, gone)] == ["Down", "Missing"]
