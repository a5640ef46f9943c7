"""The set of clusters in one process: levels, refusals, second tries, reports."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge import values
from edge.daemondesk import ALONE, Desk, at_work, first, second
from edge.netns import ip, veth
from edge.waiting import until
from vyos_agent.core.model import Ending
from vyos_agent.core.node import Node
from vyos_agent.edge import orders
from vyos_agent.edge.control import ControlError
from vyos_agent.edge.requests import handlers
from vyos_agent.edge.state import State
from vyos_api.nodeconfig import Address

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("own_netns")]


@pytest.fixture
async def desk(tmp_path: Path, own_netns: None) -> AsyncIterator[Desk]:
    ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
    async with at_work(tmp_path) as desk:
        yield desk
    assert "192.168.0.123" not in shown(), "what leaves takes its addresses along"


def shown() -> str:
    return ip("-o", "addr", "show")


async def test_a_set_of_clusters_is_a_level(desk: Desk) -> None:
    assert await desk.configure(first(), second()) == []
    await desk.owns("edge", "second")
    assert "192.168.0.123/32" in shown()
    assert "192.168.0.200/32" in shown()
    instance = desk.daemon._clusters
    before = dict(instance)
    assert await desk.configure(second(), first()) == []
    assert dict(instance) == before, "what is the same is left alone"
    assert await desk.configure(second()) == []
    assert list(await desk.clusters()) == ["second"]
    assert "192.168.0.123" not in shown()
    assert "192.168.0.200/32" in shown()


async def test_a_live_edit_keeps_what_it_does_not_concern(desk: Desk) -> None:
    await desk.configure(first())
    await desk.owns("edge")
    node = next(iter(desk.daemon._clusters.values()))._runner.node  # type: ignore[union-attr]
    more = values.group("cluster", "192.168.0.123/24/eth0", "192.168.0.124/24/eth0")
    await desk.configure(values.order(values.config("r1", more, generation=2, **ALONE)))
    await until(lambda: "192.168.0.124/32" in shown())
    assert "192.168.0.123/32" in shown()
    fewer = values.group("cluster", "192.168.0.124/24/eth0")
    await desk.configure(values.order(values.config("r1", fewer, generation=3, **ALONE)))
    await until(lambda: "192.168.0.123/32" not in shown())
    assert "192.168.0.124/32" in shown()
    assert next(iter(desk.daemon._clusters.values()))._runner.node is node  # type: ignore[union-attr]
    assert (await desk.clusters())["edge"]["generation"] == 3


async def test_other_sockets_without_another_life(desk: Desk) -> None:
    veth("eth1", "peer1")
    ip("addr", "add", "192.168.1.11/24", "dev", "eth1")
    await desk.configure(first())
    cluster = next(iter(desk.daemon._clusters.values()))
    assert cluster._heartbeats.current.interfaces == ("eth0",)
    await desk.configure(first(interfaces=("eth1", "eth0"), generation=2))
    assert set(cluster._heartbeats.current.interfaces) == {"eth0", "eth1"}
    await desk.configure(first(interfaces=("eth1",), mcast_group="239.1.1.1", port=5405, generation=3))
    assert cluster._heartbeats.current.interfaces == ("eth1",)
    assert cluster._heartbeats.current._multicast.endpoint.port == 5405
    await desk.owns("edge")
    assert cluster._heartbeats.current._multicast.errors == {}, "no frame was lost to a socket that was not there yet"


async def test_a_refused_item_leaves_its_cluster_as_it_runs(desk: Desk) -> None:
    await desk.configure(first(), second())
    await desk.owns("edge", "second")
    bad = values.order(values.config("r1", generation=2, fence="Iptables"))
    message = "fence: 'Iptables' is neither None nor Nftables"
    assert await desk.configure(bad, second()) == [f"edge@2: {message}"]
    assert "192.168.0.123/32" in shown()
    report = await desk.report()
    assert report["refused"] == [{"cluster": "edge", "generation": 2, "message": message}]
    assert [c["generation"] for c in report["clusters"]] == [1, 1]
    assert await desk.configure({"config": "torn"}, second()) == ["@0: the file: must be an object"]
    assert list(await desk.clusters()) == ["edge", "second"], "it may be any cluster's: nothing is stopped"
    assert await desk.configure(first(generation=2)) == []
    assert (await desk.report())["refused"] == []


async def test_an_address_that_a_cluster_holds_on_to(desk: Desk) -> None:
    await desk.configure(first())
    bad = values.order(values.config("r2"))
    (other, taken) = await desk.configure(bad, second("192.168.0.123/24/eth0"))
    assert other.startswith("edge@1: node: this is for 'r2'")
    assert taken == "second@1: groups[0].addresses[0]: 192.168.0.123 belongs to cluster edge here; remove one"


async def test_one_agent_per_cluster(desk: Desk) -> None:
    """[ADOPT-4] One agent per cluster and network namespace must run: it binds an abstract unix socket before anything
    else.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(f"\0vyos-cluster/{values.UID}")
        (refused,) = await desk.configure(first(), second())
        assert refused == "edge@1: another heartbeat daemon in this network namespace serves this cluster; stop it"
        assert list(await desk.clusters()) == ["second"]
    await desk.owns("edge")
    assert (await desk.report())["refused"] == [], "it was tried again when the other one had gone"


async def test_a_fault_of_ours_begins_the_cluster_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.configure(first(), second())
    await desk.owns("edge", "second")
    cluster = desk.daemon._clusters[orders.read([first()], "r1").items[0].core.cluster_id]

    def broken(*_: object) -> tuple[()]:
        raise ZeroDivisionError

    node = cluster._runner.node  # type: ignore[union-attr]
    monkeypatch.setattr(node, "step", broken)
    await until(lambda: desk.daemon._refused)
    assert "failed while serving it" in (await desk.report())["refused"][0]["message"]
    await desk.owns("edge")
    assert (await desk.report())["refused"] == []
    assert next(iter(desk.daemon._clusters.values()))._runner is not None
    assert isinstance(node, Node)


async def test_what_was_accepted_runs_again_without_being_told(tmp_path: Path) -> None:
    ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
    async with at_work(tmp_path) as desk:
        await desk.configure(first(), second())
        await desk.owns("edge", "second")
        epoch = (await desk.clusters())["edge"]["groups"][0]["epoch"]
        await desk.configure(first())
    async with at_work(tmp_path) as again:
        await again.daemon.resume()
        assert list(await again.clusters()) == ["edge"]
        await again.owns("edge")
        assert (await again.clusters())["edge"]["groups"][0]["epoch"] > epoch


async def test_each_life_has_an_incarnation_of_its_own(tmp_path: Path) -> None:
    """[BELIEF-10] An incarnation must be drawn at random at every start, and no sequence must be kept from one life to
    the next.
    """
    ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
    lives: list[tuple[int, int]] = []
    for _ in range(3):
        async with at_work(tmp_path) as desk:
            await desk.configure(first())
            await desk.owns("edge")
            (cluster,) = desk.daemon._clusters.values()
            assert cluster._runner is not None
            peers = cluster._runner.node._peers
            lives.append((peers.incarnation, peers.sent.newest))
    incarnations = {incarnation for incarnation, _ in lives}
    assert len(incarnations) == 3
    assert max(incarnations) >= 2**32, "64 bits, not 32: all three are below with a chance of 1 in 2^96"
    assert max(sent for _, sent in lives) < 1_000, "and counts from 1"


async def test_a_state_directory_of_another_node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = State(tmp_path)
    state.start()
    item = values.item("r2")
    state.save(item.core.cluster_id, item.config, item.keys)
    state.stop()
    async with at_work(tmp_path) as desk:
        await desk.daemon.resume()
        assert await desk.clusters() == {}
    assert "this is for 'r2', and this node is 'r1'" in caplog.text


async def test_epochs_known_elsewhere(desk: Desk) -> None:
    await desk.configure({**first(), "claims": {"cluster": {"epoch": 41, "owner": "r1"}}})
    await desk.owns("edge")
    assert (await desk.clusters())["edge"]["groups"][0]["epoch"] == 42
    await desk.configure({**first(), "claims": {"cluster": {"epoch": 99, "owner": "r1"}}})
    await until(lambda: _epoch(desk) == 100)
    assert "192.168.0.123/32" in shown(), "an owner raises its epoch without a move"


def _epoch(desk: Desk) -> int:
    (report,) = desk.daemon._reports()
    epoch: int = report["groups"][0]["epoch"]
    return epoch


async def test_a_poll_waits_for_what_is_new(desk: Desk) -> None:
    await desk.configure(first(dead_ms=2000))  # on a machine that is busy a short one brings news of its own
    await desk.owns("edge")
    await asyncio.sleep(0.2)
    revision = (await desk.report())["revision"]
    loop = asyncio.get_running_loop()
    begin = loop.time()
    assert (await desk.report(after=revision, timeoutMs=400))["revision"] == revision
    assert loop.time() - begin >= 0.4, "eight renewals are nothing new"
    poll = asyncio.create_task(desk.report(after=revision, timeoutMs=10_000))
    await asyncio.sleep(0.05)
    ip("link", "set", "peer0", "down")
    report = await poll
    assert report["revision"] > revision
    (cluster,) = report["clusters"]
    assert [(d["kind"], d["name"], d["state"]) for d in cluster["deviations"] if d["kind"] == "Interface"] == [
        ("Interface", "eth0", "Down")
    ]
    assert (await desk.report(after=revision - 1, timeoutMs=10_000))["revision"] >= report["revision"]


async def test_an_interface_that_comes_late(desk: Desk) -> None:
    await desk.configure(first(interfaces=("eth0", "late0")))
    cluster = next(iter(desk.daemon._clusters.values()))
    assert cluster._heartbeats.current.interfaces == ("eth0",)
    assert {"kind": "Interface", "name": "late0", "state": "Missing"}.items() <= (await desk.clusters())["edge"][
        "deviations"
    ][0].items()
    for _ in range(2):
        veth("late0", "late1")
        await until(lambda: "late0" in cluster._heartbeats.current.interfaces)
        ip("link", "del", "late0")
        await until(lambda: "late0" not in cluster._heartbeats.current.interfaces)
    await desk.owns("edge")


async def test_an_address_that_names_no_interface(desk: Desk) -> None:
    veth("lan0", "lan1")
    unnamed = values.group("g", addresses=(Address("10.7.0.9", 24),))
    await desk.configure(values.order(values.config("r1", unnamed, **ALONE)))
    await asyncio.sleep(0.5)
    (cluster,) = (await desk.report())["clusters"]
    assert [(d["kind"], d["name"], d["state"]) for d in cluster["deviations"] if d["kind"] != "Peer"] == [
        ("Address", "10.7.0.9/24", "NoInterface")
    ]
    assert cluster["interfaces"] == {"ready": 1, "all": 1}
    assert cluster["groups"][0]["state"] != "Owner", "no interface is no place to hold it"
    ip("addr", "add", "10.7.0.1/24", "dev", "lan0")
    await desk.owns("edge")
    assert "10.7.0.9/32" in ip("addr", "show", "dev", "lan0")
    ip("addr", "add", "10.7.0.2/25", "dev", "eth0")
    await until(lambda: "10.7.0.9/32" in ip("addr", "show", "dev", "eth0"))
    assert "10.7.0.9" not in ip("addr", "show", "dev", "lan0")
    await desk.configure()
    assert "10.7.0.9" not in shown()


async def test_an_address_that_the_node_has_itself(desk: Desk) -> None:
    ip("addr", "add", "192.168.0.200/24", "dev", "eth0")
    await desk.configure(second())
    async with asyncio.timeout(10):
        while True:
            (cluster,) = (await desk.report())["clusters"]
            if [d["state"] for d in cluster["deviations"] if d["kind"] == "Address"] == ["Occupied"]:
                break
            await asyncio.sleep(0.05)
    assert cluster["groups"][0]["addresses"] == []
    await desk.configure()
    assert "192.168.0.200/24" in shown()


@pytest.mark.parametrize(
    ("op", "request_", "error"),
    [
        ("configure", {}, "clusters: must be a list of objects"),
        ("force", {"to": "active"}, "to: must be Active or Standby"),
        ("force", {"to": "Active", "group": 7}, "group: must be a name"),
        ("force", {"to": "Active"}, "this node is a member of no group of any cluster here"),
        ("force", {"to": "Active", "cluster": "x", "group": "g"}, "this node is a member of no group g of cluster x"),
        ("explain", {"cluster": []}, "cluster: must be a name"),
        ("history", {"group": 7}, "group: must be a name"),
        (
            "history",
            {"cluster": "x", "group": "g"},
            "this node is a member of no group g of cluster x; it is one of: none",
        ),
        ("report", {"after": -1}, "after: must be a whole number"),
        ("report", {"after": True}, "after: must be a whole number"),
        ("report", {"after": "x"}, "after: must be a whole number"),
        ("report", {"timeoutMs": 10**9}, "timeoutMs: must be a whole number from 0 to 60000"),
    ],
)
async def test_bad_requests(desk: Desk, op: str, request_: dict[str, Any], error: str) -> None:
    with pytest.raises(ControlError) as caught:
        await desk.handlers[op](request_)
    assert str(caught.value).startswith(error)


async def test_a_daemon_with_a_file_takes_no_orders(desk: Desk) -> None:
    with pytest.raises(ControlError, match=r"configured by /etc/cluster.yaml"):
        await handlers(desk.daemon, file="/etc/cluster.yaml", restart=asyncio.Event().wait)["configure"](
            {"clusters": []}
        )


async def test_a_restart_is_handed_on_with_the_name_of_the_life_that_ends(desk: Desk) -> None:
    assert await desk.handlers["restart"]({}) == {"instance": (await desk.report())["instance"]}
    assert desk.restarts == [None]


async def test_why_it_owns_what_it_owns(desk: Desk) -> None:
    more = {"monitors": ("0:0:0:0:0:0:0:1",), "units": ("none.service",), "maintenance": ("r2",)}
    await desk.configure(first(groups=(values.group(**more),)), second())
    await desk.owns("edge", "second")
    answer = await desk.handlers["explain"]({"cluster": "edge"})
    assert answer["node"] == "r1"
    assert (
        answer["clusters"][0]["groups"][0].items()
        >= {
            "members": ["r1", "r2"],
            "maintenance": ["r2"],
            "failbackMs": None,
            "resources": ["192.168.0.123/24/eth0", "none.service"],
            "monitors": {"0:0:0:0:0:0:0:1": True},
        }.items()
    )
    ((cluster, groups),) = [(c["cluster"], c["groups"]) for c in answer["clusters"]]
    assert cluster == "edge"
    assert answer["clusters"][0]["peers"] == [{"name": "r2", "state": "Unheard", "links": []}]
    assert (groups[0]["owner"], groups[0]["state"], groups[0]["handover"]) == ("r1", "Owner", None)
    assert [(c["name"], c["rank"], c["candidate"]) for c in groups[0]["candidates"]] == [
        ("r1", 0, True),
        ("r2", 1, False),
    ]
    assert [c["cluster"] for c in (await desk.handlers["explain"]({}))["clusters"]] == ["edge", "second"]


async def test_the_moves_that_it_made(desk: Desk) -> None:
    history = desk.handlers["history"]
    assert await history({}) == {"node": "r1", "clusters": []}
    await desk.configure(first(), second())
    await desk.owns("edge", "second")
    await until(lambda: all("announced" in m["stepsMs"] for c in desk.daemon.history(None) for m in c["moves"]))
    answer = json.loads(json.dumps(await history({"group": "g2"})))
    assert answer["node"] == "r1"
    ((cluster, groups, (move,)),) = [(c["cluster"], c["groups"], c["moves"]) for c in answer["clusters"]]
    assert (cluster, groups) == ("second", ["g2"])
    assert (move["group"], move["kind"], move["reason"], move["peer"]) == ("g2", "Taken", "FirstClaim", None)
    assert list(move["stepsMs"]) == ["addresses", "announced"]
    assert 0 <= move["stepsMs"]["addresses"] <= move["stepsMs"]["announced"]
    both = (await history({}))["clusters"]
    assert [(c["cluster"], c["groups"], len(c["moves"])) for c in both] == [
        ("edge", ["cluster"], 1),
        ("second", ["g2"], 1),
    ]
    assert all(c["sinceMs"] <= m["atMs"] for c in both for m in c["moves"])
    assert [c["cluster"] for c in (await history({"cluster": "edge"}))["clusters"]] == ["edge"]
    with pytest.raises(ControlError, match=r"no group x of any cluster here; it is one of: edge/cluster, second/g2$"):
        await history({"group": "x"})
    with pytest.raises(ControlError, match=r"no group g2 of cluster edge; it is one of: edge/cluster, second/g2$"):
        await history({"cluster": "edge", "group": "g2"})


async def test_a_command_concerns_whom_it_names(desk: Desk) -> None:
    await desk.configure(first(), second())
    await desk.owns("edge", "second")
    force = desk.handlers["force"]
    assert await force({"to": "Standby", "group": "g2"}) == {"clusters": ["second"]}
    assert await force({"to": "Standby"}) == {"clusters": ["edge", "second"]}
    await asyncio.sleep(0.3)
    states = [g["state"] for c in (await desk.report())["clusters"] for g in c["groups"]]
    assert states == ["Owner", "Owner"], "nobody is there to take them"


async def test_a_node_that_was_rolled_back_begins_anew(desk: Desk) -> None:
    await desk.configure(first())
    await desk.owns("edge")
    before = next(iter(desk.daemon._clusters.values()))
    before.stopped(Ending.ROLLED_BACK)
    await until(lambda: before not in desk.daemon._clusters.values() and desk.daemon._refused)
    assert [r["message"] for r in (await desk.report())["refused"]] == [
        "this node was rolled back or cloned; it begins anew"
    ]
    await desk.owns("edge")
    assert (await desk.report())["refused"] == []


async def test_a_twin_is_not_begun_again_by_itself(desk: Desk) -> None:
    await desk.configure(first())
    await desk.owns("edge")
    next(iter(desk.daemon._clusters.values())).stopped(Ending.TWIN)
    await until(lambda: not desk.daemon._clusters)
    assert "192.168.0.123" not in shown()
    await asyncio.sleep(1.5)
    assert desk.daemon._clusters == {}
    (refusal,) = (await desk.report())["refused"]
    assert refusal["message"] == "another node calls itself r1; one of the two must get another name"
    await desk.configure(first())
    await desk.owns("edge")


async def test_a_slow_disk_stalls_no_other_cluster(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epochs of a cluster that begins are read in a thread: the loop sends the heartbeats of the others."""
    await desk.configure(first())

    def slow(state: State, cluster_id: bytes) -> dict[str, int]:
        time.sleep(0.5)
        return {}

    monkeypatch.setattr(State, "epochs", slow)
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    ticking = asyncio.get_running_loop().create_task(tick())
    await desk.configure(first(), second())
    ticking.cancel()
    assert turns > 5


async def test_one_cluster_that_cannot_stop_spares_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.configure(first(), second())
    await desk.owns("edge", "second")
    cluster = desk.daemon._clusters[orders.read([first()], "r1").items[0].core.cluster_id]

    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cluster, "stop", broken)
    assert await desk.configure() == []
    assert await desk.clusters() == {}
    await until(lambda: "192.168.0.123" not in shown() and "192.168.0.200" not in shown())
    assert await desk.configure(first()) == [], "its lock was given back"
    await desk.owns("edge")


async def test_a_cluster_that_cannot_start_leaves_nothing_behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("vyos_agent.edge.cluster.Runner", broken)
        (refused,) = await desk.configure(first())
        assert "failed to start it" in refused
        assert desk.daemon._keeper._slots == []
    await desk.owns("edge")
