"""The status report: VyOS's own texts as golden files, then what VyOS could not tell.

The files `status/primary-*` and `status/secondary-*` are what vyatta-show-cluster.pl printed for those states.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cli.members import MONITOR, explained, group, row
from vyos_cluster import seen, status

GOLDEN = Path(__file__).parent / "status"
SECOND = "192.0.2.253"
NONE = {"candidate": False}


def view(node: str, owner: str | None, mine: str, theirs: str | None, peer: str = "Alive", **more: Any) -> status.Group:
    """R1 is the primary and R2 the secondary; whose view it is says what it is, and what the other one is."""
    other = "R2" if node == "R1" else "R1"
    states = {node: mine, other: theirs}
    reached, able = more.pop("reached", {}), more.pop("candidates", {})
    rows = [row(name, states[name], monitors=reached.get(name, 1), **able) for name in ("R1", "R2")]
    (found,) = seen.groups(explained(node, group(owner, *rows, **more), **{other: peer}))
    return found


def cases(node: str) -> dict[str, status.Group]:
    """Of both members the same states: by VyOS's names for the resources, and for the nodes."""
    other = "R2" if node == "R1" else "R1"
    owned = view(node, node, "Owner", "Standby")
    foreign = view(node, other, "Standby", "Owner")
    dead = [dataclasses.replace(m, presence=status.Presence.GONE) if m.name == node else m for m in foreign.members]
    both = {MONITOR: True, SECOND: False}
    return {
        "started": view(node, None, "Listening", None, "Unheard", monitors={MONITOR: None}),
        "all-peer-active": owned,
        "all-peer-dead": view(node, node, "Owner", None, "Dead"),
        "all-peer-up": view(node, node, "Owner", "Listening", "Listening"),
        "all-peer-unknown": view(node, node, "Owner", None),
        "local": owned if node == "R1" else foreign,
        "transition": view(node, node, "Giving", "Standby"),
        "none": foreign,
        "none-monitor-dead": view(node, other, "Standby", "Owner", monitors=both, reached={node: 1, other: 2}),
        "none-own-dead": dataclasses.replace(foreign, members=tuple(dead)),
        "foreign": view(node, None, "None", "Standby"),
        "monitors": view(node, node, "Owner", "Standby", monitors={MONITOR: False, SECOND: None}, reached={other: 2}),
    }


VYOS = {
    **{f"primary-{name}": found for name, found in cases("R1").items()},
    **{f"secondary-{name}": found for name, found in cases("R2").items()},
    "primary-no-monitors": view("R1", "R1", "Owner", "Standby", monitors={}, reached={"R1": 0, "R2": 0}),
}


def three(owner: str | None, *states: str | None, **peers: str) -> status.Group:
    """The view of R1, the first of three."""
    rows = [row(name, state, monitors=1) for name, state in zip(("R1", "R2", "R3"), states, strict=True)]
    (found,) = seen.groups(explained("R1", group(owner, *rows), **peers))
    return found


OURS = {
    "peer-monitor-dead": [view("R1", "R1", "Owner", "Standby", reached={"R2": 0})],
    "own-monitor-dead": [view("R2", "R1", "Standby", "Owner", monitors={MONITOR: False}, reached={"R2": 0})],
    "peer-unheard": [view("R1", "R1", "Owner", None, "Unheard")],
    "peer-left": [view("R2", "R2", "Owner", None, "Left")],
    "election": [view("R1", None, "Standby", None, "Dead")],
    "nobody": [view("R1", None, "Standby", None, "Dead", maintenance=["R1"], candidates=NONE)],
    "no-candidate": [view("R1", "R1", "Owner", "Standby", candidates=NONE)],
    "maintenance": [view("R1", "R1", "Owner", "Standby", maintenance=["R2"])],
    "three": [three("R1", "Owner", "Standby", None, R2="Alive", R3="Dead")],
    "three-started": [three("R2", "Listening", "Owner", None, R2="Alive", R3="Unheard")],
    "three-waiting": [three(None, "Listening", None, None, R2="Unheard", R3="Unheard")],
    "split": [view("R1", "R1", "Owner", "Owner")],
    "outsider": [view("R1", "0a1b2c3d", "Standby", "Standby")],
    "groups": [
        view("R1", "R1", "Owner", "Standby", name="lan"),
        view("R1", "R2", "Standby", "Owner", name="wan", resources=["192.0.2.1/24"], monitors={}),
    ],
}


def test_every_golden_text_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(VYOS) | set(OURS)


@pytest.mark.parametrize("name", VYOS)
def test_the_texts_of_vyos(name: str) -> None:
    assert status.text([VYOS[name]]) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", OURS)
def test_what_vyos_has_no_text_for(name: str) -> None:
    assert status.text(OURS[name]) == (GOLDEN / f"{name}.txt").read_text()


def test_who_has_no_part_in_a_group_is_told_so_in_vyos_words() -> None:
    stranger = dataclasses.replace(VYOS["primary-none"], node="R9")
    text = "Error: this node (R9) is neither primary (R1) nor secondary (R2)"
    with pytest.raises(status.NotAMemberError) as caught:
        status.text([stranger])
    assert str(caught.value) == text


def test_for_machines_there_are_the_facts_beside_the_words() -> None:
    (found,) = status.rows([VYOS["primary-monitors"]])
    assert found["members"][1] == {
        "name": "R2",
        "role": "secondary",
        "here": False,
        "state": "Standby",
        "status": "Active (standby)",
    }
    assert found["monitors"][0] == {"address": MONITOR, "reachable": False, "status": "Unreachable"}
    del found["members"], found["monitors"]
    assert found == {
        "cluster": "edge",
        "group": "cluster",
        "owner": "R1",
        "status": "Active on primary R1 (this node)",
        "resources": ["192.168.0.123/24/eth0", "ipsec"],
    }
