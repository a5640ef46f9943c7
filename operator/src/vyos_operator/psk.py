"""The pre-shared secret: where it is, whether it can be used, and the keys that are in use. Pure.

Nothing here ever puts the secret, or a part or digest of it, into a message.
"""

from __future__ import annotations

import base64
import binascii

from vyos_api import limits, names
from vyos_api.nodeconfig import ConfigError, KeySet, key_set_from_json
from vyos_api.reasons import AcceptedReason
from vyos_api.v1alpha1 import Spec
from vyos_operator.world import Finding, World


def find(world: World, spec: Spec) -> bytes | Finding:
    """The secret itself, or why there is none."""
    given = spec.pre_shared_secret
    if given.value is not None:
        return given.value.get_secret_value().encode()
    reference = given.secret_key_ref
    assert reference is not None, "the model takes exactly one of the two"
    place = f"{world.operator_namespace}/{reference.name}"
    at = "spec.preSharedSecret.secretKeyRef"
    if world.secret is None:
        message = f"{at}: there is no Secret {place}; create it with the key {reference.key!r}"
        return Finding(AcceptedReason.SECRET_NOT_FOUND, message)
    data = world.secret.get("data") or {}
    if reference.key not in data:
        message = (
            f"{at}: Secret {place} has no key {reference.key!r}; add it to the Secret, or correct secretKeyRef.key"
        )
        return Finding(AcceptedReason.SECRET_NOT_FOUND, message)
    try:
        secret = base64.b64decode(data[reference.key], validate=True)
    except (binascii.Error, TypeError):
        secret = b""
    what = f"{at}: key {reference.key!r} of Secret {place}"
    if not secret:
        return Finding(AcceptedReason.INVALID_SECRET, f"{what} is empty; put the pre-shared secret there")
    if len(secret) > limits.SECRET_BYTES:
        message = f"{what} holds {len(secret)} bytes; a pre-shared secret has at most {limits.SECRET_BYTES}"
        return Finding(AcceptedReason.INVALID_SECRET, message)
    return secret


def running(world: World, uid: str) -> KeySet | None:
    """The keys that this life of the cluster uses by its key Secret; None for none, torn ones and another life's."""
    data = (world.key_secret or {}).get("data") or {}
    try:
        keys = key_set_from_json(base64.b64decode(data.get(names.KEYS_KEY, ""), validate=True))
    except (ConfigError, binascii.Error, TypeError):
        return None
    return keys if keys.uid == uid else None
