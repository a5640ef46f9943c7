"""The page that kube-sync serves: the daemon's numbers and its own, and what it is without a daemon."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from edge.waiting import until
from sync.fakes import Daemon, FakeApi, documented_metrics
from vyos_agent.sync import metrics
from vyos_agent.sync.agent import Agent
from vyos_agent.sync.api import Api, Counts
from vyos_agent.sync.settings import Settings
from vyos_agent.sync.world import World
from vyos_operator import metrics as operators

DOCUMENT = Path(__file__).parents[2] / "docs/metrics.md"


@contextlib.asynccontextmanager
async def answering(path: Path, answer: dict[str, Any]) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert json.loads(await reader.readline()) == {"op": "metrics"}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, str(path)):
        yield


async def page(path: Path, world: World | None = None, counts: Counts | None = None) -> dict[str, float]:
    """Samples by their text."""
    text = (await metrics.Metrics(str(path), world or World(), counts or Counts()).page()).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for s in family.samples:
            found[s.name + ("{" + ",".join(s.labels.values()) + "}" if s.labels else "")] = s.value
    return found


async def test_the_documented_answer(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with answering(path, documented_metrics()):
        found = await page(path)
    assert found["vyos_cluster_agent_up"] == 1
    assert found["vyos_cluster_agent_info{0.1.0}"] == 1
    assert found["vyos_cluster_agent_loop_lag_seconds"] == 0.0004
    assert found["vyos_cluster_group_owning{edge,cluster}"] == 1
    assert found["vyos_cluster_group_state{edge,cluster,Owner}"] == 1
    assert found["vyos_cluster_group_epoch{edge,cluster}"] == 7
    assert found["vyos_cluster_peer_state{edge,node2,Alive}"] == 1
    assert found["vyos_cluster_transitions_total{edge,cluster,PeerDead,Owner}"] == 1
    assert found["vyos_cluster_frames_dropped_total{edge,BadTag}"] == 12
    assert found["vyos_cluster_send_errors_total{edge,ENETUNREACH,multicast}"] == 3
    assert not [name for name in found if "monitor_reachable" in name], "undecided is neither"


async def test_gaps_are_a_histogram(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with answering(path, documented_metrics()):
        found = await page(path)
    gap = "vyos_cluster_heartbeat_gap_seconds"
    bounds = ("0.015", "0.03", "0.075", "0.15", "0.3", "0.75", "1.5", "3.0", "7.5", "15.0", "30.0", "+Inf")
    counts = (0, 0, 0, 9, 249, 250, 250, 250, 250, 250, 250, 250)
    expected: dict[str, float] = {f"{gap}_bucket{{edge,{le},node2}}": n for le, n in zip(bounds, counts, strict=True)}
    expected |= {f"{gap}_sum{{edge,node2}}": 49.8, f"{gap}_count{{edge,node2}}": 250}
    assert {name: value for name, value in found.items() if name.startswith(gap)} == expected


async def test_its_own(tmp_path: Path) -> None:
    counts = Counts(writes=4, success_s=1_790_000_000.5)
    counts.errors.update(["409", "none", "none"])
    found = await page(tmp_path / "nobody", World(connected=True), counts)
    assert found == {
        "vyos_cluster_agent_up": 0,
        "vyos_cluster_sync_connected": 1,
        "vyos_cluster_sync_api_errors_total{409}": 1,
        "vyos_cluster_sync_api_errors_total{none}": 2,
        "vyos_cluster_sync_status_writes_total": 4,
        "vyos_cluster_sync_api_success_timestamp_seconds": 1_790_000_000.5,
    }


async def test_an_answer_that_is_none_is_a_daemon_that_is_down(tmp_path: Path) -> None:
    for number, answer in enumerate(({"ok": False, "error": "unknown op"}, {"ok": True, "metrics": {"clusters": 1}})):
        async with answering(tmp_path / str(number), answer):
            assert (await page(tmp_path / str(number)))["vyos_cluster_agent_up"] == 0


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    series = [s for s in vars(metrics).values() if isinstance(s, metrics.Series)]
    known = {s.name: s.labels for s in series}
    known |= {operators.SECONDS: (), operators.ERRORS: (), operators.CLUSTERS: ("condition", "status")}
    assert len(known) == len(series) + 3
    rows = re.findall(r"^\| `(vyos_cluster_\w+)` \| ([^|]*) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == known


async def test_an_agent_serves_it_on_both_addresses(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> None:
    health, opened = unused_tcp_port_factory(), unused_tcp_port_factory()
    daemon = Daemon(tmp_path / "control.sock")
    settings = Settings("node1", "agents", str(daemon.path), health, metrics_address="127.0.0.2", metrics_port=opened)

    async def get(address: str, port: int, path: str) -> str:
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    async with daemon.life():
        agent = Agent(settings, cast(Api, FakeApi()))
        task = asyncio.create_task(agent.run(asyncio.Event()))
        try:
            await until(lambda: agent.world.connected)
            for address, port in (("127.0.0.1", health), ("127.0.0.2", opened)):
                answer = await get(address, port, "/metrics")
                assert answer.startswith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
                assert "\nvyos_cluster_sync_connected 1.0\n" in answer
            assert (await get("127.0.0.2", opened, "/healthz")).startswith("HTTP/1.1 404 "), "no probe for the LAN"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
