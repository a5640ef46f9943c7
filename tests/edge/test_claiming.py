"""What a claim sets off, in a whole daemon on a real kernel: a hook that addresses wait for, questions to the LAN,
and a kernel that is slow to take them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge import netns, values, wire
from edge.daemondesk import Desk, at_work
from edge.netns import ip
from edge.waiting import until
from vyos_agent.core import lease
from vyos_agent.edge import fence, probing
from vyos_agent.edge.clock import now
from vyos_agent.edge.hooks import Event
from vyos_agent.edge.kernel import Kernel, Put

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("own_netns")]

SLOW, OTHER = "192.168.0.123", "192.168.0.124"
K, D = 5000, 20_000
"""A keepalive that mends nothing while a test looks: VyOS's own."""
HOOK_S = 0.7
HOOK = f"#!/bin/sh\n[ $3 != slow ] || sleep {HOOK_S}\n"
STALL_S = 1.0


@pytest.fixture
def far(own_netns: None) -> Iterator[str]:
    """A neighbour on the same wire."""
    with netns.neighbour(("192.168.0.11", "fd00::11"), ("192.168.0.1", "fd00::1")) as name:
        yield name


@pytest.fixture
async def desk(tmp_path: Path, far: str) -> AsyncIterator[Desk]:
    """A daemon whose group `slow` has a hook that takes its time before each claim."""
    hooks = tmp_path / "hooks"
    hooks.mkdir(mode=0o755)
    (hooks / Event.BEFORE_ACQUIRE).write_text(HOOK)
    (hooks / Event.BEFORE_ACQUIRE).chmod(0o755)
    async with at_work(tmp_path / "state", hooks) as desk:
        yield desk


def order(*names: str, **changes: Any) -> dict[str, Any]:
    """Groups by name: `slow`, `other`."""
    addresses = {"slow": SLOW, "other": OTHER}
    groups = [values.group(name, f"{addresses[name]}/24/eth0") for name in names]
    times = {"keepalive_ms": K, "dead_ms": D, "init_dead_ms": 300}
    return values.order(values.config("r1", *groups, **{**times, **changes}))


def shown() -> str:
    return ip("-o", "-4", "addr", "show", "dev", "eth0")


# -- what waits for a hook


@pytest.mark.skipif(not Path(fence.NFT).exists(), reason="there is no nft")
async def test_behind_a_fence_it_answers_as_soon_as_it_is_there(
    desk: Desk, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not when the daemon has heard that it is: here the kernel's answer is late, as it can be."""
    put = Kernel.put

    def slow(kernel: Kernel, puts: Sequence[Put]) -> list[OSError | None]:
        done = put(kernel, puts)
        time.sleep(2 * STALL_S)
        return done

    monkeypatch.setattr(Kernel, "put", slow)
    await desk.configure(order("slow", fence="Nftables"))
    await until(lambda: SLOW in shown())
    assert SLOW in netns.run(fence.NFT, "list", "ruleset"), "the fence is up"
    ping = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", far, "ping", "-q", "-n", "-c3", "-i0.2", "-W0.5", SLOW),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await ping.communicate()
    assert ping.returncode == 0, out.decode()


async def test_all_others_stay_where_they_are(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await desk.configure(order("slow", "other"))
    await until(lambda: OTHER in shown())
    assert SLOW not in shown(), "its hook runs"
    await desk.owns("edge")
    assert SLOW in shown()
    done = [found.split()[1:3] for found in caplog.messages if " added " in found or " removed " in found]
    assert done == [["added", f"{OTHER}/32"], ["added", f"{SLOW}/32"]], "once, and without a moment's absence"


async def test_a_removal_in_between_does_not_take_its_life(desk: Desk) -> None:
    """The core says what goes by a Hold that leaves all others as they are: what waits is not there yet."""
    await desk.configure(order("slow", "other"))
    await until(lambda: OTHER in shown())
    (cluster,) = desk.daemon._clusters.values()
    cluster.hold(dict.fromkeys(cluster._grants, 0), now())
    assert SLOW not in shown(), "its hook runs"
    await until(lambda: SLOW in shown(), HOOK_S + 1)
    assert OTHER in shown()


async def test_a_group_that_goes_in_between_does_not_keep_it_waiting(desk: Desk) -> None:
    await desk.configure(order("slow", "other"))
    await until(lambda: OTHER in shown())
    await desk.configure(order("slow", generation=2))
    await until(lambda: OTHER not in shown())
    assert SLOW not in shown(), "its hook runs"
    await until(lambda: SLOW in shown(), HOOK_S + 1)


async def test_it_is_added_for_what_is_left_of_its_life(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await desk.configure(order("slow"))
    await until(lambda: SLOW in shown())
    (text,) = [found for found in caplog.messages if "added" in found]
    life_s = lease.lifetime_ms(dead_ms=D, keepalive_ms=K) // 1000
    assert 0 < int(text.split()[-2]) < life_s, "its life began with the claim"


# -- who has it already


async def test_of_each_group_it_is_asked_who_has_its_addresses(
    desk: Desk, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "FIRST_MS", 60_000)  # no round is asked, but that of the claim itself
    for address in (SLOW, OTHER):
        ip("addr", "add", f"{address}/24", "dev", "eth0", netns=far)
    await desk.configure(order("slow", "other"))
    await until(lambda: answers(desk) == {SLOW: "TwoMACs", OTHER: "TwoMACs"})


def answers(desk: Desk) -> dict[str, str]:
    return {d["name"]: d["state"] for c in desk.daemon._reports() for d in c["deviations"] if d["kind"] == "Answer"}


# -- a kernel that is slow


async def test_a_kernel_that_waits_holds_up_no_frame(desk: Desk, far: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock for links and addresses is everybody's, so that any call can take a second."""
    put = Kernel.put
    stalled: list[tuple[float, float]] = []
    begun = threading.Event()

    def slow(kernel: Kernel, puts: Sequence[Put]) -> list[OSError | None]:
        if not begun.is_set():
            begun.set()
            at = time.time()
            time.sleep(STALL_S)
            stalled.append((at, time.time()))
        return put(kernel, puts)

    monkeypatch.setattr(Kernel, "put", slow)
    with wire.listening(far) as ear:
        await desk.configure(order("other", keepalive_ms=50, dead_ms=5000))
        await desk.owns("edge")
        ((begin, end),) = stalled
        sent = [at for at, data in ear.frames() if begin < at < end and is_heartbeat(data)]
    assert len(sent) >= 15, "20 are due in a second"
    assert max(b - a for a, b in zip([begin, *sent], [*sent, end], strict=True)) < 0.5
    (move,) = desk.daemon.history(None)[0]["moves"]
    assert move["stepsMs"]["addresses"] >= 1000 * STALL_S, "the claim has waited for that call"


def is_heartbeat(data: bytes) -> bool:
    """IPv4, UDP, to the cluster's port."""
    return data[12:14] == b"\x08\x00" and data[23] == 17 and int.from_bytes(data[36:38]) == 694
