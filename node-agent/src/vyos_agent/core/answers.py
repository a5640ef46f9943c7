"""Frames before the next keepalive is due: an answer to a frame that asks for one, and a claim that is passed on."""

from __future__ import annotations

from vyos_agent.core.announce import NEVER_MS

ANSWER_GAP_MS = 10
"""At most one immediate answer in this time, however many unproved frames come (docs/protocol.md [BELIEF-5], [SEND-3]).

The same holds for passing on a claim: its owner has sent it already.
"""


class Answers:
    """Of one node."""

    def __init__(self, now: int) -> None:
        self.due_ms = NEVER_MS
        self._given_ms = now - ANSWER_GAP_MS

    def ask(self, at_ms: int) -> None:
        """Send soon; however many ask for it, not more often than that."""
        self.due_ms = max(at_ms, self._given_ms + ANSWER_GAP_MS)

    def take(self, now: int) -> bool:
        """Whether one is due; then it is given now."""
        if now < self.due_ms:
            return False
        self.due_ms, self._given_ms = NEVER_MS, now
        return True
