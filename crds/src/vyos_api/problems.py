"""A pydantic error in the words of a person who wrote a manifest: the field's path, what is wrong, the fix.

Values are quoted only where they cannot be secret. Not a general translator: it knows the error types that the models
of this package can produce, and falls back to pydantic's words for any other.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from vyos_api.fields import BROKEN

_MUST_BE = {
    "string_type": "a string",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
}
_NEVER_SHOWN = "value"
"""The field (preSharedSecret.value) whose content is never quoted."""


class InvalidObject(ValueError):
    """A manifest that the API refuses; `problems` has one line for each field at fault."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def problems(error: ValidationError, known: Mapping[tuple[str, ...], tuple[str, ...]] | None = None) -> tuple[str, ...]:
    """One line for each field at fault; `known` gives the field names of an object, for suggestions."""
    found = error.errors(include_url=False)
    # A list with a bad item is also reported as too short: pydantic counts only the good ones.
    parents = {tuple(e["loc"][:n]) for e in found for n in range(len(e["loc"]))}
    return tuple(_line(e, known or {}) for e in found if e["type"] != "too_short" or e["loc"] not in parents)


def path(loc: Iterable[int | str]) -> str:
    """A field as users of kubectl know it: spec.groups[0].services[1]."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the object"


def _line(error: Any, known: Mapping[tuple[str, ...], tuple[str, ...]]) -> str:
    loc = error["loc"]
    return f"{path(loc)}: {_words(error, loc, known)}"


def _words(error: Any, loc: tuple[int | str, ...], known: Mapping[tuple[str, ...], tuple[str, ...]]) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    shown = "" if loc and loc[-1] == _NEVER_SHOWN else f", not {_show(value)}"
    match kind:
        case _ if kind == BROKEN:
            return str(error["msg"])
        case _ if kind in _MUST_BE:
            return f"must be {_MUST_BE[kind]}{shown}"
        case "missing":
            return "is required"
        case "extra_forbidden":
            names = known.get(tuple(p for p in loc[:-1] if isinstance(p, str)), ())
            near = difflib.get_close_matches(str(loc[-1]), names, 1)
            return "is not a known field" + (f"; did you mean {near[0]}?" if near else "")
        case "literal_error":
            expected = context["expected"].replace("'", "")
            return f"must be {expected}{shown}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}{shown}"
        case "less_than_equal":
            return f"must be at most {context['le']}{shown}"
        case "string_pattern_mismatch":
            return f"must match {context['pattern']}{shown}"
        case "string_too_short" | "string_too_long":
            return _length("characters", context)
        case "too_short" | "too_long":
            return _length("items" if loc[-1] != _NEVER_SHOWN else "characters", context)
        case _:
            return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _length(unit: str, context: Mapping[str, Any]) -> str:
    if "min_length" in context:
        least = context["min_length"]
        return f"must have at least {least} {unit if least != 1 else unit.removesuffix('s')}"
    return f"must have at most {context['max_length']} {unit}"


def _show(value: object) -> str:
    if isinstance(value, bool | None):
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
