"""VyOS's two spellings of a configuration, as paths of words: config.boot (braces), and `set` commands.

`cluster { group a { primary n } }` and `set cluster group a primary n` both become (cluster, group, a, primary, n).
Not here: what the words mean (`vyos`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from vyos_cluster.refusal import Place, Refused

Path = tuple["Word", ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stood; a quoted brace is no brace."""

    text: str
    at: Place
    quoted: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Comment:
    """A comment and where it stood; `ours` belongs to `cluster` or something in it: a comment is of what follows."""

    text: str
    at: Place
    ours: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Line:
    """A line with words: what it says (nothing, where it closes a block), its top-level node, and its last word."""

    path: Path
    node: str
    end: Place


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """What was read: the paths below `cluster`, and the comments, which may hold what VyOS has no option for."""

    paths: tuple[Path, ...]
    comments: tuple[Comment, ...]


def read(text: str) -> Source:
    """The paths that begin with `cluster`; other top-level nodes are skipped. Raises Refused."""
    comments: list[tuple[Place, str]] = []
    lines = list(_lines(text, comments))
    commands = bool(lines) and not lines[0][0].quoted and lines[0][0].text in ("set", "delete", "edit")
    found = list(_commands(lines) if commands else _braces(lines))
    after = ((at, said, next((line for line in found if line.end > at), None)) for at, said in comments)
    told = tuple(Comment(said, at, line is not None and line.node == "cluster") for at, said, line in after)
    return Source(tuple(line.path for line in found if line.path and line.node == "cluster"), told)


def _commands(lines: list[Path]) -> Iterator[_Line]:
    for line in lines:
        if line[0].text != "set":
            raise Refused((line[0].at, f"only `set` commands can be read here, not {line[0].text!r}"))
        if len(line) == 1:
            raise Refused((line[0].at, "set what?"))
        yield _Line(line[1:], line[1].text, line[-1].at)


def _braces(lines: list[Path]) -> Iterator[_Line]:
    above: list[Path] = []
    for line in lines:
        first, last = line[0], line[-1]
        if _is(first, "}"):
            if len(line) > 1:
                raise Refused((line[1].at, "nothing may follow } on its line"))
            if not above:
                raise Refused((first.at, "} closes nothing"))
            yield _Line((), above.pop()[0].text, first.at)
            continue
        words = line[:-1] if _is(last, "{") else line
        if not words:
            raise Refused((first.at, "{ needs a name before it"))
        for word in words:
            if _is(word, "{") or _is(word, "}"):
                raise Refused((word.at, f"{word.text} must be the last of its line, or quoted"))
        path = (*(above[-1] if above else ()), *words)
        yield _Line(path, path[0].text, last.at)
        if _is(last, "{"):
            above.append(path)
    if above:
        raise Refused((above[-1][-1].at, f"the block of {above[-1][-1].text!r} is never closed: a }} is missing"))


def _is(word: Word, text: str) -> bool:
    return not word.quoted and word.text == text


def _lines(text: str, comments: list[tuple[Place, str]]) -> Iterator[Path]:
    """The words of each line that has any; comments are put aside."""
    scan, line = _Scanner(text), list[Word]()
    while scan.more():
        here = scan.peek()
        if here == "\n":
            scan.take()
            if line:
                yield tuple(line)
            line = []
        elif here.isspace() or here == "\ufeff":
            scan.take()
        elif scan.ahead("/*"):
            comments.append((scan.place(), scan.comment()))
        elif not line and (scan.ahead("//") or here == "#"):
            comments.append((scan.place(), scan.rest()))
        else:
            line.append(scan.word(bool(line) and line[0].text == "set"))
    if line:
        yield tuple(line)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text, self._i, self._line, self._start = text, 0, 1, 0

    def more(self) -> bool:
        return self._i < len(self._text)

    def peek(self) -> str:
        return self._text[self._i]

    def ahead(self, what: str) -> bool:
        return self._text.startswith(what, self._i)

    def place(self) -> Place:
        return Place(self._line, self._i - self._start + 1)

    def take(self) -> str:
        char = self._text[self._i]
        self._i += 1
        if char == "\n":
            self._line, self._start = self._line + 1, self._i
        return char

    def rest(self) -> str:
        said = ""
        while self.more() and self.peek() != "\n":
            said += self.take()
        return said.removeprefix("//").removeprefix("#").strip()

    def comment(self) -> str:
        at, end = self.place(), self._text.find("*/", self._i + 2)
        if end < 0:
            raise Refused((at, "the comment is never closed: */ is missing"))
        found = self._text[self._i + 2 : end]
        while self._i < end + 2:
            self.take()
        return found.strip()

    def word(self, shell: bool) -> Word:
        """One word: in config.boot quoted as a whole, in a command in parts, as a shell has it."""
        at, said, quoted = self.place(), "", False
        while self.more() and not self.peek().isspace():
            here = self.peek()
            if (here == '"' and (shell or not said)) or (here == "'" and shell):
                said, quoted = said + self._quoted(), True
                if not shell and self.more() and not self.peek().isspace():
                    raise Refused((self.place(), "a blank must follow the closing quote"))
            elif here == "\\" and shell:
                self.take()
                if not self.more() or self.peek() == "\n":
                    raise Refused((at, "a command cannot go on in the next line"))
                said, quoted = said + self.take(), True
            else:
                said += self.take()
        return Word(said, at, quoted)

    def _quoted(self) -> str:
        at, quote, said = self.place(), self.take(), ""
        while self.more() and self.peek() not in (quote, "\n"):
            char = self.take()
            if char == "\\" and quote == '"' and self.more() and self.peek() in '"\\':
                char = self.take()
            said += char
        if not self.more() or self.peek() != quote:
            raise Refused((at, f"the text is never closed: {quote} is missing in this line"))
        self.take()
        return said
