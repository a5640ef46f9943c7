"""A cluster whose deletion the watch has not shown: its objects are collected, and must not be made again and again."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from kubernetes.aio import client, config

from vyos_operator import kinds
from vyos_operator.cluster import Cluster
from vyos_operator.plan import plan_for
from vyos_operator.settings import Settings
from vyos_operator.store import Store

from . import harness
from .harness import Api

pytestmark = pytest.mark.apiserver


async def test_what_is_gone_is_not_written_again(api: Api, account: Path) -> None:
    found = client.Configuration(client_session_kwargs={"trust_env": False})
    await config.load_kube_config(config_file=str(account), client_configuration=found, persist_config=False)
    store = Store(Settings(harness.OPERATOR_NS, harness.AGENT_NS), lambda name: None)
    operator = Cluster(client.ApiClient(found))
    api.apply(f"{harness.CLUSTERS}/edge", harness.cluster("edge", harness.spec()))
    secrets = f"/api/v1/namespaces/{harness.OPERATOR_NS}/secrets"
    for kind, path in ((kinds.CLUSTERS, f"{harness.CLUSTERS}/edge"), (kinds.SECRETS, f"{secrets}/psk")):
        body = api.get(path)
        assert body is not None
        store.put(kind, body)

    async def reconcile() -> None:
        world = store.world("edge", datetime.datetime.now(datetime.UTC))
        assert world is not None
        await operator.carry_out("edge", plan_for(world), store)

    try:
        await reconcile()
        assert api.config_map("edge", "node1") is not None
        # by hand: written again, for the cluster is there
        _drop(store, api, "node1")
        await reconcile()
        assert api.config_map("edge", "node1") is not None
        # with the cluster: not written again
        api.request("DELETE", f"{harness.CLUSTERS}/edge")
        api.collect("edge")
        _drop(store, api, "node1")
        await reconcile()
        assert api.config_map("edge", "node1") is None
        assert list(store.clusters()) == []
    finally:
        await operator.close()


def _drop(store: Store, api: Api, node: str) -> None:
    """The watch of ConfigMaps shows that one is gone."""
    body = api.config_map("edge", node)
    path = f"/api/v1/namespaces/{harness.AGENT_NS}/configmaps/edge.{node}"
    if body is not None:
        api.request("DELETE", path)
    for (where, name), known in list(store._objects[kinds.CONFIG_MAPS].items()):
        if name == f"edge.{node}":
            store.drop(kinds.CONFIG_MAPS, where, name, known["metadata"]["uid"])
