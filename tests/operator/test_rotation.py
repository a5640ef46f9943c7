"""The way from one key to the next: each step waits for every living member, and any of them may be the first seen."""

from __future__ import annotations

import pytest

from vyos_api.keys import heartbeat_key
from vyos_api.nodeconfig import Key, KeySet
from vyos_api.v1alpha1 import NodeStatus
from vyos_operator.rotation import Rotation, rotate

UID = "11111111-2222-3333-4444-555555555555"
OLD, NEW, THIRD = (heartbeat_key(secret, UID) for secret in (b"old", b"new", b"third"))


def keys(send: tuple[int, bytes], *accept: tuple[int, bytes]) -> KeySet:
    others = tuple(Key(number, "accept", secret) for number, secret in accept)
    return KeySet(UID, (Key(send[0], "send", send[1]), *others))


def says(name: str, send: int | None, *accept: int) -> NodeStatus:
    return NodeStatus.model_validate({"name": name, "sendKey": send, "acceptKeys": list(accept) or None})


def both(send: int, *accept: int) -> list[NodeStatus]:
    return [says("node1", send, *accept), says("node2", send, *accept)]


def same(one: KeySet, other: KeySet) -> bool:
    return sorted(one.keys, key=lambda k: k.id) == sorted(other.keys, key=lambda k: k.id)


@pytest.mark.parametrize(
    ("running", "entries", "wanted", "stage", "awaited"),
    [
        pytest.param(None, both(1, 1), keys((1, NEW)), "", (), id="the first key"),
        pytest.param(keys((1, NEW)), both(1, 1), keys((1, NEW)), "", (), id="at rest"),
        pytest.param(keys((7, NEW)), [], keys((7, NEW)), "", (), id="at rest, nobody lives"),
        pytest.param(keys((1, OLD)), both(1, 1), keys((1, OLD), (2, NEW)), "1 of 3", ("node1", "node2"), id="accept"),
        pytest.param(
            keys((1, OLD), (2, NEW)),
            [says("node1", 1, 1, 2), says("node2", 1, 1)],
            keys((1, OLD), (2, NEW)),
            "1 of 3",
            ("node2",),
            id="not all accept it yet",
        ),
        pytest.param(
            keys((1, OLD), (2, NEW)),
            [says("node1", 1, 1, 2), says("node2", None)],
            keys((1, OLD), (2, NEW)),
            "1 of 3",
            ("node2",),
            id="an agent that does not tell is waited for",
        ),
        pytest.param(
            keys((1, OLD), (2, NEW)), both(1, 1, 2), keys((2, NEW), (1, OLD)), "2 of 3", ("node1", "node2"), id="switch"
        ),
        pytest.param(
            keys((2, NEW), (1, OLD)),
            [says("node1", 2, 1, 2), says("node2", 1, 1, 2)],
            keys((2, NEW), (1, OLD)),
            "2 of 3",
            ("node2",),
            id="one sends with the old key still",
        ),
        pytest.param(keys((2, NEW), (1, OLD)), both(2, 1, 2), keys((2, NEW)), "", (), id="forget"),
        pytest.param(
            keys((255, OLD)), both(255, 255), keys((255, OLD), (1, NEW)), "1 of 3", ("node1", "node2"), id="wrap"
        ),
        pytest.param(
            keys((1, NEW), (2, OLD)), both(1, 1, 2), keys((1, NEW)), "", (), id="put back before anybody switched"
        ),
        pytest.param(
            keys((1, OLD), (2, THIRD)),
            both(1, 1, 2),
            keys((1, OLD)),
            "an earlier",
            ("node1", "node2"),
            id="another one",
        ),
        pytest.param(
            keys((2, THIRD), (1, OLD)),
            both(2, 1, 2),
            keys((2, THIRD)),
            "an earlier",
            ("node1", "node2"),
            id="and later",
        ),
    ],
)
def test_a_step(
    running: KeySet | None, entries: list[NodeStatus], wanted: KeySet, stage: str, awaited: tuple[str, ...]
) -> None:
    found = rotate(b"new", running, UID, {e.name: e for e in entries})
    assert same(found.keys, wanted)
    assert found.stage.startswith(stage)
    assert bool(found.stage) is bool(stage)
    assert found.awaited == awaited


@pytest.mark.parametrize("secrets", [[b"new"], [b"new", b"third"], [b"new", b"old"], [b"new", b"third", b"new"]])
@pytest.mark.parametrize("slow", [0, 1, 2])
def test_whoever_sends_is_understood_by_all_at_every_moment(secrets: list[bytes], slow: int) -> None:
    """Members take each step one after the other, and the secret may change in the middle."""
    has = [keys((1, OLD)), keys((1, OLD)), keys((1, OLD))]
    running = has[0]
    for moment in range(60):
        secret = secrets[min(moment // 7, len(secrets) - 1)]
        entries = [says(f"node{i}", k.send.id, *(key.id for key in k.keys)) for i, k in enumerate(has)]
        running = rotate(secret, running, UID, {e.name: e for e in entries}).keys
        if moment % 3 != slow:
            has[moment % 3] = running
        elif moment % 9 == slow:
            has[slow] = running
        for sender in has:
            for receiver in has:
                assert (sender.send.id, sender.send.secret) in {(k.id, k.secret) for k in receiver.keys}
    assert {k.send.secret for k in has} == {heartbeat_key(secrets[-1], UID)}
    assert all(len(k.keys) == 1 for k in has)


def test_who_has_said_nothing_is_waited_for() -> None:
    running = keys((1, OLD), (2, NEW))
    found = rotate(b"new", running, UID, {"node1": says("node1", 1, 1, 2), "node2": None})
    assert (found.keys, found.awaited) == (running, ("node2",))


@pytest.mark.parametrize(
    ("entries", "number"),
    [([], 1), (both(2, 2), 2), (both(1, 1, 2), 2), (both(2, 1, 2), 2), (both(255, 255, 1), 1), (both(255, 255), 255)],
)
def test_lost_keys_come_back_under_the_number_that_the_members_know(entries: list[NodeStatus], number: int) -> None:
    found = rotate(b"new", None, UID, {e.name: e for e in entries})
    assert found == Rotation(keys((number, NEW)))


def test_nothing_quotes_a_key() -> None:
    found = repr(Rotation(keys((1, OLD), (2, NEW))))
    assert "old" not in found
    assert str(OLD) not in found
