"""The moves that a member tells of: what becomes one, which of its instants are told, and that it stays bounded."""

from __future__ import annotations

from typing import Any

import pytest

from vyos_agent.core.effects import Decided
from vyos_agent.core.model import Reason, State, Vip
from vyos_agent.edge.history import MOVES_MAX, History, Scene
from vyos_api import limits

V1, V2 = Vip("192.168.0.123", 24, "eth0"), Vip("fd00::123", 64, "eth0")
BEGIN_MS, WALL_MS = 50_000, 1_790_000_000_000
L, S, OWN, A, G, X, Y = (
    State.LISTENING, State.STANDBY, State.OWNER, State.ASKING, State.GIVING, State.SUSPENDED, State.YIELDING,
)  # fmt: skip


class Tale:
    """A history, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self.history = History()
        self.ms = BEGIN_MS

    def after(self, ms: int) -> Tale:
        self.ms += ms
        return self

    def decided(
        self,
        before: State,
        after: State,
        reason: Reason,
        peer: str | None = None,
        *,
        group: str = "cluster",
        vips: tuple[Vip, ...] = (V1, V2),
        heard_ms_ago: int | None = None,
        epoch: int = 7,
    ) -> Tale:
        last_beat_ms = None if heard_ms_ago is None else self.ms - heard_ms_ago
        scene = Scene(self.ms, WALL_MS + self.ms - BEGIN_MS, vips, last_beat_ms)
        self.history.decided(Decided(group, before, after, epoch, reason, peer), scene)
        return self

    def held(self, *vips: Vip) -> Tale:
        self.history.held(vips, self.ms)
        return self

    def announced(self, *vips: Vip) -> Tale:
        self.history.announced(vips, self.ms)
        return self

    def verified(self, vip: Vip, owner: str = "r2") -> Tale:
        self.history.verified(vip, owner, self.ms)
        return self

    def told(self) -> list[tuple[str, str, str | None, str | None, dict[str, int]]]:
        found = self.history.as_json()
        return [(m["kind"], m["reason"], m["outcome"], m["peer"], m["stepsMs"]) for m in found]


def taken() -> Tale:
    """An owner's death, and all that follows at its heir."""
    tale = Tale().decided(S, OWN, Reason.PEER_DEAD, "r1", heard_ms_ago=1010, epoch=8)
    return tale.after(3).held(V1, V2).after(1).announced(V1, V2)


def asked() -> Tale:
    return Tale().decided(OWN, A, Reason.HANDOVER_REQUESTED, "r2")


def given() -> Tale:
    """A handover to its end, as its giver sees it."""
    tale = asked().after(30).decided(A, G, Reason.READY, "r2").after(60).decided(G, Y, Reason.HANDED_OVER, "r2")
    return tale.after(2).held().decided(Y, S, Reason.HANDED_OVER)


def test_a_move_for_the_control_socket() -> None:
    found: list[dict[str, Any]] = taken().history.as_json()
    assert found == [
        {
            "group": "cluster",
            "kind": "Taken",
            "reason": "PeerDead",
            "outcome": None,
            "peer": "r1",
            "epoch": 8,
            "atMs": WALL_MS,
            "stepsMs": {"lastBeat": -1010, "addresses": 3, "announced": 4},
        }
    ]
    assert list(found[0]["stepsMs"]) == ["lastBeat", "addresses", "announced"], "in the order in which they are told"


@pytest.mark.parametrize(
    ("tale", "told"),
    [
        pytest.param(
            lambda: Tale().decided(S, OWN, Reason.FIRST_CLAIM),
            ("Taken", "FirstClaim", None, None, {}),
            id="nobody had it, and nothing has followed yet",
        ),
        pytest.param(
            lambda: (
                Tale()
                .decided(S, OWN, Reason.FIRST_CLAIM)
                .after(5)
                .held(V1)
                .after(5)
                .announced(V1)
                .after(9)
                .held(V1, V2)
            ),
            ("Taken", "FirstClaim", None, None, {"addresses": 19, "announced": 10}),
            id="all addresses, but the first announcement",
        ),
        pytest.param(
            lambda: taken().after(500).announced(V1, V2).held(V1).after(500).held(V1, V2),
            ("Taken", "PeerDead", None, "r1", {"lastBeat": -1010, "addresses": 3, "announced": 4}),
            id="what comes again is no news",
        ),
        pytest.param(
            lambda: Tale().decided(S, OWN, Reason.PEER_LEFT, "r1", vips=(), heard_ms_ago=0),
            ("Taken", "PeerLeft", None, "r1", {"lastBeat": 0}),
            id="a group of services alone",
        ),
        pytest.param(
            lambda: Tale().held(V1, V2).after(400).decided(L, OWN, Reason.ADOPTED).after(2).held(V1, V2).announced(V1),
            ("Adopted", "Adopted", None, None, {"addresses": -400, "announced": 2}),
            id="an adoption finds its addresses there",
        ),
        pytest.param(
            lambda: Tale().held(V1).after(400).decided(L, OWN, Reason.ADOPTED).announced(V1).after(7).held(V1, V2),
            ("Adopted", "Adopted", None, None, {"addresses": 7, "announced": 0}),
            id="an adoption of some of them adds the rest",
        ),
        pytest.param(
            given,
            ("Given", "HandoverRequested", "HandedOver", "r2", {"ready": 30, "letGo": 90, "removed": 92}),
            id="a handover",
        ),
        pytest.param(
            lambda: asked().after(30).decided(A, G, Reason.READY, "r2"),
            ("Given", "HandoverRequested", None, "r2", {"ready": 30}),
            id="a handover under way",
        ),
        pytest.param(
            lambda: (
                asked().after(9).decided(A, G, Reason.READY, "r2").after(600).decided(G, OWN, Reason.TAKEN_BACK, "r2")
            ),
            ("Kept", "HandoverRequested", "TakenBack", "r2", {"ready": 9, "kept": 609}),
            id="a handover that nobody took",
        ),
        pytest.param(
            lambda: asked().after(9).decided(A, G, Reason.READY, "r2").after(4000).decided(G, X, Reason.SLEPT),
            ("Kept", "HandoverRequested", "Slept", "r2", {"ready": 9, "kept": 4009}),
            id="a handover slept through",
        ),
        pytest.param(
            lambda: asked().after(9).decided(A, Y, Reason.SETTLED, "r3").after(1).held().decided(Y, S, Reason.SETTLED),
            ("Released", "HandoverRequested", "Settled", "r2", {"letGo": 9, "removed": 10}),
            id="a handover that a stronger claim ended",
        ),
        pytest.param(
            lambda: Tale().decided(OWN, Y, Reason.LINK_LOST).after(4).held().decided(Y, S, Reason.LINK_LOST),
            ("Released", "LinkLost", None, None, {"removed": 4}),
            id="let go at once",
        ),
        pytest.param(
            lambda: Tale().decided(X, Y, Reason.SETTLED, "r2").after(4).decided(Y, State.NONE, Reason.REMOVED),
            ("Released", "Settled", None, "r2", {"removed": 4}),
            id="let go after a sleep, and no member any more",
        ),
        pytest.param(
            lambda: given().after(3000).verified(V1).after(10).verified(V2).after(30_000).verified(V1).verified(V2),
            (
                "Given",
                "HandoverRequested",
                "HandedOver",
                "r2",
                {"ready": 30, "letGo": 90, "removed": 92, "verified": 3102},
            ),
            id="each address was found at the target, once",
        ),
        pytest.param(
            lambda: given().after(3000).verified(V1).verified(V2, "r3"),
            ("Given", "HandoverRequested", "HandedOver", "r2", {"ready": 30, "letGo": 90, "removed": 92}),
            id="one was found elsewhere",
        ),
        pytest.param(
            lambda: taken().after(3000).verified(V1, "r1").verified(V2, "r1"),
            ("Taken", "PeerDead", None, "r1", {"lastBeat": -1010, "addresses": 3, "announced": 4}),
            id="who took it does not know",
        ),
    ],
)
def test_a_move(tale: Any, told: Any) -> None:
    assert tale().told() == [told]


@pytest.mark.parametrize(
    "tale",
    [
        pytest.param(lambda: Tale().decided(L, S, Reason.LISTENED), id="no owner, neither before nor after"),
        pytest.param(lambda: Tale().decided(OWN, OWN, Reason.EPOCH_RAISED), id="a note"),
        pytest.param(lambda: Tale().decided(S, S, Reason.CANCELLED), id="a wish that was in vain"),
        pytest.param(lambda: Tale().decided(OWN, X, Reason.SLEPT).decided(X, OWN, Reason.RESUMED), id="a sleep"),
        pytest.param(lambda: asked().decided(A, OWN, Reason.CANCELLED, "r2"), id="asked, and nothing touched"),
        pytest.param(asked, id="only asked yet"),
        pytest.param(lambda: Tale().held(V1).announced(V1).verified(V1), id="nothing decided"),
        pytest.param(lambda: Tale().decided(Y, S, Reason.HANDED_OVER), id="an end without a beginning"),
        pytest.param(lambda: Tale().decided(A, G, Reason.READY).decided(G, OWN, Reason.TAKEN_BACK), id="a middle, too"),
    ],
)
def test_what_is_no_move(tale: Any) -> None:
    assert tale().told() == []


def test_the_newest_comes_first_and_each_group_has_its_own_steps() -> None:
    tale = Tale().decided(S, OWN, Reason.PEER_DEAD, "r1", group="one", vips=(V1,), heard_ms_ago=900)
    tale.decided(S, OWN, Reason.PEER_DEAD, "r1", group="two", vips=(V2,), heard_ms_ago=900).after(4)
    tale.held(V2).announced(V2).after(6).held(V1, V2).announced(V1)
    found = tale.history.as_json()
    assert [(m["group"], m["stepsMs"]["addresses"], m["stepsMs"]["announced"]) for m in found] == [
        ("two", 4, 4),
        ("one", 10, 10),
    ]
    assert tale.history.groups == {"one", "two"}


def test_a_later_move_ends_the_steps_of_the_one_before() -> None:
    tale = Tale().decided(S, OWN, Reason.PEER_DEAD, "r1").after(5).decided(OWN, Y, Reason.ADD_FAILED).after(5)
    tale.held(V1, V2).announced(V1, V2).held().decided(Y, S, Reason.ADD_FAILED)
    assert tale.told() == [
        ("Released", "AddFailed", None, None, {"removed": 5}),
        ("Taken", "PeerDead", None, "r1", {}),
    ]


def test_it_is_bounded_and_forgets_the_oldest() -> None:
    tale = Tale()
    for epoch in range(1, 3 * MOVES_MAX, 2):
        tale.decided(S, OWN, Reason.PEER_DEAD, "r1", epoch=epoch, group=f"g{epoch % 5}").after(10).held(V1, V2)
        tale.decided(OWN, Y, Reason.SETTLED, "r1", epoch=epoch + 1, group=f"g{epoch % 5}").after(10).held()
    epochs = [m["epoch"] for m in tale.history.as_json()]
    assert epochs == list(range(epochs[0], epochs[0] - MOVES_MAX, -1))
    assert epochs[0] == 3 * MOVES_MAX
    assert len(tale.history._open) <= 5
    assert MOVES_MAX == 2 * limits.GROUPS, "as it says of itself"


def test_a_complete_move_waits_for_nothing() -> None:
    assert taken().history._open == {}, "so that each further announcement costs nothing"
    assert given().history._open == {}
