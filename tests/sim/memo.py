"""Decode each datagram once, however many hosts receive it: a third of the time of a long run.

`wire.unseal` is a pure function of the datagram, the cluster and the keys, and its answer is frozen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vyos_agent.core import wire
from vyos_agent.core.model import Drop, Keyring

SIZE_MAX = 2_048


@contextlib.contextmanager
def shared_decoding() -> Iterator[None]:
    """While this is open."""
    original = wire.unseal
    known: dict[tuple[bytes, bytes, int], tuple[wire.Beat | Drop, Keyring]] = {}

    def unseal(data: bytes, cluster_id: bytes, keyring: Keyring) -> wire.Beat | Drop:
        key = (data, cluster_id, id(keyring))
        found = known.get(key)
        if found is None or found[1] is not keyring:
            if len(known) >= SIZE_MAX:
                known.clear()
            found = known[key] = (original(data, cluster_id, keyring), keyring)
        return found[0]

    wire.unseal = unseal
    try:
        yield
    finally:
        wire.unseal = original
