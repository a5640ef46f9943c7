"""YAML documents as kubectl reads them, and where in the text each of their fields stands.

Whoever reads a manifest reads it here, so that all of them take and refuse the same texts. Not here: what a document
must hold (`manifest`, `v1alpha1`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Hashable
from typing import Any

import yaml

_LINE = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
"""What ends a line for PyYAML, whose marks count lines."""

_COMMENT = re.compile(r"#[^\r\n\x85\u2028\u2029]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_CHARACTER = "a character that YAML does not allow"


class DocumentsError(ValueError):
    """The text is not YAML as kubectl takes it; the words quote nothing that may be a secret."""

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        self.problem, self.line, self.column = problem, line, column
        """`line` and `column` count from 1; 0 where no place is known."""
        super().__init__((f"line {line}: " if line else "") + f"not YAML as kubectl takes it: {problem}")


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One document that is not empty."""

    value: Any = dataclasses.field(repr=False)
    node: yaml.Node = dataclasses.field(repr=False)

    def place(self, field: str = "") -> tuple[int, int]:
        """Line and column, from 1, of a field such as spec.groups[0].name, or of the nearest one around it."""
        node, mark, rest = self.node, self.node.start_mark, field
        while rest and (step := _step(node, rest)) is not None:
            node, mark, rest = step
        return mark.line + 1, mark.column + 1


def comments(text: str) -> list[tuple[int, int]]:
    """Line and column, from 1, of each comment of a text that `read` takes, but of one behind a block's | or >."""
    found, end = [], 0
    for token in yaml.scan(text, Loader):
        between = text[end : token.start_mark.index]
        found += [_place(text, end + match.start()) for match in _COMMENT.finditer(between)]
        end = token.end_mark.index
    return found


def read(text: str) -> tuple[Document, ...]:
    """The documents of the text but the empty ones. Raises DocumentsError."""
    found = []
    try:
        loader = Loader(text)
        while loader.check_node():
            node: Any = loader.get_node()
            value = loader.construct_document(node)
            if value is not None:
                found.append(Document(value, node))
    except yaml.MarkedYAMLError as error:
        # The error's text quotes the line, and its problem an alias or tag: any of them may be an unquoted secret.
        problem = str(error.problem)
        if not isinstance(error, _OwnError):
            problem = re.sub(r"'.*'", "...", problem, flags=re.DOTALL)
        mark = error.problem_mark
        raise DocumentsError(problem, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0) from None
    except yaml.reader.ReaderError as error:
        raise DocumentsError(_NO_CHARACTER, *_place(text, error.position)) from None
    except (ValueError, OverflowError):  # from PyYAML's scanner: an escape or directive with a number out of range
        mark = loader.get_mark()
        raise DocumentsError("a number out of range", mark.line + 1, mark.column + 1) from None
    except RecursionError:
        raise DocumentsError("it is nested too deeply") from None
    return tuple(found)


def _place(text: str, index: int) -> tuple[int, int]:
    starts = [0, *(match.end() for match in _LINE.finditer(text, 0, index))]
    return len(starts), index - starts[-1] + 1


def _step(node: yaml.Node, rest: str) -> tuple[yaml.Node, yaml.Mark, str] | None:
    """One step of the path: the node below, the mark of its key or item, and what is left of the path."""
    if isinstance(node, yaml.SequenceNode):
        item = re.match(r"\[([0-9]{1,9})\]\.?", rest)
        if item is None or int(item[1]) >= len(node.value):
            return None
        below = node.value[int(item[1])]
        return below, below.start_mark, rest[item.end() :]
    if not isinstance(node, yaml.MappingNode):
        return None
    fits = [
        (key, value)
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode)
        and key.value
        and (f"{rest}.").startswith((f"{key.value}.", f"{key.value}["))
    ]
    if not fits:
        return None
    key, value = max(fits, key=lambda pair: len(pair[0].value))  # a key may have dots in it
    return value, key.start_mark, rest[len(key.value) :].removeprefix(".")


class _OwnError(yaml.constructor.ConstructorError):
    """A fault that is told in words of this module, which quote no value."""


class Loader(yaml.SafeLoader):
    """Reads a manifest as kubectl does: no key twice, no dates, no base-60 numbers (1:2:3:4:5:6:7:8 is an address)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping; a key that stands twice is an error."""
        seen = set()
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                    if key.value in seen:
                        raise _OwnError(None, None, f"key {key.value!r} stands twice in one object", key.start_mark)
                    seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """A text; half a surrogate pair (`"\\ud800"`) is an error, as it is no character."""
        value = super().construct_scalar(node)
        if isinstance(value, str) and _SURROGATE.search(value):
            raise _OwnError(None, None, _NO_CHARACTER, node.start_mark)
        return value

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A value; what does not fit its tag (`!!int x`) is an error with a place, whatever PyYAML stumbles over."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
            raise _OwnError(None, None, "a value does not fit its tag", node.start_mark) from None


_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
Loader.yaml_implicit_resolvers = {
    first: [(tag, syntax) for tag, syntax in found if tag.removeprefix(_TAG) in ("null", "bool", "merge")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$"
    ),
    list("-+0123456789."),
)
Loader.add_implicit_resolver(
    _TAG + "int",
    re.compile(r"^[-+]?(?:0b[0-1_]+|0[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
