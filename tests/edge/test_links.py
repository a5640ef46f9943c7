"""Links as they come, go and change, on real interfaces."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator

import pytest

from edge.netns import ip, veth
from edge.waiting import until
from vyos_agent.edge import links
from vyos_agent.edge.kernel import Entry, Kernel, Link, Put
from vyos_agent.edge.links import Links

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("own_netns")]


class Log:
    def __init__(self) -> None:
        self.links: list[tuple[str, Link | None]] = []
        self.removed: list[int | None] = []
        self.added: list[int | None] = []
        self.table = Links(on_link=lambda name, link: self.links.append((name, link)), on_address=self._address)

    def _address(self, index: int | None, port: int, removed: bool) -> None:
        (self.removed if removed else self.added).append(index)


@pytest.fixture
async def log(own_netns: None) -> AsyncIterator[Log]:
    log = Log()
    log.table.start()
    yield log
    await log.table.close()


def ups(log: Log, name: str) -> list[bool | None]:
    return [link.up if link else None for found, link in log.links if found == name]


async def test_carrier(log: Log) -> None:
    await log.table.want({"eth0"})
    assert ups(log, "eth0") == [True]
    ip("link", "set", "peer0", "down")
    await until(lambda: ups(log, "eth0")[-1] is False)
    ip("link", "set", "peer0", "up")
    await until(lambda: ups(log, "eth0")[-1] is True)
    assert ups(log, "eth0") == [True, False, True]


async def test_administratively_down(log: Log) -> None:
    await log.table.want({"eth0"})
    ip("link", "set", "eth0", "down")
    await until(lambda: ups(log, "eth0")[-1] is False)


async def test_an_interface_that_comes_late_goes_and_comes_again(log: Log) -> None:
    await log.table.want({"lan0"})
    assert log.table.get("lan0") is None
    for _ in range(2):
        veth("lan0", "lan1")
        await until(lambda: ups(log, "lan0")[-1] is True)
        ip("link", "del", "lan0")
        await until(lambda: ups(log, "lan0")[-1] is None)


async def test_a_name_that_moves_to_another_interface(log: Log) -> None:
    ip("link", "property", "add", "dev", "eth0", "altname", "uplink")
    await log.table.want({"uplink", "eth0"})
    first = log.table.get("uplink")
    assert first is not None
    assert first == log.table.get("eth0")
    ip("link", "property", "del", "dev", "eth0", "altname", "uplink")
    ip("link", "property", "add", "dev", "peer0", "altname", "uplink")
    await until(lambda: (link := log.table.get("uplink")) is not None and link.name == "peer0")


async def test_a_new_hardware_address_is_noticed(log: Log) -> None:
    await log.table.want({"eth0"})
    ip("link", "set", "eth0", "address", "02:00:00:00:00:77")
    await until(lambda: (link := log.table.get("eth0")) is not None and link.mac[-1] == 0x77)


async def test_addresses_that_come_and_go_are_hinted(log: Log) -> None:
    await log.table.want({"eth0"})
    link = log.table.get("eth0")
    assert link is not None
    for address in ("10.0.0.1/32", "fd00::1/128"):
        ip("addr", "add", address, "dev", "eth0")
        await until(lambda: link.index in log.added)
        assert log.removed == []
        ip("addr", "del", address, "dev", "eth0")
        await until(lambda: link.index in log.removed)
        log.removed.clear()
        log.added.clear()


async def test_a_storm_of_other_links_costs_no_event(log: Log) -> None:
    await log.table.want({"eth0"})
    for i in range(20):
        veth(f"pod{i}", f"pod{i}p")
    ip("link", "set", "peer0", "down")
    await until(lambda: ups(log, "eth0")[-1] is False)
    assert {name for name, _ in log.links} == {"eth0"}


async def test_nobody_wants_it_any_more(log: Log) -> None:
    await log.table.want({"eth0"})
    await log.table.want(set())
    assert log.table.get("eth0") is None


async def test_subnets_are_those_of_the_nodes_own(log: Log) -> None:
    ip("addr", "add", "10.0.0.1/24", "dev", "eth0")
    ip("addr", "add", "10.0.0.2/32", "dev", "eth0")
    ip("addr", "add", "10.1.0.1/16", "dev", "peer0")
    kernel = Kernel()
    kernel.put([Put(Entry(socket.if_nametoindex("eth0"), "10.2.0.1", 24), 60, new=True)])
    kernel.close()
    found = {
        (s.interface, s.entry.address, s.entry.prefix) for s in await log.table.subnets() if s.entry.ip.version == 4
    }
    assert found == {("lo", "127.0.0.1", 8), ("eth0", "10.0.0.1", 24), ("peer0", "10.1.0.1", 16)}


class Broken:
    """A netlink socket that fails with an error of its own, once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.calls = 0

    def recv(self, size: int) -> bytes:
        self.calls += 1
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


async def test_a_socket_that_fails_is_opened_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "RETRY_S", 0.05)
    await log.table.want({"eth0"})
    assert log.table._sock is not None
    broken = Broken(log.table._sock)
    log.table._sock = broken  # type: ignore[assignment]
    ip("addr", "add", "192.0.2.9/24", "dev", "eth0")
    await until(lambda: None in log.removed)
    assert broken.calls == 1, "it is not asked in each turn of the loop"
    log.added.clear()
    ip("addr", "add", "192.0.2.10/24", "dev", "eth0")
    await until(lambda: log.added)
