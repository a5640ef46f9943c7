"""What the `metrics` op says of a daemon at work, and that no stranger gives it a name."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from edge import values
from edge.daemondesk import Desk, at_work, first
from edge.lan import Router, lan
from edge.netns import ip
from edge.waiting import until, wait
from vyos_agent.core.effects import Decided
from vyos_agent.core.model import Drop, Reason, State
from vyos_agent.edge.metrics import Tally
from vyos_agent.sync import metrics


@pytest.fixture
async def desk(tmp_path: Path, own_netns: None) -> AsyncIterator[Desk]:
    ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
    async with at_work(tmp_path) as desk:
        yield desk


async def ask(desk: Desk) -> dict[str, Any]:
    answer = await desk.handlers["metrics"]({"op": "metrics"})
    found: dict[str, Any] = json.loads(json.dumps(answer))["metrics"]
    return found


def test_a_group_that_left_the_configuration_is_forgotten() -> None:
    tally = Tally()
    for group, reason in (("a", Reason.PEER_DEAD), ("a", Reason.PEER_DEAD), ("b", Reason.FIRST_CLAIM)):
        tally.decided(Decided(group, State.STANDBY, State.OWNER, 1, reason))
    two = {"group": "a", "state": "Owner", "reason": "PeerDead", "count": 2}
    one = {"group": "b", "state": "Owner", "reason": "FirstClaim", "count": 1}
    assert tally.moves(frozenset({"a", "b"})) == [two, one]
    assert tally.moves(frozenset({"b"})) == [one]
    assert tally.moves(frozenset({"a", "b"})) == [one], "a group of that name is another one"


@pytest.mark.netns
@pytest.mark.usefixtures("own_netns")
async def test_an_owner_tells_its_state_and_how_it_came_to_it(desk: Desk) -> None:
    assert (await ask(desk))["clusters"] == []
    await desk.configure(first())
    await desk.owns("edge")
    found = await ask(desk)
    assert found["node"] == "r1"
    assert found["refused"] == 0
    assert set(found["process"]) == {"memoryLocked", "realTime", "loopLagMs", "loopLate", "collectMs"}
    (edge,) = found["clusters"]
    assert edge["cluster"] == "edge"
    (group,) = edge["groups"]
    assert group["epoch"] >= 1
    assert {**group, "epoch": 1} == {"name": "cluster", "state": "Owner", "owning": True, "epoch": 1, "addresses": 1}
    assert {"group": "cluster", "state": "Owner", "reason": "FirstClaim", "count": 1} in edge["transitions"]
    assert edge["interfaces"] == {"eth0": True}
    assert len(metrics._families(found)) == 19, "kube-sync takes what a daemon really says"
    assert edge["peers"] == {"r2": "Unheard"}
    assert edge["gaps"]["peers"] == {"r2": {"counts": [0] * 12, "sumMs": 0}}, "a series from the start, with nothing"


@pytest.mark.netns
@pytest.mark.usefixtures("own_netns")
async def test_a_strangers_frames_are_counted_by_words_of_our_own(desk: Desk) -> None:
    await desk.configure(first())
    await desk.owns("edge")
    cluster = next(iter(desk.daemon._clusters.values()))
    sent: list[bytes] = []
    send = cluster._heartbeats.send

    def copy(datagrams: Mapping[str, tuple[bytes, ...]]) -> bool:
        sent.extend(part for parts in datagrams.values() for part in parts)
        return send(datagrams)

    cluster._heartbeats.send = copy  # type: ignore[method-assign]
    await until(lambda: sent)
    forged = sent[0][:-1] + bytes([sent[0][-1] ^ 1])
    endpoint = cluster.item.endpoint
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.168.0.11"))
        for _ in range(3):
            stranger.sendto(forged, (str(endpoint.group), endpoint.port))
    await until(lambda: cluster._runner is not None and cluster._runner.node.drops[Drop.BAD_TAG] >= 3)
    (edge,) = (await ask(desk))["clusters"]
    assert edge["drops"]["BadTag"] == 3
    assert {drop for drop, count in edge["drops"].items() if count} == {"BadTag"}
    assert set(edge["drops"]) == {drop.value for drop in Drop}
    assert edge["peers"] == {"r2": "Unheard"}, "and nobody new is named"


@pytest.mark.netns
@pytest.mark.usefixtures("own_netns")
async def test_what_cannot_be_sent_is_counted_and_survives_another_endpoint(desk: Desk) -> None:
    await desk.configure(first())
    await desk.owns("edge")
    cluster = next(iter(desk.daemon._clusters.values()))
    cluster._heartbeats.current._multicast._failed("eth0", OSError(101, "Network is unreachable"))

    async def errors() -> dict[str, int]:
        (edge,) = (await ask(desk))["clusters"]
        found: dict[str, int] = edge["sendErrors"]["multicast"]
        return found

    assert (await errors())["ENETUNREACH"] == 1
    assert await desk.configure(first(generation=2, mcast_group="239.1.1.1")) == []
    await until(lambda: cluster._heartbeats.current._multicast.endpoint.group == ip_address("239.1.1.1"))
    assert (await errors())["ENETUNREACH"] == 1, "a counter does not fall"


@pytest.mark.netns
def test_gaps_of_living_daemons(tmp_path: Path) -> None:
    """Two that beat every 200 ms, and then a cut of some 800 ms, which nobody dies of."""

    def gaps(router: Router) -> tuple[int, int, float]:
        """How many there are, how many of them above 750 ms, and all of them together in seconds."""
        answer = router.ask("metrics")
        assert answer is not None
        found = answer["metrics"]["clusters"][0]["gaps"]
        (peer,) = found["peers"].values()
        above = found["boundsMs"].index(750) + 1
        return sum(peer["counts"]), sum(peer["counts"][above:]), peer["sumMs"] / 1000

    with lan(tmp_path, "r1", "r2") as both:
        for router in both.routers.values():
            router.start()
            config = values.config(router.name, keepalive_ms=200, dead_ms=5000, init_dead_ms=5000)
            router.configure(values.order(config))
        both.all_hear_all()
        count, long, sum_s = gaps(both["r1"])
        begin = time.monotonic()
        wait(lambda: gaps(both["r1"])[0] >= count + 10, "ten more heartbeats")
        counted, _, summed_s = gaps(both["r1"])
        assert summed_s - sum_s == pytest.approx(time.monotonic() - begin, abs=0.5), "gaps are the time that passes"
        assert (summed_s - sum_s) / (counted - count) <= 0.3, "one each keepalive interval, or more"
        both.isolate("r2", cut=True)
        time.sleep(0.8)
        both.isolate("r2", cut=False)
        wait(lambda: gaps(both["r1"])[1] > long, "the cut to be counted")
        assert both["r1"].deviations() == []
