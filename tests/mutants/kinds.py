"""What a mutant is: one change of text, the defence that it takes away, and the tests that kill it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Mutant:
    """`old` must stand exactly once in `file` (below the core's folder)."""

    name: str
    defence: str
    file: str
    old: str
    new: str
    killer: str
    """file::name: one of the tests in that file (below `tests/`) with that in their names must fail."""

    def apply(self, text: str) -> str:
        """The file with the change; an error when it does not apply."""
        found = text.count(self.old)
        if found != 1:
            raise LookupError(f"{self.name}: the text to change stands {found} times in {self.file}")
        return text.replace(self.old, self.new)
