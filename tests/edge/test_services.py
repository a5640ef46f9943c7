"""Host services with a real systemd: what starts, what stops, what is noticed, and what happens when we are gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge import hosts
from edge.hosts import Host
from edge.servicedesk import TIMES, Desk, config
from edge.waiting import until
from vyos_agent.core.model import Serving
from vyos_agent.edge import deadman
from vyos_agent.edge import units as module

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(hosts.possible()), reason=hosts.possible())]

FOREVER = "ExecStart=/bin/sleep 1000"
LOOKS_S = 1.0
"""Long enough for a hint of systemd's, and for some looks without one."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosts.host(tmp_path_factory.mktemp("host")) as found:
        yield found


@pytest.fixture
async def desk(host: Host, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    made: list[str] = getattr(request, "param", ["a.service"])
    desk = Desk(host, *made)
    yield desk
    await desk.close()
    for unit in made:
        host.ctl("stop", unit)


@pytest.fixture(autouse=True)
def units(host: Host) -> None:
    """What the tests ask for, written once."""
    if (host.directory / "systemd/user/a.service").exists():
        return
    log = host.directory / "log"
    for name in "abc":
        host.service(
            name,
            "Type=oneshot",
            "RemainAfterExit=yes",
            f"ExecStart=/bin/sh -c 'echo start {name} >> {log}'",
            f"ExecStop=/bin/sh -c 'echo stop {name} >> {log}'",
        )
    host.service("sleeper", FOREVER)
    host.service("once", "Type=oneshot", f"ExecStart=/bin/sh -c 'echo once >> {log}'")
    host.service("bad", "Type=oneshot", "ExecStart=/bin/sh -c 'exit 7'")
    host.service("slow", "Type=oneshot", "RemainAfterExit=yes", "ExecStart=/bin/sleep 30")
    # One process: of a unit's last child, a user's systemd on cgroup v1 is told nothing, and it waits for that child
    host.service("stubborn", "ExecStart=/bin/sh -c 'trap \"\" TERM; exec sleep 3600'", "TimeoutStopSec=60")
    host.service("brief", "ExecStart=/bin/sleep 0.3")
    host.ctl("mask", "--runtime", "masked.service")


def log(host: Host) -> list[str]:
    path = host.directory / "log"
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def fresh_log(host: Host) -> Path:
    (host.directory / "log").write_text("")
    return host.directory / "log"


@pytest.mark.parametrize("desk", [["a.service", "b.service", "c.service"]], indirect=True)
async def test_started_in_order_and_stopped_in_reverse(desk: Desk, host: Host, fresh_log: Path) -> None:
    """[SERVICE-2] Host services must be started after the group's addresses are held, in the order written, and be
    stopped where the group is not owned, in the reverse order.
    """
    await desk.run("a.service", "b.service", "c.service")
    assert log(host) == ["start a", "start b", "start c"]
    assert [s.state for s in desk.said] == [Serving.STARTING, Serving.RUNNING]
    desk.serve()
    await desk.until(Serving.STOPPED)
    assert log(host)[3:] == ["stop c", "stop b", "stop a"]
    assert [s.state for s in desk.said][2:] == [Serving.STOPPING, Serving.STOPPED]


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_stopped_at_start_where_the_group_is_not_owned(desk: Desk, host: Host) -> None:
    """[SERVICE-2] Host services must be started after the group's addresses are held, in the order written, and be
    stopped where the group is not owned, in the reverse order.
    """
    host.ctl("start", "sleeper")
    desk.serve()
    await desk.until(Serving.STOPPED)
    assert host.active("sleeper") == "inactive"
    host.ctl("start", "sleeper")
    await until(lambda: len(desk.said) >= 4 and desk.state is Serving.STOPPED)
    assert host.active("sleeper") == "inactive", "and again, when somebody starts it"


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_level_that_is_repeated_does_nothing(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    pid = host.ctl("show", "-P", "MainPID", "sleeper")
    for _ in range(5):
        desk.serve("sleeper.service")
        await asyncio.sleep(0.02)
    assert len(desk.said) == 2
    assert host.ctl("show", "-P", "MainPID", "sleeper") == pid


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_what_runs_already_is_taken_as_it_is(desk: Desk, host: Host) -> None:
    host.ctl("start", "sleeper")
    pid = host.ctl("show", "-P", "MainPID", "sleeper")
    await desk.run("sleeper.service")
    assert [s.state for s in desk.said] == [Serving.RUNNING], "an agent that was restarted starts nothing anew"
    assert host.ctl("show", "-P", "MainPID", "sleeper") == pid


@pytest.mark.parametrize("desk", [["a.service", "nosuch.service"]], indirect=True)
async def test_a_unit_that_does_not_exist(desk: Desk, host: Host, fresh_log: Path) -> None:
    desk.serve()
    assert await desk.until(Serving.ABSENT) == "nosuch.service does not exist on this node"
    desk.serve("a.service", "nosuch.service")
    await asyncio.sleep(0)
    await desk.until(Serving.ABSENT)
    assert log(host) == [], "nothing of the group is started"


@pytest.mark.parametrize("desk", [["masked.service"]], indirect=True)
async def test_a_unit_that_is_masked(desk: Desk) -> None:
    desk.serve("masked.service")
    assert await desk.until(Serving.ABSENT) == "masked.service is masked on this node"


@pytest.mark.parametrize("desk", [["a.service", "bad.service"]], indirect=True)
async def test_a_unit_that_does_not_start(desk: Desk, host: Host) -> None:
    desk.serve("a.service", "bad.service")
    assert await desk.until(Serving.FAILED) == "bad.service did not start: exit-code, status 7"
    assert host.active("a") == "active", "stopping the others is the core's to ask"
    desk.serve()
    await desk.until(Serving.STOPPED)
    assert host.active("a") == "inactive"


@pytest.mark.parametrize("desk", [["slow.service"]], indirect=True)
async def test_a_unit_that_takes_too_long_to_start(desk: Desk, host: Host) -> None:
    at = time.monotonic()
    desk.serve("slow.service")
    assert await desk.until(Serving.FAILED) == "slow.service did not start in 3 s"
    assert time.monotonic() - at < 4.5
    desk.serve()
    await desk.until(Serving.STOPPED)
    assert host.active("slow") in ("inactive", "failed")


@pytest.mark.parametrize("desk", [["slow.service"]], indirect=True)
async def test_a_start_is_given_up_when_the_group_is_lost(desk: Desk, host: Host) -> None:
    desk.serve("slow.service")
    await desk.until(Serving.STARTING)
    at = time.monotonic()
    desk.serve()
    await desk.until(Serving.STOPPED)
    assert time.monotonic() - at < 1.5


@pytest.mark.parametrize("desk", [["stubborn.service"]], indirect=True)
async def test_a_unit_that_does_not_stop_is_killed(desk: Desk, host: Host) -> None:
    await desk.run("stubborn.service")
    await asyncio.sleep(0.3)
    at = time.monotonic()
    desk.serve()
    await desk.until(Serving.STOPPED)
    assert TIMES.stop_s <= time.monotonic() - at < TIMES.stop_s + 2
    assert host.active("stubborn") in ("failed", "inactive")


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_unit_that_fails_in_use_is_noticed(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    at = time.monotonic()
    host.ctl("kill", "-s", "SEGV", "sleeper")
    text = await desk.until(Serving.FAILED)
    assert text.startswith("sleeper.service has failed: core-dump") or "signal" in text
    assert time.monotonic() - at < TIMES.ended_s + 1
    desk.serve()
    await desk.until(Serving.STOPPED)
    await desk.run("sleeper.service")


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_unit_that_somebody_stops_has_failed_us(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    host.ctl("stop", "sleeper")
    assert await desk.until(Serving.FAILED) == "sleeper.service has ended, or was stopped by somebody"


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_unit_that_somebody_restarts_has_not(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    for _ in range(3):
        host.ctl("restart", "sleeper")
        await asyncio.sleep(0.1)
    await asyncio.sleep(TIMES.ended_s + 0.3)
    assert desk.state is Serving.RUNNING
    assert Serving.FAILED not in [s.state for s in desk.said]


@pytest.mark.parametrize("desk", [["once.service"]], indirect=True)
async def test_a_unit_whose_work_is_to_run_once(desk: Desk, host: Host, fresh_log: Path) -> None:
    await desk.run("once.service")
    await asyncio.sleep(TIMES.ended_s + 0.3)
    assert desk.state is Serving.RUNNING
    assert log(host) == ["once"]
    desk.serve()
    await desk.until(Serving.STOPPED)
    await desk.run("once.service")
    assert log(host) == ["once"] * 2


@pytest.mark.parametrize("desk", [["brief.service"]], indirect=True)
async def test_a_unit_that_ends_by_itself(desk: Desk) -> None:
    desk.serve("brief.service")
    assert await desk.until(Serving.FAILED) == "brief.service has ended, or was stopped by somebody"
    count = len(desk.said)
    await asyncio.sleep(1)
    assert len(desk.said) == count, "it is left alone until the next try"


@pytest.mark.parametrize("desk", [["a.service", "b.service"]], indirect=True)
async def test_a_unit_that_left_the_configuration_is_stopped(desk: Desk, host: Host) -> None:
    await desk.run("a.service", "b.service")
    desk.slot.configure(config("b.service"))
    desk.serve("b.service")
    await until(lambda: host.active("a") == "inactive")
    await desk.until(Serving.RUNNING)
    assert host.active("b") == "active"
    assert len(host.leases()) == 1, "the old lease would have stopped b"


@pytest.mark.parametrize("left", [(), ("a.service",)])
@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_unit_that_left_the_configuration_of_a_standby_is_its_administrators(
    desk: Desk, host: Host, left: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.2)
    desk.serve()
    await desk.until(Serving.STOPPED)
    desk.slot.configure(config(*left))
    host.ctl("start", "sleeper")
    await asyncio.sleep(LOOKS_S)
    assert host.active("sleeper") == "active"


@pytest.mark.parametrize("desk", [["a.service", "b.service"]], indirect=True)
async def test_a_unit_that_left_the_configuration_is_stopped_once(
    desk: Desk, host: Host, fresh_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.2)
    await desk.run("a.service", "b.service")
    desk.slot.configure(config("b.service"))
    desk.serve("b.service")
    await until(lambda: host.active("a") == "inactive")
    await desk.until(Serving.RUNNING)
    host.ctl("start", "a")
    await asyncio.sleep(LOOKS_S)
    desk.serve()
    await desk.until(Serving.STOPPED)
    await asyncio.sleep(LOOKS_S)
    assert host.active("a") == "active", "neither while the group is owned nor when it is lost"
    assert log(host) == ["start a", "start b", "stop a", "start a", "stop b"]


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_group_that_left_the_configuration_is_forgotten(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    desk.slot.configure(config())
    desk.serve()
    await desk.until(Serving.STOPPED)
    assert host.active("sleeper") == "inactive"
    assert desk.slot._keepers == {}


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_bus_that_restarts_is_no_failure(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    host.ctl("restart", "dbus.service")
    await asyncio.sleep(0.5)
    host.ctl("kill", "-s", "KILL", "sleeper")
    await desk.until(Serving.FAILED)
    assert "sleeper.service has failed" in desk.said[-1].message, "noticed over the new connection"


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_bus_that_stays_away_is_one(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    host.ctl("stop", "dbus.socket", "dbus.service")
    try:
        assert "cannot speak with systemd" in await desk.until(Serving.FAILED)
        host.ctl("start", "dbus.service")
        await desk.until(Serving.RUNNING, 10)
    finally:
        host.ctl("start", "dbus.service")
    assert [s.state for s in desk.said] == [Serving.STARTING, Serving.RUNNING, Serving.FAILED, Serving.RUNNING]


# -- when we are gone


@pytest.mark.parametrize("desk", [["sleeper.service", "a.service"]], indirect=True)
async def test_nobody_renews_and_systemd_stops_them(desk: Desk, host: Host) -> None:
    life_s = deadman.life_ms(dead_ms=3000, keepalive_ms=500) / 1000
    await desk.run("sleeper.service", "a.service")
    assert len(host.leases()) == 1
    await asyncio.sleep(2 * life_s)
    assert desk.state is Serving.RUNNING
    desk.alive = False
    at = time.monotonic()
    await until(lambda: host.active("sleeper") != "active", 5)
    taken = time.monotonic() - at
    assert life_s - 0.6 < taken < life_s + 0.3, "and before a peer's dead interval is over"
    await until(lambda: host.active("a") == "inactive")
    await desk.until(Serving.FAILED)
    assert host.leases() == []
    desk.alive = True
    await asyncio.sleep(0.5)
    assert host.leases() == [], "who wakes too late renews nothing"


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_a_new_life_takes_the_lease_over(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    (lease,) = host.leases()
    desk.alive = False
    second = Desk(host, "sleeper.service")
    try:
        await second.run("sleeper.service")
        assert host.leases() == [lease]
        await asyncio.sleep(2)
        assert host.active("sleeper") == "active"
    finally:
        await second.close()
    assert host.active("sleeper") == "inactive", "closing stops what runs"
    assert host.leases() == []


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_renewals_are_no_more_than_needed(desk: Desk, host: Host) -> None:
    desk.slot.configure(config("sleeper.service", keepalive_ms=1000, dead_ms=20_000))
    await desk.run("sleeper.service")
    started = host.ctl("show", "-P", "ActiveEnterTimestampMonotonic", *host.leases())
    await asyncio.sleep(1.5)
    assert host.ctl("show", "-P", "ActiveEnterTimestampMonotonic", *host.leases()) == started


@pytest.mark.parametrize("desk", [["sleeper.service"]], indirect=True)
async def test_longer_intervals_need_a_longer_lease_at_once(desk: Desk, host: Host) -> None:
    await desk.run("sleeper.service")
    before = host.leases()
    desk.alive = False
    desk.slot.renew()
    desk.slot.configure(config("sleeper.service", keepalive_ms=5000, dead_ms=20_000))
    await asyncio.sleep(deadman.life_ms(dead_ms=3000, keepalive_ms=500) / 1000 + 0.5)
    assert host.active("sleeper") == "active", "the next frame is 5 s away"
    assert len(host.leases()) == 1
    assert host.leases() != before
    assert desk.state is Serving.RUNNING


@pytest.mark.parametrize(
    ("keepalive_ms", "dead_ms"), [(5000, 20_000), (500, 3000), (1000, 3000), (5000, 10_001), (100, 300), (10, 30)]
)
def test_a_lease_outlives_the_time_between_two_renewals(keepalive_ms: int, dead_ms: int) -> None:
    life = deadman.life_ms(dead_ms=dead_ms, keepalive_ms=keepalive_ms)
    after_ms = min(life // 4, life - keepalive_ms - deadman.STALL_MS)
    assert after_ms + keepalive_ms + deadman.STALL_MS <= life
    if dead_ms >= 3 * keepalive_ms + deadman.MARGIN_MS + deadman.STALL_MS:
        assert life + 2 * keepalive_ms < dead_ms
