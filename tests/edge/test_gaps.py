"""Gaps between a peer's heartbeats, counted behind the real core: only what it took for the peer's own."""

from __future__ import annotations

import dataclasses
from typing import Any

from spec.lab import CLUSTER_ID, KEY, D, K, Lab, Puppet, config, group, member
from vyos_agent.core import wire
from vyos_agent.core.events import Frame, Woke
from vyos_agent.core.model import Keyring
from vyos_agent.edge.gaps import BOUNDS_MS, Gaps
from vyos_api import v1alpha1
from vyos_api.durations import Duration
from vyos_api.fields import DurationField
from vyos_api.limits import MEMBERS


class Ear(Lab):
    """A node, and the gaps beside it as the shell has them."""

    def __init__(self, *peers: str, **fields: Any) -> None:
        self.gaps = Gaps()
        self.gaps.configure(peers or ("b",))
        super().__init__(config(groups=[group(members=("a", *(peers or ("b",))))], **fields))

    def hear(self, data: bytes, interface: str | None = None, *, age_ms: int = 0) -> None:
        self.turn(Frame(data, interface or self.heard_on, self.now - age_ms))

    def turn(self, *frames: Frame) -> None:
        self.feed(Woke(frames))
        self.gaps.heard(frames, self.node.newest_frame)

    def counted(self, name: str = "b") -> dict[int | None, int]:
        """By bound, what is not 0; None: above the last."""
        counts = self.gaps.as_json()["peers"][name]["counts"]
        return {bound: n for bound, n in zip((*BOUNDS_MS, None), counts, strict=True) if n}

    def sum_ms(self) -> int:
        found: int = self.gaps.as_json()["peers"]["b"]["sumMs"]
        return found


def met(ear: Ear) -> Puppet:
    """b, believed, with a heartbeat heard just now and no gap counted yet."""
    b = ear.puppet("b")
    b.say()
    ear.run(K)
    b.say()
    assert ear.node._peers.table[b.id].believed
    ear.gaps = Gaps()
    ear.gaps.configure(["b"])
    ear.run(K)
    b.say()
    assert ear.counted() == {}, "the first heartbeat ends no gap"
    return b


def test_each_gap_falls_into_its_bucket() -> None:
    ear = Ear()
    b = met(ear)
    for gap_ms in (K, K, 2 * K, 750, 751):
        ear.run(gap_ms)
        b.say()
    assert ear.counted() == {750: 3, 1_500: 2}, "a bound belongs to the bucket below it, as Prometheus has it"
    assert ear.sum_ms() == 4 * K + 750 + 751


def test_frames_read_late_keep_the_time_they_came() -> None:
    ear = Ear()
    b = met(ear)
    first, second = b.sealed(), b.sealed()
    ear.run(2 * K + 300)
    ear.turn(Frame(first, "eth0", ear.now - K - 300), Frame(second, "eth0", ear.now - 300))
    assert ear.counted() == {750: 2}


def test_what_the_core_refuses_ends_no_gap() -> None:
    ear = Ear()
    b = met(ear)
    ear.run(K)
    recorded = b.say()
    before = ear.gaps.as_json()
    ear.run(K // 2)
    other = Keyring(1, {1: bytes(32)})
    ear.hear(recorded)
    ear.hear(wire.seal(b.beat(), CLUSTER_ID, other))
    b.sequence -= 1
    held_back = b.sealed()
    b.sequence -= 1
    ear.hear(b.sealed(incarnation=0xDEAD, peers=()))
    ear.hear(b.sealed(incarnation=0xDEAD, sequence=1, peers=()))
    ear.hear(b.sealed(sender=member("stranger")))
    for length in (0, 8, 30, 40, 50):
        ear.gaps.heard([Frame(recorded[:length], "eth0", ear.now)], ear.node.newest_frame)
    assert ear.gaps.as_json() == before
    ear.run(K // 2)
    ear.hear(held_back)
    assert ear.counted() == {750: 2}, "and the true one counts from the heartbeat before"


def test_a_frame_over_two_links_is_one_heartbeat() -> None:
    ear = Ear(interfaces=("eth0", "eth1"))
    b = met(ear)
    ear.run(K)
    beat = b.beat()
    for number in (0, 1):
        sealed = wire.seal(dataclasses.replace(beat, link=number), CLUSTER_ID, Keyring(1, {1: KEY}))
        ear.hear(sealed, f"eth{number}")
        ear.run(2)
    assert ear.counted() == {750: 1}


def test_a_frame_in_parts_is_one_heartbeat() -> None:
    ear = Ear()
    b = met(ear)
    for _ in range(2):
        ear.run(K)
        b.say(part=0, parts=2)
        ear.run(1)
        b.say(part=1, parts=2)
    assert ear.counted() == {750: 2}


def test_a_cut_is_a_gap_and_another_life_is_none() -> None:
    ear = Ear()
    b = met(ear)
    ear.run(40_000)
    b.say()
    assert ear.counted() == {None: 1}
    again = ear.puppet("b", incarnation=0xB999)
    ear.run(D)
    for _ in range(3):
        again.say()
        ear.run(K)
    assert ear.node._peers.table[again.id].incarnation == 0xB999
    assert ear.counted() == {750: 2, None: 1}, "the time between its two lives is no gap"


def test_a_peer_that_leaves_the_configuration_is_forgotten_and_the_others_are_kept() -> None:
    ear = Ear("b", "c")
    both = [ear.puppet(name) for name in "bc"]
    for _ in range(4):
        for puppet in both:
            puppet.say()
        ear.run(K)
    counted = ear.counted("b")
    assert counted.keys() == ear.counted("c").keys() == {750}
    ear.gaps.configure(["b", "d"])
    assert ear.gaps.as_json()["peers"].keys() == {"b", "d"}
    assert ear.counted("b") == counted
    assert ear.counted("d") == {}
    ear.gaps.configure(["b", "c"])
    assert ear.counted("c") == {}


def test_the_bounds_are_those_of_the_api() -> None:
    """One and a half times 1-2-5 steps from the shortest keepalive interval, to the longest dead interval."""

    def takes(field: str, ms: int) -> bool:
        """Whether every rule of that field does."""
        (found,) = (m for m in v1alpha1.Spec.model_fields[field].metadata if isinstance(m, DurationField))
        return all(rule.holds(Duration(ms, "")) for rule in found.rules if rule.holds is not None)

    steps = [step * 10**power for power in range(6) for step in (1, 2, 5)]
    assert list(BOUNDS_MS) == [step * 3 // 2 for step in steps if 10 <= step <= 20_000]
    assert takes("keepalive_interval", 10)
    assert not takes("keepalive_interval", 9)
    assert takes("dead_interval", BOUNDS_MS[-1] - 1)
    assert not takes("dead_interval", BOUNDS_MS[-1])
    assert (MEMBERS - 1) * (len(BOUNDS_MS) + 3) == 882, "the number that docs/metrics.md tells"
