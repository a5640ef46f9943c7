"""The API server of the session, with our CRD in it, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api import objects
from api.client import BASE, Client, Refused
from ground.apiserver import ApiServer
from ground.shell import wait

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def client(apiserver: ApiServer) -> Iterator[Client]:
    apiserver.kubectl("apply", "-f", str(ROOT / "crds/vyosclusters.cluster.vyos.io.yaml"))
    with closing(Client(apiserver.kubeconfig)) as client:
        wait(lambda: _served(client), 15, "VyosClusters to be served")
        yield client


@pytest.fixture(scope="module")
def with_status(client: Client) -> Iterator[dict[str, Any]]:
    """A stored VyosCluster with every field of spec and status set; not to be changed but by dry runs."""
    client.create(objects.cluster("with-status"))
    found = client.get("with-status")
    yield client.replace_status(found | {"status": objects.status()})
    client.delete("with-status")


def _served(client: Client) -> bool:
    try:
        client.request("GET", BASE)
    except Refused:
        return False
    return True
