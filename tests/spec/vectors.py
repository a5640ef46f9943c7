"""Writes docs/vectors/*.json: frames with all that another implementation needs to check itself.

    python -m spec.vectors             (with tests/ on the path)

Every value is chosen, none is random, so that a second run changes no file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spec.document import ROOT
from vyos_agent.core import wire
from vyos_agent.core.model import EPOCH_MAX, Cause, Drop, GroupId, Keyring, MemberId, State, wire_id

FOLDER = ROOT / "docs/vectors"
CLUSTER_ID = bytes.fromhex("8d2f6c1e4b7a4f0e9c3d5a6b7c8d9e0f")
OLD, NEW = bytes(range(32)), bytes(range(0xFF, 0xDF, -1))
RING = Keyring(1, {1: OLD})
TAG = wire.TAG_BYTES
U32, U64 = 2**32 - 1, 2**64 - 1

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


# -- frames to begin with


def a_peer(name: str, **changed: Any) -> wire.PeerEntry:
    base = wire.PeerEntry(MemberId(wire_id(name)), 0x1122334455667788, 4711, 250, wire.PeerState.ALIVE)
    return dataclasses.replace(base, **changed)


def a_group(name: str, **changed: Any) -> wire.GroupEntry:
    base = wire.GroupEntry(
        GroupId(wire_id(name)), 7, State.STANDBY, 1, candidate=True, ready=True, services_stopped=True
    )
    return dataclasses.replace(base, **changed)


def a_beat(**changed: Any) -> wire.Beat:
    base = wire.Beat(
        sender=MemberId(wire_id("node1")),
        incarnation=0x0123456789ABCDEF,
        sequence=42,
        dead_ms=20_000,
        keepalive_ms=5_000,
        generation=3,
        leaving=False,
        answer_please=False,
        link=0,
        peers=(a_peer("node2"),),
        groups=(a_group("cluster", state=State.OWNER, rank=0, ready=False, services_stopped=False),),
    )
    return dataclasses.replace(base, **changed)


def largest(members: int, groups: int) -> wire.Beat:
    """What a member of a cluster of this size says."""
    names = sorted((f"node{i}" for i in range(2, members + 1)), key=wire_id)
    return a_beat(
        peers=tuple(a_peer(n, sequence=i, age_ms=i) for i, n in enumerate(names)),
        groups=tuple(a_group(f"group{i}", epoch=i, rank=i % members) for i in range(groups)),
    )


def sealed(body: bytes, key: bytes = OLD) -> bytes:
    """Any bytes under a good tag."""
    return body + hmac.digest(key, body, hashlib.sha256)


def patched(offset: int, new: bytes, beat: wire.Beat | None = None) -> bytes:
    """A frame in which these bytes are others, under a good tag."""
    body = wire.seal(beat or a_beat(), CLUSTER_ID, RING)[:-TAG]
    return sealed(body[:offset] + new + body[offset + len(new) :])


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


def exact() -> wire.Beat:
    """A part without a byte to spare, of a cluster that could be: 27 peers and 24 groups."""
    whole = largest(28, 24)
    assert len(wire.seal(whole, CLUSTER_ID, RING)) == wire.FRAME_MAX
    return whole


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


# -- what a receiver makes of authentic frames


class Talk:
    """One receiver, node1 of a cluster of two: what it sends and hears, step by step, with a verdict on each frame."""

    MINE = 0xAAAA_AAAA_AAAA_AAAA
    MEMBERS = ("node1", "node2")
    DEAD_MS = 20_000

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps: list[Json] = []

    def sends(self, at_ms: int, sequence: int) -> Talk:
        self.steps.append({"at_ms": at_ms, "sends": sequence})
        return self

    def dies(self, at_ms: int) -> Talk:
        """The receiver judges: whoever was not heard for its dead interval is dead."""
        self.steps.append({"at_ms": at_ms, "judges": True})
        return self

    def hears(self, at_ms: int, verdict: str, acks: int | None = None, link: int = 0, **changed: Any) -> Talk:
        """A frame of node2 unless told otherwise, that acknowledges this sequence of the receiver."""
        mine = a_peer("node1", incarnation=self.MINE, sequence=acks or 0)
        base = {"sender": MemberId(wire_id("node2")), "incarnation": 0xB1, "peers": (mine,) if acks else ()}
        data = wire.seal(a_beat(**{**base, "link": link, **changed}), CLUSTER_ID, RING)
        self.steps.append({"at_ms": at_ms, "link": link, "frame": data.hex(), "verdict": verdict})
        return self

    def json(self) -> Json:
        receiver = {"member": wire_id("node1"), "incarnation": self.MINE, "dead_ms": self.DEAD_MS}
        members = [wire_id(m) for m in self.MEMBERS]
        keys = {"cluster_id": CLUSTER_ID.hex(), "keys": {"1": OLD.hex()}}
        return {"name": self.name, "receiver": receiver | {"members": members}, **keys, "steps": self.steps}


def belief() -> list[Json]:
    """What section 6 of docs/protocol.md refuses, and what it takes."""
    strangers = Talk("a seventeenth sender outside the configuration, with sixteen that are believed").sends(100, 1)
    for i in range(17):
        verdict = "accepted" if i < 16 else Drop.TABLE_FULL
        strangers.hears(105 + i, verdict, acks=1, sender=MemberId(0x10000 + i))
    first = Talk("first contact, a recording, and the same frame again")
    first.hears(90, Drop.UNPROVED, sequence=1).sends(100, 1).hears(105, "accepted", acks=1, sequence=2)
    first.hears(110, Drop.OLD, acks=1, sequence=2).hears(120, Drop.OLD, acks=1, sequence=1)
    first.hears(130, "accepted", sequence=3)
    links = Talk("a copy over another link counts for that link, and one that is replayed there does not count at all")
    links.sends(100, 1).hears(105, "accepted", acks=1, sequence=2).hears(106, "accepted", acks=1, sequence=2, link=1)
    links.hears(107, Drop.OLD, acks=1, sequence=2, link=1)
    dead = Talk("a member that died is believed again only by what it heard since")
    dead.sends(100, 1).hears(105, "accepted", acks=1, sequence=2).sends(20_000, 2).dies(20_105)
    dead.hears(20_106, Drop.OLD, acks=1, sequence=2).hears(20_110, Drop.UNPROVED, acks=2, sequence=3)
    dead.sends(20_120, 3).hears(20_125, "accepted", acks=3, sequence=4)
    late = Talk("an acknowledgement older than the dead interval proves nothing")
    late.sends(100, 1).hears(20_100, "accepted", acks=1, sequence=1)
    later = Talk("the same, a millisecond later")
    later.sends(100, 1).hears(20_101, Drop.UNPROVED, acks=1, sequence=1)
    held = Talk("a frame that was held back is dated by what it acknowledges: 250 ms after the first one of this node")
    held.sends(100, 1).hears(105, "accepted", acks=1, sequence=2).hears(20_350, "accepted", acks=1, sequence=3)
    held.hears(20_351, Drop.UNPROVED, acks=1, sequence=4).sends(20_360, 2)
    held.hears(20_365, "accepted", acks=2, sequence=5)
    life = Talk("a new life proves itself, and the old one is not believed again")
    life.sends(100, 1).hears(105, "accepted", acks=1, sequence=2)
    life.hears(200, Drop.UNPROVED, acks=1, sequence=1, incarnation=0xB2).sends(205, 2)
    life.hears(210, "accepted", acks=2, sequence=2, incarnation=0xB2)
    life.hears(220, Drop.UNPROVED, acks=2, sequence=9)
    me = MemberId(wire_id("node1"))
    own = Talk("its own frame, its own name, and frames that it never sent")
    own.sends(100, 1).hears(101, Drop.OWN, sender=me, incarnation=Talk.MINE, sequence=1)
    own.hears(102, Drop.OWN_NAME, sender=me, incarnation=0xC1, sequence=1)
    own.hears(103, Drop.NEVER_SENT, sender=me, incarnation=Talk.MINE, sequence=2)
    own.hears(104, Drop.NEVER_SENT, acks=2, sequence=5)
    talks = (first, links, dead, late, later, held, life, own, strangers)
    return [talk.json() for talk in talks]


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
        belief,
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
