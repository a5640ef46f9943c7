"""Durations as users write them: a whole number of milliseconds (as in VyOS) or a Go duration string.

Standard library only. Finer than a millisecond is not written down anywhere in the project, so a text that is no whole
number of milliseconds is refused rather than rounded.
"""

from __future__ import annotations

import dataclasses
import re

from vyos_api import limits
from vyos_api.rules import Rule

SYNTAX = r"^([0-9]{1,8}ms|[0-9]{1,6}(\.[0-9]{1,3})?[smh])+$"
"""The part of Go's syntax that cannot overflow Go's duration within DURATION_TEXT characters (292 years), and
that always gives whole milliseconds. The same expression works in RE2 and in Python."""
HELP = "a duration such as 300ms, 20s or 1m30s, or a whole number of milliseconds (without quotes)"
LONGEST_MS = 86_400_000
"""A day: nothing here waits longer, and every sum of two still fits everywhere."""

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_PART = re.compile(r"([0-9]+)(?:\.([0-9]+))?(ms|s|m|h)")


class DurationError(ValueError):
    """The text or number is no duration."""


@dataclasses.dataclass(frozen=True, slots=True)
class Duration:
    """A duration with the spelling it came in, so that messages and manifests show what the user wrote."""

    ms: int
    given: int | str = dataclasses.field(compare=False)

    def __str__(self) -> str:
        return str(self.given)


def parse(value: object) -> Duration:
    """A Duration from a manifest's value. Raises DurationError, whose text lacks the field's name."""
    if isinstance(value, Duration):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LONGEST_MS:
        return Duration(value, value)
    if isinstance(value, str) and len(value) <= limits.DURATION_TEXT and re.fullmatch(SYNTAX[1:-1], value):
        return Duration(sum(_part_ms(*m.groups()) for m in _PART.finditer(value)), value)
    raise DurationError(f"must be {HELP}")


def parse_ms(value: object) -> int:
    """Milliseconds of a manifest's value. Raises DurationError."""
    return parse(value).ms


def _part_ms(whole: str, fraction: str | None, unit: str) -> int:
    scale = _UNIT_MS[unit]
    return int(whole) * scale + int((fraction or "").ljust(3, "0")) * scale // 1000


def cel_ok(value: str) -> str:
    """CEL: `value` is a duration at all. Every other rule hides behind it, or the user would read a type error."""
    syntax = SYNTAX.replace("\\", "\\\\")
    return (
        f"(type({value}) == int ? {value} >= 0 && {value} <= {LONGEST_MS} : "
        f"{value}.size() <= {limits.DURATION_TEXT} && {value}.matches('{syntax}'))"
    )


def cel_duration(value: str) -> str:
    """CEL: `value` as a duration; only behind `cel_ok`."""
    return f"(type({value}) == int ? duration(string({value}) + 'ms') : duration({value}))"


def rules(field: str, *, least: str = "", under: str = "", most: str = "") -> tuple[Rule, ...]:
    """The rules of one duration field. The first one has no Python form: `parse` is it."""
    found = [Rule(cel=cel_ok("self"), message=f"{field} must be {HELP}", holds=None)]
    for bound, words, op in ((least, "at least", ">="), (under, "less than", "<"), (most, "at most", "<=")):
        if bound:
            found.append(_bound(field, bound, words, op))
    return tuple(found)


def _bound(field: str, bound: str, words: str, op: str) -> Rule:
    limit_ms = parse_ms(bound)

    def holds(value: Duration) -> bool:
        return {">=": value.ms >= limit_ms, "<": value.ms < limit_ms, "<=": value.ms <= limit_ms}[op]

    return Rule(
        cel=f"!{cel_ok('self')} || {cel_duration('self')} {op} duration('{bound}')",
        message=f"{field} must be {words} {bound}",
        message_cel=f"'{field} must be {words} {bound}, not ' + string(self)",
        say=lambda value: f"{field} must be {words} {bound}, not {value}",
        holds=holds,
    )
