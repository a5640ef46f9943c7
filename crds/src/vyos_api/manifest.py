"""A VyosCluster from a file, for routers without Kubernetes: what the API server and operator would have done.

The file is the manifest one would give to kubectl: one VyosCluster and, where its secretKeyRef names one, that Secret.
Not a general YAML reader: a second VyosCluster or any other kind is refused, because nobody would carry it out.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import uuid
from collections.abc import Hashable
from typing import Any

import yaml

from vyos_api import names, problems, v1alpha1
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
    found = _content(secrets[wanted], f"Secret {wanted}", key)
    if found is None:
        raise ManifestError(f"{path}.key: Secret {wanted!r} has no key {key!r}")
    if not found:
        raise ManifestError(f"{path}.key: key {key!r} of Secret {wanted!r} is empty")
    return found


def _content(secret: dict[str, Any], title: str, key: str) -> bytes | None:
    """As the API server merges them: stringData wins over data."""
    for field in ("stringData", "data"):
        values = secret.get(field) or {}
        if not isinstance(values, dict):
            raise ManifestError(f"{title}: {field}: must be an object")
        if key not in values:
            continue
        if not isinstance(values[key], str):
            raise ManifestError(f"{title}: {field}.{key}: must be a string (quote it)")
        try:
            return values[key].encode() if field == "stringData" else base64.b64decode(values[key], validate=True)
        except binascii.Error:
            raise ManifestError(f"{title}: data.{key}: is not base64; plain text goes into stringData") from None
    return None


def _sort(documents: list[Any]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    clusters, secrets = [], {}
    for number, document in enumerate(documents, 1):
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
        return [d for d in yaml.load_all(text, _Loader) if d is not None]
    except yaml.MarkedYAMLError as error:
        # The error's text quotes the line, and its problem an alias or tag: any of them may be an unquoted secret.
        problem = str(error.problem)
        if not isinstance(error, _TwiceError):
            problem = re.sub(r"'.*'", "...", problem, flags=re.DOTALL)
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ManifestError(f"{where}not YAML as kubectl takes it: {problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ManifestError("the file is not YAML") from None


class _TwiceError(yaml.constructor.ConstructorError):
    """A key stands twice in one object."""


class _Loader(yaml.SafeLoader):
    """Reads a manifest as kubectl does: no key twice, no dates, no base-60 numbers (1:2:3:4:5:6:7:8 is an address)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    raise _TwiceError(None, None, f"key {key.value!r} stands twice in one object", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, syntax) for tag, syntax in found if tag.removeprefix(_TAG) in ("null", "bool", "merge")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$"
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(
    _TAG + "int",
    re.compile(r"^[-+]?(?:0b[0-1_]+|0[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
