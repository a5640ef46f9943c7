"""Writes YAML that every reader understands alike: kubectl's, PyYAML's (YAML 1.1) and those of YAML 1.2.

PyYAML quotes what PyYAML itself would not read as a string. Other readers take more forms for numbers: `0E0`, `1e5`
and `0o17` are numbers to kubectl. So a string stands without quotes only where no version of YAML has another meaning
for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Booleans and null of YAML 1.1, in any case; YAML 1.2 has some of them."""
_ESCAPED = re.compile("[^ -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
"""What is written as an escape: line breaks, of which YAML 1.1 has more than YAML 1.2, and what has no shape."""
_PLAIN = re.compile(r"[A-Za-z/].*|[0-9][0-9A-Za-z.]*/[0-9A-Za-z./-]*")
"""No number, date, null or infinity begins with a letter or a slash, and none contains a slash."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes every string that could be read as anything else, and writes a repeated value twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write no anchors."""
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Return the node of a string; PyYAML still quotes where the syntax asks for it."""
        plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
        style = '"' if _ESCAPED.search(text) else None if plain else "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def dump(value: Any) -> str:
    """Return one document."""
    return dump_all([value])


def dump_all(values: Iterable[Any]) -> str:
    """Return several documents, separated by `---`."""
    text: str = yaml.dump_all(values, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return text
