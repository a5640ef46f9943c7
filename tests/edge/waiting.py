"""Waiting for a condition, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.01


async def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Return when it holds; fail when it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:g} s in vain")
        await asyncio.sleep(POLL_S)


def wait(condition: Callable[[], T], what: str, timeout_s: float = 10.0) -> T:
    """The same for a test without a loop; returns the truthy answer."""
    end = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what} (last answer: {answer!r})")
        time.sleep(POLL_S)
