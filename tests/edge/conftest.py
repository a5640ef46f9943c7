"""Fixtures of the shell's tests."""

import os
from collections.abc import Generator, Iterator

import pytest

from edge import capture, netns


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what passed over the LAN of a test that failed, and say where."""
    report = yield
    if report.failed and report.when != "teardown":
        _keep(report)
    elif report.when == "teardown":
        capture.forget()
    return report


def _keep(report: pytest.TestReport) -> None:
    lines = capture.keep(report.nodeid.partition("::")[2])
    if lines:
        report.sections.append(("capture kept", "\n".join(lines)))


@pytest.fixture
def own_netns() -> Iterator[None]:
    """The test runs in a fresh network namespace with eth0, whose other end is peer0."""
    with netns.private():
        netns.veth()
        yield
