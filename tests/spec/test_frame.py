"""Rules of the frame, of versions and keys, and of sending (docs/protocol.md sections 2 to 5)."""

from __future__ import annotations

import dataclasses
import hmac
import itertools
from typing import Any

import pytest

from spec import frames, vectors
from spec.lab import CLUSTER_ID, KEY, D, K, Lab, config, group, member, owner, owning
from vyos_agent import config as configs
from vyos_agent.core import wire
from vyos_agent.core.effects import Stopped
from vyos_agent.core.events import Configured, Stopping
from vyos_agent.core.model import Drop, Ending, Keyring, State, wire_id
from vyos_api.nodeconfig import ConfigError

RING = Keyring(1, {1: KEY})


def verdict(data: bytes, ring: Keyring = RING) -> Drop | None:
    found = wire.unseal(data, CLUSTER_ID, ring)
    return found if isinstance(found, Drop) else None


def good(**changed: Any) -> bytes:
    return wire.seal(frames.a_beat(**changed), CLUSTER_ID, RING)


def test_sizes() -> None:
    """[WIRE-1] A datagram must have at least 96 and at most 1,452 bytes, so that it is never fragmented on Ethernet,
    IPv6 included.
    """
    small = good(peers=(), groups=())
    assert len(small) == 96
    assert verdict(small) is None
    assert verdict(small[:95]) is Drop.TOO_SHORT
    large = wire.seal(frames.exact(), CLUSTER_ID, RING)
    assert len(large) == 1452
    assert verdict(large) is None
    assert verdict(frames.sealed(large[: -wire.TAG_BYTES] + b"\0", KEY)) is Drop.TOO_LONG
    for members, groups in ((2, 1), (8, 32), (64, 32)):
        parts = wire.split(frames.largest(members, groups))
        assert all(96 <= len(wire.seal(p, CLUSTER_ID, RING)) <= 1452 for p in parts)


def test_checks_come_in_one_order() -> None:
    """[WIRE-3] A receiver must check size, magic, version, cluster id, key id and tag in this order, name the drop by
    the first that fails, and read nothing else of a frame whose tag is not good.
    """
    data = bytearray(good())
    damage = {
        Drop.BAD_MAGIC: lambda d: d.__setitem__(0, 0),
        Drop.BAD_VERSION: lambda d: d.__setitem__(4, 9),
        Drop.OTHER_CLUSTER: lambda d: d.__setitem__(12, d[12] ^ 1),
        Drop.UNKNOWN_KEY: lambda d: d.__setitem__(5, 9),
        Drop.BAD_TAG: lambda d: d.__setitem__(-1, d[-1] ^ 1),
        Drop.MALFORMED: lambda d: d.__setitem__(6, 0xFF),
    }
    names = list(damage)
    for first in range(len(names)):
        for count in range(1, len(names) - first + 1):
            for others in itertools.combinations(names[first + 1 :], count - 1):
                broken = bytearray(data)
                for name in (names[first], *others):
                    damage[name](broken)
                # a flag under the old tag is a bad tag: nothing is read of a frame whose tag is not good
                expected = Drop.BAD_TAG if names[first] is Drop.MALFORMED else names[first]
                assert verdict(bytes(broken)) is expected, (names[first], others)


def test_every_bit_counts_for_the_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    """[WIRE-4] The tag must be the whole HMAC-SHA256 of all bytes before it, compared in constant time."""
    data = good()
    assert data[-32:] == hmac.new(KEY, data[:-32], "sha256").digest()
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def compare(mine: bytes, theirs: bytes) -> bool:
        compared.append((len(mine), len(theirs)))
        return real(mine, theirs)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        assert verdict(bytes(broken)) is not None, bit
    assert set(compared) == {(32, 32)}
    assert all(verdict(data[:length]) is not None for length in range(len(data)))


def test_identities() -> None:
    """[WIRE-6] The identity of a name must be the first 32 bits of its SHA-256, or 1 where these are 0; a configuration
    in which two members, or two groups, have one identity must be refused.
    """
    assert wire_id("node1") == 0xCA12F31B
    assert wire_id("") == 0xE3B0C442  # the best known SHA-256 of all
    seen: dict[int, str] = {}
    for name in (f"n{i}" for i in range(400_000)):
        other = seen.setdefault(wire_id(name), name)
        if other != name:
            break
    else:
        pytest.fail("no two names with one identity")
    with pytest.raises(ConfigError, match="same identity"):
        configs._names("groups[0].members", "member", [other, "x", name])


def test_what_is_malformed() -> None:
    """[WIRE-7] A frame with a good tag must be dropped as Malformed when its length is not that of its counts; when
    part is not below parts; when the sender or the sequence is 0; when K is 0, D is not above 2 K, or D is above 60 s;
    when it has a flag, state, handover word or cause that this version does not name; when an epoch is above 2^53 − 1;
    when an entry names identity 0; or when a life of a member or a group is named twice.
    """
    malformed = [v for v in vectors.drops() if v["verdict"] == Drop.MALFORMED]
    assert len(malformed) > 20
    ring = Keyring(1, {1: frames.OLD})
    for vector in malformed:
        assert wire.unseal(bytes.fromhex(vector["frame"]), frames.CLUSTER_ID, ring) is Drop.MALFORMED, vector["name"]


def test_spare_bytes() -> None:
    """[WIRE-8] A spare byte must be sent as 0 and must not be looked at."""
    data = good()
    assert data[64 + 19] == 0
    for value in (1, 128, 255):
        moved = data[: 64 + 19] + bytes([value]) + data[64 + 20 : -32]
        found = wire.unseal(frames.sealed(moved, KEY), CLUSTER_ID, RING)
        assert found == wire.unseal(data, CLUSTER_ID, RING)


def test_splitting() -> None:
    """[WIRE-9] A frame that does not fit one datagram must be split: the peers in order of identity, then the groups,
    each part filled before the next begins, every part with the whole header, its part number and its own sequence, one
    higher each.
    """
    whole = dataclasses.replace(frames.largest(64, 32), sequence=100)
    parts = wire.split(whole)
    assert [(p.part, p.parts, p.sequence) for p in parts] == [(0, 2, 100), (1, 2, 101)]
    assert tuple(e for p in parts for e in p.peers) == whole.peers
    assert tuple(e for p in parts for e in p.groups) == whole.groups
    assert [p.member for p in whole.peers] == sorted(p.member for p in whole.peers)
    assert wire.FRAME_MAX - len(wire.seal(parts[0], CLUSTER_ID, RING)) < 34, "the first part is filled"
    heads = {wire.seal(p, CLUSTER_ID, RING)[:8] + wire.seal(p, CLUSTER_ID, RING)[12:40] for p in parts}
    assert len(heads) == 1, "every part has the whole header"


def test_the_core_sorts_its_peers_and_splits_a_large_cluster() -> None:
    names = [f"m{i:02}" for i in range(64)]
    groups = [group(f"g{i}", ["m00", *names[1 + i * 10 : 30 + i * 10]], vips=()) for i in range(5)]
    lab = Lab(config("m00", groups))
    lab.meet(*map(lab.puppet, names[1:])).run(K)
    first, second = (b for _, b in lab.said[-2:])
    assert (first.part, first.parts, second.part) == (0, 2, 1)
    members = [p.member for p in (*first.peers, *second.peers)]
    assert members == sorted(members)
    assert set(members) == {member(n) for n in names[1:]}


def test_one_frame_on_all_links() -> None:
    """[WIRE-11] The datagrams of one part must carry the same sequence on every heartbeat interface and must differ in
    link number and tag only.
    """
    lab = Lab(config(interfaces=("eth0", "eth1", "eth2")))
    lab.run(3 * K)
    for _, datagrams in lab.sent:
        assert list(datagrams) == ["eth0", "eth1", "eth2"]
        bodies = [data[:-32] for (data,) in datagrams.values()]
        assert [b[7] for b in bodies] == [0, 1, 2]
        assert len({b[:7] + b[8:] for b in bodies}) == 1


def test_every_drop_is_counted_once() -> None:
    """[WIRE-12] Every refused datagram must be counted under exactly one name of section 22."""
    for vector in vectors.drops():
        lab = Lab(config(cluster_id=frames.CLUSTER_ID, keyring=frames.RING))
        before = len(lab.said)
        lab.hear(bytes.fromhex(vector["frame"]))
        assert lab.drops() == {vector["verdict"]: 1}, vector["name"]
        assert len(lab.said) == before


def test_another_version() -> None:
    """[VERSION-1] A frame whose version a node does not understand must be dropped as BadVersion before its tag is
    looked at.
    """
    data = good()
    for version in {*range(256)} - {wire.VERSION}:
        other = data[:4] + bytes([version]) + data[5:-32]
        assert verdict(frames.sealed(other, KEY)) is Drop.BAD_VERSION
        assert verdict(other + bytes(32)) is Drop.BAD_VERSION


def test_versions_that_are_understood() -> None:
    """[VERSION-2] A node must understand its own version and the version before it; version 1 has none before it, so a
    node of version 1 understands 1 and nothing else.
    """
    data = good()
    bodies = (data[:4] + bytes([version]) + data[5:-32] for version in range(256))
    understood = [body[4] for body in bodies if verdict(frames.sealed(body, KEY)) is None]
    assert understood == [1]
    assert wire.VERSION == 1


def test_a_key_is_changed_with_no_gap() -> None:
    """[KEY-1] A receiver must take frames under every key of its keyring and seal its own with the one it is told to
    send with, so that a key can be changed with no gap: all take both, then all send with the new, then all forget the
    old.
    """
    new = bytes(32)
    lab, (peer,) = owning()
    rings = [Keyring(1, {1: KEY, 2: new}), Keyring(2, {1: KEY, 2: new}), Keyring(2, {2: new})]
    spoken = RING
    for mine in rings:
        # the peer still speaks as before, then as this node
        lab.feed(Configured(dataclasses.replace(lab.node.config, keyring=mine)))
        for theirs in (spoken, mine):
            if theirs.send_id in mine.keys:
                peer.ring = theirs
                lab.run(D)
        spoken = mine
        assert lab.sent[-1][1]["eth0"][0][5] == mine.send_id
        assert lab.peer("b") == "Alive"
    assert set(lab.drops()) <= {Drop.UNPROVED}
    assert lab.state() is State.OWNER
    assert [d.after for d in lab.decided()].count(State.OWNER) == 1


def test_a_key_that_is_forgotten() -> None:
    """[KEY-2] A frame under a key that the keyring does not hold (any more) must be dropped as UnknownKey."""
    lab, (peer,) = owning()
    lab.feed(Configured(dataclasses.replace(lab.node.config, keyring=Keyring(2, {2: bytes(32)}))))
    peer.ring = RING
    before = lab.drops().get(Drop.UNKNOWN_KEY, 0)
    peer.say()
    assert lab.drops()[Drop.UNKNOWN_KEY] == before + 1
    lab.run(2 * D)
    assert lab.peer("b") == "Dead"


def test_a_frame_each_keepalive() -> None:
    """[SEND-1] A member must send a frame at least once per keepalive, on every heartbeat interface."""
    lab = Lab(config(interfaces=("eth0", "eth1")))
    lab.run(20 * K)
    times = [at for at, datagrams in lab.sent if set(datagrams) == {"eth0", "eth1"}]
    assert times == [at for at, _ in lab.sent]
    assert max(b - a for a, b in itertools.pairwise(times)) <= K


def test_news_at_once() -> None:
    """[SEND-2] A member must send a frame at once when what it says of a group changes, but for a higher epoch that a
    member which owns nothing has learned.
    """
    lab, peer = owner(epoch=5)
    said, at = len(lab.said), lab.now
    peer.rests().stands(State.STANDBY, epoch=5).say()
    assert lab.said[said:], "it claims, and says so in the same turn"
    assert lab.said[-1][0] == at
    assert lab.entry().state is State.OWNER
    other, peer = owner(lab=Lab(config(groups=[group(members="abc")])))
    third = other.puppet("c").stands(State.STANDBY, epoch=5)
    other.meet(third).run(1)
    said = len(other.said)
    third.rests().stands(State.STANDBY, epoch=9).say()
    other.run(1)
    assert len(other.said) == said, "a higher epoch alone waits for the next keepalive"


def test_a_claim_is_passed_on() -> None:
    """[SEND-3] When a claim of another that a member hears itself begins or ends, it must be passed on within 10 ms, so
    that who does not hear it learns of it in one exchange.
    """
    lab, peer = owner(lab=Lab(config(groups=[group(members="abc")])))
    third = lab.puppet("c").stands(State.STANDBY, epoch=5)
    lab.meet(third).run(100)
    at = lab.now
    third.stands(State.OWNER, epoch=10).say()
    lab.run(10)
    told = [(when, lab.entry(sender=b)) for when, b in lab.said if when >= at]
    assert [(e.claim_owner, e.claim_epoch) for _, e in told] == [(third.id, 10)]
    third.stands(State.STANDBY, epoch=10).say()
    lab.run(10)
    entry = lab.entry()
    assert (entry.claim_owner, entry.claim_epoch) == (peer.id, 5)


def test_last_words() -> None:
    """[SEND-5] A member that leaves must set *leaving* in its frames from the order to stop on, and must say three of
    them, 20 ms apart, after it has released everything.
    """
    lab, _ = owner()
    lab.run(100)
    at = lab.now
    lab.feed(Stopping())
    lab.run(10 * D)
    said = [(when - at, b.leaving) for when, b in lab.said if when >= at]
    assert said[-3:] == [(0, True), (20, True), (40, True)]
    assert all(leaving for _, leaving in said)
    assert lab.over == Stopped(Ending.LEFT)
    busy, _ = owning()
    busy.feed(Stopping())
    busy.run(300)
    assert busy.holds(), "it has not released everything"
    assert all(b.leaving for when, b in busy.said if when > at + D)
    assert busy.over is None


def test_receivers_judge_by_what_the_sender_states() -> None:
    """[SEND-4] A frame must carry the sender's own dead interval, keepalive, generation and rank; receivers must judge
    by these and not by their own.
    """
    lab = Lab(config("b", [group(members="abc")], dead_ms=7000, keepalive_ms=900, generation=12))
    entry = lab.entry()
    assert (entry.rank, lab.said[-1][1].generation) == (1, 12)
    assert (lab.said[-1][1].dead_ms, lab.said[-1][1].keepalive_ms) == (7000, 900)
    peer = lab.puppet("a").stands(State.OWNER, epoch=1)
    peer.dead_ms, peer.keepalive_ms = 1000, 300
    lab.meet(peer)
    peer.rests()
    lab.run(998)
    assert lab.peer("a") == "Alive"
    lab.run(2)
    assert lab.peer("a") == "Dead"
    entry = lab.entry()
    assert (entry.state, entry.rank) == (State.OWNER, 1)
