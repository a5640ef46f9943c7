"""How a command says no: where in the input, and what is wrong there. Not here: exit codes (`__main__`)."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the input; both count from 1."""

    line: int = 1
    column: int = 1


class Refused(ValueError):
    """The input cannot be taken; `faults` has the place and the text of each fault."""

    def __init__(self, *faults: tuple[Place, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(text for _, text in faults))

    def lines(self, file: str) -> list[str]:
        """FILE:LINE:COLUMN: text, for each fault, as compilers and editors have it."""
        return [f"{file}:{at.line}:{at.column}: {text}" for at, text in sorted(self.faults)]
