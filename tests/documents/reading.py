"""Reads Markdown as far as the tests need it: fences and their marks, inline code, headings, links.

A fence of commands to be typed is ```sh; one that shows what they print too is ```console, with its commands after `$ `
or `# `. The line above says how it is known to work:

    <!-- run: here -->                     a test runs it in a copy of the page's files (test_run.py)
    <!-- run: api server -->               a test runs it against a real API server with the chart (test_api_server.py)
    <!-- run: lab -->                      a test runs it beside a lab that the page brings up (test_lab.py)
    <!-- run: ground -->                   a test runs it on three routers under Kubernetes (e2e/test_documents.py)
    <!-- run: api server, ground -->       both do
    <!-- not run: why -->                  nothing runs it

What a run ```console fence prints is compared, but for spaces, times and ages. Every other fence has a language of
OTHER and holds no command. A fence that begins with a comment `# NAME` of a file is that file for the commands of its
page. What stands between backticks in a sentence, or in an indented block (a synopsis of ours), is not run: that what
it names exists is looked at.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import subprocess
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- ((?:not )?[a-z]+): (.+) -->")
FILE = re.compile(r"# ([\w.-]+\.(?:yaml|boot))\n")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
INDENTED = re.compile(r"(?:^|\n)\n((?:    .*\n)+)")
OTHER = {"yaml", "text", "python", "mermaid", ""}
"""Languages of fences without commands: files, pictures, answers."""
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
PROMPT = re.compile(r"^[$#] (.+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Fence:
    """A block of code, and the mark above it."""

    page: str
    line: int
    language: str
    text: str
    mark: tuple[str, str] | None

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"

    @property
    def ways(self) -> frozenset[str]:
        """The ways in which tests run it."""
        kind, how = self.mark or ("", "")
        return frozenset(how.split(", ")) if kind == "run" else frozenset()

    @property
    def script(self) -> str:
        """What is typed."""
        return "\n".join(PROMPT.findall(self.text)) + "\n" if self.language == "console" else self.text

    @property
    def printed(self) -> list[str]:
        """What a transcript says that is printed, comparable (`comparable`)."""
        return comparable(PROMPT.sub("", self.text)) if self.language == "console" else []

    @property
    def file(self) -> str | None:
        """The name of the file that this is."""
        found = FILE.match(self.text)
        return found[1] if found else None


@functools.cache
def pages() -> tuple[str, ...]:
    """All documents of the repository, by their paths; new ones too, before they are added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(sorted(p for p in listed.stdout.splitlines() if (ROOT / p).is_file()))


@functools.cache
def text(page: str) -> str:
    """The page."""
    return (ROOT / page).read_text(encoding="utf-8")


@functools.cache
def fences(page: str) -> tuple[Fence, ...]:
    """All blocks of a page, in their order."""
    whole = text(page)
    found = []
    for match in FENCE.finditer(whole):
        before = whole[: match.start()].splitlines()
        mark = MARK.fullmatch(before[-1].strip()) if before else None
        told = (mark[1], mark[2]) if mark else None
        found.append(Fence(page, len(before) + 1, match[2], textwrap.dedent(match[3]), told))
    return tuple(found)


def comparable(printed: str) -> list[str]:
    """Lines without what differs from one time to the next: spaces, times, ages."""
    lines = (re.sub(r"\b\d+(\.\d+)? ?(ms|s|m)\b", "TIME", " ".join(line.split())) for line in printed.splitlines())
    return [line for line in lines if line]


def prose(page: str) -> str:
    """The page without its blocks of code."""
    return FENCE.sub("", text(page))


def transcripts(page: str) -> tuple[tuple[str, str], ...]:
    """The commands of the transcripts: (where, command)."""
    told = [f for f in fences(page) if f.language == "console"]
    return tuple((f.where, command) for f in told for command in f.script.splitlines())


def synopses(page: str) -> tuple[str, ...]:
    """Lines of indented blocks."""
    return tuple(line.strip() for block in INDENTED.findall(prose(page)) for line in block.splitlines())


def inline(page: str) -> tuple[str, ...]:
    """What stands between backticks in the text."""
    return tuple(INLINE.findall(prose(page)))


def links(page: str) -> tuple[str, ...]:
    """The targets of all links."""
    return tuple(LINK.findall(INLINE.sub("", prose(page))))


@functools.cache
def anchors(page: str) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(prose(page)):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found[name] = found.get(name, 0) + 1
    return frozenset(f"{name}-{i}" if i else name for name, count in found.items() for i in range(count))
