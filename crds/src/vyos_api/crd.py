"""The CustomResourceDefinition, generated from the models: `python -m vyos_api.crd` writes it, `--check` compares.

Where only the package is installed, `python -m vyos_api.crd --print | kubectl apply --server-side -f -` installs it.

Three files, never edited: the one for `kubectl apply`, the chart's template of the same, and the page of all fields.
Nothing is decided here but what has no field to stand beside: names, printer columns, the status subresource.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from vyos_api import names, reference, usage, yaml_writer
from vyos_api.durations import Duration
from vyos_api.v1alpha1 import VyosCluster

NAME = f"{names.PLURAL}.{names.GROUP}"
PLAIN = Path("crds") / f"{NAME}.yaml"
REPOSITORY = Path(__file__).parents[3]
"""Where this is a module of a checkout; anything at all where it is installed."""
TEMPLATE = Path("charts/vyos-cluster/templates/crd.yaml")
PAGE = Path("docs/fields.md")
HEADER = "# Generated from crds/src/vyos_api by `make generate`; do not edit.\n"

_AVAILABLE = '.status.conditions[?(@.type=="Available")].status'
COLUMNS = (
    ("Owners", "string", ".status.owners", 0, "group=owner"),
    ("Available", "string", _AVAILABLE, 0, "every group has exactly one owner, seen by every living member"),
    ("Members", "string", ".status.members", 0, "ready/all"),
    ("Keepalive", "string", ".spec.keepaliveInterval", 1, "keepaliveInterval"),
    ("Dead", "string", ".spec.deadInterval", 1, "deadInterval"),
    ("Interfaces", "string", ".spec.interfaces", 1, "interfaces that carry heartbeats"),
    ("Age", "date", ".metadata.creationTimestamp", 0, ""),
)
"""What `kubectl get` prints; priority 1 is `-o wide`."""

_OBJECT = {
    "apiVersion": {"type": "string", "description": f"{names.GROUP}/{names.VERSION}"},
    "kind": {"type": "string", "description": names.KIND},
    "metadata": {"type": "object"},
}
"""The API server knows these; the schema of a resource may not say more about them."""
_NOT_KUBERNETES = ("title", "additionalProperties", "writeOnly", "$defs")
"""JSON schema that a structural schema does not know, or that says nothing to the API server (it prunes)."""


class _Schema(GenerateJsonSchema):
    """Pydantic's schema, with defaults as users would write them, and null left out (Kubernetes: absent)."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, Duration):
            return dft.given
        return {} if isinstance(dft, BaseModel) else super().encode_default(dft)


def schema() -> dict[str, Any]:
    """The structural schema of a VyosCluster."""
    raw = VyosCluster.model_json_schema(by_alias=True, schema_generator=_Schema, mode="validation")
    found: dict[str, Any] = _structural(raw, raw["$defs"])
    found["properties"] |= _OBJECT
    found["required"] = ["spec"]
    del found["properties"]["status"]["default"]
    _drop_defaults(found["properties"]["status"])
    return found


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    columns = [
        {"name": name, "type": kind, "jsonPath": path, "priority": priority, "description": description}
        for name, kind, path, priority, description in COLUMNS
    ]
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{k: v for k, v in c.items() if v not in (0, "")} for c in columns],
        "schema": {"openAPIV3Schema": schema()},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": names.GROUP,
            "scope": "Cluster",
            "names": {
                "plural": names.PLURAL,
                "singular": names.KIND.lower(),
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "shortNames": ["vyc"],
            },
            "versions": [version],
        },
    }


def plain() -> str:
    """The file for kubectl."""
    return HEADER + yaml_writer.dump(definition())


def template() -> str:
    """The chart's template: on request only, and kept when the chart goes, or every VyosCluster would go with it."""
    text = yaml_writer.dump(definition()).replace("{{", '{{ "{{" }}')
    head, metadata, rest = text.partition(f"metadata:\n  name: {NAME}\n")
    assert metadata, "the definition's metadata is not where the template needs it"
    return (
        "{{- if .Values.crds.enabled }}\n"
        + HEADER
        + head
        + metadata
        + '  labels:\n    {{- include "vyos-cluster.labels" (list . "crd") | nindent 4 }}\n'
        + "  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n"
        + rest
        + "{{- end }}\n"
    )


def files() -> dict[Path, str]:
    """Every generated file, by its path from the root of the repository."""
    return {PLAIN: plain(), TEMPLATE: template(), PAGE: reference.page(schema())}


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with --check say whether they are as they would be written, or --print the CRD."""
    parser = argparse.ArgumentParser(prog="python -m vyos_api.crd", description=main.__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="write no file; exit 1 if one is out of date")
    how.add_argument("--print", action="store_true", help="write no file, but the definition to standard output")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="the repository")
    options = parser.parse_args(arguments)
    if options.print:
        with usage.readable():
            print(plain(), end="")
        return 0
    if options.root == REPOSITORY and not (REPOSITORY / "pyproject.toml").is_file():
        parser.error("--root: this package is installed and knows no repository; name its folder, or use --print")
    stale = [
        p for p, text in files().items() if not (options.root / p).is_file() or (options.root / p).read_text() != text
    ]
    for path in stale:
        if options.check:
            print(f"{path}: out of date, run make generate", file=sys.stderr)
        else:
            (options.root / path).parent.mkdir(parents=True, exist_ok=True)
            (options.root / path).write_text(files()[path])
            print(path)
    return 1 if options.check and stale else 0


def _structural(node: Any, definitions: dict[str, Any]) -> Any:
    """References put in place, foreign keywords gone, descriptions on one line."""
    if isinstance(node, list):
        return [_structural(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"}
    found: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            found[key] = {name: _structural(inner, definitions) for name, inner in value.items()}
        elif key == "description":
            found[key] = " ".join(value.split())
        elif key in ("default", "enum", "required"):
            if value is not None:
                found[key] = value
        elif key not in _NOT_KUBERNETES and not (key == "format" and value == "password"):
            found[key] = _structural(value, definitions)
    return found


def _drop_defaults(node: dict[str, Any]) -> None:
    """Status says what somebody wrote, and nothing that nobody wrote."""
    for inner in node.get("properties", {}).values():
        inner.pop("default", None)
        _drop_defaults(inner)
    if "items" in node:
        _drop_defaults(node["items"])


if __name__ == "__main__":
    sys.exit(main())
