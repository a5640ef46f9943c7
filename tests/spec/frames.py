"""Frames to begin with: what members of a cluster could say. Every value is chosen, none is random."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from typing import Any

from vyos_agent.core import wire
from vyos_agent.core.model import GroupId, Keyring, MemberId, State, wire_id

CLUSTER_ID = bytes.fromhex("8d2f6c1e4b7a4f0e9c3d5a6b7c8d9e0f")
OLD, NEW = bytes(range(32)), bytes(range(0xFF, 0xDF, -1))
RING = Keyring(1, {1: OLD})
TAG = wire.TAG_BYTES
U32, U64 = 2**32 - 1, 2**64 - 1


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


def exact() -> wire.Beat:
    """A part without a byte to spare, of a cluster that could be: 27 peers and 24 groups."""
    whole = largest(28, 24)
    assert len(wire.seal(whole, CLUSTER_ID, RING)) == wire.FRAME_MAX
    return whole
