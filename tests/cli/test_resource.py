"""The status report and the explanation from a VyosCluster's status: as on a member, and where it knows less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.clusters import MONITOR, SINCE, cluster, deviation, entry, record, spec
from vyos_api.v1alpha1 import VyosCluster
from vyos_cluster import resource, resource_explanation, status

GOLDEN = Path(__file__).parent / "status"
LOST = deviation("Monitor", MONITOR, "Unreachable")


def two(owner: str | None, one: Any, two: Any, recorded: str | None = None, **group: Any) -> VyosCluster:
    """r1 is the primary and r2 the secondary; what is given of each: its state, and its deviations."""
    entries = []
    for name, said in (("r1", one), ("r2", two)):
        if said is not None:
            state, *deviations = said if isinstance(said, tuple) else (said,)
            entries.append(entry(name, state, owner, *deviations))
    found = recorded or owner
    return cluster([spec("r1", "r2", **group)], groups=[record(found)] if found else [], nodes=entries)


def dead(name: str, state: str = "Dead") -> dict[str, str]:
    return deviation("Peer", name, state)


def shown(found: VyosCluster, node: str | None = None) -> str:
    return status.text([view.group() for view in resource.views([found], node)])


AS_A_MEMBER = {
    "primary-local": ("r1", two("r1", "Owner", "Standby")),
    "secondary-local": ("r2", two("r1", "Owner", "Standby")),
    "primary-none": ("r1", two("r2", "Standby", "Owner")),
    "primary-transition": ("r1", two("r1", "Giving", "Standby")),
    "primary-all-peer-dead": ("r1", two("r1", ("Owner", dead("r2")), "Standby")),
    "primary-all-peer-up": ("r1", two("r1", "Owner", "Listening")),
    "peer-monitor-dead": ("r1", two("r1", "Owner", ("Standby", LOST))),
    "own-monitor-dead": ("r2", two("r1", "Owner", ("Standby", LOST))),
    "peer-unheard": ("r1", two("r1", ("Owner", dead("r2", "Unheard")), None)),
    "peer-left": ("r2", two("r2", "Owner", ("Owner", dead("r1", "Left")))),
    "maintenance": ("r1", two("r1", "Owner", "Standby", maintenance=["r2"])),
    "split": ("r1", two("r1", "Owner", "Owner")),
    "three": (
        "r1",
        cluster(
            [spec("r1", "r2", "r3")],
            groups=[record("r1")],
            nodes=[entry("r1", "Owner", "r1", dead("r3")), entry("r2", "Standby", "r1"), entry("r3", "Standby", "r1")],
        ),
    ),
}


@pytest.mark.parametrize("name", AS_A_MEMBER)
def test_the_report_is_that_of_the_member_to_the_letter(name: str) -> None:
    node, found = AS_A_MEMBER[name]
    expected = (GOLDEN / f"{name}.txt").read_text()
    for member in ("R1", "R2", "R3"):
        expected = expected.replace(member, member.lower())
    assert shown(found, node) == expected


def test_without_a_node_it_is_nobodys_view() -> None:
    assert shown(two("r1", "Owner", ("Standby", LOST))) == (
        "=== Status report ===\n"
        "\n"
        "  Primary r1: Active\n"
        "\n"
        "  Secondary r2: Down (at least 1 monitor not reachable)\n"
        "\n"
        "  Monitor 192.0.2.254: Reachable\n"
        "\n"
        "  Resources [192.168.0.123/24/eth0 ipsec]:\n"
        "    Active on primary r1\n"
        "\n"
    )


@pytest.mark.parametrize("said", ["Dead", "Left", "Unheard"])
def test_the_last_words_of_a_dead_owner_do_not_count(said: str) -> None:
    """r1 was the owner when it died; its entry says so still, and so does the record until r2 has written."""
    found = two("r2", "Owner", ("Owner", dead("r1", said)), recorded="r1")
    text = shown(found)
    assert "Primary r1: Down\n" in text
    assert "    Active on secondary r2\n" in text


def test_two_that_miss_each_other_are_two_owners() -> None:
    text = shown(two("r1", ("Owner", dead("r2")), ("Owner", dead("r1"))))
    assert "Primary r1: Active\n" in text
    assert "Secondary r2: Active\n" in text


def test_an_owner_that_let_go_is_none() -> None:
    """The record stays; that somebody owns the group is said by members that live."""
    text = shown(two(None, "Standby", "Standby", recorded="r1"))
    assert "Resource status in transition" in text
    (view,) = resource.views([two(None, "Standby", "Standby", recorded="r1")], None)
    assert view.owner is None


def test_nobody_can_take_it() -> None:
    down = deviation("Interface", "eth0", "Down")
    found = two(None, ("Standby", down), ("Standby", dead("r1")), recorded="r1", maintenance=["r2"])
    assert "Active on no node: no member can take them" in shown(found)


@pytest.mark.parametrize(
    ("said", "hinders"),
    [
        (deviation("Interface", "eth0", "Missing"), True),
        (deviation("Interface", "eth1", "Missing"), False),
        (deviation("Service", "cluster: ipsec.service", "Absent"), True),
        (deviation("Service", "lan: ipsec.service", "Absent"), False),
        (deviation("Address", "192.168.0.123/24", "NoInterface"), True),
        (deviation("Address", "192.168.0.123/24/eth0", "Failed"), False),
        (deviation("Fence", "no nftables", "Failed"), False),
    ],
)
def test_what_hinders_a_standby(said: dict[str, str], hinders: bool) -> None:
    text = shown(two("r1", "Owner", ("Standby", said)))
    assert ("r2: Active (standby, no candidate)" in text) is hinders


@pytest.mark.parametrize(
    ("count", "said", "word"),
    [("1/1", (), "Reachable"), ("0/1", (LOST,), "Unreachable"), ("0/1", (), "Unknown"), (None, (), "Unknown")],
)
def test_a_monitor_that_may_be_undecided_is_unknown(count: str | None, said: Any, word: str) -> None:
    nodes = [entry("r1", "Owner", "r1", *said, monitors=count), entry("r2", "Standby", "r1")]
    found = cluster([spec("r1", "r2")], groups=[record("r1")], nodes=nodes)
    assert f"Monitor {MONITOR}: {word}\n" in shown(found)


def test_of_a_member_that_never_reported_nothing_is_said() -> None:
    assert "Primary r1 (this node): Unknown" in shown(two("r2", None, "Owner"), "r1")
    assert "Secondary r2: Down" in shown(two("r1", "Owner", None))


def test_a_cluster_without_a_status() -> None:
    text = shown(cluster([spec("r1", "r2")]))
    assert "Active on no node: no member can take them" in text


def test_who_is_no_member_is_told_so_in_vyos_words() -> None:
    with pytest.raises(status.NotAMemberError) as caught:
        shown(two("r1", "Owner", "Standby"), "r9")
    assert str(caught.value) == "Error: this node (r9) is neither primary (r1) nor secondary (r2)"


def test_as_a_member_only_its_own_groups_are_told() -> None:
    groups = [spec("r1", "r2"), spec("r2", "r3", name="lan", services=["192.0.2.1/24"])]
    found = cluster(groups, groups=[record("r1")], nodes=[entry("r1", "Owner", "r1")])
    assert [view.spec.name for view in resource.views([found], "r1")] == ["cluster"]
    assert [view.spec.name for view in resource.views([found], None)] == ["cluster", "lan"]


# -- explain


def explained(found: VyosCluster) -> str:
    return "".join(resource_explanation.text(resource_explanation.row(v)) for v in resource.views([found], None))


def test_why_a_group_stays() -> None:
    assert explained(two("r2", ("Standby", LOST), "Owner")) == (
        f"edge/cluster: r2 owns it (epoch 7, since {SINCE}).\n"
        "r2 took it: PeerDead: The owner was not heard for its dead interval.\n"
        "r1 is preferred, and reaches fewer monitors than r2.\n"
        "\n"
        "member  state    preference  monitors  cannot take it\n"
        "r1      Standby  1           0/1\n"
        "r2      Owner    2           1/1\n"
        "\n"
        f"{resource_explanation.UNTOLD}\n"
        "\n"
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (two("r2", "Standby", "Owner"), "r1 is preferred, but autoFailback is off: it stays until somebody moves it."),
        (two("r2", "Standby", "Owner", autoFailback=True), "r1 is preferred, and autoFailback brings it back"),
        (two(None, "Standby", "Standby", recorded="r1"), "no member that lives reports to own it.\nRecorded is r1"),
        (two("r2", ("Standby", dead("r2")), "Owner", recorded="r1"), "no member that lives reports to own it."),
        (two("r2", None, "Owner", recorded="r1"), "r2 owns it by its own report; it is not recorded yet."),
    ],
)
def test_what_is_said(found: VyosCluster, said: str) -> None:
    assert said in explained(found)


@pytest.mark.parametrize(
    "found",
    [two("r1", "Owner", "Standby"), two("r2", "Listening", "Owner"), two("r2", "Standby", "Owner", maintenance=["r1"])],
)
def test_what_needs_no_reason_is_given_none(found: VyosCluster) -> None:
    assert "preferred," not in explained(found)


def test_what_agents_were_told_commands_no_terminal() -> None:
    said = deviation("Service", "cluster: \x1b[2J", "Failed")
    assert "\x1b" not in explained(two("r1", ("Owner", said), "Standby"))


NO_ETH9 = deviation("Heartbeat", "eth9: there is no such interface: correct spec.interfaces", "Missing")
TAKEN = deviation("Address", "192.168.0.123/24/eth0: eth0 has it for good: remove it there", "Occupied")


@pytest.mark.parametrize("node", [None, "r1"])
@pytest.mark.parametrize(
    ("one", "two_", "said"),
    [
        (NO_ETH9, NO_ETH9, [f"r1: {NO_ETH9['name']}", f"r2: {NO_ETH9['name']}"]),
        (NO_ETH9, None, []),
        (None, TAKEN, [f"r2: {TAKEN['name']}"]),
        (None, deviation("Address", "192.168.0.9/24/eth0: eth0 has it for good", "Occupied"), []),
    ],
)
def test_why_nobody_claims_it(one: Any, two_: Any, said: list[str], node: str | None) -> None:
    found = two(None, *(("Standby", *([d] if d else [])) for d in (one, two_)))
    (view,) = resource.views([found], node)
    assert list(view.waits) == said
    text = shown(found, node)
    if said:
        assert f"    Active on no node: {'; '.join(said)}\n" in text
        assert f"Nobody claims it: {'; '.join(said)}.\n" in resource_explanation.text(resource_explanation.row(view))
    if two_ is TAKEN:
        assert view.hindrances("r2") == [TAKEN["name"]]
