"""What a manifest file holds beside a VyosCluster, for `export`: the Secret, which VyOS keeps a text of, and the rest.

The rest VyOS has no place for; each thing is named, so that nothing is lost in silence.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from vyos_api import documents, manifest
from vyos_api.v1alpha1 import VyosCluster
from vyos_cluster.refusal import Note, Place, Refused
from vyos_cluster.vyos import Names

NO_OPTION = "VyOS has no option for it; remove it"
METADATA = ("name", "uid", "generation", "creationTimestamp", "resourceVersion", "managedFields", "selfLink")
"""`name` is carried, the others are given by the API server."""
_ORDINARY = (("apiVersion", "v1"), ("kind", "Secret"), ("type", "Opaque"), ("immutable", False))
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123 label. Anything else could not stand in the comment that carries it."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Object:
    """A document of the file; `raw` is empty for one that is no object."""

    title: str
    raw: Mapping[str, Any] = dataclasses.field(repr=False)
    document: documents.Document = dataclasses.field(repr=False)

    def place(self, field: str = "") -> Place:
        """Where a field stands."""
        return Place(*self.document.place(field))


@dataclasses.dataclass(frozen=True, slots=True)
class Secret:
    """The Secret that the VyosCluster names."""

    given: Object
    name: str
    key: str
    at: Place
    """Where the VyosCluster names it."""

    @classmethod
    def find(cls, cluster: VyosCluster, given: Object, objects: list[Object]) -> Secret | None:
        """The first Secret of the name, None where there is none. Raises Refused where the cluster names none."""
        at = given.place("spec.preSharedSecret")
        ref = cluster.spec.pre_shared_secret.secret_key_ref
        if ref is None:
            raise Refused((at, "spec.preSharedSecret.value: put it into a Secret and name that with secretKeyRef"))
        for one in objects:
            metadata = one.raw.get("metadata")
            named = isinstance(metadata, dict) and metadata.get("name") == ref.name
            if named and (one.raw.get("apiVersion"), one.raw.get("kind")) == ("v1", "Secret"):
                return cls(one, ref.name, ref.key, at)
        return None

    @property
    def namespace(self) -> str:
        """Its namespace, or the operator's usual one."""
        return str(self.given.raw["metadata"].get("namespace") or Names().namespace)

    @property
    def value(self) -> str:
        """The pre-shared secret. Raises Refused where it is no text that VyOS could hold."""
        try:
            content = manifest.content(self.given.raw, self.key)
        except manifest.ManifestError as error:
            raise Refused((self.given.place(str(error).partition(": ")[0]), f"{self.given.title}: {error}")) from None
        try:
            value = (content or b"").decode()
        except UnicodeDecodeError:
            value = ""
        if not value or not value.isprintable():
            raise Refused((self.at, f"the Secret's {self.key} must be printable text of one line, for VyOS to hold it"))
        return value


def objects(text: str) -> list[Object]:
    """The documents of the file. Raises Refused."""
    try:
        read = documents.read(text)
    except documents.DocumentsError as error:
        at = Place(max(error.line, 1), max(error.column, 1))
        raise Refused((at, f"not YAML as kubectl takes it: {error.problem}")) from None
    found = []
    for number, document in enumerate(read, 1):
        raw = document.value if isinstance(document.value, dict) else {}
        metadata = raw.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        said = f"{raw.get('kind')} {name}"
        found.append(Object(said if name and said.isprintable() else f"document {number}", raw, document))
    return found


def faults(objects: list[Object], cluster: Object, secret: Secret | None) -> list[tuple[Place, str]]:
    """Everything in the file that VyOS has no place for, but what the VyosCluster itself has."""
    kept = (cluster, secret.given) if secret else (cluster,)
    found = [
        (one.place(), f"{one.title}: VyOS has no place for this document; remove it")
        for one in objects
        if not any(one is k for k in kept)
    ]
    if secret is None:
        name = cluster.raw["spec"]["preSharedSecret"]["secretKeyRef"]["name"]
        what = f"the Secret {name} must be in the same file: VyOS holds the secret itself"
        return [*found, (cluster.place("spec.preSharedSecret"), what)]
    found += [(secret.given.place(field), f"{secret.given.title}: {field}: {text}") for field, text in _faults(secret)]
    try:
        assert secret.value
    except Refused as error:
        found += error.faults
    return found


def _faults(secret: Secret) -> Iterator[tuple[str, str]]:
    for field, value in secret.given.raw.items():
        if field in ("data", "stringData") and isinstance(value, dict):
            yield from ((f"{field}.{key}", NO_OPTION) for key in value if key != secret.key)
        elif field == "metadata":
            yield from ((f"metadata.{key}", NO_OPTION) for key in value if key not in (*METADATA, "namespace"))
            if value.get("namespace") is not None and not _NAMESPACE.fullmatch(str(value["namespace"])):
                yield "metadata.namespace", "must be 1 to 63 lower-case letters, digits and '-', as Kubernetes has them"
        elif value is not None and (field, value) not in _ORDINARY:
            yield str(field), NO_OPTION


def notes(text: str, secret: Secret) -> list[Note]:
    """What is lost or added on the way and refuses nothing."""
    found = [Note.comments([Place(line, column) for line, column in documents.comments(text)])]
    if secret.given.raw["metadata"].get("namespace") is None:
        said = f"{secret.given.title}: metadata.namespace: is not given; on the way back it is {secret.namespace}"
        found.append(Note(secret.given.place("metadata"), said))
    return [note for note in found if note]
