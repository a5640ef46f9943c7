"""Why a group is where it is: tables and sentences from what a member explains."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cli.members import explained, group, row
from vyos_cluster import explanation, seen, status
from vyos_cluster.reasons import REASONS

PROTOCOL = Path(__file__).resolve().parents[2] / "docs/protocol.md"


def told(answer: dict[str, Any]) -> explanation.Row:
    (found,) = explanation.rows(answer, None, None)
    return found


def test_the_words_are_those_of_the_protocol() -> None:
    table = PROTOCOL.read_text().split("<!-- reasons:begin -->")[1].split("<!-- reasons:end -->")[0]
    assert dict(re.findall(r"^\| ([A-Z]\w+) \| (.+) \|$", table, re.MULTILINE)) == REASONS


def test_the_whole_text() -> None:
    rows = (row("r1", "Owner", monitors=1), row("r2", "Standby", monitors=0), row("r3", None, candidate=False))
    answer = explained("r1", group("r1", *rows), r2="Alive", r3="Dead")
    assert explanation.text(told(answer)) == (
        "edge/cluster: r1 owns it (epoch 7).\n"
        "r1 took it: PeerDead: The owner was not heard for its dead interval.\n"
        "\n"
        "   member  state    candidate  monitors  preference  ready  heard over\n"
        "1  r1      Owner    yes        1/1       1           yes    (this router)\n"
        "2  r2      Standby  yes        0/1       2           yes    eth0\n"
        "   r3      (Dead)   no         ?         3           no\n"
        "\n"
        "r2 comes after r1: it reaches fewer monitors (0 of 1, not 1).\n"
        "r3 is no candidate: it is not heard any more.\n"
        "\n"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "r1 comes first, but autoFailback is off: it stays until somebody moves it."),
        ({"failbackMs": 20_000}, "r1 comes first: autoFailback brings it back after 20 s."),
        (
            {"handover": {"target": "r1", "reason": "Failback", "given": False}},
            "A move is under way: r1 is asked (Failback).",
        ),
        (
            {"handover": {"target": "r1", "reason": "Failback", "given": True}},
            "A move is under way: r1 is given (Failback).",
        ),
        ({"services": "Running"}, "Its host services on r2: Running."),
    ],
)
def test_why_it_is_not_at_the_first(changes: dict[str, Any], said: str) -> None:
    rows = (row("r1", "Standby", monitors=1), row("r2", "Owner", monitors=1))
    assert said in told(explained("r2", group("r2", *rows, **changes), r1="Alive"))["why"]


def test_a_better_member_that_is_not_ready() -> None:
    rows = (row("r1", "Standby", monitors=1, ready=False), row("r2", "Owner", monitors=0))
    assert told(explained("r2", group("r2", *rows), r1="Alive"))["why"][2:] == [
        "r1 reaches more monitors than r2: a move follows when that lasts.",
        "r1 is not ready for a move now.",
    ]


def test_an_owner_that_is_no_candidate_has_an_heir() -> None:
    rows = (row("r2", "Standby", monitors=1), row("r1", "Owner", monitors=1, candidate=False))
    found = told(explained("r1", group("r1", *rows, maintenance=["r1"]), r2="Alive"))
    assert "r2 would be the next owner." in found["why"]
    assert found["order"] == ["r1 is no candidate: it is in maintenance."]


def test_of_a_standby_is_told_what_it_is_itself() -> None:
    rows = (row("r1", "Owner", monitors=1), row("r2", "Standby", monitors=1))
    found = told(explained("r2", group("r1", *rows, state="Standby", reason="Listened"), r1="Alive"))
    assert found["why"] == [
        "edge/cluster: r1 owns it (epoch 7).",
        "r2, which is asked here, is Standby: Listened: All members were heard, or the initial dead interval is over.",
    ]
    assert found["order"] == ["r2 comes after r1: it is less preferred."]


def test_nobody_owns_it() -> None:
    rows = (row("r1", "Listening", candidate=False), row("r2", None, candidate=False))
    found = told(explained("r1", group(None, *rows, state="Listening", reason=None), r2="Unheard"))
    assert found["why"] == [
        "edge/cluster: nobody owns it, as far as r1 knows.",
        "r1, which is asked here, is Listening: it has just begun.",
    ]
    assert found["order"] == [
        "r1 is no candidate: it has just started, and listens.",
        "r2 is no candidate: it was never heard.",
    ]


@pytest.mark.parametrize(
    ("peer", "state", "said"),
    [
        ("Left", None, "it has left."),
        ("Alive", None, "it says nothing of this group."),
        ("Alive", "Standby", "it has lost a link of the addresses, a host service failed"),
    ],
)
def test_what_hinders_a_member(peer: str, state: str | None, said: str) -> None:
    rows = (row("r1", "Owner", monitors=1), row("r2", state, candidate=False))
    (found,) = told(explained("r1", group("r1", *rows), r2=peer))["order"]
    assert said in found


def test_lists_of_monitors_that_differ_do_not_count() -> None:
    rows = (row("r1", "Owner", monitors=0), row("r2", "Standby", monitors=None))
    (found,) = told(explained("r1", group("r1", *rows), r2="Alive"))["order"]
    assert found == (
        "r2 comes after r1: it is less preferred (one of the two pings other monitors, so they do not count)."
    )


WAITS = ["no heartbeat link carries a frame here", "eth9: there is no such interface: correct spec.interfaces"]


def test_why_a_group_is_not_claimed() -> None:
    rows = (row("r1", "Standby", monitors=1), row("r2", None, candidate=False))
    found = told(explained("r1", group(None, *rows, state="Standby", epoch=None, waits=WAITS), r2="Unheard"))
    assert found["why"][:2] == [
        "edge/cluster: nobody owns it, as far as r1 knows.",
        f"r1 does not claim it: {WAITS[0]}; {WAITS[1]}.",
    ]
    shown = status.text(seen.groups(explained("r1", group(None, *rows, state="Standby", waits=WAITS), r2="Unheard")))
    assert f"    Active on no node: {WAITS[0]}; {WAITS[1]}\n" in shown
    assert "in transition" not in shown
