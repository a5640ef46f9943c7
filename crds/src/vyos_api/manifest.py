"""A VyosCluster from a file, for routers without Kubernetes: what the API server and operator would have done.

The file is the manifest one would give to kubectl: one VyosCluster and, where its secretKeyRef names one, that Secret.
Not a general YAML reader: a second VyosCluster or any other kind is refused, because nobody would carry it out.
"""

from __future__ import annotations

import base64
import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from vyos_api import documents, names, problems, v1alpha1
from vyos_api.v1alpha1 import VyosCluster

UID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, names.GROUP)
"""A cluster from a file has the uid uuid5(UID_NAMESPACE, metadata.name) unless it states one: the routers of a cluster
agree on it, and the clusters of one LAN differ, if and only if their names do."""
FIRST_GENERATION = 1


class ManifestError(ValueError):
    """The file cannot be used; the text has one line for each field at fault and quotes no secret."""


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """What a file says: the cluster, with uid and generation filled in, and its pre-shared secret."""

    cluster: VyosCluster
    secret: bytes = dataclasses.field(repr=False)


def load(text: str) -> VyosCluster:
    """The VyosCluster of a file. Raises ManifestError."""
    return read(text).cluster


def read(text: str) -> Manifest:
    """The VyosCluster of a file and its pre-shared secret. Raises ManifestError."""
    clusters, secrets = _sort(_documents(text))
    if len(clusters) != 1:
        raise ManifestError(f"the file must hold exactly one VyosCluster, not {len(clusters)}")
    try:
        cluster = v1alpha1.parse(clusters[0])
    except problems.InvalidObject as error:
        raise ManifestError("\n".join(error.problems)) from None
    named = cluster.metadata
    metadata = named.model_copy(
        update={
            "uid": named.uid or str(uuid.uuid5(UID_NAMESPACE, named.name)),
            "generation": named.generation or FIRST_GENERATION,
        }
    )
    return Manifest(cluster.model_copy(update={"metadata": metadata}), _secret(cluster, secrets))


def _secret(cluster: VyosCluster, secrets: dict[str, dict[str, Any]]) -> bytes:
    source = cluster.spec.pre_shared_secret
    wanted = source.secret_key_ref.name if source.secret_key_ref else ""
    for name in secrets:
        if name != wanted:
            raise ManifestError(
                f"Secret {name}: is not the one that spec.preSharedSecret.secretKeyRef names; remove it"
            )
    if source.value is not None:
        return source.value.get_secret_value().encode()
    assert source.secret_key_ref is not None
    path, key = "spec.preSharedSecret.secretKeyRef", source.secret_key_ref.key
    if wanted not in secrets:
        raise ManifestError(f"{path}.name: the file holds no Secret {wanted!r}; add it as a second document")
    try:
        found = content(secrets[wanted], key)
    except ManifestError as error:
        raise ManifestError(f"Secret {wanted}: {error}") from None
    if found is None:
        raise ManifestError(f"{path}.key: Secret {wanted!r} has no key {key!r}")
    if not found:
        raise ManifestError(f"{path}.key: key {key!r} of Secret {wanted!r} is empty")
    return found


def content(secret: Mapping[str, Any], key: str) -> bytes | None:
    """What a key of a Secret holds, None if there is none, as the API server merges them: stringData wins over data.

    Raises ManifestError, whose text begins with the field.
    """
    for field in ("stringData", "data"):
        values = secret.get(field) or {}
        if not isinstance(values, dict):
            raise ManifestError(f"{field}: must be an object")
        if key not in values:
            continue
        if not isinstance(values[key], str):
            raise ManifestError(f"{field}.{key}: must be a string (quote it)")
        try:
            return values[key].encode() if field == "stringData" else base64.b64decode(values[key], validate=True)
        except ValueError:
            what = "is no Unicode text" if field == "stringData" else "is not base64; plain text goes into stringData"
            raise ManifestError(f"{field}.{key}: {what}") from None
    return None


def _sort(found: list[Any]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    clusters, secrets = [], {}
    for number, document in enumerate(found, 1):
        if not isinstance(document, dict):
            raise ManifestError(f"document {number}: must be an object with apiVersion and kind")
        metadata = document.get("metadata")
        match document.get("apiVersion"), document.get("kind"):
            case _, names.KIND:
                clusters.append(document)
            case "v1", "Secret" if isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
                secrets[metadata["name"]] = document
            case "v1", "Secret":
                raise ManifestError(f"document {number}: Secret: metadata.name: is required")
            case version, kind:
                what = f"{version}/{kind}"
                raise ManifestError(f"document {number}: {what} is not used here; keep the VyosCluster and its Secret")
    return clusters, secrets


def _documents(text: str) -> list[Any]:
    try:
        return [d.value for d in documents.read(text)]
    except documents.DocumentsError as error:
        raise ManifestError(str(error)) from None
