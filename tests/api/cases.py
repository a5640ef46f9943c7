"""The cases of refused.yaml and traps.yaml, and what an answer must say to count for a constraint."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

from api import objects, walk
from vyos_api import crd

HERE = Path(__file__).parent
SCHEMA = crd.schema()


@dataclasses.dataclass(frozen=True)
class Case:
    """One bad object: the constraint it breaks, how it is made, and what API server and models say."""

    breaks: str
    set: dict[str, Any]
    api: tuple[str, ...]
    model: tuple[str, ...]

    @property
    def about_status(self) -> bool:
        return any(path.startswith("status") for path in self.set)

    def object(self, good: dict[str, Any]) -> dict[str, Any]:
        return objects.changed(good, self.set)

    def __str__(self) -> str:
        return f"{self.breaks} {self.set}"[:100]


def load(name: str) -> list[Case]:
    return [
        Case(c["breaks"], c["set"], tuple(c["api"]), tuple(c["model"]))
        for c in yaml.safe_load((HERE / name).read_text())
    ]


REFUSED = load("refused.yaml")
TRAPS = load("traps.yaml")


def evidence(constraint: str) -> tuple[str, tuple[str, ...]]:
    """Where an answer must point (without indices), and the words in it, to show that this constraint was at work."""
    path, _, text = constraint.partition(":")
    key, _, value = text.partition("=")
    if key == "rule":
        return path, _words(path, value)
    if key == "required":
        return f"{path}.{value}".lstrip("."), ("Required value",)
    words = {
        "minimum": f"should be greater than or equal to {value}",
        "maximum": f"should be less than or equal to {value}",
        "minLength": f"should be at least {value} chars long",
        "maxLength": f"may not be more than {value} bytes",
        "minItems": f"should have at least {value} items",
        "maxItems": f"must have at most {value} items",
        "pattern": f"should match '{value}'",
        "enum": "supported values: " + ", ".join(f'"{v}"' for v in value.split(",")),
        "unique": f'Duplicate value: {{"{value}":',
        "format": f"must be of type {value.replace('int64', 'integer')}",
    }
    return path, (words[key],)


def _words(path: str, message: str) -> tuple[str, ...]:
    node = dict(walk.nodes(SCHEMA))[path]
    rule = next(r for r in node["x-kubernetes-validations"] if r["message"] == message)
    if "messageExpression" not in rule:
        return (message,)
    found = tuple(t for t in re.findall(r"'([^']*)'", rule["messageExpression"]) if t != ")")
    return (found[0], found[-1]) if " ? '" in rule["messageExpression"] else found  # one of several, by the value


def shows(case: Case) -> bool:
    """Whether the API server's answer shows that the case breaks the constraint that it names."""
    where, words = evidence(case.breaks)
    for line in case.api:
        path = line.partition(": ")[0].replace("<nil>", "")
        if re.sub(r"\[\d+\]", "[]", path).startswith(where) and all(w.strip() in line for w in words):
            return True
    return False
