"""Was this process awake? What a node may do after it was not (shared/protocol section 6).

A node that was late sends, but judges and claims nothing for one dead interval, the largest of any member; what it
owned it owns again as soon as every member heard acknowledges a frame sent since. A node whose heartbeat links had no
carrier for its dead interval has heard as little as one that slept.
"""

from __future__ import annotations

import dataclasses

from vyos_agent.core.peers import Peers

SHORT_DEAD_MS = 2_000
"""Below this dead interval half of it is already late (shared/protocol section 6)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sleep:
    """Until `until_ms` nobody is judged, and what this node owned waits for acknowledgements."""

    since_ms: int
    until_ms: int
    floor: int
    """The newest sequence sent before it slept."""


class Vigil:
    """Of one node."""

    def __init__(self) -> None:
        self.sleep: Sleep | None = None
        self._dark_since_ms: int | None = None

    @property
    def awake(self) -> bool:
        """Whether it may judge."""
        return self.sleep is None

    def is_late(self, overdue_ms: int, slept_ms: int, dead_ms: int) -> bool:
        """Whether the loop, or the whole machine, slipped by too much for what this node believes to be true."""
        limit_ms = dead_ms if dead_ms >= SHORT_DEAD_MS else dead_ms // 2
        return max(overdue_ms, slept_ms) > limit_ms

    def fall_asleep(self, peers: Peers, dead_ms: int, now: int) -> None:
        """It was late, or deaf: begin to listen."""
        until_ms = now + peers.largest_dead_ms(dead_ms)
        self.sleep = Sleep(since_ms=now, until_ms=until_ms, floor=peers.sent.newest)

    def wake(self, now: int) -> bool:
        """Whether a sleep is over by now."""
        if self.sleep is None or now < self.sleep.until_ms:
            return False
        self.sleep = None
        return True

    def acknowledged(self, peers: Peers) -> bool:
        """Has every member that was heard since the sleep acknowledged a frame sent since?"""
        if self.sleep is None:
            return True
        heard = [p for p in peers.living() if p.last_ms >= self.sleep.since_ms]
        return bool(heard) and all(p.acked > self.sleep.floor for p in heard)

    def see_carrier(self, *, up: bool, now: int, dead_ms: int) -> bool:
        """Whether any heartbeat link has a carrier. True: one is back after none had it for the dead interval."""
        if not up:
            self._dark_since_ms = now if self._dark_since_ms is None else self._dark_since_ms
            return False
        was_dark = self.dark(now, dead_ms)
        self._dark_since_ms = None
        return was_dark

    def dark(self, now: int, dead_ms: int) -> bool:
        """Whether no heartbeat link has had a carrier for the dead interval."""
        return self._dark_since_ms is not None and now - self._dark_since_ms >= dead_ms

    def due_ms(self, dead_ms: int) -> list[int]:
        """When any of this changes with nothing told."""
        due = [] if self.sleep is None else [self.sleep.until_ms]
        return due if self._dark_since_ms is None else [*due, self._dark_since_ms + dead_ms]
