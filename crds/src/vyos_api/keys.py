"""The heartbeat key, derived from the users' pre-shared secret. Standard library only.

HKDF-SHA256 (RFC 5869) with the cluster's UID as salt: two clusters with one secret have two keys, and the
secret itself never leaves the operator.
"""

from __future__ import annotations

import hashlib
import hmac

from vyos_api.nodeconfig import KEY_BYTES

INFO = b"vyos-cluster heartbeat v1"
"""HKDF's context string: another use of the same secret would need another one."""


def heartbeat_key(secret: bytes, uid: str) -> bytes:
    """KEY_BYTES bytes for the frames of the cluster with this UID (RFC 5869: extract, then one block of expand)."""
    prk = hmac.digest(uid.encode(), secret, hashlib.sha256)
    return hmac.digest(prk, INFO + b"\x01", hashlib.sha256)[:KEY_BYTES]
