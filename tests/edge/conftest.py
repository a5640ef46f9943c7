"""Fixtures of the shell's tests."""

import os
from collections.abc import Iterator

import pytest

from edge import netns


@pytest.hookimpl(tryfirst=True)  # before -m chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs namespaces says so, and is left out, with a reason, where they cannot be made."""
    for item in items:
        if "own_netns" in getattr(item, "fixturenames", ()):
            item.add_marker("netns")
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("netns"):
                item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


@pytest.fixture
def own_netns() -> Iterator[None]:
    """The test runs in a fresh network namespace with eth0, whose other end is peer0."""
    with netns.private():
        netns.veth()
        yield
