"""The host services of one group on this node, and the growing time for which a member stands back.

What must run is decided by the group's machine; here is kept what the shell told, and what that means.
"""

from __future__ import annotations

from vyos_agent.core.model import Serving

BACKOFF_MS = 30_000
"""How long a member stands back that could not bring a group up; doubles each time (design.md section 5, rule 6)."""
BACKOFF_MAX_MS = 3_600_000
"""The longest, and the time without a failure after which the count starts again (shared/protocol section 4)."""


class Backoff:
    """30 s x 2^n, at most an hour; forgets after an hour."""

    def __init__(self) -> None:
        self.until_ms = 0
        self._failures = 0

    def active(self, now: int) -> bool:
        """Whether the time is running."""
        return now < self.until_ms

    def fail(self, now: int) -> None:
        """Something failed again: begin a longer time."""
        if now - self.until_ms >= BACKOFF_MAX_MS:
            self._failures = 0
        self.until_ms = now + min(BACKOFF_MAX_MS, BACKOFF_MS << self._failures)
        self._failures = min(self._failures + 1, BACKOFF_MAX_MS.bit_length())

    def reset(self) -> None:
        """As if nothing had failed: a person says so."""
        self.until_ms = self._failures = 0


class Services:
    """What was asked of the shell for one group, and what it told."""

    def __init__(self) -> None:
        self.wanted: bool | None = None
        """Whether they must run; None: not decided yet, so they are left as they are."""
        self.told: Serving | None = None
        self.message = ""

    def tell(self, told: Serving, message: str) -> None:
        """The shell's word."""
        self.told, self.message = told, message

    def want(self, wanted: bool | None) -> None:
        """Ask for something else: what was told before is no answer to it."""
        if wanted != self.wanted:
            self.wanted = wanted
            if self.told is not Serving.ABSENT:
                self.told = None

    def stopped(self, units: tuple[str, ...]) -> bool:
        """Whether it is known that none of them runs here."""
        return not units or (self.wanted is False and self.told in (Serving.STOPPED, Serving.ABSENT))

    def failed(self) -> bool:
        """Whether they were to run, and cannot."""
        return self.wanted is True and self.told in (Serving.FAILED, Serving.ABSENT)

    def cannot_stop(self) -> bool:
        """Whether they were to be stopped, and did not stop."""
        return self.wanted is False and self.told is Serving.FAILED
