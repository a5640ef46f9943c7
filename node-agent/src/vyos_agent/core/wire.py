"""The frame, byte by byte: one authenticated datagram per heartbeat interface. Pure functions, no state.

    0  magic "VYCB"     4  version      5  key id     6  flags      7  link
    8  part             9  parts       10  peers     11  groups    12  cluster id (16)
   28  sender (4)      32  incarnation (8)           40  sequence (8)
   48  dead ms (4)     52  keepalive ms (4)          56  generation (8)
   64  peer entries (20 each), then group entries (34 each), then HMAC-SHA256 over all before (32)

All numbers are big-endian. What does not decode is a named `Drop`, never an exception.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import hmac
import struct
from collections.abc import Sequence

from vyos_agent.core.model import EPOCH_MAX, NOBODY, Cause, Drop, GroupId, Keyring, MemberId, State

MAGIC = b"VYCB"
VERSION = 1
CLUSTER_ID = slice(12, 28)
"""Where a frame names its cluster, so that a shell can tell clusters apart without opening it."""
FRAME_MAX = 1452
"""Ethernet's 1500 less IPv6 (40) and UDP (8): the frame is never fragmented on either family."""
TAG_BYTES = 32
"""HMAC-SHA256, not truncated (RFC 2104)."""
DEAD_MS_MAX = 60_000
"""Above any dead interval that the API takes (under 30 s), below what an age field can say (65.5 s)."""
AGE_MS_MAX = 0xFFFF
LOW_32 = 0xFFFFFFFF

_HEADER = struct.Struct("!4s8B16sIQQIIQ")
_PEER = struct.Struct("!IQIHBB")
_GROUP = struct.Struct("!I7sBBBBHBII7sB")
FRAME_MIN = _HEADER.size + TAG_BYTES

_LEAVING, _ANSWER = 1, 2
_CANDIDATE, _READY, _STOPPED, _SUSPENDED = 1, 2, 4, 8


class PeerState(enum.IntEnum):
    """What a sender thinks of a peer that it lists."""

    UNPROVED = 0
    ALIVE = 1


class Handover(enum.IntEnum):
    """Where a planned move stands, as a level in every frame (protocol section 5)."""

    NONE = 0
    ASK = 1
    READY = 2
    REFUSE = 3
    GO = 4
    WANT = 5


_STATES, _HANDOVERS, _CAUSES = tuple(State), tuple(Handover), tuple(Cause)
"""By their numbers, which have no gap: a frame has many of them, and an enum's own look-up takes five times as long."""


@dataclasses.dataclass(frozen=True, slots=True)
class PeerEntry:
    """The newest frame heard of one life of a peer, believed or not: the acknowledgement."""

    member: MemberId
    incarnation: int
    sequence: int
    """The low 32 bits."""
    age_ms: int
    """Rounded up, at most AGE_MS_MAX."""
    state: PeerState


@dataclasses.dataclass(frozen=True, slots=True)
class GroupEntry:
    """One group as the sender stands to it, and the highest claim it heard of somebody else."""

    group: GroupId
    epoch: int
    state: State
    rank: int
    candidate: bool
    ready: bool
    """Standing by: a planned move to this member may begin. Owning: its kernel holds the addresses."""
    services_stopped: bool = False
    suspended: bool = False
    monitors: int = 0
    list_hash: int = 0
    handover: Handover = Handover.NONE
    cause: Cause = Cause.NONE
    """Why it is asked for, or refused: the upper four bits of the handover byte. Of no handover: see `occupied`."""
    target: MemberId = NOBODY
    """Whom the handover concerns: the target of an owner, the owner of a target."""
    claim_owner: MemberId = NOBODY
    claim_epoch: int = 0
    claim_rank: int = 0

    @property
    def occupied(self) -> bool:
        """The sender's machine has one of the group's addresses for good: said by a cause without a handover."""
        return self.handover is Handover.NONE and self.cause is Cause.NOT_ABLE


@dataclasses.dataclass(frozen=True, slots=True)
class Beat:
    """One frame, or one part of one."""

    sender: MemberId
    incarnation: int
    sequence: int
    dead_ms: int
    keepalive_ms: int
    generation: int
    leaving: bool
    answer_please: bool
    link: int
    peers: tuple[PeerEntry, ...]
    groups: tuple[GroupEntry, ...]
    part: int = 0
    parts: int = 1


def split(beat: Beat) -> tuple[Beat, ...]:
    """The parts of a frame: peers in order, then groups, each part filled up; sequences count on from the first."""
    room = FRAME_MAX - FRAME_MIN
    slices: list[tuple[list[PeerEntry], list[GroupEntry]]] = [([], [])]
    left = room
    entries: list[PeerEntry | GroupEntry] = [*beat.peers, *beat.groups]
    for entry in entries:
        size = _PEER.size if isinstance(entry, PeerEntry) else _GROUP.size
        if size > left:
            slices.append(([], []))
            left = room
        left -= size
        if isinstance(entry, PeerEntry):
            slices[-1][0].append(entry)
        else:
            slices[-1][1].append(entry)
    return tuple(
        dataclasses.replace(
            beat, sequence=beat.sequence + i, part=i, parts=len(slices), peers=tuple(peers), groups=tuple(groups)
        )
        for i, (peers, groups) in enumerate(slices)
    )


def seal(beat: Beat, cluster_id: bytes, keyring: Keyring) -> bytes:
    """The datagram of one part, sealed with the key that is sent with."""
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        keyring.send_id,
        beat.leaving * _LEAVING | beat.answer_please * _ANSWER,
        beat.link,
        beat.part,
        beat.parts,
        len(beat.peers),
        len(beat.groups),
        cluster_id,
        beat.sender,
        beat.incarnation,
        beat.sequence,
        beat.dead_ms,
        beat.keepalive_ms,
        beat.generation,
    )
    peers = (_PEER.pack(p.member, p.incarnation, p.sequence & LOW_32, p.age_ms, p.state, 0) for p in beat.peers)
    body = b"".join((header, *peers, *map(_pack_group, beat.groups)))
    return body + hmac.digest(keyring.keys[keyring.send_id], body, hashlib.sha256)


def opens(data: bytes, key_id: int, key: bytes) -> bool:
    """Whether a datagram of a length that can be was sealed with this key under this id."""
    body, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
    return data[5] == key_id and hmac.compare_digest(hmac.digest(key, body, hashlib.sha256), tag)


def reseal(data: bytes, link: int, key_id: int, key: bytes) -> bytes:
    """The same part for another link, sealed with another key."""
    body = b"".join((data[:5], bytes((key_id, data[6], link)), data[8:-TAG_BYTES]))
    return body + hmac.digest(key, body, hashlib.sha256)


def unseal(data: bytes, cluster_id: bytes, keyring: Keyring) -> Beat | Drop:
    """The part in a datagram, or the name of why it is refused. The tag is checked before anything is believed."""
    if len(data) < FRAME_MIN:
        return Drop.TOO_SHORT
    if len(data) > FRAME_MAX:
        return Drop.TOO_LONG
    if data[:4] != MAGIC:
        return Drop.BAD_MAGIC
    if data[4] != VERSION:
        return Drop.BAD_VERSION
    if data[CLUSTER_ID] != cluster_id:
        return Drop.OTHER_CLUSTER
    key = keyring.keys.get(data[5])
    if key is None:
        return Drop.UNKNOWN_KEY
    body = data[:-TAG_BYTES]
    if not hmac.compare_digest(hmac.digest(key, body, hashlib.sha256), data[-TAG_BYTES:]):
        return Drop.BAD_TAG
    return _decode(body)


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """Which frame this is, by its own account."""

    sender: MemberId
    incarnation: int
    sequence: int
    part: int


def label(data: bytes) -> Label | None:
    """The label of a frame, its authenticity not looked at; None: it is too short to be one."""
    if len(data) < FRAME_MIN:
        return None
    (_, _, _, _, _, part, _, _, _, _, sender, incarnation, sequence, *_) = _HEADER.unpack_from(data)
    return Label(MemberId(sender), incarnation, sequence, part)


def _decode(body: bytes) -> Beat | Drop:
    (_, _, _, flags, link, part, parts, peer_count, group_count, _, *numbers) = _HEADER.unpack_from(body)
    sender, incarnation, sequence, dead_ms, keepalive_ms, generation = numbers
    groups_at = _HEADER.size + peer_count * _PEER.size
    if len(body) != groups_at + group_count * _GROUP.size:
        return Drop.MALFORMED
    sane = part < parts and sender and sequence and 0 < 2 * keepalive_ms < dead_ms <= DEAD_MS_MAX
    if not sane or flags & ~(_LEAVING | _ANSWER):
        return Drop.MALFORMED
    peers: list[PeerEntry] = []
    for member, life, low, age_ms, state, _ in _PEER.iter_unpack(body[_HEADER.size : groups_at]):
        if not member or state > PeerState.ALIVE:
            return Drop.MALFORMED
        peers.append(PeerEntry(member, life, low, age_ms, PeerState(state)))
    groups: list[GroupEntry] = []
    for fields in _GROUP.iter_unpack(body[groups_at:]):
        entry = _unpack_group(fields)
        if entry is None:
            return Drop.MALFORMED
        groups.append(entry)
    if _repeats([(p.member, p.incarnation) for p in peers]) or _repeats([g.group for g in groups]):
        return Drop.MALFORMED
    return Beat(
        sender=sender,
        incarnation=incarnation,
        sequence=sequence,
        dead_ms=dead_ms,
        keepalive_ms=keepalive_ms,
        generation=generation,
        leaving=bool(flags & _LEAVING),
        answer_please=bool(flags & _ANSWER),
        link=link,
        peers=tuple(peers),
        groups=tuple(groups),
        part=part,
        parts=parts,
    )


def _pack_group(g: GroupEntry) -> bytes:
    flags = (
        g.candidate * _CANDIDATE | g.ready * _READY | g.services_stopped * _STOPPED | g.suspended * _SUSPENDED
    )  # fmt: skip
    return _GROUP.pack(
        g.group,
        g.epoch.to_bytes(7, "big"),
        g.state,
        g.rank,
        flags,
        g.monitors,
        g.list_hash,
        g.cause << 4 | g.handover,
        g.target,
        g.claim_owner,
        g.claim_epoch.to_bytes(7, "big"),
        g.claim_rank,
    )


def _unpack_group(fields: tuple[int, bytes, int, int, int, int, int, int, int, int, bytes, int]) -> GroupEntry | None:
    (group, epoch7, state, rank, flags, monitors, list_hash, handover, target, owner, claim7, claim_rank) = fields
    epoch, claim_epoch = int.from_bytes(epoch7, "big"), int.from_bytes(claim7, "big")
    cause, handover = handover >> 4, handover & 0xF
    if not group or state >= len(_STATES) or handover >= len(_HANDOVERS) or cause >= len(_CAUSES):
        return None
    if epoch > EPOCH_MAX or claim_epoch > EPOCH_MAX or flags & ~(_CANDIDATE | _READY | _STOPPED | _SUSPENDED):
        return None
    return GroupEntry(
        group=GroupId(group),
        epoch=epoch,
        state=_STATES[state],
        rank=rank,
        candidate=bool(flags & _CANDIDATE),
        ready=bool(flags & _READY),
        services_stopped=bool(flags & _STOPPED),
        suspended=bool(flags & _SUSPENDED),
        monitors=monitors,
        list_hash=list_hash,
        handover=_HANDOVERS[handover],
        cause=_CAUSES[cause],
        target=MemberId(target),
        claim_owner=MemberId(owner),
        claim_epoch=claim_epoch,
        claim_rank=claim_rank,
    )


def _repeats(ids: Sequence[object]) -> bool:
    return len(set(ids)) != len(ids)
