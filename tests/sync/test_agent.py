"""The loops together, between a daemon on a real socket and an API in memory."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from sync.fakes import Daemon, FakeApi, config, config_map, keys, secret, until
from vyos_agent.sync import clusters, configure, publish
from vyos_agent.sync.agent import Agent
from vyos_agent.sync.api import Api, ApiProblem
from vyos_agent.sync.settings import Settings

NODE_MANAGER = "vyos-cluster-node-node1"
GROUP_MANAGER = "vyos-cluster-group-g1"
PAUSE_S = 0.4
"""So long nothing may happen, where nothing shall."""


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "control.sock")


@pytest.fixture(autouse=True)
def no_secret_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    (text,) = secret("edge", keys())["data"].values()
    assert text not in caplog.text
    assert "BwcHBwcH" not in caplog.text  # 0x07 0x07 … in base64
    assert "\\x07" not in caplog.text


@contextlib.asynccontextmanager
async def running(api: FakeApi, daemon: Daemon, relist_s: int = 60) -> AsyncIterator[Agent]:
    settings = Settings("node1", "agents", control_socket=str(daemon.path), health_port=0, relist_s=relist_s)
    agent = Agent(settings, cast(Api, api))
    task = asyncio.create_task(agent.run(asyncio.Event()))
    try:
        yield agent
        assert not task.done(), task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class TestConfigure:
    async def test_a_cluster_comes_changes_and_goes(self, api: FakeApi, daemon: Daemon) -> None:
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests, what="the empty set, as the daemon runs nothing")
            assert daemon.told == {}
            api.add(config())
            await until(lambda: daemon.told == {"edge": 1})
            api.add(config(generation=2))
            await until(lambda: daemon.told == {"edge": 2})
            api.remove(config())
            await until(lambda: daemon.told == {}, timeout_s=2)

    async def test_a_rotated_key_is_told(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            before = daemon.requests[-1]["clusters"][0]["keys"]
            api.put(secret("edge", keys(fill=8)))
            await until(lambda: len(daemon.requests) == 2)
            assert daemon.requests[-1]["clusters"][0]["keys"] != before

    async def test_the_secret_may_come_after_the_config_map(self, api: FakeApi, daemon: Daemon) -> None:
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            api.put(config_map(config()))
            api.put(secret("edge", keys()))
            await until(lambda: daemon.told == {"edge": 1})

    async def test_a_new_life_of_the_daemon_is_told_again(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with running(api, daemon):
            async with daemon.life():
                await until(lambda: daemon.requests)
            daemon.requests.clear()
            async with daemon.life():
                await until(lambda: daemon.requests)
                assert daemon.told == {"edge": 1}

    async def test_a_quiet_world_is_not_told_again(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: api.entries(NODE_MANAGER))
            await asyncio.sleep(PAUSE_S)
            assert len(daemon.requests) == 1
            assert len(api.applied) == 1

    async def test_a_watch_that_went_silent_heals(self, api: FakeApi, daemon: Daemon) -> None:
        async with daemon.life(), running(api, daemon, relist_s=1):
            await until(lambda: daemon.requests)
            api.clusters["edge"] = {"metadata": {"uid": "uid-1"}}
            api.put(secret("edge", keys()), silent=True)
            api.put(config_map(config()), silent=True)
            await until(lambda: daemon.told == {"edge": 1}, timeout_s=3)

    async def test_another_nodes_daemon_is_told_nothing(
        self, api: FakeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        api.add(config())
        stranger = Daemon(tmp_path / "control.sock", node="node2")
        async with stranger.life(), running(api, stranger):
            await until(lambda: "is node 'node2', not 'node1'" in caplog.text)
            await asyncio.sleep(PAUSE_S)
            assert not stranger.requests
            assert not api.applied

    async def test_what_the_daemon_refuses_is_told_in_the_status(self, api: FakeApi, daemon: Daemon) -> None:
        daemon.refuse["edge"] = "groups[0]: no"
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: api.entries(NODE_MANAGER))
            (deviation,) = api.entries(NODE_MANAGER)[-1]["deviations"]
            assert deviation == {"kind": "Configuration", "name": "generation 1: groups[0]: no", "state": "Refused"}


class TestWhatIsMissing:
    """Nothing is released because something is missing; only because the cluster is gone."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(configure, "ASK_AGAIN_MS", 100)

    async def test_a_config_map_deleted_by_hand(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            api.delete(config_map(config()))
            await asyncio.sleep(PAUSE_S)
            assert daemon.told == {"edge": 1}
            del api.clusters["edge"]
            await until(lambda: daemon.told == {}, timeout_s=2)

    async def test_a_node_that_leaves(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            api.clusters["edge"]["spec"]["groups"][0]["primary"] = "node3"
            api.delete(config_map(config()))
            await until(lambda: daemon.told == {}, timeout_s=2)
            api.add(config(generation=3))
            await until(lambda: daemon.told == {"edge": 3})

    async def test_an_api_that_cannot_be_asked(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            del api.clusters["edge"]
            api.delete(config_map(config()))
            api.down = True
            await asyncio.sleep(PAUSE_S)
            assert daemon.told == {"edge": 1}
            api.down = False
            await until(lambda: daemon.told == {}, timeout_s=3)

    async def test_a_deletion_that_has_begun(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            api.clusters["edge"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            api.delete(config_map(config()))
            await until(lambda: daemon.told == {}, timeout_s=2)

    async def test_a_type_that_is_not_served_must_stay_so_for_a_while(
        self, api: FakeApi, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clusters, "NO_TYPE_MS", 1000)
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            api.served = False
            api.delete(config_map(config()))
            await asyncio.sleep(PAUSE_S)
            assert daemon.told == {"edge": 1}
            await until(lambda: daemon.told == {}, timeout_s=5)

    async def test_a_start_without_an_api(self, api: FakeApi, daemon: Daemon) -> None:
        api.down = True
        daemon.running = {"edge": config()}
        async with daemon.life(), running(api, daemon):
            await asyncio.sleep(PAUSE_S)
            assert not daemon.requests
            api.add(config(generation=2))
            api.down = False
            await until(lambda: daemon.requests, timeout_s=5)
            assert daemon.told == {"edge": 2}

    async def test_a_start_with_an_api_that_shows_nothing(self, api: FakeApi, daemon: Daemon) -> None:
        daemon.running = {"edge": config()}
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            assert daemon.told == {}

    async def test_a_start_with_nothing_but_the_cluster(self, api: FakeApi, daemon: Daemon) -> None:
        daemon.running = {"edge": config()}
        api.add(config())
        api.delete(config_map(config()))
        async with daemon.life(), running(api, daemon):
            await asyncio.sleep(PAUSE_S)
            assert not daemon.requests
            api.put(config_map(config()))
            await until(lambda: daemon.requests)
            assert daemon.told == {"edge": 1}


class TestPublish:
    async def test_an_owner(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            await daemon.own("edge", "g1", epoch=1)
            await until(lambda: api.entries(GROUP_MANAGER))
            assert api.entries(GROUP_MANAGER)[-1]["owner"] == "node1"
            await until(lambda: api.entries(NODE_MANAGER)[-1]["groups"][0]["state"] == "Owner")
            await daemon.becomes("edge", "g1", state="Standby", owner="node2", epoch=2, addresses=[])
            await until(lambda: api.entries(NODE_MANAGER)[-1]["groups"][0]["owner"] == "node2")
            assert len(api.entries(GROUP_MANAGER)) == 1

    async def test_the_status_of_an_outage_is_caught_up_within_5_s(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await until(lambda: api.entries(NODE_MANAGER))
            api.down = True
            await daemon.own("edge", "g1", epoch=4)
            await asyncio.sleep(3)  # let every backoff reach its cap
            api.down = False
            await until(lambda: api.entries(GROUP_MANAGER), timeout_s=5)

    async def test_an_entry_that_somebody_took_away_is_written_again(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        async with daemon.life(), running(api, daemon, relist_s=1):
            await until(lambda: api.entries(NODE_MANAGER))
            api.clusters["edge"] = {**api.clusters["edge"], "status": {}}
            await until(lambda: len(api.entries(NODE_MANAGER)) == 2, timeout_s=4)

    async def test_a_field_that_the_schema_prunes_is_not_insisted_on(
        self, api: FakeApi, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply = api.apply_status

        async def prune(name: str, manager: str, document: Any) -> Any:
            await apply(name, manager, document)
            for entry in api.status(name)["nodes"]:
                entry.pop("agentVersion")
            return await api.cluster(name)

        monkeypatch.setattr(api, "apply_status", prune)
        api.add(config())
        async with daemon.life(), running(api, daemon, relist_s=1):
            await until(lambda: api.entries(NODE_MANAGER))
            await asyncio.sleep(2.5)
            assert len(api.entries(NODE_MANAGER)) == 1

    async def test_another_life_of_the_cluster_gets_nothing(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        api.clusters["edge"]["metadata"]["uid"] = "uid-2"
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            await daemon.own("edge", "g1", epoch=1)
            await asyncio.sleep(PAUSE_S)
            assert not api.applied

    async def test_a_refusal_is_logged_once_and_tried_again(
        self, api: FakeApi, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(publish, "REFUSED_MAX_MS", 300)
        api.refuse[NODE_MANAGER] = ApiProblem("denied by policy", 403)
        api.add(config())
        async with daemon.life(), running(api, daemon):
            await daemon.own("edge", "g1", epoch=1)
            await until(lambda: api.entries(GROUP_MANAGER), what="the other entry, which is not refused")
            await asyncio.sleep(1)
            api.refuse.clear()
            await until(lambda: api.entries(NODE_MANAGER))
        loud = [r for r in caplog.records if r.levelno >= logging.WARNING and "denied by policy" in r.getMessage()]
        assert len(loud) <= 2  # one for each of the two entries that were wanted


class TestEpochs:
    async def test_a_higher_epoch_in_the_status_goes_to_the_daemon(self, api: FakeApi, daemon: Daemon) -> None:
        shown = {"groups": [{"name": "g1", "owner": "node2", "epoch": 9}]}
        api.add(config(), shown)
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            await daemon.own("edge", "g1", epoch=3)
            await until(lambda: daemon.claims == {"edge": {"g1": {"epoch": 9, "owner": "node2"}}})
            assert not api.entries(GROUP_MANAGER)
            told = len(daemon.requests)
            await asyncio.sleep(PAUSE_S)
            assert len(daemon.requests) == told  # once is enough
            await daemon.own("edge", "g1", epoch=10)
            await until(lambda: api.entries(GROUP_MANAGER))

    async def test_a_refused_epoch_is_read_and_told(self, api: FakeApi, daemon: Daemon) -> None:
        api.add(config())
        api.refuse[GROUP_MANAGER] = ApiProblem("the epoch of group g1 must not go back", 422)
        async with daemon.life(), running(api, daemon):
            await until(lambda: api.entries(NODE_MANAGER))
            api.status("edge")["groups"] = [{"name": "g1", "owner": "node2", "epoch": 5}]  # behind this agent's back
            await daemon.own("edge", "g1", epoch=5)
            await until(lambda: daemon.claims == {"edge": {"g1": {"epoch": 5, "owner": "node2"}}})
            api.refuse.clear()
            await daemon.own("edge", "g1", epoch=7)
            await until(lambda: api.entries(GROUP_MANAGER))

    async def test_a_group_of_others_is_no_hint(self, api: FakeApi, daemon: Daemon) -> None:
        found = config(groups={"g1": ("node1", "node2"), "g2": ("node2", "node3")})
        api.add(found, {"groups": [{"name": "g2", "owner": "node2", "epoch": 9}]})
        async with daemon.life(), running(api, daemon):
            await until(lambda: api.entries(NODE_MANAGER))
            await asyncio.sleep(PAUSE_S)
            assert len(daemon.requests) == 1

    @pytest.mark.parametrize("before", [1, 0])
    async def test_an_epoch_far_ahead(self, api: FakeApi, daemon: Daemon, before: int) -> None:
        api.add(config(), {"groups": [{"name": "g1", "owner": "node2", "epoch": before}]} if before else None)
        async with daemon.life(), running(api, daemon):
            await until(lambda: daemon.requests)
            await daemon.own("edge", "g1", epoch=2500)
            steps = [before + 1000, before + 2000, 2500]
            await until(lambda: [e["epoch"] for e in api.entries(GROUP_MANAGER)] == steps)


class TestReady:
    async def test_only_when_listed_connected_and_no_more_listening(self, api: FakeApi, daemon: Daemon) -> None:
        api.down = True
        api.add(config())
        async with running(api, daemon) as agent:
            assert not agent.world.ready
            async with daemon.life():
                await until(lambda: agent.world.connected)
                assert not agent.world.ready
                api.down = False
                await until(lambda: agent.world.ready)
                await daemon.becomes("edge", "g1", state="Listening")
                await until(lambda: not agent.world.ready)
                await daemon.becomes("edge", "g1", state="Standby")
                await until(lambda: agent.world.ready)
            await until(lambda: not agent.world.ready)

    async def test_not_before_the_daemon_runs_what_it_is_told(self, api: FakeApi, daemon: Daemon) -> None:
        """An upgrade goes on when this is so; a daemon with an empty disk would own nothing meanwhile."""
        api.add(config())
        daemon.takes.clear()
        async with daemon.life(), running(api, daemon) as agent:
            await until(lambda: daemon.requests)
            world = agent.world
            assert world.connected
            assert world.report is not None
            assert world.report.clusters == ()
            assert not world.ready
            daemon.takes.set()
            await until(lambda: world.ready)
            api.add(config("lab", uid="uid-2"))
            daemon.takes.clear()
            await until(lambda: daemon.told == {"edge": 1, "lab": 1})
            assert not world.ready, "nor before it runs one more"

    async def test_what_it_refuses_and_what_cannot_be_told_hold_no_upgrade_up(
        self, api: FakeApi, daemon: Daemon
    ) -> None:
        daemon.refuse["edge"] = "groups[0]: no"
        api.add(config())
        api.put(config_map(config("lab", uid="uid-2")))  # its Secret is missing
        async with daemon.life(), running(api, daemon) as agent:
            await until(lambda: agent.world.ready)


async def test_the_daemons_last_words_are_written(api: FakeApi, daemon: Daemon) -> None:
    api.add(config())
    settings = Settings("node1", "agents", control_socket=str(daemon.path), health_port=0)
    stop = asyncio.Event()
    async with daemon.life():
        task = asyncio.create_task(Agent(settings, cast(Api, api)).run(stop))
        await until(lambda: api.entries(NODE_MANAGER))
        stop.set()
        await daemon.own("edge", "g1", epoch=1)
        await asyncio.sleep(0.05)
        await daemon.becomes("edge", "g1", state="Yielding", owner=None, addresses=[])
        await asyncio.sleep(0.05)
        assert not task.done()
    async with asyncio.timeout(3):
        await task
    assert api.entries(NODE_MANAGER)[-1]["groups"] == [{"name": "g1", "state": "Yielding"}]
