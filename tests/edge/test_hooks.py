"""Hooks: what is run, with what, in which order, for how long, and what is not; by this process and by a host."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge import hosts, values
from edge.hosts import Host
from edge.waiting import until
from vyos_agent.core.effects import Decided
from vyos_agent.core.model import Reason, State, Vip
from vyos_agent.edge import hooks as module
from vyos_agent.edge.hooks import Call, Direct, Event, Hooks
from vyos_agent.edge.moves import Moves
from vyos_agent.edge.services import HostServices

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hooks must belong to root")

VIP = Vip("192.168.0.123", 24, "eth0")
TELL = """#!/usr/bin/python3
import json, os, sys
with open({log!r}, "a") as log:
    print(json.dumps([sys.argv[1:], dict(os.environ)]), file=log)
"""


class Desk:
    """A directory of hooks, and what they wrote."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "hooks"
        self.directory.mkdir()
        self.log = directory / "log"

    def write(self, event: Event, text: str = TELL, mode: int = 0o755) -> Path:
        path = self.directory / event
        path.write_text(text.format(log=str(self.log)))
        path.chmod(mode)
        return path

    def calls(self) -> list[tuple[list[str], dict[str, str]]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(found[0], found[1]) for found in map(json.loads, lines)]

    def events(self) -> list[str]:
        return [argv[0] for argv, _ in self.calls()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
async def hooks(desk: Desk) -> AsyncIterator[Hooks]:
    made = Hooks(desk.directory, Direct())
    yield made
    await made.close()


def call(event: Event = Event.ACQUIRE, group: str = "cluster", **facts: str) -> Call:
    return Call(event, "edge", group, facts)


async def test_argv_and_environment_and_nothing_else(desk: Desk, hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    desk.write(Event.ACQUIRE)
    await hooks.call(call(ADDRESSES="a; rm -rf / $(b)", EPOCH="7"))
    ((argv, environment),) = desk.calls()
    assert argv == ["acquire", "edge", "cluster"]
    environment.pop("LC_CTYPE", None)  # Python's own (PEP 538)
    assert environment == {
        "PATH": module.PATH,
        "VYOS_CLUSTER_EVENT": "acquire",
        "VYOS_CLUSTER_CLUSTER": "edge",
        "VYOS_CLUSTER_GROUP": "cluster",
        "VYOS_CLUSTER_ADDRESSES": "a; rm -rf / $(b)",
        "VYOS_CLUSTER_EPOCH": "7",
    }


async def test_what_is_not_there_is_not_run(desk: Desk, hooks: Hooks) -> None:
    assert not hooks.has(Event.RELEASE)
    await hooks.call(call(Event.RELEASE))
    await Hooks(None, Direct()).call(call())
    assert desk.calls() == []


@pytest.mark.parametrize(
    ("mode", "text"), [(0o775, "written by others"), (0o757, "written by others"), (0o644, "exec")]
)
async def test_what_root_must_not_run(
    desk: Desk, hooks: Hooks, mode: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk.write(Event.ACQUIRE, mode=mode)
    await hooks.call(call())
    await hooks.call(call())
    assert desk.calls() == []
    assert caplog.text.count(text) == 1


async def test_whose_file_it_is(desk: Desk, hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    os.chown(desk.write(Event.ACQUIRE), 65534, 65534)
    await hooks.call(call())
    assert desk.calls() == []
    assert "does not belong to root" in caplog.text


async def test_one_at_a_time_for_each_group(desk: Desk, hooks: Hooks) -> None:
    slow = "#!/bin/sh\nsleep 0.3\necho '[[\"'$1-$3'\"], {{}}]' >> {log}\n"
    desk.write(Event.ACQUIRE, slow)
    desk.write(Event.RELEASE, slow.replace("sleep 0.3", ":"))
    at = time.monotonic()
    await asyncio.gather(
        hooks.call(call(Event.ACQUIRE)), hooks.call(call(Event.RELEASE)), hooks.call(call(Event.ACQUIRE, "other"))
    )
    assert time.monotonic() - at < 0.58, "two groups at once"
    found = desk.events()
    assert found.index("acquire-cluster") < found.index("release-cluster")
    assert sorted(found) == ["acquire-cluster", "acquire-other", "release-cluster"]


async def test_killed_with_all_that_it_started(
    desk: Desk, hooks: Hooks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "HOOK_S", 0.3)
    desk.write(Event.ACQUIRE, "#!/bin/sh\ntrap '' TERM\nsleep 4711 &\nwait\nsleep 4711\n")
    at = time.monotonic()
    await hooks.call(call())
    assert time.monotonic() - at < 1
    assert "killed: it did not end in 0.3 s" in caplog.text
    await until(lambda: not sleepers())


def sleepers() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == b"sleep\x004711\x00":
                found.append(str(path))
        except OSError:
            continue
    return found


async def test_what_it_says_and_how_it_ends_is_told(desk: Desk, hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    desk.write(Event.ACQUIRE, "#!/bin/sh\necho to the log\nhead -c 100000 /dev/zero | tr '\\0' x\nexit 3\n")
    await hooks.call(call())
    assert "to the log" in caplog.text
    assert "exit code 3" in caplog.text
    assert len(caplog.text) < 20_000
    desk.write(Event.RELEASE, "no program at all")
    await hooks.call(call(Event.RELEASE))
    assert "cannot be run: Exec format error" in caplog.text


async def test_a_group_that_moves_faster_than_its_hooks(desk: Desk, hooks: Hooks) -> None:
    desk.write(Event.ACQUIRE, "#!/bin/sh\nsleep 0.01\necho '[[\"'$1'\"], {{}}]' >> {log}\n")
    calls = [hooks.call(call()) for _ in range(3 * module.QUEUE_MAX)]
    await asyncio.gather(*calls)
    assert module.QUEUE_MAX <= len(desk.events()) <= module.QUEUE_MAX + 1


# -- with moves


def decided(before: State, after: State, reason: Reason = Reason.PEER_DEAD) -> Decided:
    return Decided("cluster", before, after, 7, reason, "r2")


class Cluster:
    def __init__(self, hooks: Hooks) -> None:
        self.core = values.item().core
        self.again: list[frozenset[Vip]] = []
        self.moves = Moves(hooks, "edge", self._again)

    def _again(self, vips: frozenset[Vip]) -> None:
        self.again.append(vips)

    def decided(self, *args: object, **changes: object) -> None:
        self.moves.decided(decided(*args, **changes), self.core)  # type: ignore[arg-type]

    @property
    def live(self) -> bool:
        return VIP in self.moves.ready({VIP: 1000})


async def test_addresses_wait_for_the_hook_before(desk: Desk, hooks: Hooks) -> None:
    desk.write(Event.BEFORE_ACQUIRE, TELL + "import time; time.sleep(0.2)\n")
    desk.write(Event.ACQUIRE)
    cluster = Cluster(hooks)
    assert cluster.live
    cluster.decided(State.STANDBY, State.OWNER)
    assert not cluster.live
    await until(lambda: cluster.again)
    assert cluster.live
    await until(lambda: desk.events() == ["before-acquire", "acquire"])
    _, environment = desk.calls()[0]
    assert environment["VYOS_CLUSTER_ADDRESSES"] == "192.168.0.123/24/eth0"
    assert environment["VYOS_CLUSTER_REASON"] == "PeerDead"
    assert (environment["VYOS_CLUSTER_NODE"], environment["VYOS_CLUSTER_PEER"]) == ("r1", "r2")


async def test_they_wait_for_no_hook_longer_than_it_may_run(
    desk: Desk, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEFORE_S", 0.2)
    desk.write(Event.BEFORE_ACQUIRE, "#!/bin/sh\nsleep 30\n")
    cluster = Cluster(hooks)
    at = time.monotonic()
    cluster.decided(State.STANDBY, State.OWNER)
    await until(lambda: cluster.live)
    assert time.monotonic() - at < 0.6


async def test_nor_for_one_that_waits_behind_another(desk: Desk, hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEFORE_S", 0.2)
    desk.write(Event.RELEASE, "#!/bin/sh\nsleep 1\n")
    desk.write(Event.BEFORE_ACQUIRE)
    cluster = Cluster(hooks)
    cluster.decided(State.OWNER, State.YIELDING)
    at = time.monotonic()
    cluster.decided(State.STANDBY, State.OWNER)
    await until(lambda: cluster.live)
    assert time.monotonic() - at < 0.6
    assert cluster.again == [frozenset({VIP})]


async def test_a_group_that_is_lost_again_waits_for_nothing(desk: Desk, hooks: Hooks) -> None:
    desk.write(Event.BEFORE_ACQUIRE, "#!/bin/sh\nsleep 0.2\n")
    desk.write(Event.RELEASE)
    cluster = Cluster(hooks)
    cluster.decided(State.STANDBY, State.OWNER)
    cluster.decided(State.OWNER, State.YIELDING, reason=Reason.SETTLED)
    assert cluster.live, "whoever asks for it again has his own reason"
    await until(lambda: desk.events() == ["release"])
    assert cluster.again == []


async def test_without_that_hook_nothing_waits(desk: Desk, hooks: Hooks) -> None:
    desk.write(Event.ACQUIRE, "#!/bin/sh\nsleep 0.2\n")
    cluster = Cluster(hooks)
    cluster.decided(State.STANDBY, State.OWNER)
    assert cluster.live


async def test_what_was_adopted_is_there_already(desk: Desk, hooks: Hooks) -> None:
    desk.write(Event.BEFORE_ACQUIRE)
    desk.write(Event.ACQUIRE)
    cluster = Cluster(hooks)
    cluster.decided(State.LISTENING, State.OWNER, reason=Reason.ADOPTED)
    assert cluster.live
    await until(lambda: desk.events() == ["acquire"])


async def test_a_move_within_ownership_calls_nobody(desk: Desk, hooks: Hooks) -> None:
    for event in Event:
        desk.write(event)
    cluster = Cluster(hooks)
    for before, after in (
        (State.OWNER, State.ASKING),
        (State.SUSPENDED, State.OWNER),
        (State.LISTENING, State.STANDBY),
    ):
        cluster.decided(before, after)
    cluster.moves.conflict(cluster.core, VIP, bytes.fromhex("0200000000ff"))
    await until(lambda: desk.events() == ["conflict"])
    assert desk.calls()[0][1]["VYOS_CLUSTER_MAC"] == "02:00:00:00:00:ff"


# -- by a host's systemd


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    if reason := hosts.possible():
        pytest.skip(reason)
    with hosts.host(tmp_path_factory.mktemp("host")) as found:
        yield found


@pytest.fixture
async def by_host(desk: Desk, host: Host) -> AsyncIterator[Hooks]:
    services = HostServices(address=host.address)
    services.connection()
    made = Hooks(desk.directory, services)
    await until(lambda: services.connection()._bus is not None)
    yield made
    await made.close()
    await services.close()


@pytest.mark.netns
async def test_the_host_runs_it(
    desk: Desk, by_host: Hooks, host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "HOOK_S", 0.5)
    desk.write(Event.ACQUIRE)
    desk.write(Event.RELEASE, "#!/bin/sh\nexit 7\n")
    desk.write(Event.CONFLICT, "#!/bin/sh\ntrap '' TERM\nsleep 4712\n")
    await by_host.call(call(ADDRESSES="a b; c"))
    ((argv, environment),) = desk.calls()
    assert argv == ["acquire", "edge", "cluster"]
    assert environment["VYOS_CLUSTER_ADDRESSES"] == "a b; c"
    await by_host.call(call(Event.RELEASE))
    assert "hook release: exit code 7" in caplog.text
    at = time.monotonic()
    await by_host.call(call(Event.CONFLICT))
    assert "killed: it did not end in 0.5 s" in caplog.text
    assert time.monotonic() - at < 8, "half a second, a second for SIGTERM, and a busy machine"
    assert host.ctl("list-units", "--all", "--plain", "--no-legend", "vyos-cluster-hook-*") == "", "nothing is left"


@pytest.mark.netns
async def test_the_first_that_is_run_waits_for_the_connection(desk: Desk, host: Host) -> None:
    """Nobody has asked systemd before: a daemon without host services has no connection until a group moves."""
    desk.write(Event.ACQUIRE)
    services = HostServices(address=host.address)
    made = Hooks(desk.directory, services)
    try:
        await made.call(call())
        assert desk.events() == ["acquire"]
        bus = services.connection()._bus
        assert bus is not None
        bus.disconnect()  # as when dbus is started anew
        await until(lambda: services.connection()._bus is not bus)
        await made.call(call())
        assert desk.events() == ["acquire", "acquire"]
    finally:
        await made.close()
        await services.close()


@pytest.mark.netns
async def test_the_host_takes_every_word_as_it_is(desk: Desk, host: Host) -> None:
    """A ruleset of nftables is one such word."""
    path = desk.write(Event.ACQUIRE)
    services = HostServices(address=host.address)
    services.connection()
    await until(lambda: services.connection()._bus is not None)
    words = ["table netdev x { set a { type ipv4_addr; }; }", "$HOME ${PATH} %n %% \\x41 'a' \"b\"", "", "a\nb"]
    assert await services.run([str(path), *words], {"VYOS_A": "$HOME %n ; 'x' \"y\""}, 5) == ""
    ((argv, environment),) = desk.calls()
    assert argv == words
    assert environment["VYOS_A"] == "$HOME %n ; 'x' \"y\""
    await services.close()


@pytest.mark.netns
async def test_a_host_that_cannot_be_asked(desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk.write(Event.ACQUIRE)
    services = HostServices(address=f"unix:path={tmp_path}/nothing")
    made = Hooks(desk.directory, services)
    await made.call(call())
    assert "systemd cannot be asked" in caplog.text
    await services.close()
