"""Whether this node can be heard at all: what a first claim of a group waits for.

A member whose heartbeats cannot go out hears nobody either, and would take the silence for the others' death. Who has
known an owner may judge that owner dead; who has known none waits until a frame can be carried, and then listens.
"""

from __future__ import annotations

from vyos_agent.core.model import Config
from vyos_agent.core.peers import Peers
from vyos_agent.core.senses import Senses


class Contact:
    """Of one node."""

    def __init__(self, now: int) -> None:
        self.accepted = True
        """Whether the newest frame was accepted for sending."""
        self._listens_since_ms = now
        self._met = False
        """All members have been believed since then."""
        self._mute_since_ms: int | None = None

    @property
    def mute(self) -> bool:
        """Whether no heartbeat link can carry a frame now."""
        return self._mute_since_ms is not None

    def look(self, config: Config, senses: Senses, peers: Peers, now: int) -> bool:
        """Note whether a link can carry a frame and whether all members are believed; whether `mute` has changed.

        A member that is believed has heard this node, whatever is known of the links.
        """
        carries = self.accepted and senses.carries(config.interfaces)
        before = self.mute
        if carries or not peers.members or peers.living():
            if self._mute_since_ms is not None and now - self._mute_since_ms >= config.dead_ms:
                self._listens_since_ms, self._met = now, False
            self._mute_since_ms = None
        elif self._mute_since_ms is None:
            self._mute_since_ms = now
        self._met |= peers.all_members_believed()
        return self.mute != before

    def may_claim_first(self, init_dead_ms: int, now: int) -> bool:
        """Whether it may claim a group that never had an owner, as far as this node knows."""
        return not self.mute and (self._met or now >= self._listens_since_ms + init_dead_ms)

    def due_ms(self, init_dead_ms: int) -> int:
        """When it may at the latest, if links carry frames."""
        return self._listens_since_ms + init_dead_ms
