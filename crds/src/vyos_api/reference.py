"""docs/fields.md, from the schema that the API server gets: one table for each object, its fields in their order.

`crd` writes the file and compares it. Nothing is said here of a field that is not said beside it in the models; only
what no field can say stands as text: how to read the page, and what the schema cannot refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vyos_api import durations, limits, names
from vyos_api.fields import CEL_KEY

_HEAD = f"""\
# Every field of a VyosCluster

<!-- Generated from crds/src/vyos_api by `make generate`; do not edit. -->

`kubectl explain vyoscluster.spec` says the same. After a dot stands what a value must be, in the words of the refusal.
What VyOS calls each field is told in [from VyOS clustering](from-vyos.md).

* **duration**: {durations.HELP.removeprefix("a duration ")}. Half a millisecond is refused, not rounded.
* **required**: there is no default. With a dash nothing is set unless you set it.
* `null` is an absent field.

Three things only the operator refuses (Accepted=False, InvalidSpec), because the schema's language cannot say them
within its cost: an address or unit that stands twice in one cluster, however it is spelled; a network's own address,
such as `192.168.0.0/24`; more than {limits.MEMBERS} members.
"""

Node = Mapping[str, Any]


def page(schema: Node) -> str:
    """The whole page, from the structural schema of a VyosCluster."""
    whole = f"`apiVersion: {names.GROUP}/{names.VERSION}`, `kind: {names.KIND}`, and `metadata.name`."
    found = [_HEAD, f"## The object\n\n{whole} Of the whole object:\n\n{_refusals(schema)}"]
    for name in ("spec", "status"):
        found += _sections(name, schema["properties"][name])
    return "\n".join(found)


def _sections(path: str, node: Node) -> Iterator[str]:
    """The object's own section, then those of the objects in it."""
    head = f"## {path}\n\n{node['description']}\n\n"
    rows = [_row(name, inner, f"{path}.{name}", node.get("required", ())) for name, inner in node["properties"].items()]
    table = "| field | type | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)
    refusals = _refusals(node)
    yield head + table + (f"\n{refusals}" if refusals else "")
    for name, inner in node["properties"].items():
        at, body = _object(f"{path}.{name}", inner)
        if body is not None:
            yield from _sections(at, body)


def _row(name: str, node: Node, path: str, required: Any) -> str:
    default = "required" if name in required else _default(node)
    alone = _object(path, node)[1] is None  # an object's rules stand in its own section
    rules = [*_rules(node), *_rules(node.get("items", {}))] if alone else []
    meaning = "<br>".join([node["description"], *(f"• {rule}" for rule in rules)])
    return f"| `{name}` | {_kind(path, node)} | {default} | {_cell(meaning)} |\n"


def _kind(path: str, node: Node) -> str:
    """The type in words."""
    at, body = _object(path, node)
    if node.get("type") == "array":
        least, most = node.get("minItems", 0), node["maxItems"]
        what = "objects" if body is not None else f"{_plain(node['items'])}s"
        count = f"{least} to {most}" if least else f"up to {most}"
        return f"list of {count} [{what}](#{_anchor(at)})" if body is not None else f"list of {count} {what}"
    return f"[object](#{_anchor(at)})" if body is not None else _plain(node)


def _plain(node: Node) -> str:
    if "enum" in node:
        return " or ".join(f"`{word}`" for word in node["enum"])
    if "anyOf" in node:
        return "duration"
    if node["type"] == "integer" and "maximum" in node:
        return f"integer, {node['minimum']} to {node['maximum']}"
    return "time" if node.get("format") == "date-time" else str(node["type"])


def _default(node: Node) -> str:
    given = node.get("default")
    if given in (None, {}):
        return "–" if given is None else "as below"
    return "none" if given == [] else f"`{str(given).lower() if isinstance(given, bool) else given}`"


def _object(path: str, node: Node) -> tuple[str, Node | None]:
    """The object that a field is or lists, and where it stands."""
    if node.get("type") == "array":
        path, node = f"{path}[]", node["items"]
    return path, node if "properties" in node else None


def _refusals(node: Node) -> str:
    return "".join(f"* {rule}\n" for rule in _rules(node))


def _rules(node: Node) -> list[str]:
    """What is said of a value that breaks a rule; that a duration must be one is said above."""
    return [rule["message"] for rule in node.get(CEL_KEY, ()) if not rule["message"].endswith(durations.HELP)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(path: str) -> str:
    """As GitHub and mkdocs make it of the heading."""
    return re.sub(r"[^\w-]", "", path.lower())
