"""Schedules of section 5 (handover): every break of the first draft, and every reason for a move."""

from __future__ import annotations

import dataclasses

import pytest

from sim.build import VIP, group
from sim.cluster import D, K, cluster, moves, reasons, reconfigure, transcript
from sim.kernel import LATE_MS
from sim.world import World
from vyos_agent.core.events import Forced, Stopping
from vyos_agent.core.model import Force, Reason, State

UNITS = ("named.service", "ssh.service")
VALIDITY_MS = max(4 * K, 500)


def give(world: World, reason: str) -> None:
    """Have a give the group away, for one of the reasons there are."""
    a = world.hosts["a"]
    match reason:
        case "sigterm":
            a.feed(Stopping())
        case "force standby":
            a.feed(Forced(Force.STANDBY))
        case "force active":
            world.hosts["b"].feed(Forced(Force.ACTIVE, "g"))
        case "maintenance":
            for name in reversed(list(world.hosts)):
                units = world.hosts[name].config.groups[0].units
                reconfigure(
                    world, name, groups=(group(members="abc"[: len(world.hosts)], units=units, maintenance="a"),)
                )
                world.run(K)
        case "cordon":
            for name in reversed(list(world.hosts)):
                reconfigure(world, name, standby=name == "a")
                world.run(K)
        case _:
            raise AssertionError(reason)
    world.peace.harm(None)


REASONS = {
    "sigterm": Reason.LEAVING,
    "force standby": Reason.HANDOVER_REQUESTED,
    "force active": Reason.HANDOVER_REQUESTED,
    "maintenance": Reason.MAINTENANCE,
    "cordon": Reason.CORDONED,
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("seed", range(3))
def test_every_planned_move_takes_the_one_path(reason: str, seed: int) -> None:
    """ "SIGTERM, maintenance, a cordon with onCordon: Standby, force standby, force active, lost monitors and failback
    all take this one path, bounded in time": no moment without a holder, services never twice, one claim."""
    world = cluster("abc", units=UNITS, seed=seed)
    since = world.now
    give(world, reason)
    world.run(3 * K + 400)
    assert world.holders() == world.owners() == world.serving() == {"b"}, transcript(world)
    assert world.dark_ms(since) == 0
    assert world.overlap_ms(since) <= 2 + 5 + 20 + 6 + 5
    assert [who for _, who, _ in moves(world, since)] == ["b"]
    states = [d.after for at, d in world.hosts["a"].decisions if at >= since]
    assert states[:2] == [State.ASKING, State.GIVING], transcript(world)
    assert REASONS[reason] in reasons(world, "a", since)


@pytest.mark.parametrize("netlink_ms", [30, 100, 300])
def test_the_target_claims_when_its_kernel_holds_the_addresses(netlink_ms: int) -> None:
    """Step 3: "adds addresses (1 s lifetimes), says Owner e+1": the old owner removes 20 ms after it hears that, and a
    busy kernel may take longer to add"""
    world = cluster("ab", units=UNITS)
    world.hosts["b"].netlink_ms = (netlink_ms, netlink_ms)
    world.hosts["b"].netlink_bounds_ms.append(netlink_ms)
    since = world.now
    give(world, "force standby")
    world.run(D)
    assert world.holders() == world.owners() == {"b"}, transcript(world)
    assert world.dark_ms(since) == 0, transcript(world)


def test_a_target_whose_kernel_refuses_the_addresses_gives_the_group_back() -> None:
    """No moment without a holder in that either; what was given counts as an epoch."""
    world = cluster("ab", units=UNITS)
    since = world.now
    world.hosts["b"].kernel.refuses.add(VIP)
    give(world, "force standby")
    world.run(3 * K)
    assert world.holders() == world.owners() == world.serving() == {"a"}, transcript(world)
    assert world.dark_ms(since) == 0
    assert reasons(world, "b", since) == [Reason.HANDOVER_REQUESTED, Reason.ADD_FAILED, Reason.ADD_FAILED]
    assert reasons(world, "a", since)[-1] is Reason.TAKEN_BACK


def test_f5a_a_refusal_costs_nothing() -> None:
    """F5a: "services stops before the target is asked: refusal costs an outage." """
    world = cluster("ab", units=UNITS)
    world.hosts["b"].systemd.absent.add(UNITS[0])
    world.hosts["b"].kill()
    world.hosts["b"].start()
    world.run(2 * D)
    since = world.now
    give(world, "force standby")
    world.run(4 * VALIDITY_MS)
    assert world.owners() == world.holders() == world.serving() == {"a"}, transcript(world)
    assert world.dark_ms(since) == 0


@pytest.mark.parametrize("frozen_ms", [VALIDITY_MS - 300, VALIDITY_MS, VALIDITY_MS + 300, D - 200])
def test_f5b_a_late_acceptance_changes_nothing(frozen_ms: int) -> None:
    """F5b: "700 B frozen, 705 A asks, 1 109 A gives up and restarts services at e1, 1 900 B thaws, accepts the old
    request: owner e2, services on both" """
    world = cluster("ab", units=UNITS)
    world.hosts["b"].freeze()
    world.run(5)
    since = world.now
    give(world, "force standby")
    world.run(frozen_ms)
    world.hosts["b"].thaw()
    world.run(2 * D)
    assert len(world.owners()) == 1, transcript(world)
    assert world.owners() == world.holders() == world.serving()
    assert world.dark_ms(since) == 0


def test_f5b_an_old_go_is_none() -> None:
    """ "B acts on GO only if ... A's newest frame says GO and acknowledges a frame that B sent <= V ago" """
    world = cluster("ab", interfaces=("eth0", "eth1"), dead_ms=20_000, delay_ms=(5, 5))
    since = world.now
    give(world, "force standby")
    while world.history.states["g"]["a"] is not State.GIVING:
        world.run(1)
        assert world.now < since + D, transcript(world)
    world.run(22)
    # GO is on its way; it can hold nothing when GO comes, and then nothing more comes.
    world.hosts["b"].set_link("eth0", up=False)
    world.run(4)
    world.cut = {("a", "b"), ("b", "a")}
    world.run(VALIDITY_MS + 200)
    world.hosts["b"].set_link("eth0", up=True)
    world.run(5_000)
    assert "b" not in world.owners(), transcript(world)
    assert world.holders() == {"a"}


@pytest.mark.parametrize("after_ms", [0, 2, 5, 12, 22, 24, 26, 28, 32, 45])
def test_f5c_a_giver_that_is_killed_leaves_its_address_for_2100_ms_at_most(after_ms: int) -> None:
    """F5c: "A killed 1 ms after the request: its address stays 2.8 s (L = 3) under B's"; "The only kill with two
    holders": at most 1 s + E."""
    world = cluster("ab", keepalive_ms=1_000, dead_ms=10_000)
    since = world.now
    give(world, "force standby")
    world.run(after_ms)
    world.hosts["a"].kill()
    world.run(3 * 10_000)
    assert world.holders() == {"b"}, transcript(world)
    assert world.overlap_ms(since) <= 1_000 + LATE_MS + 5


def test_f5d_services_start_after_the_claim_and_no_client_is_lost() -> None:
    """F5d: "services started before the claim: both answer ARP for as long as systemd takes." """
    world = cluster("ab", units=UNITS)
    for host in world.hosts.values():
        host.systemd.job_ms = (800, 800)
    since = world.now
    give(world, "force standby")
    while "b" not in world.owners():
        world.run(1)
        assert world.now < since + D, transcript(world)
    assert world.serving() == set(), "stopped before GO, and started after the claim"
    world.run(5_000)
    assert world.holders() == world.serving() == {"b"}, transcript(world)
    assert world.overlap_ms(since) <= 2 + 5 + 20 + 6 + 5
    assert world.dark_ms(since) == 0


def test_f5e_a_take_back_burns_an_epoch() -> None:
    """F5e: "GO to B lost, next GO to C, same epoch: B and C claim e+1"; "A then goes on with e+2" """
    world = cluster("abc")
    epoch = world.hosts["a"].disk["g"]
    since = world.now
    give(world, "force standby")
    while world.history.states["g"]["a"] is not State.GIVING and world.now < since + D:
        world.run(1)
    assert world.history.states["g"]["a"] is State.GIVING, transcript(world)
    world.hosts["b"].power_off()
    world.run(3 * D)
    assert Reason.TAKEN_BACK in reasons(world, "a", since), transcript(world)
    assert world.hosts["a"].disk["g"] >= epoch + 2
    assert world.dark_ms(since) == 0
    assert len(world.holders()) == 1


def test_f5_a_stop_that_fails_cancels_a_soft_move() -> None:
    """ "if a stop failed, a soft move is cancelled" """
    world = cluster("ab", units=UNITS)
    world.hosts["a"].systemd.stuck.add(UNITS[0])
    since = world.now
    give(world, "force standby")
    world.run(4 * D)
    assert world.owners() == world.holders() == {"a"}, transcript(world)
    assert world.serving() == {"a"}
    assert world.dark_ms(since) == 0


def test_f5_a_stop_that_fails_on_leaving_gives_the_addresses_only() -> None:
    """ "a hard one gives addresses only and B starts the services after A's `stopped` or death" """
    world = cluster("ab", units=UNITS)
    world.hosts["a"].systemd.stuck.add(UNITS[0])
    since = world.now
    give(world, "maintenance")
    world.run(2 * D)
    assert world.holders() == {"b"}, transcript(world)
    assert world.serving() == {"a"}, "they run where they do not stop, and nowhere else"
    world.hosts["a"].systemd.stuck.clear()
    world.run(2 * D)
    assert world.serving() == {"b"}, transcript(world)
    assert world.dark_ms(since) == 0


@pytest.mark.parametrize("reason", ["force standby", "force active", "cordon"])
def test_a_soft_reason_stays_when_nobody_can_take_it(reason: str) -> None:
    """ "soft: stay; hard: next target, else release" """
    world = cluster("ab")
    world.hosts["b"].set_link("eth0", up=False)
    world.run(K + 20)
    since = world.now
    give(world, reason)
    world.run(4 * D)
    assert world.owners() == world.holders() == {"a"}, transcript(world)
    assert world.dark_ms(since) == 0


def test_a_target_that_the_kernel_refuses_takes_the_same_go_once() -> None:
    """ "add or service start failed: release, back off": not again on the frame that still says GO"""
    world = cluster("abc", delay_ms=(2, 3))
    world.hosts["b"].kernel.refuses.add(VIP)
    since = world.now
    give(world, "maintenance")
    world.run(3 * D)
    assert [who for _, who, _ in moves(world, since)].count("b") == 1, transcript(world)
    assert world.holders() == world.owners() == {"c"}, transcript(world)
    assert world.dark_ms(since) == 0, transcript(world)


def test_leaving_asks_the_next_target_when_the_first_does_not_answer() -> None:
    """ "Leaving: next target; at its limit A releases whatever happened." """
    world = cluster("abc", dead_ms=10_000)
    world.hosts["b"].freeze()
    world.run(10)
    since = world.now
    give(world, "sigterm")
    world.run(VALIDITY_MS + 500)
    assert world.holders() == {"c"}, transcript(world)
    assert world.dark_ms(since) == 0
    assert world.hosts["a"].node is None


@pytest.mark.parametrize(("reason", "netlink_ms"), [("sigterm", 200), ("maintenance", 900)])
@pytest.mark.parametrize("after_ms", [40, 60, 120])
def test_who_must_let_go_waits_for_the_one_that_still_lets_go(reason: str, netlink_ms: int, after_ms: int) -> None:
    """ "a voluntary move leaves no moment with no holder", nor when a second one begins before the first is over"""
    world = cluster("ab")
    world.hosts["b"].feed(Forced(Force.ACTIVE, "g"))
    world.run(D)
    assert world.holders() == {"b"}
    world.hosts["b"].netlink_ms = (netlink_ms, netlink_ms)
    world.hosts["b"].netlink_bounds_ms.append(netlink_ms)
    since = world.now
    world.hosts["a"].feed(Forced(Force.ACTIVE, "g"))
    world.run(after_ms)
    give(world, reason)
    world.run(2 * D)
    assert world.holders() == world.owners() == {"b"}, transcript(world)
    assert world.dark_ms(since) == 0, transcript(world)


def test_leaving_with_no_target_releases_at_its_limit() -> None:
    """ "at its limit A releases whatever happened" """
    world = cluster("ab")
    world.hosts["b"].power_off()
    world.run(2 * D)
    give(world, "sigterm")
    world.run(10_000)
    assert world.hosts["a"].node is None
    assert world.holders() == set()


def test_force_active_is_a_request_and_only_the_owner_decides() -> None:
    """ "`want` (force active) from B is a request with its own V; only the owner decides" """
    world = cluster("abc")
    since = world.now
    world.cut = {("c", "a"), ("c", "b")}
    give_c = world.hosts["c"]
    give_c.feed(Forced(Force.ACTIVE, "g"))
    world.run(VALIDITY_MS)
    assert world.owners() == {"a"}
    world.cut = set()
    world.run(D)
    assert moves(world, since) == [], "a request that is older than V is none"
    give_c.feed(Forced(Force.ACTIVE, "g"))
    world.peace.harm(None)
    world.run(2 * K)
    assert world.owners() == world.holders() == {"c"}, transcript(world)


def test_force_active_against_a_failback_is_one_move_after_the_other() -> None:
    """ "One handover per group at a time": the new owner begins no other before the old one has let go"""
    only = dataclasses.replace(group(members="abc", auto_failback=True), failback_delay_ms=0)
    world = cluster("abc", groups=[only])
    since = world.now
    world.hosts["c"].feed(Forced(Force.ACTIVE, "g"))
    world.run(D)
    assert [who for _, who, _ in moves(world, since)] == ["c", "a"], transcript(world)
    assert world.dark_ms(since) == 0
    for _, holders in world.history.spans[VIP]:
        assert len(holders) <= 2
    let_go = next(at for at, d in world.hosts["a"].decisions if d.after is State.STANDBY and at > since)
    asked = next(at for at, d in world.hosts["c"].decisions if d.after is State.ASKING)
    assert asked >= let_go, transcript(world)


def test_the_new_owner_announces_again_when_the_old_one_is_gone() -> None:
    """Step 4: "B hears that: announces the full count again, normal lifetimes." """
    world = cluster("ab", keepalive_ms=1_000, dead_ms=10_000)
    since = world.now
    heard: list[tuple[int, str]] = []
    original = world.clients.announced

    def announced(host: str, vips: object) -> None:
        heard.append((world.now, host))
        original(host, vips)  # type: ignore[arg-type]

    world.clients.announced = announced  # type: ignore[method-assign]
    give(world, "force standby")
    world.run(4_000)
    gone = max(at for at, holders in world.history.spans[VIP] if at >= since and holders == {"b"})
    assert sum(who == "b" and at >= gone for at, who in heard) >= 5, transcript(world)
    assert all(who == "b" for at, who in heard if at > since + 5)
    left_ms = world.hosts["b"].kernel.left_ms(world.hosts["b"].now)[VIP]
    assert left_ms > 2_000, "its lifetimes are normal again"


def test_a_failback_waits_for_its_delay_and_takes_the_one_path() -> None:
    """ "failbackDelay (failback)": a handover, and never a moment without a holder"""
    only = dataclasses.replace(group(auto_failback=True), failback_delay_ms=4_000)
    world = cluster(groups=[only])
    world.hosts["a"].power_off()
    world.run(2 * D)
    world.hosts["a"].start()
    since = world.now
    world.run(3_900)
    assert world.owners() == {"b"}
    world.run(D)
    assert world.owners() == world.holders() == {"a"}, transcript(world)
    assert world.dark_ms(since) == 0
    assert Reason.FAILBACK in reasons(world, "b", since)


@pytest.mark.parametrize("after_ms", range(6, 34, 3))
def test_a_group_is_not_given_to_one_that_a_newer_configuration_has_taken_out(after_ms: int) -> None:
    """Seed 14001/1444/fast: "until GO, an owner must end a move to a member that its own, newer configuration has taken
    out of the group": that one would have to give it back as soon as it reads the same"""
    world = cluster("abc", delay_ms=(5, 5))
    since = world.now
    world.peace.harm(None)
    world.hosts["b"].feed(Forced(Force.ACTIVE, "g"))
    world.run(after_ms)  # a asks after 5 ms, hears READY after 15, and says GO 20 later
    assert world.history.states["g"]["a"] in (State.ASKING, State.GIVING)
    reconfigure(world, "a", groups=(group(members="ac"),))
    world.run(D)
    assert moves(world, since) == [], transcript(world)
    assert world.holders() == world.owners() == {"a"}
    for name in "bc":
        reconfigure(world, name, groups=(group(members="ac"),))
    world.run(3 * D)
    assert moves(world, since) == [], transcript(world)
