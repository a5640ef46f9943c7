"""The codec: what is refused under which name, and that no broken byte gets through."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import random

import pytest

from sim.build import CLUSTER_ID, KEY, KEYRING
from vyos_agent.core import wire
from vyos_agent.core.model import EPOCH_MAX, Cause, Drop, GroupId, Keyring, MemberId, State

PEER = wire.PeerEntry(MemberId(2), 2**64 - 1, 2**32 - 1, wire.AGE_MS_MAX, wire.PeerState.ALIVE)
GROUP = wire.GroupEntry(
    group=GroupId(9),
    epoch=EPOCH_MAX,
    state=State.GIVING,
    rank=31,
    candidate=True,
    ready=True,
    services_stopped=True,
    suspended=True,
    monitors=16,
    list_hash=0xBEEF,
    handover=wire.Handover.GO,
    cause=Cause.MAINTENANCE,
    target=MemberId(2),
    claim_owner=MemberId(3),
    claim_epoch=EPOCH_MAX - 1,
    claim_rank=7,
)
BEAT = wire.Beat(
    sender=MemberId(1),
    incarnation=2**63,
    sequence=2**40,
    dead_ms=20_000,
    keepalive_ms=5_000,
    generation=12,
    leaving=True,
    answer_please=True,
    link=7,
    peers=(PEER,),
    groups=(GROUP,),
)


def sealed(body: bytes, key: bytes = KEY) -> bytes:
    """A body under a correct tag."""
    return body + hmac.digest(key, body, hashlib.sha256)


def body_of(beat: wire.Beat) -> bytearray:
    return bytearray(wire.seal(beat, CLUSTER_ID, KEYRING)[: -wire.TAG_BYTES])


def unseal(data: bytes) -> wire.Beat | Drop:
    return wire.unseal(data, CLUSTER_ID, KEYRING)


def test_what_is_sealed_is_unsealed() -> None:
    assert unseal(wire.seal(BEAT, CLUSTER_ID, KEYRING)) == BEAT
    empty = dataclasses.replace(BEAT, peers=(), groups=(), leaving=False, answer_please=False)
    assert unseal(wire.seal(empty, CLUSTER_ID, KEYRING)) == empty


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("handover", list(wire.Handover))
def test_every_state_and_step_has_its_byte(state: State, handover: wire.Handover) -> None:
    for cause in Cause:
        entry = dataclasses.replace(GROUP, state=state, handover=handover, cause=cause)
        beat = dataclasses.replace(BEAT, groups=(entry,))
        assert unseal(wire.seal(beat, CLUSTER_ID, KEYRING)) == beat


def test_every_truncation_is_refused() -> None:
    data = wire.seal(BEAT, CLUSTER_ID, KEYRING)
    for length in range(len(data)):
        assert unseal(data[:length]) in (Drop.TOO_SHORT, Drop.BAD_TAG), length


def test_every_flipped_bit_is_refused() -> None:
    data = wire.seal(BEAT, CLUSTER_ID, KEYRING)
    for i in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[i] ^= 1 << bit
            assert isinstance(unseal(bytes(flipped)), Drop), (i, bit)


@pytest.mark.parametrize(
    ("data", "drop"),
    [
        (b"", Drop.TOO_SHORT),
        (bytes(wire.FRAME_MIN - 1), Drop.TOO_SHORT),
        (bytes(wire.FRAME_MAX + 1), Drop.TOO_LONG),
        (bytes(wire.FRAME_MIN), Drop.BAD_MAGIC),
        (b"VYCB\x02" + bytes(wire.FRAME_MIN), Drop.BAD_VERSION),
        (b"VYCB\x01\x01" + bytes(wire.FRAME_MIN), Drop.OTHER_CLUSTER),
        (wire.seal(BEAT, CLUSTER_ID, Keyring(9, {9: KEY})), Drop.UNKNOWN_KEY),
        (wire.seal(BEAT, CLUSTER_ID, Keyring(1, {1: bytes(32)})), Drop.BAD_TAG),
    ],
)
def test_every_refusal_has_a_name(data: bytes, drop: Drop) -> None:
    assert unseal(data) is drop


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        pytest.param(6, 4, id="an unknown flag of the frame"),
        pytest.param(8, 1, id="a part beyond the parts"),
        pytest.param(9, 0, id="no parts at all"),
        pytest.param(10, 2, id="more peers than there are"),
        pytest.param(11, 0, id="fewer groups than there are"),
        pytest.param(48, 1, id="a dead interval of hours"),
        pytest.param(52, 1, id="a keepalive longer than the dead interval"),
        pytest.param(64 + 18, 2, id="an unknown state of a peer"),
        pytest.param(84 + 4, 0xFF, id="an epoch beyond what JSON keeps"),
        pytest.param(84 + 11, 8, id="an unknown state"),
        pytest.param(84 + 13, 16, id="an unknown flag of a group"),
        pytest.param(84 + 17, 6, id="an unknown step"),
        pytest.param(84 + 17, 0xB0, id="an unknown cause"),
        pytest.param(84 + 26, 0xFF, id="a claim's epoch beyond what JSON keeps"),
    ],
)
def test_what_cannot_be_is_malformed_even_under_a_good_tag(offset: int, value: int) -> None:
    body = body_of(BEAT)
    assert body[offset] != value
    body[offset] = value
    assert unseal(sealed(bytes(body))) is Drop.MALFORMED


@pytest.mark.parametrize(
    ("at", "size"),
    [
        pytest.param(28, 4, id="a sender"),
        pytest.param(40, 8, id="a sequence"),
        pytest.param(52, 4, id="a keepalive"),
        pytest.param(64, 4, id="a peer"),
        pytest.param(84, 4, id="a group"),
    ],
)
def test_nothing_that_must_be_there_is_zero(at: int, size: int) -> None:
    body = body_of(BEAT)
    body[at : at + size] = bytes(size)
    assert unseal(sealed(bytes(body))) is Drop.MALFORMED


@pytest.mark.parametrize(
    "change",
    [{"peers": (PEER, PEER)}, {"groups": (GROUP, dataclasses.replace(GROUP, epoch=1))}],
    ids=["one life of a peer", "a group"],
)
def test_nothing_is_named_twice(change: dict[str, tuple[object, ...]]) -> None:
    assert unseal(sealed(bytes(body_of(dataclasses.replace(BEAT, **change))))) is Drop.MALFORMED  # type: ignore[arg-type]


def test_two_lives_of_a_peer_may_be_named() -> None:
    beat = dataclasses.replace(BEAT, peers=(PEER, dataclasses.replace(PEER, incarnation=1)))
    assert unseal(wire.seal(beat, CLUSTER_ID, KEYRING)) == beat


def test_any_body_under_a_good_tag_is_a_beat_or_malformed() -> None:
    rng = random.Random(1)
    body = body_of(dataclasses.replace(BEAT, peers=(PEER,) * 1, groups=(GROUP,) * 1))
    seen = set()
    for _ in range(20_000):
        broken = bytearray(body)
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(28, len(broken))] = rng.randrange(256)
        result = unseal(sealed(bytes(broken)))
        seen.add(type(result))
        if isinstance(result, wire.Beat):
            again = unseal(wire.seal(result, CLUSTER_ID, KEYRING))
            assert again == result, "what is read is what was written"
        else:
            assert result is Drop.MALFORMED
    assert seen == {wire.Beat, Drop}


def test_parts_hold_everything_once_in_order_and_never_too_much() -> None:
    peers = tuple(dataclasses.replace(PEER, member=MemberId(i + 1)) for i in range(64))
    groups = tuple(dataclasses.replace(GROUP, group=GroupId(i + 1)) for i in range(32))
    whole = dataclasses.replace(BEAT, peers=peers, groups=groups)
    parts = wire.split(whole)
    assert len(parts) == 2
    assert [p.sequence - whole.sequence for p in parts] == [p.part for p in parts] == list(range(len(parts)))
    assert {p.parts for p in parts} == {len(parts)}
    assert tuple(e for p in parts for e in p.peers) == peers
    assert tuple(e for p in parts for e in p.groups) == groups
    assert all(len(wire.seal(p, CLUSTER_ID, KEYRING)) <= wire.FRAME_MAX for p in parts)


def test_thirty_two_groups_and_seven_peers_fit_one_frame() -> None:
    peers = tuple(dataclasses.replace(PEER, member=MemberId(i + 1)) for i in range(7))
    groups = tuple(dataclasses.replace(GROUP, group=GroupId(i + 1)) for i in range(32))
    assert len(wire.split(dataclasses.replace(BEAT, peers=peers, groups=groups))) == 1


def test_the_label_of_a_frame_is_what_its_sender_wrote() -> None:
    data = wire.seal(dataclasses.replace(BEAT, part=1, parts=2), CLUSTER_ID, KEYRING)
    assert wire.label(data) == wire.Label(BEAT.sender, BEAT.incarnation, BEAT.sequence, 1)
    assert wire.label(data[: wire.FRAME_MIN]) == wire.label(data)
    assert wire.label(data[: wire.FRAME_MIN - 1]) is None
    assert wire.label(b"") is None


def test_a_sealed_frame_is_sealed_again_for_another_link_and_key() -> None:
    data = wire.seal(BEAT, CLUSTER_ID, KEYRING)
    other = bytes(32)
    again = wire.reseal(data, 3, 9, other)
    assert wire.opens(again, 9, other)
    assert not wire.opens(again, 8, other)
    assert not wire.opens(again, 9, KEY)
    assert wire.unseal(again, CLUSTER_ID, Keyring(9, {9: other})) == dataclasses.replace(BEAT, link=3)
