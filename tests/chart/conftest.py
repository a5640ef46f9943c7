"""The release on the session's API server, and one agent's identity for each of three nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chart import helm
from ground.apiserver import ApiServer

NODES = ("node1", "node2", "node3")


@pytest.fixture(scope="module")
def agents(apiserver: ApiServer) -> Iterator[dict[str, Path]]:
    """A kubeconfig by node."""
    with helm.agents(apiserver, *NODES) as found:
        yield found
