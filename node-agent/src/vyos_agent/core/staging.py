"""A change of where frames go, or of their key, of which some members do not know yet.

Until every member has proved that it hears this one without the former links, frames go over these too. The proof is
an acknowledgement of a frame that went over the new links only: whoever wrote it has the new configuration, and the
new links carry. Then nothing is sent over the former links any more, and when nobody is heard there either, they can be
forgotten.
"""

from __future__ import annotations

import collections

from vyos_agent.core.announce import NEVER_MS
from vyos_agent.core.model import Config, MemberId
from vyos_agent.core.peer import Peer
from vyos_agent.core.peers import Peers

PROOF_GAP_MS = 10
"""So long after a frame to all links follows one to the new ones only. It is in addition, so that a member that hears
the former links only misses nothing."""
PROOFS = 64
"""Frames to the new links only that are remembered: an acknowledgement is at most a dead interval old."""
WAIT_MS = 3_600_000
"""How long a member that is dead, or was never heard, is waited for."""


class Staging:
    """Of one node. `configure` with each configuration, `look` after frames, `sent` after each frame of this node."""

    def __init__(self) -> None:
        self.due_ms = NEVER_MS
        """When a frame to the new links only is due."""
        self.speaks = False
        """Whether frames go over the former links, too."""
        self.proving = False
        """Whether the frame that was sent last went over the new links only, in addition."""
        self.over = True
        """Whether the former links can be forgotten."""
        self._former: tuple[str, ...] = ()
        self._links: frozenset[int] = frozenset()
        self._keepalive_ms = 0
        self._asks = False
        self._proofs: collections.deque[tuple[int, int]] = collections.deque(maxlen=PROOFS)
        self._proved: dict[MemberId, int] = {}
        self._missed_ms = 0
        self._proof_ms = 0

    def configure(self, config: Config, now: int) -> None:
        """Another set of former links begins the change from its start."""
        self._keepalive_ms = config.keepalive_ms
        self._links = frozenset(i for i, name in enumerate(config.interfaces) if name in config.former)
        if config.former == self._former:
            return
        self._former = config.former
        self._proofs.clear()
        self._proved.clear()
        self._missed_ms = now
        self._proof_ms = now - config.keepalive_ms
        self.due_ms = NEVER_MS
        self.speaks, self.over = bool(config.former), not config.former

    def look(self, peers: Peers, now: int) -> None:
        """Judge again."""
        if not self._former:
            return
        for peer in peers.table.values():
            if peer.believed and any(first <= peer.acked <= last for first, last in self._proofs):
                self._proved[peer.id] = peer.incarnation
        owing = [p for p in peers.table.values() if self._owes(p)]
        self._asks = any(p.believed for p in owing)
        if self._asks:
            self._missed_ms = now
        awaited = any(p.believed or p.id in peers.members for p in owing)
        self.speaks = awaited and now - self._missed_ms < WAIT_MS
        heard = any(p.believed and p.heard_on & self._links for p in peers.table.values())
        self.over = not (self.speaks or heard)
        if not self._asks:
            self.due_ms = NEVER_MS

    def sent(self, first: int, last: int, now: int, *, proof: bool) -> None:
        """These sequences went out: to the new links only (`proof`), or to all of them."""
        if proof:
            self._proofs.append((first, last))
            self._proof_ms, self.due_ms = now, NEVER_MS
        elif self._asks and self.due_ms == NEVER_MS:
            self.due_ms = max(now + PROOF_GAP_MS, self._proof_ms + self._keepalive_ms)

    def _owes(self, peer: Peer) -> bool:
        """Whether this life of it has not proved itself."""
        return self._proved.get(peer.id) != peer.incarnation
