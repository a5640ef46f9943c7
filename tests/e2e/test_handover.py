"""Planned moves and partitions, seen by a client that probes once a millisecond."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import pytest

from e2e.watch import Holders
from ground.probe import Probe
from product import AGENTS_NAMESPACE, Product, group, manifest

pytestmark = pytest.mark.e2e

VIP = "192.168.0.123"
DEAD_MS = 3000
PROBE_MS = 1
NOTICEABLE_MS = 500
"""A move is planned so that a client notices nothing; a machine that is busy may be late by some."""
RUNS = 20
OTHER = {"node1": "node2", "node2": "node1"}
Move = Callable[[Product, str], None]


def cluster(product: Product, name: str, *, auto_failback: bool = False) -> dict[str, object]:
    members = ("node1", "node2")
    return manifest(name, group("g", members, f"{VIP}/24/eth0", auto_failback=auto_failback))


def terminate(product: Product, owner: str) -> None:
    """Stop the owner's agent as an upgrade does it: SIGTERM to its processes. Another pod follows, as a standby."""
    product.ground.kubectl("delete", "pod", f"-n{AGENTS_NAMESPACE}", product.agent(owner), "--wait=false")


def force_standby(product: Product, owner: str) -> None:
    product.ask(owner, {"op": "force", "to": "Standby"})


def force_active(product: Product, owner: str) -> None:
    product.ask(OTHER[owner], {"op": "force", "to": "Active", "group": "g"})


def moved(product: Product, move: Move) -> Probe:
    """Make one move from whoever holds the address, wait until it has come to rest, and return what a client saw."""
    ground = product.ground
    owner = ground.wait_holder(VIP)
    with ground.probe(VIP, interval_ms=PROBE_MS) as probe:
        time.sleep(0.3)
        move(product, owner)
        ground.wait_holder(VIP, 10, other_than=owner)
        ground.wait(functools.partial(let_go, product, owner), 5, f"{owner} to let go")
        time.sleep(0.5)
    return probe


def failed_back(product: Product) -> Probe:
    """Wait until node1, which may return now, has the address again; what a client saw."""
    ground = product.ground
    with ground.probe(VIP, interval_ms=PROBE_MS) as probe:
        ground.wait_holder(VIP, 60, other_than="node2")
        ground.wait(lambda: ground.holders(VIP) == {"node1"}, 5, "node2 to let go")
        time.sleep(0.5)
    return probe


def split_and_healed(product: Product, owner: str) -> tuple[Probe, int]:
    """Cut the owner off until both sides own the group, and heal: what a client of the other side saw, and how long two
    held the address after it, in milliseconds.
    """
    ground, other = product.ground, OTHER[owner]
    ground.fault.partition(owner, f"{other},client,ctl")
    ground.wait(lambda: ground.holders(VIP) == {owner, other}, 10, "each side to own the group")
    time.sleep(1)
    with ground.probe(VIP, interval_ms=PROBE_MS) as probe:
        time.sleep(0.3)
        ground.fault.heal()
        healed_s = time.monotonic()
        ground.wait(lambda: ground.holders(VIP) == {other}, 10, "one owner")
        took_ms = round((time.monotonic() - healed_s) * 1000)
        time.sleep(1)
    return probe, took_ms


def let_go(product: Product, node: str) -> bool:
    return node not in product.ground.holders(VIP)


MOVES = [terminate, force_standby, force_active]


@pytest.mark.parametrize("move", MOVES)
def test_a_planned_move_is_not_noticed(product: Product, holders: Holders, move: Move) -> None:
    with product.cluster(cluster(product, "planned")) as name:
        holders.watch(VIP)
        probe = moved(product, move)
        assert probe.longest_gap_ms < NOTICEABLE_MS, probe
        assert holders.dark_ms(VIP) < NOTICEABLE_MS, holders.history(VIP)
        product.wait_owner(name, "g", "node2")
        product.wait_rollout()


def test_a_failback_is_not_noticed(product: Product, holders: Holders) -> None:
    ground = product.ground
    with product.cluster(cluster(product, "failback", auto_failback=True)):
        ground.fault.power_off("node1")
        ground.wait_holder(VIP, 10, other_than="node1")
        ground.fault.power_on("node1")
        holders.watch(VIP)
        probe = failed_back(product)
        assert probe.longest_gap_ms < NOTICEABLE_MS, probe
        assert holders.dark_ms(VIP) < NOTICEABLE_MS, holders.history(VIP)


def test_a_partition_has_two_owners_and_heals_to_one(product: Product, holders: Holders) -> None:
    """The client is on the side of node2, which wins: it claimed later. It loses nothing when the sides meet again."""
    with product.cluster(cluster(product, "split")) as name:
        holders.watch(VIP)
        probe, took_ms = split_and_healed(product, "node1")
        assert took_ms < DEAD_MS, took_ms
        assert probe.longest_gap_ms < NOTICEABLE_MS, probe
        product.wait_owner(name, "g", "node2")


@pytest.mark.e2e_long
@pytest.mark.parametrize("move", [*MOVES, "failback", "partition"])
def test_figures(product: Product, move: Move | str, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty runs each, for the record: what is asserted is only that each came to its end."""
    lost: list[int] = []
    gaps: list[int] = []
    healings: list[int] = []
    ground = product.ground
    with product.cluster(cluster(product, "figures", auto_failback=move == "failback")) as name:
        for _ in range(RUNS):
            if callable(move):
                probe = moved(product, move)
            elif move == "failback":
                force_standby(product, "node1")
                ground.wait_holder(VIP, 10, other_than="node1")
                probe = failed_back(product)
            else:
                probe, took_ms = split_and_healed(product, ground.wait_holder(VIP))
                healings.append(took_ms)
            lost.append(probe.lost)
            gaps.append(probe.longest_gap_ms)
            ground.wait(lambda: product.status(name)["members"] == "2/2", 90, "both members")
    what = move if isinstance(move, str) else move.__name__
    with capsys.disabled():
        print(
            f"\n{what}: {RUNS} runs, probes lost: {sorted(lost)}, longest gap in ms:"
            f" median {statistics.median(gaps)}, most {max(gaps)}"
            + (f"; one holder after {statistics.median(healings)}, most {max(healings)}" if healings else "")
        )
