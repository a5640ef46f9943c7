"""Fixtures that several folders of tests share: a bare API server, and the whole ground."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ground.apiserver import ApiServer
from ground.apiserver import apiserver as run_apiserver


@pytest.fixture(scope="session")
def apiserver(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """Return a real API server without nodes, one for the whole session; mark its tests `apiserver`."""
    with ExitStack() as stack:
        # Progress lines (a first build takes minutes) belong on the terminal, not in a captured log
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            api = stack.enter_context(run_apiserver(controller_manager=True))
        yield api


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the time limit of a test begin after its fixtures: the first build of the programs takes minutes."""
    for item in items:
        if any(item.get_closest_marker(name) for name in ("apiserver", "e2e", "e2e_long")):
            item.add_marker(pytest.mark.timeout(func_only=True))
