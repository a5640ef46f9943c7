"""The exact fence on a real kernel: what an expired owner's kernel does not answer any more, and when."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from edge import netns, values
from edge.netns import ip
from edge.waiting import until
from vyos_agent.core.model import Config, Vip
from vyos_agent.edge import fence as module
from vyos_agent.edge.fence import Fence, life_ms
from vyos_agent.edge.hooks import Direct
from vyos_agent.edge.kernel import Kernel, Link

pytestmark = [
    pytest.mark.netns,
    pytest.mark.usefixtures("own_netns"),
    pytest.mark.skipif(not os.path.exists(module.NFT), reason="there is no nft"),
]
VIP, VIP6 = Vip("192.0.2.99", 24, "eth0"), Vip("2001:db8::99", 64, "eth0")
K, D = 100, 300
LIFE_MS = 200


LONG_MS = 1300
"""A dead interval for tests of what goes on: their renewals may be late on a busy machine."""


def core(*vips: Vip, dead_ms: int = D) -> Config:
    built = values.item("r1", keepalive_ms=K, dead_ms=dead_ms).core
    return dataclasses.replace(built, groups=(dataclasses.replace(built.groups[0], vips=vips or (VIP, VIP6)),))


@pytest.fixture
def far(own_netns: None) -> Iterator[str]:
    """A neighbour; this side holds the addresses, as an owner's kernel does."""
    with netns.neighbour(("192.0.2.2", "2001:db8::2"), ("192.0.2.1", "2001:db8::1")) as name:
        for vip in (VIP, VIP6):
            ip("addr", "add", f"{vip.address}/{vip.prefix}", "dev", "eth0", *(["nodad"] if vip is VIP6 else []))
        yield name


class Desk:
    def __init__(self, far: str) -> None:
        self.far = far
        self.changes = 0
        kernel = Kernel()
        self.link: Link | None = kernel.link("eth0")
        kernel.close()
        self.fence = Fence("uid-1", "edge", Direct(), self.look, self._changed)

    def look(self, name: str) -> Link | None:
        return self.link if name == "eth0" else None

    def _changed(self) -> None:
        self.changes += 1

    async def up(self, *vips: Vip, dead_ms: int = D) -> None:
        self.fence.configure(core(*vips, dead_ms=dead_ms), wanted=True)
        await until(lambda: self.fence._task is None)
        assert self.fence.problem == ""

    async def answers(self, address: str, *, forget: bool = False) -> bool:
        """Whether it answers the neighbour; `forget`: asked for its hardware address first."""
        return await asyncio.to_thread(self._answers, address, forget)

    def _answers(self, address: str, forget: bool) -> bool:
        if forget:
            ip("neigh", "flush", "all", netns=self.far)
        command = ["ip", "netns", "exec", self.far, "ping", "-c1", "-W0.05", "-n", address]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    async def while_renewed(self, work: Callable[[], object]) -> object:
        done = asyncio.create_task(asyncio.to_thread(work))
        while not done.done():
            self.fence.renew([VIP, VIP6])
            await asyncio.sleep(K / 1000)
        return await done


@pytest.fixture
async def desk(far: str) -> AsyncIterator[Desk]:
    desk = Desk(far)
    yield desk
    await desk.fence.close()
    assert "vyos-cluster" not in netns.run(module.NFT, "list", "tables"), "nothing is left"


async def test_a_lease_that_runs_out_silences_the_kernel(desk: Desk) -> None:
    assert await desk.answers(VIP.address)
    assert await desk.answers(VIP6.address)
    await desk.up()
    for vip in (VIP, VIP6):
        assert not await desk.answers(vip.address), "nobody has renewed it yet"
        desk.fence.renew([vip])
        assert await desk.answers(vip.address, forget=True)
    await asyncio.sleep(1.2 * LIFE_MS / 1000)
    for address in (VIP.address, VIP6.address):
        assert not await desk.answers(address)
        assert not await desk.answers(address, forget=True)
        neighbour = ip("neigh", "show", address, netns=desk.far)
        assert "lladdr" not in neighbour, "it says nothing of where it is either"
    assert await desk.answers("192.0.2.2"), "the node's own are none of its business"


async def test_renewed_it_answers_all_the_time(desk: Desk) -> None:
    await desk.up(dead_ms=LONG_MS)
    command = ["ip", "netns", "exec", desk.far, "ping", "-q", "-n", "-i0.01", "-c100", "-W0.05"]
    for address in (VIP.address, VIP6.address):
        done = await desk.while_renewed(
            lambda a=address: subprocess.run([*command, a], capture_output=True, text=True, check=False).stdout  # type: ignore[misc]
        )
        assert ", 0% packet loss" in str(done), done


async def test_to_the_millisecond(desk: Desk) -> None:
    """The neighbour's pings every 2 ms from a renewal on: the last that is answered."""
    await desk.up()
    late: list[float] = []
    command = ["ip", "netns", "exec", desk.far, "ping", "-n", "-i0.002", "-c180", "-W0.01", VIP.address]
    for _ in range(6):
        desk.fence.renew([VIP])
        await desk.answers(VIP.address)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.readline()
        await process.stdout.readline()
        desk.fence.renew([VIP])
        at = last = time.monotonic()
        while line := await process.stdout.readline():
            if b"bytes from" in line:
                last = time.monotonic()
        await process.wait()
        late.append((last - at) * 1000 - LIFE_MS)
    assert statistics.median(abs(x) for x in late) < 15, late


async def test_another_configuration_lets_what_lives_live(desk: Desk) -> None:
    await desk.up(VIP, dead_ms=LONG_MS)
    command = ["ip", "netns", "exec", desk.far, "ping", "-q", "-n", "-i0.01", "-c80", "-W0.05", VIP.address]

    async def edit() -> None:
        for vips in ((VIP, VIP6), (VIP,)):
            await asyncio.sleep(0.2)
            await desk.up(*vips, dead_ms=LONG_MS)

    editing = asyncio.create_task(edit())
    done = await desk.while_renewed(lambda: subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    await editing
    assert ", 0% packet loss" in str(done), done


async def test_switched_off_it_is_gone(desk: Desk) -> None:
    await desk.up()
    desk.fence.configure(core(), wanted=False)
    await until(lambda: desk.fence._task is None)
    assert await desk.answers(VIP.address)
    assert "vyos-cluster" not in netns.run(module.NFT, "list", "tables")


async def test_a_renewal_never_leaves_the_node(desk: Desk) -> None:
    before = received(desk.far)
    desk.fence.configure(core(), wanted=True)
    for _ in range(50):
        desk.fence.renew([VIP, VIP6])
    await until(lambda: desk.fence._task is None)
    assert await desk.answers(VIP.address), "it was renewed before the table was there"
    for _ in range(50):
        desk.fence.renew([VIP, VIP6])
    await asyncio.sleep(0.05)
    assert received(desk.far) - before < 10


def received(far: str) -> int:
    return int(netns.run("ip", "netns", "exec", far, "cat", "/sys/class/net/eth0/statistics/rx_packets"))


async def test_the_ruleset_keeps_its_generation(desk: Desk) -> None:
    """Whoever lists rules starts over when it changes."""
    await desk.up()
    desk.fence.renew([VIP, VIP6])
    command = (module.NFT, "monitor", "ruleset")
    monitor = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    await asyncio.sleep(0.2)
    for _ in range(20):
        desk.fence.renew([VIP, VIP6])
        await asyncio.sleep(0.01)
    monitor.terminate()
    out, _ = await monitor.communicate()
    assert not re.findall(b"new generation", out)


async def test_without_nft_it_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "NFT", "/nowhere/nft")
    monkeypatch.setattr(module, "AGAIN_S", 0.1)
    desk.fence.configure(core(), wanted=True)
    await until(lambda: desk.fence.problem)
    assert desk.fence.problem == "nft: cannot be run: No such file or directory"
    assert desk.changes == 1
    assert await desk.answers(VIP.address), "no fence is no reason to be silent"
    monkeypatch.setattr(module, "NFT", shutil.which("nft") or "/usr/sbin/nft")
    await until(lambda: desk.fence.problem == "")
    assert caplog.text.count("no fence") == 1


@pytest.mark.parametrize("name", ['a"b', "et*", "a\\b"])
async def test_a_name_that_nft_cannot_quote_is_told(desk: Desk, name: str) -> None:
    """A configuration can name such an interface by another of its names (altname): the kernel's is in the ruleset."""
    assert desk.link is not None
    desk.link = dataclasses.replace(desk.link, name=name)
    desk.fence.configure(core(), wanted=True)
    await until(lambda: desk.fence.problem)
    assert desk.fence.problem == f"nft: it cannot take the interface name {name!r}: rename the interface"


@pytest.mark.parametrize(
    ("keepalive_ms", "dead_ms", "life"), [(100, 300, 200), (10, 30, 20), (1000, 3000, 1100), (5000, 20_000, 10_000)]
)
def test_how_long(keepalive_ms: int, dead_ms: int, life: int) -> None:
    assert life_ms(dead_ms=dead_ms, keepalive_ms=keepalive_ms) == life


async def test_what_it_costs(desk: Desk) -> None:
    await desk.up()
    before = time.process_time()
    for _ in range(500):
        desk.fence.renew([VIP, VIP6])
    each_us = (time.process_time() - before) * 1e6 / 1000
    print(f"a renewal costs {each_us:.1f} us")
    assert each_us < 60
