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
_GUARD = r"^(\d+(\.\d+)?(m?s|m|h))+$"
"""What CEL's duration() takes without an error: shorter than SYNTAX, for Kubernetes before 1.34 takes every text for
3 MiB long that may be a number too, and what its CEL costs grows with the length of the expression."""
HELP = "a duration such as 300ms, 20s or 1m30s, or a whole number of milliseconds (without quotes)"
LONGEST_MS = 86_400_000
"""A day: nothing here waits longer, and every sum of two still fits everywhere."""
PATTERN = {"pattern": SYNTAX, "minimum": 0, "maximum": LONGEST_MS}
"""What JSON schema can say of a duration: the syntax of a text, and the bounds of a number."""

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


def _cel_ok(value: str, syntax: str) -> str:
    escaped = syntax.replace("[0-9]", r"\d").replace("\\", "\\\\")
    return (
        f"(type({value}) == int ? {value} >= 0 && {value} <= {LONGEST_MS} : "
        f"{value}.size() <= {limits.DURATION_TEXT} && {value}.matches('{escaped}'))"
    )


def cel_ok(value: str) -> str:
    """CEL: `value` can be read as a duration. Every other rule hides behind it, or the user would read a type error."""
    return _cel_ok(value, _GUARD)


def cel_duration(value: str) -> str:
    """CEL: `value` as a duration; only behind `cel_ok`."""
    return f"(type({value}) == int ? duration(string({value}) + 'ms') : duration({value}))"


def rules(field: str, *, least: str = "", under: str = "", most: str = "", many: bool = False) -> tuple[Rule, ...]:
    """The rules of one duration field. The first one has no Python form: `parse` is it.

    `many`: in a list, where CEL would cost too much (see _GUARD). `PATTERN` stands for the first rule there, and the
    operator alone looks after the others.
    """
    syntax = Rule(cel=_cel_ok("self", SYNTAX), message=f"{field} must be {HELP}", holds=None)
    bounds = [_Bound("at least", ">=", least), _Bound("less than", "<", under), _Bound("at most", "<=", most)]
    bounds = [bound for bound in bounds if bound.text]
    found = (syntax, _within(field, bounds)) if bounds else (syntax,)
    return tuple(dataclasses.replace(rule, cel="") for rule in found) if many else found


@dataclasses.dataclass(frozen=True, slots=True)
class _Bound:
    words: str
    op: str
    text: str

    @property
    def cel(self) -> str:
        return f"{cel_duration('self')} {self.op} duration('{self.text}')"

    def holds(self, value: Duration) -> bool:
        limit_ms = parse_ms(self.text)
        return {">=": value.ms >= limit_ms, "<": value.ms < limit_ms, "<=": value.ms <= limit_ms}[self.op]

    def __str__(self) -> str:
        return f"{self.words} {self.text}"


def _within(field: str, bounds: list[_Bound]) -> Rule:
    """All bounds in one rule, for the sake of its cost; the message names the one that is broken."""
    *others, last = bounds
    broken = "".join(f"{bound.cel} ? " for bound in others) + f"'{last}'" + "".join(f" : '{b}'" for b in others[::-1])

    def say(value: Duration) -> str:
        return f"{field} must be {next(b for b in bounds if not b.holds(value))}, not {value}"

    return Rule(
        cel=f"!{cel_ok('self')} || {' && '.join(bound.cel for bound in bounds)}",
        message=f"{field} must be {' and '.join(str(bound) for bound in bounds)}",
        message_cel=f"'{field} must be ' + ({broken}) + ', not ' + string(self)",
        say=say,
        holds=lambda value: all(bound.holds(value) for bound in bounds),
    )
