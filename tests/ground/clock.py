"""The machine's wall clock, set wrong for a while: there is one for all namespaces, so it is everybody's here.

The monotonic clock, by which it is set right again at the end, is not touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stepped(by_s: float) -> Iterator[None]:
    """Set the clock by so many seconds, for the length of a `with`."""
    offset_s = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    time.clock_settime(time.CLOCK_REALTIME, time.time() + by_s)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_MONOTONIC) + offset_s)
