"""One API server with our CRD and the operator's rights in it, and one operator for tests that share it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ground.apiserver import ApiServer

from . import harness
from .harness import Agents, Api, Json, Operator, Refused

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def api(apiserver: ApiServer) -> Iterator[Api]:
    apiserver.kubectl("apply", "-f", str(ROOT / "crds/vyosclusters.cluster.vyos.io.yaml"))
    found = Api(apiserver)
    harness.until(lambda: found.get(harness.CLUSTERS), "VyosClusters to be served")
    apiserver.kubectl("apply", "-f", "-", stdin=harness.RBAC)
    for node in harness.NODES:
        found.apply(f"/api/v1/nodes/{node}", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
        found.agent(node)
    found.psk("psk", secret=harness.SECRET)
    yield found
    apiserver.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=harness.RBAC)
    apiserver.kubectl("delete", "node", "--ignore-not-found", *harness.NODES)


@pytest.fixture(scope="session")
def account(api: Api) -> Path:
    """A kubeconfig with a token of the operator's ServiceAccount, and nothing else."""
    token = api.server.kubectl("create", "token", harness.ACCOUNT, "-n", harness.OPERATOR_NS).strip()
    return api.server.kubeconfig_with_token(token)


@pytest.fixture
def run_operator(account: Path, tmp_path: Path) -> Callable[..., AbstractContextManager[Operator]]:
    """Start an operator of the test's own."""
    return lambda **environment: harness.operator(account, tmp_path, **environment)


@pytest.fixture(scope="module")
def running(account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator for all tests of a module."""
    with harness.operator(account, tmp_path_factory.mktemp("operator")) as found:
        yield found


@pytest.fixture
def make(api: Api) -> Iterator[Callable[..., Agents]]:
    """Create VyosClusters that are gone, with their children, when the test is over."""
    made: list[str] = []

    def create(name: str, spec: Json | None = None) -> Agents:
        made.append(name)
        api.apply(f"{harness.CLUSTERS}/{name}", harness.cluster(name, spec or harness.spec()))
        return Agents(api, name)

    yield create
    for name in made:
        with contextlib.suppress(Refused):
            api.request("DELETE", f"{harness.CLUSTERS}/{name}")
        api.collect(name)


def settled(api: Api, quiet_s: float = 1.5) -> dict[str, str]:
    """The versions of everything, once nothing has been written for a while."""
    before, since = api.versions(), time.monotonic()
    while time.monotonic() - since < quiet_s:
        time.sleep(0.2)
        now = api.versions()
        if now != before:
            before, since = now, time.monotonic()
    return before
