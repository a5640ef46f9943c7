"""Manifests checked without a cluster: each error of the API's models with its place, and advice beside them. Pure.

The models are the ones by which the operator decides, so what is refused here is refused there. Not here: files and
exit codes (`linting`), what the advice is (`advice`), and what only a cluster knows: its nodes, other resources.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vyos_api import documents, limits, manifest, names, v1alpha1
from vyos_api.documents import DocumentsError
from vyos_api.v1alpha1 import InvalidObject, Spec
from vyos_cluster import advice
from vyos_cluster.advice import Rule
from vyos_cluster.refusal import Place, printable

ERROR, ADVICE = "error", "advice"
SECRET_AT = "spec.preSharedSecret.secretKeyRef"  # noqa: S105 - a field's path
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""RFC 1123 subdomain, the names of Secrets."""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell: an error, or advice with the name of its rule."""

    file: str
    at: Place
    document: str
    field: str
    text: str
    rule: Rule | None = None

    @property
    def level(self) -> str:
        """error or advice."""
        return ADVICE if self.rule else ERROR

    def line(self) -> str:
        """FILE:LINE:COLUMN: level: document: field: text, as compilers and editors have it, of printable characters."""
        parts = [self.level, self.document, self.field, self.text]
        said = f"{self.file}:{self.at.line}:{self.at.column}: {': '.join(p for p in parts if p)}"
        return printable(said + (f" ({self.rule})" if self.rule else ""))

    def row(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "file": self.file,
            "line": self.at.line,
            "column": self.at.column,
            "level": self.level,
            "rule": str(self.rule) if self.rule else None,
            "document": self.document,
            "field": self.field,
            "message": self.text,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class _Object:
    """One object of a file: a document, or an item of a list."""

    file: str
    title: str
    raw: Mapping[str, Any] = dataclasses.field(repr=False)
    document: documents.Document = dataclasses.field(repr=False)
    below: str = ""
    """The path of a list's item."""

    def find(self, field: str, text: str, rule: Rule | None = None) -> Finding:
        return Finding(self.file, self.place(field), self.title, field, text, rule)

    def place(self, field: str = "") -> Place:
        return Place(*self.document.place(f"{self.below}.{field}" if self.below and field else self.below or field))

    @property
    def name(self) -> str:
        metadata = self.raw.get("metadata")
        return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


Checked = tuple[_Object, Spec]


def check(texts: Iterable[tuple[str, str]], gap_ms: int | None = None) -> list[Finding]:
    """What is to be said of these (file, text), which are taken together, in the order of the files.

    `gap_ms` is the longest gap between heartbeats that was measured.
    """
    found: list[Finding] = []
    clusters: list[Checked] = []
    secrets: dict[str, list[_Object]] = {}
    files = []
    asked = False
    for file, text in texts:
        files.append(file)
        for item in _objects(file, text):
            if isinstance(item, Finding):
                found.append(item)
            elif _is_cluster(item.raw):
                asked = True
                spec = _spec(item, found)
                clusters += [(item, spec)] if spec else []
            elif (item.raw.get("apiVersion"), item.raw.get("kind")) == ("v1", "Secret"):
                found += _secret(item)
                secrets.setdefault(item.name, []).append(item)
    if not asked and not found:
        found.append(Finding(files[0] if files else "", Place(), "", "", f"there is no {names.KIND} in what was given"))
    for item, spec in clusters:
        found += [item.find(a.field, a.text, a.rule) for a in advice.of_spec(spec, gap_ms)]
        found += _reference(item, spec, secrets)
    found += _together(clusters)
    return sorted(found, key=lambda f: (files.index(f.file), f.at, f.level == ADVICE, f.text))


def _objects(file: str, text: str) -> Iterator[_Object | Finding]:
    try:
        read = documents.read(text)
    except DocumentsError as error:
        hint = "; a Helm template must be rendered first (helm template)" if "{{" in text else ""
        said = f"not YAML as kubectl takes it: {error.problem}{hint}"
        yield Finding(file, Place(max(error.line, 1), max(error.column, 1)), "", "", said)
        return
    for number, document in enumerate(read, 1):
        raw, title = document.value, f"document {number}"
        listed = raw.get("items") if isinstance(raw, dict) and str(raw.get("kind", "")).endswith("List") else None
        if isinstance(listed, list):
            for i, item in enumerate(listed):
                yield _object(file, f"{title} item {i + 1}", item, document, f"items[{i}]")
        else:
            yield _object(file, title, raw, document)


def _object(file: str, title: str, raw: Any, document: documents.Document, below: str = "") -> _Object | Finding:
    if not isinstance(raw, dict) or not all(isinstance(raw.get(f), str) for f in ("apiVersion", "kind")):
        place = Place(*document.place(below))
        return Finding(file, place, title, "", "must be an object with apiVersion and kind")
    found = _Object(file, title, raw, document, below)
    return dataclasses.replace(found, title=f"{raw['kind']} {found.name}") if found.name else found


def _is_cluster(raw: Mapping[str, Any]) -> bool:
    """Also a misspelt kind of this API: no other kind is in it."""
    return bool(raw["kind"] == names.KIND or raw["apiVersion"].startswith(f"{names.GROUP}/"))


def _spec(item: _Object, found: list[Finding]) -> Spec | None:
    """The spec, or None and the errors."""
    try:  # the status is the agents' and the operator's, and the operator looks past it too
        return v1alpha1.parse({key: value for key, value in item.raw.items() if key != "status"}).spec
    except InvalidObject as error:
        for problem in error.problems:
            field, _, text = problem.partition(": ")
            field = "" if field == "the object" else field
            found.append(item.find(field, text + _fix(field, text)))
        return None


def _fix(field: str, text: str) -> str:
    """What to do, where the model's words do not say it."""
    if text == "is required":
        what = v1alpha1.about(field).rstrip(".")
        return f"; add it: {what[:1].lower()}{what[1:]}" if what else ""
    if text == "is not a known field":
        parent = field[: max(field.rfind("."), 0)]
        model = v1alpha1.object_at(parent)
        known = ", ".join(f.alias or n for n, f in model.model_fields.items()) if model else ""
        return f"; remove it ({parent} has {known})" if known and parent else "; remove it"
    return ""


def _secret(item: _Object) -> Iterator[Finding]:
    """What the API server would refuse in a Secret."""
    metadata = item.raw.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        yield item.find("metadata.name", "is required; add it: the name by which a VyosCluster's secretKeyRef finds it")
    elif not _NAME.fullmatch(metadata["name"]) or len(metadata["name"]) > limits.NODE_NAME:
        yield item.find("metadata.name", "must be lower-case letters, digits, '-' and '.'")
    said = set()
    for field in ("stringData", "data"):
        values = item.raw.get(field) or {}
        for key in values if isinstance(values, dict) else [""]:
            try:
                manifest.content(item.raw, key)
            except manifest.ManifestError as error:
                said.add(str(error))
    for problem in sorted(said):
        at, _, text = problem.partition(": ")
        yield item.find(at, text)


def _reference(item: _Object, spec: Spec, secrets: Mapping[str, list[_Object]]) -> Iterator[Finding]:
    """The Secret that the cluster names: one of that name must do."""
    ref = spec.pre_shared_secret.secret_key_ref
    if ref is None:
        return
    if ref.name not in secrets:
        text = f"the Secret {ref.name} is not in what was given; without it, and its key {ref.key}, in the operator's "
        yield item.find(SECRET_AT, f"{text}namespace the cluster is not accepted", Rule.MISSING_SECRET)
        return
    faults = [_fault(secret, ref.key) for secret in secrets[ref.name]]
    if all(faults):
        yield item.find(f"{SECRET_AT}.key", f"key {ref.key} of Secret {ref.name} {faults[0]}")
    for secret in secrets[ref.name]:
        metadata = secret.raw["metadata"]
        if not metadata.get("namespace"):
            text = "is not given; kubectl would take its current one, and the operator looks in its own (vyos-cluster)"
            yield secret.find("metadata.namespace", text, Rule.SECRET_NAMESPACE)


def _fault(secret: _Object, key: str) -> str:
    try:
        found = manifest.content(secret.raw, key)
    except manifest.ManifestError:
        return ""  # the Secret's own error
    if found is None:
        return "is not there; add it to the Secret, or correct this"
    if not found:
        return "is empty; put the pre-shared secret there"
    if len(found) > limits.SECRET_BYTES:
        return f"holds {len(found)} bytes; a pre-shared secret has at most {limits.SECRET_BYTES}"
    return ""


def _together(clusters: list[Checked]) -> Iterator[Finding]:
    """Advice on clusters that are applied together."""
    by_name: dict[str, _Object] = {}
    held: dict[tuple[str, str], _Object] = {}
    for item, spec in clusters:
        first = by_name.setdefault(item.name, item)
        if first is not item:
            text = f"also stands at {_where(first)}; the one that is applied later replaces the other"
            yield item.find("metadata.name", text, Rule.SAME_NAME)
        for field, address, nodes in advice.claims(spec):
            rivals: dict[int, tuple[_Object, list[str]]] = {}
            for node in nodes:
                rival = held.setdefault((address, node), item)
                if rival.name != item.name:
                    rivals.setdefault(id(rival), (rival, []))[1].append(node)
            for rival, where in rivals.values():
                text = f"{address} on {', '.join(where)} is also asked for by {rival.title} ({_where(rival)}); the "
                more = "operator accepts the older cluster only: remove it from one of the two"
                yield item.find(field, text + more, Rule.ADDRESS_COLLISION)


def _where(item: _Object) -> str:
    return f"{item.file}:{item.place().line}"
