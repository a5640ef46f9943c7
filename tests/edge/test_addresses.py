"""The address worker: the gate, late calls, newest wins, repairs; first in memory, then on a real kernel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from edge.fakes import Clock, FakeKernel
from edge.netns import ip, run, veth
from edge.waiting import until
from vyos_agent.core.events import Held
from vyos_agent.core.model import Vip
from vyos_agent.edge.addresses import AddressKeeper, Slot
from vyos_agent.edge.clock import now
from vyos_agent.edge.grants import Grant
from vyos_agent.edge.kernel import Entry, Kernel
from vyos_agent.edge.links import Links

VIP = Vip("192.168.0.123", 24, "eth0")
OTHER = Vip("192.168.0.124", 24, "eth0")
V6 = Vip("fd00::123", 64, "eth0")
ENTRY = Entry(2, "192.168.0.123", 24, broadcast="192.168.0.255")


class Desk:
    """A keeper at work, and what it answered."""

    def __init__(self, make: Callable[[], object], clock: Callable[[], int] | None = None) -> None:
        self.open_gate = True
        self.asked: list[int] = []
        self.answers: list[Held] = []
        self.crashes: list[Exception] = []
        self.clock = clock or Clock()
        self.keeper = AddressKeeper(
            asyncio.get_running_loop(),
            on_crash=self.crashes.append,
            make=make,  # type: ignore[arg-type]
            clock=self.clock,
        )
        self.slot = self.open("edge", VIP, OTHER, V6)
        self.keeper.start()

    def open(self, name: str, *scope: Vip) -> Slot:
        return self.keeper.open(name, frozenset(scope), self.gate, self.answers.append)

    def gate(self, at_ms: int) -> bool:
        self.asked.append(at_ms)
        return self.open_gate

    def hold(self, lifetimes: Mapping[Vip, int], slot: Slot | None = None) -> None:
        self.keeper.hold(slot or self.slot, lifetimes, self.clock())

    async def idle(self) -> Held | None:
        """When nothing is left to do; the newest answer."""
        done = asyncio.Event()
        probe = self.keeper.open("probe", frozenset(), lambda _: True, lambda _: done.set())
        self.keeper.hold(probe, {}, 0)
        await asyncio.wait_for(done.wait(), 5)
        self.keeper._slots.remove(probe)
        return self.answers[-1] if self.answers else None

    async def held(self, lifetimes: Mapping[Vip, int]) -> Held | None:
        self.hold(lifetimes)
        return await self.idle()


@contextlib.asynccontextmanager
async def at_work(make: Callable[[], object], clock: Callable[[], int] | None = None) -> AsyncIterator[Desk]:
    desk = Desk(make, clock)
    try:
        yield desk
    finally:
        await asyncio.to_thread(desk.keeper.stop)
        assert not desk.keeper.is_alive()
        assert desk.crashes == []


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel()


@pytest.fixture
async def desk(kernel: FakeKernel) -> AsyncIterator[Desk]:
    async with at_work(lambda: kernel) as desk:
        yield desk


def test_seconds_of_a_lifetime() -> None:
    due = Grant(8000, 1000, due=True)
    assert [due.seconds(1000 + late) for late in (0, 100, 101, 1001, 6999, 7999, 8000)] == [8, 8, 7, 6, 1, 1, 0]
    assert [Grant(1000, 0, due=True).seconds(late) for late in (100, 999, 1000)] == [1, 1, 0]
    written = Grant(8000, 1000, due=False)
    assert [written.seconds(1000 + late) for late in (0, 1, 7000, 7001)] == [8, 7, 1, 0], "a repair adds no life"


async def test_the_first_hold_sweeps_and_answers(desk: Desk, kernel: FakeKernel) -> None:
    stranger = Entry(2, "192.168.0.9", 32)
    kernel.held = {ENTRY: 5, stranger: 5}
    assert await desk.held({}) == Held(frozenset(), {})
    assert kernel.held == {stranger: 5}


async def test_what_an_earlier_life_left_can_be_kept(desk: Desk, kernel: FakeKernel) -> None:
    kernel.held = {ENTRY: 5}
    assert await desk.held({VIP: 0}) == Held(frozenset({VIP}), {})
    assert kernel.puts == [], "0 leaves it as it is"


async def test_add_renew_and_remove(desk: Desk, kernel: FakeKernel) -> None:
    assert await desk.held({VIP: 8000, OTHER: 8000}) == Held(frozenset({VIP, OTHER}), {})
    assert await desk.held({VIP: 8000, OTHER: 8000}) is desk.answers[0], "a renewal has nothing new to tell"
    assert [[p.new for p in batch] for batch in kernel.puts] == [[True, True], [False, False]]
    assert await desk.held({OTHER: 0}) == Held(frozenset({OTHER}), {})
    assert [e.address for e in kernel.held] == [OTHER.address]
    assert len(kernel.puts) == 2


async def test_the_gate_stands_before_every_add_and_renewal(desk: Desk, kernel: FakeKernel) -> None:
    """[LEASE-5] One gate, may_hold(now), must stand before every add, renewal and announcement, repairs after netlink
    events included.
    """
    desk.open_gate = False
    assert await desk.held({VIP: 8000}) == Held(frozenset(), {})
    assert kernel.puts == []
    desk.open_gate = True
    assert await desk.held({VIP: 8000}) == Held(frozenset({VIP}), {})
    desk.open_gate = False
    await desk.held({VIP: 8000})
    assert len(kernel.puts) == 1
    assert ENTRY in kernel.held, "not renewed, but not removed either: that is the core's decision"
    assert await desk.held({}) == Held(frozenset(), {}), "removal needs no authority"


async def test_a_slow_call_is_asked_about_again(desk: Desk, kernel: FakeKernel) -> None:
    """[LEASE-6] The clock must be read before and after the call; where it slipped by more than 100 ms the gate must be
    asked again, and the address must be removed if it is not held any more.
    """
    assert isinstance(desk.clock, Clock)

    def stall() -> None:
        desk.clock.ms += 150  # type: ignore[attr-defined]
        desk.open_gate = False

    await desk.held({OTHER: 8000})
    kernel.before_put = stall
    assert await desk.held({VIP: 8000, OTHER: 8000}) == Held(frozenset(), {})
    assert kernel.held == {}, "authority ended during the call: what it wrote is deleted"
    kernel.before_put = lambda: None
    desk.open_gate = True
    assert await desk.held({VIP: 8000, OTHER: 8000}) == Held(frozenset({VIP, OTHER}), {})


async def test_a_slow_call_under_authority_stays(desk: Desk, kernel: FakeKernel) -> None:
    kernel.before_put = lambda: setattr(desk.clock, "ms", desk.clock() + 150)
    assert await desk.held({VIP: 8000}) == Held(frozenset({VIP}), {})
    assert len(desk.asked) == 2


async def test_a_late_call_gets_what_is_left(desk: Desk, kernel: FakeKernel) -> None:
    desk.keeper.hold(desk.slot, {VIP: 8000, OTHER: 8000}, desk.clock() - 2500)
    await desk.idle()
    assert [p.life_s for p in kernel.puts[0]] == [5, 5]


async def test_the_newest_hold_wins_and_old_renewals_are_carried_over(desk: Desk, kernel: FakeKernel) -> None:
    await desk.held({VIP: 8000, OTHER: 8000})
    with desk.keeper._ready:
        desk.hold({VIP: 8000, OTHER: 8000})
        desk.hold({VIP: 0})
    assert await desk.idle() == Held(frozenset({VIP}), {})
    assert [(p.entry.address, p.new) for p in kernel.puts[1]] == [(VIP.address, False)]
    assert len(kernel.puts) == 2


async def test_an_answer_to_an_older_set_is_not_delivered(desk: Desk, kernel: FakeKernel) -> None:
    kernel.before_put = lambda: desk.hold({})
    await desk.held({VIP: 8000})
    assert await desk.idle() == Held(frozenset(), {}), "asked after the hold that came while the first was served"
    assert desk.answers == [Held(frozenset(), {})]
    assert kernel.held == {}


async def test_a_refusal_is_told_and_the_others_stand(
    desk: Desk, kernel: FakeKernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.refuses = {VIP.address: 13}
    assert await desk.held({VIP: 8000, OTHER: 8000}) == Held(frozenset({OTHER}), {VIP: "refused here"})
    await desk.held({VIP: 8000, OTHER: 8000})
    assert caplog.text.count("cannot hold 192.168.0.123/24/eth0: refused here") == 1
    kernel.refuses = {}
    assert await desk.held({VIP: 8000, OTHER: 8000}) == Held(frozenset({VIP, OTHER}), {})


async def test_the_nodes_own_address_on_another_interface(desk: Desk, kernel: FakeKernel) -> None:
    kernel.held = {Entry(1, VIP.address, 32, marked=False): 0}
    held = await desk.held({VIP: 8000})
    assert held is not None
    assert "on another interface" in held.failed[VIP]
    assert kernel.puts == []


async def test_a_removal_by_a_stranger_is_repaired_with_what_is_left(desk: Desk, kernel: FakeKernel) -> None:
    assert isinstance(desk.clock, Clock)
    await desk.held({VIP: 8000})
    del kernel.held[ENTRY]
    desk.clock.ms += 2500
    desk.keeper.check(2)
    await desk.idle()
    assert kernel.held == {ENTRY: 5}
    assert len(desk.answers) == 1


async def test_an_expired_address_does_not_come_back(desk: Desk, kernel: FakeKernel) -> None:
    """[LEASE-5] One gate, may_hold(now), must stand before every add, renewal and announcement, repairs after netlink
    events included.
    """
    assert isinstance(desk.clock, Clock)
    await desk.held({VIP: 8000})
    del kernel.held[ENTRY]
    desk.clock.ms += 8000
    desk.keeper.check(None)
    assert await desk.idle() == Held(frozenset(), {})
    assert kernel.held == {}


async def test_events_on_other_interfaces_cost_nothing(desk: Desk, kernel: FakeKernel) -> None:
    await desk.held({VIP: 8000})
    del kernel.held[ENTRY]
    desk.keeper.check(9)
    await desk.idle()
    assert kernel.held == {}, "nobody looked"


async def test_a_kernel_that_does_not_tell(desk: Desk, kernel: FakeKernel) -> None:
    kernel.broken = True
    assert await desk.held({VIP: 8000}) == Held(frozenset(), {VIP: "no room"})
    kernel.broken = False
    assert await desk.held({VIP: 8000}) == Held(frozenset({VIP}), {})


async def test_two_clusters_keep_apart(desk: Desk, kernel: FakeKernel) -> None:
    second = desk.open("second", OTHER)
    await desk.held({VIP: 8000})
    desk.hold({OTHER: 8000}, second)
    await desk.idle()
    desk.keeper.rescope(desk.slot, frozenset({VIP}))
    await desk.held({})
    assert [e.address for e in kernel.held] == [OTHER.address]
    desk.keeper.close(second)
    await desk.idle()
    assert kernel.held == {}


async def test_a_fault_of_ours_is_not_survived_in_silence(kernel: FakeKernel) -> None:
    desk = Desk(lambda: kernel)
    kernel.before_put = lambda: 1 / 0  # type: ignore[assignment, return-value]
    desk.hold({VIP: 8000})
    await until(lambda: desk.crashes)
    assert isinstance(desk.crashes[0], ZeroDivisionError)
    desk.keeper.join()


# -- on a real kernel


def addresses() -> str:
    return ip("-o", "addr", "show", "dev", "eth0")


@pytest.mark.netns
@pytest.mark.usefixtures("own_netns")
class TestRealKernel:
    @pytest.fixture
    async def desk(self, own_netns: None) -> AsyncIterator[Desk]:
        async with at_work(Kernel, now) as desk:
            yield desk

    async def test_beside_the_nodes_own_subnet(self, desk: Desk) -> None:
        ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
        ip("addr", "add", "fd00::11/64", "dev", "eth0", "nodad")
        ip("route", "add", "default", "via", "192.168.0.1")
        assert await desk.held({VIP: 60_000, V6: 60_000}) == Held(frozenset({VIP, V6}), {})
        assert "192.168.0.123/32" in addresses()
        assert "fd00::123/128" in addresses()
        for target in ("192.168.0.5", "10.9.9.9"):
            assert "src 192.168.0.11 " in ip("route", "get", target), (
                "the router's own connections keep its own address"
            )
        assert "src fd00::11 " in ip("route", "get", "fd00::5")
        assert await desk.held({}) == Held(frozenset(), {})
        assert "123" not in addresses()

    async def test_nobody_elses_address_goes_with_ours(self, desk: Desk) -> None:
        """Both ways in which the kernel removes a primary address: by request, and at the end of its life."""
        run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=0", "net.ipv4.conf.eth0.promote_secondaries=0")
        for end in ("removed", "expired"):
            assert await desk.held({VIP: 1000}) == Held(frozenset({VIP}), {})
            assert "192.168.0.123/24 brd 192.168.0.255" in addresses()
            ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
            assert "192.168.0.11/24 scope global secondary" in addresses()
            if end == "removed":
                await desk.held({})
            else:
                await until(lambda: "192.168.0.123" not in addresses())
            assert "192.168.0.11/24" in addresses(), end
            ip("addr", "flush", "dev", "eth0")

    async def test_an_address_of_the_nodes_own_is_refused(self, desk: Desk) -> None:
        ip("addr", "add", "192.168.0.123/24", "dev", "eth0")
        ip("addr", "add", "192.168.0.124/32", "dev", "lo")
        held = await desk.held({VIP: 60_000, OTHER: 60_000})
        assert held is not None
        assert held.vips == frozenset()
        assert "set by somebody else" in held.failed[VIP]
        assert "on another interface" in held.failed[OTHER]
        await desk.held({})
        assert "192.168.0.123/24" in addresses()
        assert "forever" in ip("addr", "show", "dev", "eth0")

    async def test_a_second_life_sweeps_the_first(self, desk: Desk) -> None:
        ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
        await desk.held({VIP: 60_000, V6: 60_000})
        async with at_work(Kernel, now) as second:
            assert await second.held({}) == Held(frozenset(), {})
        assert "123" not in addresses()
        assert "192.168.0.11/24" in addresses()

    @pytest.mark.parametrize("vip", [VIP, V6])
    async def test_repair_after_a_stranger(self, desk: Desk, vip: Vip) -> None:
        def moved(index: int | None, port: int, removed: bool) -> None:
            if removed and (not port or port != desk.keeper.port):
                desk.keeper.check(index)

        links = Links(on_link=lambda name, link: None, on_address=moved)
        links.start()
        await desk.held({vip: 60_000})
        ip("addr", "del", f"{vip.address}/{vip.prefix}", "dev", "eth0")
        assert vip.address not in addresses()
        await until(lambda: vip.address in addresses())
        await links.close()

    async def test_an_interface_that_goes_and_comes(self, desk: Desk) -> None:
        await desk.held({VIP: 60_000})
        ip("link", "del", "eth0")
        desk.keeper.check(None)
        assert await desk.idle() == Held(frozenset(), {VIP: "there is no interface eth0"})
        veth()
        assert await desk.held({VIP: 60_000}) == Held(frozenset({VIP}), {})

    async def test_by_an_alternative_name(self, desk: Desk) -> None:
        ip("link", "property", "add", "dev", "eth0", "altname", "the-lan-of-this-router")
        vip = Vip("192.168.0.125", 24, "the-lan-of-this-router")
        assert await desk.held({vip: 60_000}) == Held(frozenset({vip}), {})
        assert "192.168.0.125/24" in addresses()
