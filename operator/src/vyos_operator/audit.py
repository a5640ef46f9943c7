"""Whether a watch still tells the truth, from what it showed and what the API server lists. Pure.

An honest watch is a moment behind, so a difference counts only when it is still there after a while, and nothing new
came from the watch about that object in between.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_operator.store import Version

Versions = Mapping[str, Version]


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Objects by which the list and the watch differ, with the version that the watch showed (None for none)."""

    missed: dict[str, Version | None]
    """Listed, but the watch has not shown it, or not as it is now."""
    ghosts: dict[str, Version]
    """Shown by the watch, but not listed (any more)."""

    def __bool__(self) -> bool:
        return bool(self.missed or self.ghosts)


def compare(listed: Versions, shown: Versions) -> Difference:
    """How the list and the watch differ at this moment."""
    return Difference(
        missed={name: shown.get(name) for name, version in listed.items() if shown.get(name) != version},
        ghosts={name: version for name, version in shown.items() if name not in listed},
    )


def lasting(before: Difference, after: Difference) -> Difference:
    """What differed then and still does, with no news of it from the watch in between."""
    return Difference(
        missed={n: shown for n, shown in after.missed.items() if n in before.missed and before.missed[n] == shown},
        ghosts={n: shown for n, shown in after.ghosts.items() if before.ghosts.get(n) == shown},
    )
