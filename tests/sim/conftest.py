"""Every test of the simulator decodes each datagram once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sim.memo import shared_decoding


@pytest.fixture(autouse=True)
def _decode_once() -> Iterator[None]:
    with shared_decoding():
        yield
