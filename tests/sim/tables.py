"""Every table is bounded: walks all containers that a node owns, whatever they are called.

Names of fields are the core's own business; a new table is found without a change here.
"""

from __future__ import annotations

import collections
import dataclasses
import typing
from collections.abc import Callable

from vyos_agent.core.model import Config
from vyos_agent.core.node import Node

EVERY_STEPS = 4_096
"""A walk costs as much as some tens of steps."""
SIZE_MAX = 8_192
"""Above the log of sent frames at one answer in 10 ms for a dead interval of 30 s; far below a leak in a long run."""


class TableBounds:
    """Counts steps, and walks now and then."""

    def __init__(self, fail: Callable[[str, str, str], None]) -> None:
        self._fail = fail
        self._steps = 0

    def look(self, node: Node) -> None:
        """One step of this node is over."""
        self._steps += 1
        if self._steps % EVERY_STEPS == 0:
            for path, size in sizes(node):
                if size > SIZE_MAX:
                    self._fail("tables are bounded", "every table is bounded", f"{path} has {size} entries")


def sizes(root: object) -> list[tuple[str, int]]:
    """Every container below `root`, by its path, with how much it holds."""
    found: list[tuple[str, int]] = []
    seen: set[int] = set()
    todo: list[tuple[str, object]] = [("node", root)]
    while todo:
        path, thing = todo.pop()
        if id(thing) in seen or isinstance(thing, (str, bytes, int, float, Config, type(None))):
            continue
        seen.add(id(thing))
        match thing:
            case dict():
                found.append((path, len(thing)))
                todo += [(f"{path}[{k!r}]", v) for k, v in thing.items()]
            case list() | tuple() | set() | frozenset() | collections.deque():
                found.append((path, len(thing)))
                todo += [(f"{path}[]", v) for v in thing]
            case _:
                todo += [(f"{path}.{name}", value) for name, value in _fields(thing)]
    return found


def _fields(thing: object) -> list[tuple[str, typing.Any]]:
    if dataclasses.is_dataclass(thing):
        return [(f.name, getattr(thing, f.name, None)) for f in dataclasses.fields(thing)]
    return list(getattr(thing, "__dict__", {}).items())
