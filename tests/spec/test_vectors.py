"""docs/vectors: what the code makes of each, and what the tables of docs/protocol.md make of it without the code."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from spec import document, frames, vectors
from vyos_agent.core import wire
from vyos_agent.core.model import Cause, Drop, GroupId, Keyring, MemberId, State
from vyos_agent.core.peers import Peers

FRAMES = ("accepted", "drops", "parts", "rotation")
Json = dict[str, Any]


def load(*names: str) -> list[Json]:
    return [v for name in names for v in json.loads(vectors.path(name).read_text())["vectors"]]


def named(found: list[Json]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", found, ids=[v["name"] for v in found])


def ring(vector: Json, send_id: int = 1) -> Keyring:
    return Keyring(send_id, {int(i): bytes.fromhex(key) for i, key in vector["keys"].items()})


GOOD = [v for v in load(*FRAMES) if v["verdict"] == "accepted"]
TABLES = {
    part: [(int(r[0]), int(r[1]), r[2]) for r in document.rows(document.section(document.text(), heading))]
    for part, heading in {
        "header": "Header, 64 bytes",
        "peer": "Peer entry, 20 bytes",
        "group": "Group entry, 34 bytes",
    }.items()
}
SIZES = {"header": 64, "peer": 20, "group": 34}


def by_table(part: str, data: bytes) -> Json:
    found: Json = {name: int.from_bytes(data[at : at + size], "big") for at, size, name in TABLES[part]}
    if part == "header":
        found["cluster_id"] = data[12:28].hex()
    return found


def to_bytes(part: str, fields: Json) -> bytes:
    data = bytearray(SIZES[part])
    for at, size, name in TABLES[part]:
        value = fields[name]
        data[at : at + size] = bytes.fromhex(value) if isinstance(value, str) else value.to_bytes(size, "big")
    return bytes(data)


def beat(fields: Json) -> wire.Beat:
    """The core's value of a frame's fields."""
    h = fields["header"]
    return wire.Beat(
        sender=MemberId(h["sender"]),
        incarnation=h["incarnation"],
        sequence=h["sequence"],
        dead_ms=h["dead_ms"],
        keepalive_ms=h["keepalive_ms"],
        generation=h["generation"],
        leaving=bool(h["flags"] & 1),
        answer_please=bool(h["flags"] & 2),
        link=h["link"],
        part=h["part"],
        parts=h["parts"],
        peers=tuple(
            wire.PeerEntry(
                MemberId(p["member"]), p["incarnation"], p["sequence"], p["age_ms"], wire.PeerState(p["state"])
            )
            for p in fields["peers"]
        ),
        groups=tuple(
            wire.GroupEntry(
                group=GroupId(g["group"]),
                epoch=g["epoch"],
                state=State(g["state"]),
                rank=g["rank"],
                candidate=bool(g["flags"] & 1),
                ready=bool(g["flags"] & 2),
                services_stopped=bool(g["flags"] & 4),
                suspended=bool(g["flags"] & 8),
                monitors=g["monitors"],
                list_hash=g["list_hash"],
                handover=wire.Handover(g["handover"] & 15),
                cause=Cause(g["handover"] >> 4),
                target=MemberId(g["target"]),
                claim_owner=MemberId(g["claim_owner"]),
                claim_epoch=g["claim_epoch"],
                claim_rank=g["claim_rank"],
            )
            for g in fields["groups"]
        ),
    )


@pytest.mark.parametrize("name", vectors.FILES)
def test_the_files_are_current(name: str) -> None:
    assert vectors.path(name).read_text() == vectors.content(name), (
        "run: PYTHONPATH=tests .venv/bin/python -m spec.vectors"
    )


def test_there_is_no_other_file() -> None:
    assert {p.stem for p in vectors.FOLDER.iterdir()} == set(vectors.FILES)


def test_the_tables_leave_no_byte_out_and_name_none_twice() -> None:
    for part, rows in TABLES.items():
        covered = [at + i for at, size, _ in rows for i in range(size)]
        assert covered == list(range(SIZES[part])), part


@named(load(*FRAMES))
def test_verdicts(vector: Json) -> None:
    """[VECTOR-1] An implementation must accept and refuse the frames of docs/vectors as they say, and must make the
    same bytes from the same fields.
    """
    found = wire.unseal(bytes.fromhex(vector["frame"]), bytes.fromhex(vector["cluster_id"]), ring(vector))
    if vector["verdict"] == "accepted":
        assert isinstance(found, wire.Beat)
        key_id = vector["fields"]["header"]["key_id"]
        said = vectors.fields(found, key_id)
        for p, read in zip(said["peers"], vector["fields"]["peers"], strict=True):
            p["spare"] = read["spare"]  # not looked at
        assert said == vector["fields"]
        assert found == beat(vector["fields"])
    else:
        assert found is Drop(vector["verdict"])


@named(GOOD)
def test_fields_stand_where_the_tables_say(vector: Json) -> None:
    """[WIRE-2] Every number must be unsigned and big-endian, at the offset and of the size that the tables of this
    section give.
    """
    data, fields = bytes.fromhex(vector["frame"]), vector["fields"]
    h, body = fields["header"], data[: -wire.TAG_BYTES]
    groups_at = 64 + 20 * h["peer_count"]
    assert by_table("header", body) == h
    assert [by_table("peer", body[at : at + 20]) for at in range(64, groups_at, 20)] == fields["peers"]
    assert [by_table("group", body[at : at + 34]) for at in range(groups_at, len(body), 34)] == fields["groups"]


@named(GOOD)
def test_the_same_fields_make_the_same_bytes(vector: Json) -> None:
    data, fields = bytes.fromhex(vector["frame"]), vector["fields"]
    entries = [to_bytes("peer", p) for p in fields["peers"]] + [to_bytes("group", g) for g in fields["groups"]]
    body = to_bytes("header", fields["header"]) + b"".join(entries)
    key_id = fields["header"]["key_id"]
    key = bytes.fromhex(vector["keys"][str(key_id)])
    assert body + hmac.new(key, body, hashlib.sha256).digest() == data
    if not any(p["spare"] for p in fields["peers"]):
        assert wire.seal(beat(fields), bytes.fromhex(vector["cluster_id"]), ring(vector, key_id)) == data


def test_every_drop_has_a_vector() -> None:
    verdicts = {v["verdict"] for v in load(*FRAMES)}
    verdicts |= {step["verdict"] for talk in load("belief") for step in talk["steps"] if "verdict" in step}
    assert verdicts - {"accepted"} == {d.value for d in Drop}


@named(load("belief"))
def test_what_a_receiver_makes_of_authentic_frames(vector: Json) -> None:
    receiver = vector["receiver"]
    peers = Peers(MemberId(receiver["member"]), receiver["incarnation"])
    peers.configure(frozenset(map(MemberId, receiver["members"])), 0)
    for step in vector["steps"]:
        at_ms = step["at_ms"]
        if "sends" in step:
            peers.sent.sent(step["sends"], at_ms)
        elif "judges" in step:
            peers.judge(at_ms, awake=True)
        else:
            frame = wire.unseal(bytes.fromhex(step["frame"]), bytes.fromhex(vector["cluster_id"]), ring(vector))
            assert isinstance(frame, wire.Beat)
            drop = peers.take(frame, at_ms, step["link"], dead_ms=receiver["dead_ms"])
            assert (drop or "accepted") == step["verdict"], step


def test_the_largest_ordinary_frame() -> None:
    """[WIRE-10] A frame of 8 members and 32 groups must fit one datagram, and one of 64 members and 32 groups must be
    split.
    """
    assert len(wire.split(frames.largest(8, 32))) == 1
    (vector,) = [v for v in load("accepted") if v["name"] == "8 members and 32 groups in one frame"]
    assert len(vector["frame"]) // 2 == 64 + 7 * 20 + 32 * 34 + 32 <= wire.FRAME_MAX
    assert len([v for v in load("parts") if v["name"].startswith("64 members and 32 groups")]) == 2
