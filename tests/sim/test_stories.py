"""The ordinary stories of a cluster, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from sim.build import VIP, config, group
from sim.world import World
from vyos_agent.core.events import LinkChanged, Stopping
from vyos_agent.core.model import Reason, State, Vip

D, K = 3000, 500
OVERLAP_MS = 20 + 2 * 2 + 3
"""In a handover: the 20 ms of the rule, a frame each way, and the netlink worker."""


def cluster(members: str = "ab", *, auto_failback: bool = False, seed: int = 1, **settings: Any) -> World:
    groups = [group(members=members, auto_failback=auto_failback)]
    world = World([config(m, groups, **settings) for m in members], seed=seed)
    world.start()
    return world


def test_the_primary_claims_as_soon_as_all_are_heard() -> None:
    world = cluster("abc")
    world.run(3 * K)
    assert world.owners() == world.holders() == {"a"}


def test_a_member_that_is_alone_waits_for_the_initial_dead_interval() -> None:
    world = World([config(m, [group()]) for m in "ab"])
    world.hosts["b"].start()
    world.run(5900)
    assert world.holders() == set()
    world.run(400)
    assert world.holders() == {"b"}


@pytest.mark.parametrize("seed", range(8))
def test_power_off_moves_the_group_after_the_dead_interval(seed: int) -> None:
    world = cluster("ab", seed=seed)
    world.run(5000 + seed * 37)
    at = world.now
    world.hosts["a"].power_off()
    world.run(D + 20)
    assert world.holders() == {"b"}
    assert D - K - 10 <= world.dark_ms(at) <= D + 10
    assert world.hosts["b"].decisions[-1][1].reason is Reason.PEER_DEAD


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_owner_loses_its_address_before_the_standby_takes_over(seed: int) -> None:
    world = cluster("ab", seed=seed)
    world.run(5000 + seed * 41)
    at = world.now
    world.hosts["a"].kill()
    world.run(2 * D)
    assert world.holders() == {"b"}
    assert world.overlap_ms(at) == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_frozen_owner_finds_itself_deposed_and_adds_nothing(seed: int) -> None:
    world = cluster("ab", seed=seed)
    world.run(5000 + seed * 41)
    at = world.now
    world.hosts["a"].freeze()
    world.run(2 * D)
    assert world.holders() == {"b"}
    world.hosts["a"].thaw()
    world.run(2 * D)
    assert world.owners() == world.holders() == {"b"}
    assert world.overlap_ms(at) == 0


def test_an_owner_that_slept_briefly_goes_on_when_it_is_acknowledged() -> None:
    world = cluster("ab")
    world.run(5000)
    world.hosts["a"].freeze()
    world.run(1800)
    world.hosts["a"].thaw()
    world.run(K)
    assert world.owners() == world.holders() == {"a"}
    assert [d.reason for _, d in world.hosts["a"].decisions[-2:]] == [Reason.SLEPT, Reason.RESUMED]
    assert not any(d.after is State.OWNER for _, d in world.hosts["b"].decisions)


def test_leaving_moves_the_group_at_once() -> None:
    world = cluster("ab")
    world.run(5000)
    at = world.now
    world.hosts["a"].feed(Stopping())
    world.run(200)
    assert world.holders() == {"b"}
    assert world.hosts["a"].node is None
    assert world.dark_ms(at) == 0
    assert world.overlap_ms(at) <= OVERLAP_MS
    assert world.hosts["b"].decisions[-1][1].reason is Reason.PEER_LEFT


def test_without_auto_failback_the_primary_comes_back_as_standby() -> None:
    world = cluster("ab")
    world.run(5000)
    world.hosts["a"].power_off()
    world.run(2 * D)
    world.hosts["a"].start()
    world.run(10 * D)
    assert world.owners() == world.holders() == {"b"}


def test_with_auto_failback_the_primary_takes_its_group_back() -> None:
    world = cluster("ab", auto_failback=True)
    world.run(5000)
    world.hosts["a"].power_off()
    world.run(2 * D)
    at = world.now
    world.hosts["a"].start()
    world.run(4 * K)
    assert world.owners() == world.holders() == {"a"}
    assert world.dark_ms(at) == 0
    assert world.overlap_ms(at) <= OVERLAP_MS
    assert world.hosts["a"].decisions[-1][1].reason is Reason.FAILBACK


def test_owner_and_first_secondary_are_lost() -> None:
    world = cluster("abc")
    world.run(5000)
    world.hosts["a"].power_off()
    world.hosts["b"].power_off()
    world.run(D + 2 * (K + 50) + 20)
    assert world.holders() == {"c"}


def test_the_first_secondary_comes_before_the_second() -> None:
    world = cluster("abc")
    world.run(5000)
    at = world.now
    world.hosts["a"].power_off()
    world.run(2 * D)
    assert world.holders() == {"b"}
    assert world.overlap_ms(at) == 0


def test_two_groups_have_their_own_primaries() -> None:
    other = Vip("192.168.0.124", 24, "eth0")
    groups = [group("g", "ab"), group("h", "ba", vip=other)]
    world = World([config(m, groups) for m in "ab"])
    world.start()
    world.run(4 * K)
    assert (world.owners("g"), world.owners("h")) == ({"a"}, {"b"})
    world.hosts["a"].power_off()
    world.run(2 * D)
    assert world.holders(VIP) == world.holders(other) == {"b"}


@pytest.mark.parametrize("auto_failback", [False, True])
def test_a_partition_gives_each_side_an_owner_and_heals_to_the_higher_epoch(auto_failback: bool) -> None:
    world = cluster("abc", auto_failback=auto_failback)
    world.run(5000)
    world.partition("a", "bc")
    world.run(2 * D)
    assert world.holders() == {"a", "b"}
    world.heal()
    world.run(2 * K)
    assert len(world.owners()) == 1
    assert len(world.holders()) == 1
    assert world.arp[VIP] in world.holders()
    world.run(4 * D)
    assert world.holders() == ({"a"} if auto_failback else {"b"})


def test_one_cut_pair_moves_nothing_when_a_third_hears_both() -> None:
    world = cluster("abc")
    world.run(5000)
    world.cut = {("a", "c"), ("c", "a")}
    world.run(20 * D)
    assert world.owners() == {"a"}


def test_a_lost_link_moves_the_group_at_once_when_a_candidate_is_heard() -> None:
    groups = [group()]
    world = World([config(m, groups, interfaces=("eth0", "eth1")) for m in "ab"])
    world.start()
    world.run(5000)
    at = world.now
    world.deaf_links.add(("a", "eth0"))
    world.hosts["a"].feed(LinkChanged("eth0", False))
    world.run(100)
    assert world.holders() == {"b"}
    assert world.dark_ms(at) <= 20


def test_a_lost_link_moves_nothing_when_nobody_is_heard() -> None:
    world = cluster("ab")
    world.run(5000)
    for name in "ab":
        world.deaf_links.add((name, "eth0"))
        world.hosts[name].feed(LinkChanged("eth0", False))
    world.run(20)
    assert "a" in world.owners()


def test_an_address_that_the_kernel_refuses_goes_to_the_other_member() -> None:
    world = cluster("ab")
    world.hosts["a"].kernel.refuses.add(VIP)
    world.run(10_000)
    assert world.holders() == world.owners() == {"b"}
    assert any(d.reason is Reason.ADD_FAILED for _, d in world.hosts["a"].decisions)


def test_a_wrong_secret_is_ignored_and_counted() -> None:
    groups = [group()]
    # Without a common key each is alone, and that is no fault that the invariants know.
    world = World([config("a", groups), config("b", groups, key=bytes(32))], check=False)
    world.start()
    world.run(10_000)
    for host in world.hosts.values():
        assert host.node is not None
        assert host.node.report().drops["BadTag"] > 10
        assert host.node.report().peers[0].state == "Unheard"


def test_a_recording_of_the_dead_owner_revives_nobody() -> None:
    world = cluster("ab")
    world.tape = []
    world.run(8000)
    tape, world.tape = world.tape, None
    world.hosts["a"].power_off()
    at = world.now
    for i, (source, interface, data) in enumerate(tape * 3):
        if source == "a":
            world.at(world.now + i * 7, lambda d=data, i=interface: world.deliver("b", i, d))  # type: ignore[misc]
    world.run(2 * D)
    assert world.holders() == {"b"}
    assert D - K - 10 <= world.dark_ms(at) <= D + 10
    assert world.hosts["b"].decisions[-1][1].reason is Reason.PEER_DEAD


def test_a_restarted_owner_is_believed_by_proof_and_epochs_go_on() -> None:
    world = cluster("ab")
    world.run(5000)
    epoch = world.hosts["a"].disk["g"]
    world.hosts["a"].kill()
    world.run(1000)
    world.hosts["a"].start()
    world.run(4 * D)
    assert len(world.owners()) == len(world.holders()) == 1
    assert max(h.disk["g"] for h in world.hosts.values()) > epoch


def test_an_address_added_live_leaves_the_others_alone() -> None:
    world = cluster("ab")
    world.run(5000)
    at = world.now
    other = Vip("192.168.0.124", 24, "eth0")
    from dataclasses import replace

    from vyos_agent.core.events import Configured

    for name in "ab":
        host = world.hosts[name]
        new = replace(host.config, generation=2, groups=(replace(host.config.groups[0], vips=(VIP, other)),))
        host.feed(Configured(new))
        world.run(70)
    world.run(2 * K)
    assert world.holders(other) == {"a"}
    assert world.dark_ms(at) == 0


def test_thirty_two_groups_and_eight_members_fit_one_frame_and_more_are_split() -> None:
    names = [f"m{i}" for i in range(8)]
    groups = [group(f"g{i}", names, vip=Vip(f"10.0.0.{i}", 24, "eth0")) for i in range(32)]
    world = World([config(m, groups) for m in names])
    world.tape = []
    world.start()
    world.run(4 * K)
    assert all(world.owners(g.name) == {"m0"} for g in groups)
    assert max(len(d) for _, _, d in world.tape) <= 1452
    assert {d[9] for _, _, d in world.tape} == {1}


def test_what_does_not_fit_one_frame_goes_in_parts() -> None:
    """And nobody takes an owner's silence in one part for its word that it owns nothing."""
    names = [f"m{i:02}" for i in range(15)]
    groups = [
        group(f"g{i}", [names[(i + j) % 15] for j in range(3)], vip=Vip(f"10.0.0.{i}", 24, "eth0")) for i in range(32)
    ]
    world = World([config(m, groups) for m in names])
    world.tape = []
    world.start()
    world.run(2 * K)
    assert all(world.owners(g.name) == {g.members[0]} for g in groups)
    assert {d[9] for _, _, d in world.tape} >= {2}
    assert max(len(d) for _, _, d in world.tape) <= 1452


def test_services_start_when_the_addresses_are_here() -> None:
    """ "On acquiring, addresses first, then services in the order written; on release, the reverse." """
    groups = [group(units=("named.service", "ssh.service"))]
    world = World([config(m, groups) for m in "ab"])
    world.netlink_ms = (300, 300)
    world.hosts["a"].systemd.job_ms = (50, 50)
    world.start()
    while not world.owners():
        world.run(1)
    claimed = world.now
    while not world.serving():
        world.run(1)
        assert world.now < claimed + 2000
    assert world.holders() == {"a"}
    assert world.hosts["a"].systemd.running["g"] == ["named.service"]


def test_nobody_claims_while_the_owner_lets_go() -> None:
    """The kernel of the owner takes its time to remove: whoever takes over waits for it."""
    groups = [group()]
    world = World([config(m, groups, interfaces=("eth0", "eth1")) for m in "ab"])
    world.start()
    world.run(5000)
    at = world.now
    world.hosts["a"].netlink_ms = (250, 250)
    world.deaf_links.add(("a", "eth0"))
    world.hosts["a"].feed(LinkChanged("eth0", False))
    world.run(1000)
    assert world.holders() == {"b"}
    assert world.overlap_ms(at) == 0
