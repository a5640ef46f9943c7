"""Rules of a change of where frames go (docs/protocol.md section 19)."""

from __future__ import annotations

import dataclasses
import itertools

from spec.lab import D, K, Lab, Puppet, config, group, owning
from vyos_agent.core.effects import Hold
from vyos_agent.core.events import Configured
from vyos_agent.core.model import Config, State
from vyos_agent.core.staging import PROOF_GAP_MS, WAIT_MS

FORMER = "eth0:1"


def staged(old: Config) -> Config:
    """The same with a former way."""
    return dataclasses.replace(old, generation=2, interfaces=("eth0", FORMER), former=(FORMER,))


def late() -> tuple[Lab, Puppet]:
    """An owner that has changed its way, and a member that has not."""
    lab, (peer,) = owning()
    peer.hears, peer.link = FORMER, 1
    lab.feed(Configured(staged(lab.node.config)))
    return lab, peer


def both_ways(lab: Lab, since: int) -> list[int]:
    """When frames went both ways."""
    return [at for at, datagrams in lab.sent if at >= since and FORMER in datagrams]


def one_way(lab: Lab, since: int) -> list[int]:
    """When frames went the new way only."""
    return [at for at, datagrams in lab.sent if at >= since and FORMER not in datagrams]


def test_a_member_that_learns_of_it_late() -> None:
    """[SKEW-7] After a change of where frames go, or of the key that seals them, a member must take frames both ways,
    the former one and the new one, and must send both ways until every living member has acknowledged a frame of its
    that went the new way only.
    """
    lab, peer = late()
    since = lab.now
    lab.run(10 * D)
    sent = both_ways(lab, since)
    assert max(b - a for a, b in itertools.pairwise(sent)) <= K
    assert lab.peer("b") == "Alive"
    assert not lab.node.staging.over
    peer.hears, peer.link = None, 0
    at = lab.now
    lab.run(3 * K)
    stopped = both_ways(lab, at)[-1]
    assert stopped <= at + 2 * K
    assert lab.run(D).node.staging.over
    assert both_ways(lab, stopped + 1) == []
    assert [d.after for d in lab.decided() if d.group == "g"][-1] is State.OWNER


def test_frames_the_new_way_only() -> None:
    """[SKEW-8] Frames that go the new way only, while others go both ways, must be sent in addition, must not be news
    or answers, and must renew no address.
    """
    lab, peer = late()
    since = lab.now + 1
    lab.run(5 * D)
    sent, proofs = both_ways(lab, since), one_way(lab, since)
    assert len(proofs) > D // K
    assert max(b - a for a, b in itertools.pairwise(sent)) <= K
    renewed = {at for at, effect in lab.did if isinstance(effect, Hold)}
    assert renewed.isdisjoint(proofs)
    lab.run(both_ways(lab, since)[-1] + PROOF_GAP_MS - lab.now)
    peer.stands(State.STANDBY, candidate=False)
    stranger = lab.puppet("c")
    at = lab.now
    stranger.say()
    lab.run(PROOF_GAP_MS)
    assert both_ways(lab, at), "an answer goes both ways"


def test_when_the_former_way_is_forgotten() -> None:
    """[SKEW-9] The former way must be forgotten only when every member has acknowledged such a frame and no living one
    is heard the former way, or when none that has not acknowledged one has been living for an hour.
    """
    lab, peer = late()
    peer.hears = None
    lab.run(5 * D)
    assert both_ways(lab, lab.now - D) == [], "it has proved that it listens"
    assert not lab.node.staging.over, "it still sends there"
    peer.link = 0
    assert lab.run(D).node.staging.over


def test_a_dead_member_is_waited_for_an_hour() -> None:
    """[SKEW-9] The former way must be forgotten only when every member has acknowledged such a frame and no living one
    is heard the former way, or when none that has not acknowledged one has been living for an hour.
    """
    lab = Lab(staged(config(groups=[group(members="ab")], keepalive_ms=5 * K, dead_ms=5 * D)))
    lab.run(WAIT_MS - 5 * D)
    at = lab.now
    peer = lab.puppet("b").stands(State.STANDBY)
    peer.hears, peer.link = FORMER, 1
    lab.meet(peer)
    assert lab.peer("b") == "Alive", "a start with the former configuration is heard and hears"
    peer.rests()
    lab.run(WAIT_MS)
    assert not lab.node.staging.over
    assert both_ways(lab, lab.now - 5 * K)
    lab.run(at + WAIT_MS + 6 * D - lab.now)
    assert lab.node.staging.over
    assert both_ways(lab, lab.now - D) == []


def test_another_life_proves_itself_again() -> None:
    """What one life of a member has proved says nothing of the next one."""
    lab, peer = late()
    peer.hears = None
    lab.run(3 * K)
    peer.rests()
    again = lab.puppet("b", 0xBEEF).stands(State.LISTENING)
    again.hears, again.link = FORMER, 1
    at = lab.now
    again.heard = peer.heard
    again.beats()
    lab.run(4 * K)
    assert both_ways(lab, at + K)
    assert not lab.node.staging.over
