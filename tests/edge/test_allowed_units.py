"""Host units that are not allowed, with a real systemd: nothing of ours starts or stops them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge import hosts
from edge.hosts import Host
from edge.servicedesk import TIMES, Desk, config
from edge.waiting import until
from vyos_agent.core.events import Served
from vyos_agent.core.model import Serving
from vyos_agent.edge import deadman, systemd, units
from vyos_agent.edge.services import HostServices
from vyos_api.host_units import HostUnits

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(hosts.possible()), reason=hosts.possible())]

FOREVER = "ExecStart=/bin/sleep 1000"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosts.host(tmp_path_factory.mktemp("host")) as found:
        for name in ("a", "sleeper", "kubelet"):
            found.service(name, FOREVER)
        yield found


@pytest.fixture
def kubelet(host: Host) -> Iterator[None]:
    """A unit that a node needs, running, with an alias that does not look like it."""
    (host.directory / "systemd/user/front.service").symlink_to("kubelet.service")
    host.ctl("daemon-reload")
    host.ctl("start", "kubelet")
    pid = host.ctl("show", "-P", "MainPID", "kubelet")
    yield
    assert host.ctl("show", "-P", "MainPID", "kubelet") == pid, "it was neither stopped nor restarted"
    host.ctl("stop", "kubelet")
    (host.directory / "systemd/user/front.service").unlink()


@pytest.fixture
async def all_three(host: Host, kubelet: None) -> AsyncIterator[Desk]:
    desk = Desk(host, "a.service", "kubelet.service", "front.service")
    yield desk
    await desk.close()


async def test_what_a_node_needs_is_left_as_it_is(all_three: Desk, host: Host) -> None:
    desk = all_three
    desk.serve()
    await desk.until(Serving.STOPPED)
    assert desk.slot.refused == {
        "cluster": {
            "kubelet.service": "kubelet.service (front.service): a node needs kubelet.service",
            "front.service": "front.service (kubelet.service): a node needs kubelet.service",
        }
    }
    await desk.run("a.service", "kubelet.service", "front.service")
    assert host.active("a") == "active", "the rest of the group is served"
    desk.alive = False
    await until(lambda: host.active("a") == "inactive")  # by the lease: it does not name kubelet
    assert host.active("kubelet") == "active"


@pytest.mark.usefixtures("kubelet")
async def test_a_group_of_refused_units_alone_is_served(host: Host) -> None:
    desk = Desk(host, "kubelet.service")
    try:
        await desk.run("kubelet.service")
        assert host.leases() == []
        desk.serve()
        await desk.until(Serving.STOPPED)
    finally:
        await desk.close()


async def test_a_lease_of_an_earlier_life_stops_no_unit_that_is_refused_now(host: Host) -> None:
    """An earlier life may have been allowed more."""
    host.ctl("start", "sleeper")
    first = Desk(host, "sleeper.service")
    second = Desk(host, "sleeper.service", allow=["ssh"])
    try:
        await first.run("sleeper.service")
        assert len(host.leases()) == 1
        first.alive = False
        second.serve()
        await second.until(Serving.STOPPED)
        text = "sleeper.service: the list of allowed units does not have it"
        assert second.slot.refused == {"cluster": {"sleeper.service": text}}
        assert host.leases() == []
        await asyncio.sleep(deadman.life_ms(dead_ms=3000, keepalive_ms=500) / 1000 + 0.5)
        assert host.active("sleeper") == "active"
    finally:
        await second.close()
        assert host.active("sleeper") == "active"
        await first.close()


async def test_without_any_allowed_unit_no_bus_is_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    services = HostServices(address=f"unix:path={tmp_path}/nothing", times=TIMES, allowed=HostUnits([]))
    said: list[Served] = []
    changes: list[None] = []
    slot = services.open("edge", "uid-1", said.append, lambda error: None, lambda: changes.append(None))
    slot.configure(config("a.service"))
    slot.serve({"cluster": ("a.service",)})
    await until(lambda: bool(said))
    assert [(s.state, s.message) for s in said] == [(Serving.RUNNING, "")]
    assert slot.refused == {"cluster": {"a.service": "a.service: no unit is allowed"}}
    assert len(changes) == 1
    assert "no connection" not in caplog.text
    assert "left as it is: a.service: no unit is allowed: remove it from the group, or allow it" in caplog.text
    await slot.close()
    await services.close()


async def test_an_alias_that_comes_later_is_noticed(host: Host) -> None:
    desk = Desk(host, "sleeper.service")
    await desk.run("sleeper.service")
    alias = host.directory / "systemd/user/containerd.service"
    alias.symlink_to("sleeper.service")
    try:
        host.ctl("daemon-reload")
        host.ctl("start", "containerd.service")
        desk.slot.hint()
        await until(lambda: bool(desk.slot.refused), 15)
        desk.serve()
        await desk.until(Serving.STOPPED)
        assert host.active("sleeper") == "active"
    finally:
        await desk.close()
        alias.unlink()
        host.ctl("daemon-reload")


@pytest.mark.parametrize("why", ["Requires", "BindsTo", "PartOf"])
async def test_a_unit_with_which_systemd_stops_a_needed_one_is_left_as_it_is(host: Host, why: str) -> None:
    """By a chain: kubelet needs the middle one, which needs the unit that the group names."""
    host.service("storage", FOREVER)
    host.unit("middle.service", f"[Unit]\n{why}=storage.service\n[Service]\n{FOREVER}\n")
    host.unit("kubelet.service", f"[Unit]\nRequires=middle.service\n[Service]\n{FOREVER}\n")
    host.ctl("start", "storage", "middle", "kubelet")
    desk = Desk(host, "storage.service")
    try:
        desk.serve()
        await desk.until(Serving.STOPPED)
        (text,) = desk.slot.refused["cluster"].values()
        assert text == "storage.service: systemd stops kubelet.service with it, which a node needs"
        assert [host.active(name) for name in ("storage", "middle", "kubelet")] == ["active"] * 3
    finally:
        await desk.close()
        host.ctl("stop", "storage", "middle", "kubelet")


async def test_a_unit_with_too_many_others_is_left_as_it_is(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "KIN_MAX", 2)
    monkeypatch.setattr(systemd, "KIN_MAX", 2)
    host.service("storage", FOREVER)
    for name in ("x", "y", "z"):
        host.unit(f"{name}.service", f"[Unit]\nRequires=storage.service\n[Service]\n{FOREVER}\n")
        host.ctl("start", name)
    desk = Desk(host, "storage.service")
    try:
        desk.serve()
        await desk.until(Serving.STOPPED)
        (text,) = desk.slot.refused["cluster"].values()
        assert text == "storage.service: systemd stops more than 2 units with it"
        assert host.active("storage") == "active"
    finally:
        await desk.close()
        host.ctl("stop", "storage", "x", "y", "z")


async def test_a_unit_that_conflicts_with_a_needed_one_is_not_started(host: Host) -> None:
    host.service("kubelet", FOREVER)
    host.unit("rival.service", f"[Unit]\nConflicts=kubelet.service\n[Service]\n{FOREVER}\n")
    host.ctl("start", "kubelet")
    desk = Desk(host, "rival.service")
    try:
        await desk.run("rival.service")
        assert [host.active(name) for name in ("rival", "kubelet")] == ["inactive", "active"]
    finally:
        await desk.close()
        host.ctl("stop", "kubelet")
