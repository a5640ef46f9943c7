"""Steps of the wall clock, which no decision may depend on.

They set the machine's own clock for some seconds, so they are not in `make test`.
"""

from __future__ import annotations

import signal
import time

import pytest

from edge.lan import Lan
from edge.test_lan import VIP, D, two
from edge.waiting import wait
from ground.clock import stepped

pytestmark = [pytest.mark.e2e_long, pytest.mark.netns]
__all__ = ["two"]
HOUR_S = 3600


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S], ids=["forth", "back"])
def test_a_step_moves_nothing_and_failover_works_in_the_wrong_time(two: Lan, by_s: int) -> None:
    at = time.monotonic()
    states = [router.state() for router in two.routers.values()]
    with stepped(by_s):
        time.sleep(2 * D / 1000)
        assert two.watcher.dark_s(VIP, at) == 0
        assert [router.state() for router in two.routers.values()] == states == ["Owner", "Standby"]
        assert all(router.deviations() == [] for router in two.routers.values())
        killed = time.monotonic()
        two["r1"].end(signal.SIGKILL)
        two.held_by("r2")
        assert two.watcher.most(VIP, at) == 1
        assert time.monotonic() - killed < D / 1000 + 2
        two["r1"].start()
        wait(lambda: two["r1"].state() == "Standby", "r1 to come back")
        back = time.monotonic()
    time.sleep(2 * D / 1000)
    assert two.watcher.dark_s(VIP, back) == 0
    assert two.watcher.holders(VIP) == {"r2"}
    assert all(router.deviations() == [] for router in two.routers.values())
