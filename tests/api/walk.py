"""Walks the generated schema: every constraint gets an id, and a keyword that nobody knows is an error.

The ids name path, keyword and value (`spec.port:maximum=65535`), so that a changed bound is a new id, and a case that
stays behind is noticed as well as one that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "format")
_NO_CONSTRAINT = {
    "description",
    "default",
    "type",  # broken one by one in test_types
    "anyOf",
    "items",
    "properties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value that the schema describes: its path, such as spec.groups[].name, and its schema."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def constraints(schema: dict[str, Any]) -> list[str]:
    """The id of every constraint of a schema."""
    return [f"{path}:{text}" for path, node in nodes(schema) for text in _of_one(path, node)]


def _of_one(path: str, node: dict[str, Any]) -> Iterator[str]:
    for key, value in node.items():
        if key in BOUNDS:
            yield f"{key}={value}"
        elif key == "enum":
            yield f"enum={','.join(value)}"
        elif key == "required":
            yield from (f"required={name}" for name in value)
        elif key == "x-kubernetes-validations":
            yield from (f"rule={rule['message']}" for rule in value)
        elif key == "x-kubernetes-list-type" and value == "map":
            yield f"unique={','.join(node['x-kubernetes-list-map-keys'])}"
        elif key == "x-kubernetes-list-type":
            assert value == "atomic", f"{path}: list type {value}"
        else:
            assert key in _NO_CONSTRAINT, f"{path}: {key} is not known here: is it a constraint that needs a case?"
