"""The release on the session's API server, and two agents' identities."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chart import helm
from ground.apiserver import ApiServer


@pytest.fixture(scope="module")
def agents(apiserver: ApiServer) -> Iterator[dict[str, Path]]:
    """A kubeconfig by node."""
    with helm.agents(apiserver, "node1", "node2") as found:
        yield found
