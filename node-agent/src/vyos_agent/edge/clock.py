"""The two clocks: the core's monotonic milliseconds, and wall-clock times that stay the same for one event.

Not a time source for decisions: those get `now` from whoever calls them.
"""

from __future__ import annotations

import time

from vyos_agent.core.model import Millis

NS_PER_MS = 1_000_000


def now() -> Millis:
    """Monotonic milliseconds: the core's clock, and asyncio's."""
    return Millis(time.monotonic_ns() // NS_PER_MS)


def wall_ms() -> int:
    """Wall-clock milliseconds since 1970, for people: nothing is ever compared with them."""
    return time.time_ns() // NS_PER_MS


class Calendar:
    """Turns instants of the core's clock into wall-clock milliseconds, each once.

    Computed anew they would differ by a millisecond from report to report, and by hours after a step of the wall clock;
    each difference would be a write to the API.
    """

    def __init__(self) -> None:
        self._known: dict[object, int] = {}

    def wall_ms(self, key: object, at_ms: int) -> int:
        """The wall clock at `at_ms` of what `key` names; `key` holds `at_ms` where that can change."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = wall_ms() - (now() - at_ms)
        return found

    def keep(self, keys: set[object]) -> None:
        """Forget all others."""
        self._known = {key: at for key, at in self._known.items() if key in keys}
