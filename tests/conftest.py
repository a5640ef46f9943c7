"""Fixtures that several folders of tests share: a bare API server, and the whole ground.

What cannot run fails and says why; nothing is skipped in silence. Whoever has no root leaves
the tests out by their marker (`-m "not e2e"`).
"""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from ground import lifecycle, nodes
from ground.api import Ground, running
from ground.apiserver import ApiServer
from ground.apiserver import apiserver as run_apiserver
from ground.shell import GroundError

# A fixed search is a test; a search with new seeds is `make explore` (tests/explore.py).
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.register_profile(
    "explore",
    max_examples=1_000,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --keep-ground, for work on end-to-end tests, and --rewrite-transcripts, for changes of the core."""
    text = "use the ground that is up (or bring it up), with images as they are now, and leave it up"
    parser.addoption("--keep-ground", action="store_true", help=text)
    parser.addoption("--rewrite-transcripts", action="store_true", help="write the simulator's golden transcripts anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the time limit of a test begin after its fixtures: the first build of the programs takes minutes."""
    for item in items:
        if any(item.get_closest_marker(name) for name in ("apiserver", "e2e", "e2e_long")):
            item.add_marker(pytest.mark.timeout(func_only=True))


@pytest.fixture(scope="session")
def apiserver(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """Return a real API server without nodes, one for the whole session; mark its tests `apiserver`."""
    with ExitStack() as stack:
        with _on_terminal(request):
            try:
                api = stack.enter_context(run_apiserver(controller_manager=True))
            except GroundError as error:
                pytest.fail(f"no API server to test with: {error}", pytrace=False)
        yield api


@pytest.fixture(scope="session")
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Return the running ground, one for the whole session; mark its tests `e2e`."""
    keep = request.config.getoption("--keep-ground")
    with ExitStack() as stack:
        stack.enter_context(_sigterm_as_interrupt())
        with _on_terminal(request):
            try:
                if not keep:
                    stack.enter_context(running())
                elif lifecycle.is_up():
                    nodes.load_images()
                else:
                    lifecycle.up()
            except GroundError as error:
                pytest.fail(f"no ground to test on: {error}", pytrace=False)
        yield Ground()
    if not keep:
        assert not lifecycle.traces()


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let a terminated pytest end like an interrupted one: by way of its fixtures, which take the ground down."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _on_terminal(request: pytest.FixtureRequest) -> AbstractContextManager[None]:
    """Let progress lines through to the person who waits, past pytest's capturing."""
    manager = request.config.pluginmanager.getplugin("capturemanager")
    through: AbstractContextManager[None] = manager.global_and_fixture_disabled()
    return through
