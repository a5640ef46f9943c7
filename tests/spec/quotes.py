"""Brings the quotes in the tests to the words of docs/protocol.md, after a rule was worded anew. Read both again.

    python -m spec.quotes              (with tests/ on the path)

A docstring that begins with an id alone, `[LEASE-1]`, gets its sentence.
"""

from __future__ import annotations

import re
import textwrap

from spec import document

_DOCSTRING = re.compile(r'^( +)"""(\[[A-Z]+-\d+\][^"]*)"""$', re.MULTILINE)
_ID = re.compile(r"\[([A-Z]+-\d+)\]")
WIDTH = 120


def requoted(source: str, rules: dict[str, str]) -> str:
    """A test file with every quote in the document's words."""
    return _DOCSTRING.sub(lambda m: m[1] + _docstring(m[2], m[1], rules), source)


def _docstring(text: str, indent: str, rules: dict[str, str]) -> str:
    paragraphs = [_paragraph(p, indent, rules) for p in re.split(r"\n\s*\n", text.strip())]
    whole = f"\n\n{indent}".join(paragraphs)
    return f'"""{whole}"""' if "\n" not in whole else f'"""{whole}\n{indent}"""'


def _paragraph(text: str, indent: str, rules: dict[str, str]) -> str:
    found = _ID.match(text)
    if found is None or found[1] not in rules:
        return text
    room = WIDTH - len(indent)
    quote = f'"""[{found[1]}] {rules[found[1]]}'
    if room - 3 < len(quote) <= room:
        room -= 3  # the closing quotes would not fit behind it
    lines = textwrap.wrap(quote, room, break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join(lines).removeprefix('"""')


def main() -> None:
    rules = dict(document.rules(document.text()))
    for path in sorted((document.ROOT / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        new = requoted(source, rules)
        if path.name != "test_musts.py" and new != source:
            path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
