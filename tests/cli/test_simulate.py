"""Forecasts, as a table: what a member explains, who is lost, where the group goes."""

from __future__ import annotations

from typing import Any

import pytest

from vyos_cluster import simulate


def row(name: str, *, candidate: bool = True, state: str | None = "Standby", ready: bool = True) -> dict[str, Any]:
    return {"name": name, "state": state, "rank": 0, "candidate": candidate, "ready": ready, "monitors": 0}


def explained(owner: str | None, *rows: dict[str, Any]) -> dict[str, Any]:
    return {"clusters": [{"cluster": "edge", "groups": [{"name": "g", "owner": owner, "candidates": list(rows)}]}]}


SILENT = row("r3", candidate=False, state=None, ready=False)
RESTING = row("r2", candidate=False)


@pytest.mark.parametrize(
    ("answer", "down", "line"),
    [
        (explained("r1", row("r1"), row("r2"), row("r3")), "r1", "edge/g: r1 -> r2"),
        (explained("r1", row("r1"), row("r3"), row("r2")), "r1", "edge/g: r1 -> r3"),  # the table's order counts
        (explained("r1", row("r1"), row("r2")), "r2", "edge/g: stays at r1"),
        (explained("r2", row("r1"), row("r2")), "r2", "edge/g: r2 -> r1"),
        (explained("r1", row("r1"), RESTING, row("r3")), "r1", "edge/g: r1 -> r3"),
        (explained("r1", row("r1"), row("r2", ready=False)), "r1", "edge/g: r1 -> r2"),  # a takeover asks for no GO
        (
            explained("r1", row("r1"), RESTING, SILENT),
            "r1",
            "edge/g: r1 -> nobody (r2 is Standby and no candidate; r3 is not heard)",
        ),
        (explained(None, row("r1"), row("r2")), "r1", "edge/g: nobody -> r2"),
        (explained(None, row("r1"), SILENT), "r1", "edge/g: has no owner, and gets none"),
    ],
)
def test_forecast(answer: dict[str, Any], down: str, line: str) -> None:
    assert [move.line() for move in simulate.without(answer, down)] == [line]


def test_a_node_that_nobody_knows_is_an_error_that_names_the_members() -> None:
    with pytest.raises(simulate.UnknownNodeError, match="members are: r1, r2"):
        simulate.without(explained("r1", row("r1"), row("r2")), "r7")


def test_a_router_that_serves_nothing_knows_no_members() -> None:
    with pytest.raises(simulate.UnknownNodeError, match="members are: none"):
        simulate.without({"clusters": []}, "r1")
