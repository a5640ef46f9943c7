"""docs/conditions.md has every type and reason of the API, and whatever the operator says is on it."""

from __future__ import annotations

import dataclasses
import enum
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vyos_api import reasons
from vyos_api.reasons import ConditionType
from vyos_operator import plan
from vyos_operator.status import ANSWER_KIND, DEVIATIONS
from vyos_operator.world import Absence, World

from .worlds import carried_out, cluster, group, owned, reported, said, secret, world

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| `(\w+)` \| (\w+) \| \S.* \|")
ENUMS: dict[str, type[enum.StrEnum]] = {
    ConditionType.ACCEPTED: reasons.AcceptedReason,
    ConditionType.PROGRAMMED: reasons.ProgrammedReason,
    ConditionType.AVAILABLE: reasons.AvailableReason,
    ConditionType.VERIFIED: reasons.VerifiedReason,
    ConditionType.DEGRADED: reasons.DegradedReason,
}
MEMBERS = ("node1", "node2", "node3")
DEAD, MUTE = (Absence("its agent does not run", dead=dead) for dead in (True, False))
THREE = carried_out(world(cluster(group("cluster", *MEMBERS))))


def page() -> dict[str, dict[str, str]]:
    """Of each type: reason -> status."""
    found: dict[str, dict[str, str]] = {}
    for part in (ROOT / "docs/conditions.md").read_text().split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        rows = [row for row in text.splitlines() if row.startswith("| `")]
        matches = [ROW.fullmatch(row) for row in rows]
        assert all(matches), rows
        found[title] = {m[1]: m[2] for m in matches if m}
        assert len(found[title]) == len(rows), f"{title} has a reason twice"
    return found


def test_it_has_all_types_and_reasons_and_no_others() -> None:
    assert {kind: set(rows) for kind, rows in page().items()} == {k: {str(r) for r in e} for k, e in ENUMS.items()}
    assert set(ENUMS) == set(ConditionType)


def test_the_readme_names_all_types() -> None:
    readme = (ROOT / "README.md").read_text()
    (listed,) = re.findall(r"\(conditions ([^)]*?), and an Event", readme.replace("\n", " "))
    assert re.findall(r"\w+", listed) == [str(kind) for kind in ConditionType]


def on_the_page(found: World) -> dict[str, str]:
    """Plan it: what the operator says is on the page, with that status. Returns the reasons by type."""
    found.cluster.get("status", {}).pop("conditions", None)
    done = plan.plan_for(found)
    assert done.status is not None
    rows = page()
    told = {c["type"]: c for c in done.status["conditions"]}
    assert set(told) == set(rows)
    for kind, condition in told.items():
        assert rows[kind].get(condition["reason"]) == condition["status"], condition
    return {kind: c["reason"] for kind, c in told.items()}


STATES = st.sampled_from(("Owner", "Standby", "Listening", "Giving"))
DEVIATION = st.tuples(
    st.sampled_from((*DEVIATIONS, ANSWER_KIND, "Configuration", "Clock")),
    st.sampled_from((*MEMBERS, "192.168.0.123", "192.168.0.123/24/eth0: eth0 has it for good")),
    st.sampled_from(
        ("Dead", "Unheard", "Down", "NoAnswer", "TwoMACs", "WrongMAC", "Refused", "Burning", "Occupied", "NotAllowed")
    ),
)
ENTRY = st.tuples(
    st.sampled_from((3, 2)), STATES, st.sampled_from((*MEMBERS, None)), st.lists(DEVIATION, max_size=3).map(tuple)
)


@given(
    entries=st.dictionaries(st.sampled_from(MEMBERS), ENTRY),
    owner=st.sampled_from((*MEMBERS, None)),
    lost=st.sets(st.sampled_from(MEMBERS)),
    agents=st.dictionaries(st.sampled_from(MEMBERS), st.sampled_from((None, DEAD, MUTE))),
)
@example(
    entries={"node1": (3, "Owner", "node1", ((ANSWER_KIND, "10.0.0.1", "Burning"),))},
    owner=None,
    lost=set(),
    agents=dict.fromkeys(MEMBERS),
)
def test_whatever_the_agents_say(
    entries: dict[str, Any], owner: str | None, lost: set[str], agents: dict[str, Absence | None]
) -> None:
    told = [said(n, g, deviations=d, cluster=(s, o)) for n, (g, s, o, d) in entries.items()]
    found = reported(THREE, *told, groups=(owned(owner),) if owner else ())
    on_the_page(dataclasses.replace(found, lost=frozenset(lost), agents=agents))


@pytest.mark.parametrize(
    ("body", "more", "reason"),
    [
        (cluster(), {}, "Accepted"),
        (cluster(interfaces=[]), {}, "InvalidSpec"),
        (cluster(), {"secret": None}, "SecretNotFound"),
        (cluster(), {"secret": secret(secret="")}, "InvalidSecret"),
        (cluster(group("cluster", "node1", "elsewhere")), {}, "NodeNotFound"),
        (cluster(), {"agents": {"node1": None}}, "NoAgent"),
    ],
)
def test_whatever_is_asked_for(body: dict[str, Any], more: dict[str, Any], reason: str) -> None:
    assert on_the_page(world(body, **more))["Accepted"] == reason
