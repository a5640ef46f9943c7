"""What a receiver makes of authentic frames, step by step: docs/vectors/belief.json."""

from __future__ import annotations

from typing import Any

from spec import frames
from vyos_agent.core import wire
from vyos_agent.core.model import Drop, MemberId, wire_id

Json = dict[str, Any]


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
        mine = frames.a_peer("node1", incarnation=self.MINE, sequence=acks or 0)
        base = {"sender": MemberId(wire_id("node2")), "incarnation": 0xB1, "peers": (mine,) if acks else ()}
        data = wire.seal(frames.a_beat(**{**base, "link": link, **changed}), frames.CLUSTER_ID, frames.RING)
        self.steps.append({"at_ms": at_ms, "link": link, "frame": data.hex(), "verdict": verdict})
        return self

    def json(self) -> Json:
        receiver = {"member": wire_id("node1"), "incarnation": self.MINE, "dead_ms": self.DEAD_MS}
        members = [wire_id(m) for m in self.MEMBERS]
        keys = {"cluster_id": frames.CLUSTER_ID.hex(), "keys": {"1": frames.OLD.hex()}}
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
