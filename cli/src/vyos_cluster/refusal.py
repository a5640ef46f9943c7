"""How a command says no: where in the input, and what is wrong there. Not here: exit codes (`__main__`)."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the input; both count from 1."""

    line: int = 1
    column: int = 1


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Note:
    """Something to tell that refuses nothing."""

    at: Place
    text: str

    @classmethod
    def comments(cls, places: list[Place]) -> Note | None:
        """That these comments are not carried."""
        if not places:
            return None
        what = "this comment is" if len(places) == 1 else f"{len(places)} comments, from this one on, are"
        return cls(min(places), f"{what} not carried")

    def line(self, file: str) -> str:
        """FILE:LINE:COLUMN: note: text."""
        return printable(f"{file}:{self.at.line}:{self.at.column}: note: {self.text}")


class Refused(ValueError):
    """The input cannot be taken; `faults` has the place and the text of each fault."""

    def __init__(self, *faults: tuple[Place, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(text for _, text in faults))

    def lines(self, file: str) -> list[str]:
        """FILE:LINE:COLUMN: text, for each fault, as compilers and editors have it."""
        return [printable(f"{file}:{at.line}:{at.column}: {text}") for at, text in sorted(self.faults)]


def printable(text: str) -> str:
    """The text with escapes for what a terminal might obey: names come from files that anybody may have written."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
