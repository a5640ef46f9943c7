"""Writes the parts of docs/protocol.md that are made from the code or from its own state table.

python -m spec.generate            (with tests/ on the path)
"""

from __future__ import annotations

import ast
import enum
import inspect
import re
from collections.abc import Callable, Mapping

from spec import document
from vyos_agent.core import handover, model, wire

PLAIN = {"STANDBY": "Ready to take the group.", "OWNER": "Holds the group."}
WIDTH = 64
"""Longest label of an arrow; the table has the whole words."""


def words(kind: type[enum.Enum]) -> dict[str, str]:
    """The sentence under each member of an enum; empty where there is none."""
    (found,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(found, ast.ClassDef)
    texts: dict[str, str] = {}
    name = ""
    for node in found.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            texts[name] = ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            texts[name] = " ".join(str(node.value.value).split())
    return texts


def camel(name: str) -> str:
    """NOT_STANDBY as NotStandby."""
    return "".join(part.capitalize() for part in name.split("_"))


def _numbered(kind: type[enum.IntEnum], title: str, more: Mapping[str, str] | None = None) -> str:
    texts = dict(more or {}) | {name: text for name, text in words(kind).items() if text or name not in (more or {})}
    lines = [f"| number | {title} | meaning |", "| --- | --- | --- |"]
    lines += [f"| {member.value} | {camel(member.name)} | {texts[member.name]} |" for member in kind]
    return "\n".join(lines) + "\n"


def _moves() -> dict[str, str]:
    """Causes that ask for a move have no words of their own: the owner's reason says it."""
    return {cause.name: f"The move's reason is {reason}." for reason, cause in handover.CAUSES.items()}


def _named(kind: type[enum.StrEnum], title: str) -> str:
    texts = words(kind)
    lines = [f"| {title} | meaning |", "| --- | --- |"]
    lines += [f"| {member.value} | {texts[member.name]} |" for member in kind]
    return "\n".join(lines) + "\n"


def picture(text: str) -> str:
    """The state table as a mermaid diagram: one arrow for each pair of states."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in document.transitions(text):
        if row.state != row.to and row.state != "any":
            arrows.setdefault((row.state, row.to), []).append(row.event)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> Listening"]
    for (state, to), events in arrows.items():
        label = re.sub(r"[;:]", ",", events[0])
        label = label if len(label) <= WIDTH else label[:WIDTH].rsplit(" ", 1)[0] + " …"
        more = f" (and {len(events) - 1} more)" if len(events) > 1 else ""
        lines.append(f"    {state} --> {to}: {label}{more}")
    lines += ["    Listening --> [*]: gone", "    Standby --> [*]: gone", "    None --> [*]: gone", "```"]
    return "\n".join(lines) + "\n"


PARTS: dict[str, Callable[[str], str]] = {
    "causes": lambda _: _numbered(model.Cause, "cause", _moves()),
    "states": lambda _: _numbered(model.State, "state", PLAIN),
    "picture": picture,
    "reasons": lambda _: _named(model.Reason, "reason"),
    "endings": lambda _: _named(model.Ending, "ending"),
}


def current(text: str) -> str:
    """The document with all made parts as they must be."""
    for name, make in PARTS.items():
        text = document.with_part(text, name, make(text))
    return text


def main() -> None:
    document.PATH.write_text(current(document.text()), encoding="utf-8")


assert wire.VERSION == 1, "a new version needs a table of its own in the document"

if __name__ == "__main__":
    main()
