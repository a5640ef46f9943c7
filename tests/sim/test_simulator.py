"""The simulator itself: its clocks, queues and networks do what they say, and what is broken does not go unseen."""

from __future__ import annotations

import random

import pytest

from sim import bounds, episode, shrink
from sim.build import VIP, config, group
from sim.clock import Clock
from sim.cluster import D, cluster
from sim.faults import BYGONE_MS, KINDS, Fault, draw
from sim.kernel import LATE_MS, Kernel
from sim.long import Total
from sim.rows import ROWS
from sim.scenario import Burst, Scenario
from sim.sockets import QUEUE_MAX, Sockets
from sim.tables import sizes
from sim.words import Broken
from sim.world import World
from vyos_agent.core import rules


@pytest.mark.parametrize("ppm", [-500, 0, 137, 500])
def test_a_clock_reaches_an_instant_when_it_says_so(ppm: int) -> None:
    clock = Clock(1_000, local_ms=77_777, ppm=ppm)
    for local_ms in (77_777, 77_778, 90_000, 7_000_001):
        world_ms = clock.world(local_ms)
        assert clock.local(world_ms) >= local_ms
        assert world_ms == 1_000 or clock.local(world_ms - 1) < local_ms


def test_a_paused_clock_stands_and_goes_on_from_there() -> None:
    clock = Clock(0, local_ms=500)
    clock.pause(100)
    assert clock.local(9_000) == 600
    clock.resume(9_000)
    assert clock.local(9_001) == 601


def test_a_full_queue_loses_the_newest() -> None:
    sockets, clock = Sockets(), Clock(0, local_ms=1)
    taken = [sockets.receive(bytes([i % 256]), "eth0", clock.wall_offset_ms + i) for i in range(QUEUE_MAX + 10)]
    assert taken == [True] * QUEUE_MAX + [False] * 10
    assert [f.at_ms for f in sockets.drain(5_000, clock)] == [5_000] * QUEUE_MAX, "never before the drain before"


def test_a_kernel_removes_late_and_never_early() -> None:
    for seed in range(50):
        kernel = Kernel(random.Random(seed))
        kernel.apply({VIP: 2_000}, 0)
        assert kernel.holds(1_999) == {VIP}
        assert kernel.holds(2_000 + LATE_MS) == frozenset()
        assert kernel.left_ms(1_500) == {VIP: 500}


def test_hosts_with_a_common_neighbour_are_joined() -> None:
    world = cluster("abc", settle=False)
    world.cut = {("a", "c"), ("c", "a")}
    assert world.network.joined("abc")
    world.cut = {("a", "c"), ("a", "b")}
    assert not world.network.joined("abc")


def test_every_kind_can_be_drawn_and_written_down() -> None:
    for seed in range(5):
        shape = Scenario.drawn(f"kinds/{seed}").shape
        rng = random.Random(seed)
        for name, kind in KINDS.items():
            fault = Fault(rng.randint(0, 9_999), name, kind.draw(rng, shape))
            assert Fault.parse(fault.text) == fault
    assert {draw(rng, shape, 0).kind for _ in range(5_000)} == set(KINDS)


def test_a_short_run_does_not_pass_for_a_full_one() -> None:
    missing = Total().missing()
    assert len([m for m in missing if m.startswith("fault ")]) == len(KINDS)
    assert len([m for m in missing if m.startswith("transition ")]) == len(ROWS)


def test_what_is_broken_is_seen_and_its_schedule_made_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that never says that its addresses are gone before they are: one of the mutants, by hand."""
    monkeypatch.setattr(rules, "_is_swept", lambda machine, turn, **but: True)
    scenario = Scenario.drawn("check/2/any")
    noise = Burst((Fault(5, "wall-step", ("a", "50")), Fault(5, "hint", ("b", "g0", "3"))), "settled")
    apart = Fault(5, "partition", ("a|b,c,d,e,f,g,h", str(4 * scenario.shape.dead_ms)))
    cut = Burst((apart, Fault(5, "wall-step", ("b", "50"))), "placed")
    outcome = episode.play(scenario, [noise, cut, noise])
    assert isinstance(outcome.broken, Broken)
    short = shrink.shrink(scenario, outcome.bursts)
    assert shrink.cause(short) == outcome.broken.name
    assert sum(len(b.faults) for b in short.bursts) < sum(len(b.faults) for b in outcome.bursts)


def test_all_containers_of_a_node_are_found() -> None:
    world = cluster("ab")
    found = dict(sizes(world.hosts["a"].node))
    assert any("table" in path for path in found)
    assert len(found) > 10


def test_one_seed_gives_one_run() -> None:
    logs = []
    for _ in range(2):
        world = World([config(m, [group(members="abc")]) for m in "abc"], seed=9)
        world.start()
        world.loss = 0.2
        world.run(6 * D)
        logs.append(world.log)
    assert logs[0] == logs[1]


def test_a_slow_kernel_is_judged_by_the_slowest_call_that_may_be_under_way() -> None:
    """Seed 14001/28/fast: a call of 400 ms was judged by the 20 ms of a later, faster spell."""
    driver = Scenario.drawn("1/1/fast").driver()
    driver.inflict(Fault(0, "slow-netlink", ("a", "400", "400")))
    driver.inflict(Fault(500, "slow-netlink", ("a", "20", "300")))
    assert bounds.of(driver.world).netlink_ms == 400
    driver.world.run(BYGONE_MS)
    assert bounds.of(driver.world).netlink_ms == 20
    driver.world.run(400)
    assert bounds.of(driver.world).netlink_ms < 20


def test_a_removed_group_may_move_when_the_last_member_hears_of_its_removal() -> None:
    """Seed 16001/555/any: a member without configurations still owned a group that no newer one has."""
    driver = Scenario.drawn("1/1/fast").driver()
    world = driver.world
    world.start()
    driver.inflict(Fault(20_000, "extra-group", ("30000",)))
    world.run(10_000)
    driver.inflict(Fault(0, "no-config", (next(iter(world.hosts)), "200000")))
    world.run(60_000)
    assert "extra" not in world.groups
    quiet_ms = world.peace.quiet_since("extra")
    driver.heal()
    assert world.peace.quiet_since("extra") > quiet_ms
