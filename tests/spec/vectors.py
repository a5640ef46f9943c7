"""Writes docs/vectors/*.json: frames with all that another implementation needs to check itself.

    python -m spec.vectors             (with tests/ on the path)

Every value is chosen, none is random, so that a second run changes no file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spec import dialogues
from spec.document import ROOT
from spec.frames import (
    CLUSTER_ID,
    NEW,
    OLD,
    RING,
    TAG,
    U32,
    U64,
    a_beat,
    a_group,
    a_peer,
    exact,
    largest,
    patched,
    sealed,
)
from vyos_agent.core import wire
from vyos_agent.core.model import EPOCH_MAX, Cause, Drop, GroupId, Keyring, MemberId, State, wire_id

FOLDER = ROOT / "docs/vectors"
Json = dict[str, Any]


def header(beat: wire.Beat, key_id: int) -> Json:
    """The header's fields by the names of docs/protocol.md section 2."""
    return {
        "magic": int.from_bytes(wire.MAGIC, "big"),
        "version": wire.VERSION,
        "key_id": key_id,
        "flags": beat.leaving * 1 | beat.answer_please * 2,
        "link": beat.link,
        "part": beat.part,
        "parts": beat.parts,
        "peer_count": len(beat.peers),
        "group_count": len(beat.groups),
        "cluster_id": CLUSTER_ID.hex(),
        "sender": beat.sender,
        "incarnation": beat.incarnation,
        "sequence": beat.sequence,
        "dead_ms": beat.dead_ms,
        "keepalive_ms": beat.keepalive_ms,
        "generation": beat.generation,
    }


def peer(entry: wire.PeerEntry) -> Json:
    """A peer entry's fields by the same names."""
    return {
        "member": entry.member,
        "incarnation": entry.incarnation,
        "sequence": entry.sequence & U32,
        "age_ms": entry.age_ms,
        "state": int(entry.state),
        "spare": 0,
    }


def group(entry: wire.GroupEntry) -> Json:
    """A group entry's fields by the same names."""
    flags = entry.candidate * 1 | entry.ready * 2 | entry.services_stopped * 4 | entry.suspended * 8
    return {
        "group": entry.group,
        "epoch": entry.epoch,
        "state": int(entry.state),
        "rank": entry.rank,
        "flags": flags,
        "monitors": entry.monitors,
        "list_hash": entry.list_hash,
        "handover": int(entry.handover) | int(entry.cause) << 4,
        "target": entry.target,
        "claim_owner": entry.claim_owner,
        "claim_epoch": entry.claim_epoch,
        "claim_rank": entry.claim_rank,
    }


def fields(beat: wire.Beat, key_id: int) -> Json:
    """All that a good frame says."""
    return {
        "header": header(beat, key_id),
        "peers": [peer(p) for p in beat.peers],
        "groups": [group(g) for g in beat.groups],
    }


# -- the files


def _accepted(name: str, beat: wire.Beat, ring: Keyring = RING, receiver: Keyring | None = None) -> Json:
    data = wire.seal(beat, CLUSTER_ID, ring)
    return _vector(name, data, "accepted", receiver or ring) | {"fields": fields(beat, ring.send_id)}


def _dropped(name: str, data: bytes, drop: Drop, receiver: Keyring = RING) -> Json:
    return _vector(name, data, drop.value, receiver)


def _vector(name: str, data: bytes, verdict: str, receiver: Keyring) -> Json:
    keys = {str(i): key.hex() for i, key in receiver.keys.items()}
    return {"name": name, "cluster_id": CLUSTER_ID.hex(), "keys": keys, "frame": data.hex(), "verdict": verdict}


def accepted() -> list[Json]:
    """Single frames: every field at its ends, every state and word once."""
    extreme = a_beat(
        sender=MemberId(U32),
        incarnation=U64,
        sequence=U64,
        dead_ms=wire.DEAD_MS_MAX,
        keepalive_ms=wire.DEAD_MS_MAX // 2 - 1,
        generation=U64,
        leaving=True,
        answer_please=True,
        link=255,
        part=254,
        parts=255,
        peers=(a_peer("x", member=MemberId(U32), incarnation=U64, sequence=U32, age_ms=0xFFFF),),
        groups=(
            a_group(
                "x",
                group=GroupId(U32),
                epoch=EPOCH_MAX,
                rank=255,
                suspended=True,
                monitors=255,
                list_hash=0xFFFF,
                target=MemberId(U32),
                claim_owner=MemberId(U32),
                claim_epoch=EPOCH_MAX,
                claim_rank=255,
            ),
        ),
    )
    smallest = a_beat(
        sender=MemberId(1), incarnation=0, sequence=1, dead_ms=3, keepalive_ms=1, generation=0, peers=(), groups=()
    )
    states = tuple(a_group(s.name, state=s) for s in State)
    words = tuple(
        a_group(f"{h.name} {c.name}", handover=h, cause=c, target=MemberId(wire_id("node2")))
        for h, c in (
            *((h, Cause.REQUESTED) for h in wire.Handover),
            *((wire.Handover.ASK, c) for c in Cause if c is not Cause.REQUESTED),
            (wire.Handover.NONE, Cause.NOT_ABLE),
        )
    )
    return [
        _accepted("an owner of one group that hears one peer", a_beat()),
        _accepted("the smallest", smallest),
        _accepted("every field at its largest", extreme),
        _accepted("a standby that was late", a_beat(answer_please=True, groups=(a_group("cluster"),))),
        _accepted("a member that leaves", a_beat(leaving=True, groups=(a_group("cluster", candidate=False),))),
        _accepted("every state", a_beat(groups=states)),
        _accepted("every word and cause of a handover", a_beat(groups=words)),
        _accepted("an unproved life in the list", a_beat(peers=(a_peer("node2", state=wire.PeerState.UNPROVED),))),
        _accepted("another life under its own name in the list", a_beat(peers=(a_peer("node1", incarnation=9),))),
        _accepted("8 members and 32 groups in one frame", largest(8, 32)),
        _accepted("exactly 1,452 bytes", exact()),
        _dropped_spare(),
    ]


def _dropped_spare() -> Json:
    """A spare byte that is not 0: a receiver does not look at it."""
    beat = a_beat()
    data = patched(64 + 19, b"\xff", beat)
    read = fields(beat, 1)
    read["peers"][0]["spare"] = 255
    return _vector("a spare byte that is not 0", data, "accepted", RING) | {"fields": read}


def drops() -> list[Json]:
    """Every way to be refused before anything is known of the sender."""
    good = wire.seal(a_beat(), CLUSTER_ID, RING)
    body = good[:-TAG]
    group_at = 64 + 20
    twice_peer = a_beat(peers=(a_peer("node2"), a_peer("node2")))
    twice_group = a_beat(groups=(a_group("cluster"), a_group("cluster")))
    long = sealed(body + bytes(wire.FRAME_MAX + 1 - len(good)))
    over = (EPOCH_MAX + 1).to_bytes(7, "big")
    return [
        _dropped("nothing", b"", Drop.TOO_SHORT),
        _dropped("one byte short of a header and a tag", good[: wire.FRAME_MIN - 1], Drop.TOO_SHORT),
        _dropped("one byte too many, well sealed", long, Drop.TOO_LONG),
        _dropped("another magic, well sealed", patched(0, b"VYCA"), Drop.BAD_MAGIC),
        _dropped("version 0, well sealed", patched(4, b"\x00"), Drop.BAD_VERSION),
        _dropped("version 2, well sealed", patched(4, b"\x02"), Drop.BAD_VERSION),
        _dropped("version 2, badly sealed", patched(4, b"\x02")[:-1] + b"\x00", Drop.BAD_VERSION),
        _dropped("another cluster, well sealed", patched(12, b"\x00"), Drop.OTHER_CLUSTER),
        _dropped("a key that nobody has", patched(5, b"\x02"), Drop.UNKNOWN_KEY),
        _dropped("the last bit of the tag", good[:-1] + bytes([good[-1] ^ 1]), Drop.BAD_TAG),
        _dropped("the first bit of the tag", _flip(good, len(good) - TAG), Drop.BAD_TAG),
        _dropped("a bit of the epoch under the old tag", _flip(good, group_at + 10), Drop.BAD_TAG),
        _dropped("truncated by a group entry", good[:-34], Drop.BAD_TAG),
        _dropped("sealed with another key under this id", sealed(body, NEW), Drop.BAD_TAG),
        _dropped("a tag of half the length, filled up", sealed(body)[:-16] + bytes(16), Drop.BAD_TAG),
        _dropped("one peer more than there is", patched(10, b"\x02"), Drop.MALFORMED),
        _dropped("one group more than there is", patched(11, b"\x02"), Drop.MALFORMED),
        _dropped("no peers, and yet an entry", patched(10, b"\x00"), Drop.MALFORMED),
        _dropped("a byte between the entries and the tag", sealed(body + b"\x00"), Drop.MALFORMED),
        _dropped("part 1 of 1", patched(8, b"\x01\x01"), Drop.MALFORMED),
        _dropped("part 0 of 0", patched(8, b"\x00\x00"), Drop.MALFORMED),
        _dropped("an unnamed flag", patched(6, b"\x04"), Drop.MALFORMED),
        _dropped("sender 0", patched(28, bytes(4)), Drop.MALFORMED),
        _dropped("sequence 0", patched(40, bytes(8)), Drop.MALFORMED),
        _dropped("a keepalive of 0", patched(52, bytes(4)), Drop.MALFORMED),
        _dropped("a dead interval of twice the keepalive", patched(48, _u32(10_000)), Drop.MALFORMED),
        _dropped("a dead interval above a minute", patched(48, _u32(60_001)), Drop.MALFORMED),
        _dropped("a keepalive whose double has 33 bits", patched(52, _u32(U32)), Drop.MALFORMED),
        _dropped("peer 0", patched(64, bytes(4)), Drop.MALFORMED),
        _dropped("an unnamed state of a peer", patched(64 + 18, b"\x02"), Drop.MALFORMED),
        _dropped("a peer twice", wire.seal(twice_peer, CLUSTER_ID, RING), Drop.MALFORMED),
        _dropped("group 0", patched(group_at, bytes(4)), Drop.MALFORMED),
        _dropped("a group twice", wire.seal(twice_group, CLUSTER_ID, RING), Drop.MALFORMED),
        _dropped("an epoch above 2^53 - 1", patched(group_at + 4, over), Drop.MALFORMED),
        _dropped("a relayed epoch above 2^53 - 1", patched(group_at + 26, over), Drop.MALFORMED),
        _dropped("an unnamed state of a group", patched(group_at + 11, _u8(max(State) + 1)), Drop.MALFORMED),
        _dropped("an unnamed flag of a group", patched(group_at + 13, b"\x10"), Drop.MALFORMED),
        _dropped("an unnamed word of a handover", patched(group_at + 17, b"\x06"), Drop.MALFORMED),
        _dropped("an unnamed cause of a handover", patched(group_at + 17, _u8((max(Cause) + 1) << 4)), Drop.MALFORMED),
    ]


def parts() -> list[Json]:
    """A frame of 64 members and 32 groups, part by part, and one that just does not fit."""
    whole = largest(64, 32)
    more = dataclasses.replace(exact(), groups=(*exact().groups, a_group("one more")))
    return [
        _accepted(f"{name}, part {part.part + 1} of {part.parts}", part)
        for name, beat in (("64 members and 32 groups", whole), ("one group too many", more))
        for part in wire.split(beat)
    ]


def rotation() -> list[Json]:
    """A key is changed: all take both, all send with the new, all forget the old."""
    both_old, both_new = Keyring(1, {1: OLD, 2: NEW}), Keyring(2, {1: OLD, 2: NEW})
    only_new = Keyring(2, {2: NEW})
    first, second = a_beat(), a_beat(sequence=43)
    crossed = wire.seal(second, CLUSTER_ID, Keyring(2, {2: OLD}))
    return [
        _accepted("before: the old key alone", first),
        _dropped("before: the new key is not known yet", wire.seal(second, CLUSTER_ID, only_new), Drop.UNKNOWN_KEY),
        _accepted("both are taken, the old one is sent with", first, both_old),
        _accepted("both are taken, the new one is sent with", second, both_new, both_old),
        _accepted("a member that still sends with the old one is heard", first, both_old, both_new),
        _dropped("both are known, the key is not that of the id", crossed, Drop.BAD_TAG, both_new),
        _accepted("after: the new key alone", second, only_new),
        _dropped("after: the old key is forgotten", wire.seal(first, CLUSTER_ID, both_old), Drop.UNKNOWN_KEY, only_new),
    ]


def _flip(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def _u8(number: int) -> bytes:
    return number.to_bytes(1, "big")


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


FILES: Mapping[str, tuple[str, Callable[[], list[Json]]]] = {
    "accepted": ("Frames that a receiver accepts, with all their fields.", accepted),
    "drops": ("Datagrams that a receiver refuses, with the name of the drop.", drops),
    "parts": ("Frames that do not fit one datagram, part by part.", parts),
    "belief": (
        "Authentic frames and what a receiver makes of each, step by step. `sends`: the receiver sends that sequence; "
        "`judges`: it looks who is dead; `link`: over which of its links a frame came.",
        dialogues.belief,
    ),
    "rotation": ("Frames while a key is changed; `keys` are those that the receiver holds.", rotation),
}


def content(name: str) -> str:
    """One file's text."""
    about, make = FILES[name]
    return json.dumps({"about": about, "version": wire.VERSION, "vectors": make()}, indent=1) + "\n"


def path(name: str) -> Path:
    return FOLDER / f"{name}.json"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in FILES:
        path(name).write_text(content(name), encoding="utf-8")


if __name__ == "__main__":
    main()
