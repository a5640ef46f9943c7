"""A daemon's receive buffer, as a socket has it: bounded, the newest frame is lost, each with a wall-clock stamp."""

from __future__ import annotations

from sim.clock import Clock
from vyos_agent.core.events import Frame

QUEUE_MAX = 256
"""Receive buffer, in frames; when it is full the newest is lost, as a socket does it."""
TURN_FRAMES_MAX = 256
"""What the shell drains in one turn."""


class Sockets:
    """One life's."""

    def __init__(self) -> None:
        self._queue: list[tuple[bytes, str, int]] = []
        self._drained_ms: int | None = None

    @property
    def waiting(self) -> bool:
        """Whether frames are queued."""
        return bool(self._queue)

    def receive(self, data: bytes, interface: str, stamp_ms: int) -> bool:
        """Whether there was room."""
        if len(self._queue) >= QUEUE_MAX:
            return False
        self._queue.append((data, interface, stamp_ms))
        return True

    def drain(self, now: int, clock: Clock) -> tuple[Frame, ...]:
        """Dated as edge/multicast.py does it: by the kernel's wall-clock stamps, between the last drain and now."""
        stepped, clock.stepped = clock.stepped, False
        floor = now if stepped or self._drained_ms is None else self._drained_ms
        self._drained_ms = now
        if not self._queue:
            return ()
        wall_ms = now + clock.wall_offset_ms
        taken, self._queue = self._queue[:TURN_FRAMES_MAX], self._queue[TURN_FRAMES_MAX:]
        frames = [Frame(data, i, min(now, max(floor, now - (wall_ms - stamp)))) for data, i, stamp in taken]
        return tuple(sorted(frames, key=lambda f: f.at_ms))
