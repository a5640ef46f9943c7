"""What is done about a rival: one announcement, and not in a handover, nor too often."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edge import values
from edge.fakes import Clock
from vyos_agent.config import UNFOUND
from vyos_agent.core.model import Reason, State, Vip
from vyos_agent.core.report import GroupReport
from vyos_agent.edge.ownership import GAP_MS, Ownership
from vyos_agent.edge.probing import Part

VIP = Vip("192.168.0.123", 24, "eth0")
MAC = bytes(6)


class Stub:
    """Prober, announcer and node in one: each as much of it as is asked."""

    def __init__(self) -> None:
        self.parts: dict[Vip, Part] = {}
        self.announced: list[Vip] = []
        self.state = State.OWNER
        self.authority = True
        self.conflicts: list[bytes] = []
        self.answers: dict[str, str] = {}

    def open(self, name: str, **calls: Any) -> Stub:
        self.on_rival = calls["on_rival"]
        return self

    def set(self, parts: dict[Vip, Part]) -> None:
        self.parts = dict(parts)

    def close(self) -> None:
        self.parts = {}

    def announce(self, vips: tuple[Vip, ...]) -> None:
        self.announced += vips

    def may_hold(self, at_ms: int) -> bool:
        return self.authority

    def report(self) -> Any:
        group = GroupReport("cluster", self.state, "r1", 7, Reason.PEER_DEAD, 0, (VIP,))

        class Report:
            groups = (group,)

        return Report


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ownership(stub: Stub, clock: Clock) -> Ownership:
    made = Ownership(
        stub,  # type: ignore[arg-type]
        stub,  # type: ignore[arg-type]
        "edge",
        beacon=lambda member, interface: None,
        on_change=lambda: None,
        on_conflict=lambda vip, mac: stub.conflicts.append(mac),
        on_verified=lambda vip, owner: None,
        clock=clock,
    )
    made.see(values.item().core, stub)  # type: ignore[arg-type]
    return made


def test_a_rival_is_answered_once_in_ten_seconds(ownership: Ownership, stub: Stub, clock: Clock) -> None:
    """[ARP-4] A rival heard by ARP must be reported, and must be answered by at most one announcement in 10 s, only as
    Owner with no move under way.
    """
    for _ in range(5):
        stub.on_rival(VIP, MAC)
        clock.ms += GAP_MS // 5
    assert stub.announced == [VIP]
    stub.on_rival(VIP, MAC)
    assert stub.announced == [VIP, VIP]
    assert stub.conflicts == [MAC, MAC]


@pytest.mark.parametrize("state", [s for s in State if s is not State.OWNER])
def test_only_an_owner_with_no_move_under_way_answers(ownership: Ownership, stub: Stub, state: State) -> None:
    """[ARP-4] A rival heard by ARP must be reported, and must be answered by at most one announcement in 10 s, only as
    Owner with no move under way.
    """
    stub.state = state
    stub.on_rival(VIP, MAC)
    assert stub.announced == []


def test_an_owner_without_authority_is_silent(ownership: Ownership, stub: Stub) -> None:
    stub.authority = False
    stub.on_rival(VIP, MAC)
    assert stub.announced == []
    ownership.close()
    stub.authority = True
    stub.on_rival(VIP, MAC)
    assert stub.announced == []


def test_whom_the_lan_should_show(ownership: Ownership, stub: Stub) -> None:
    assert stub.parts == {VIP: Part("r1", mine=True)}
    stub.state = State.STANDBY
    ownership.see(values.item().core, stub)  # type: ignore[arg-type]
    assert stub.parts == {VIP: Part("r1", mine=False)}
    core = values.item().core
    lost = dataclasses.replace(core.groups[0], vips=(dataclasses.replace(VIP, interface=UNFOUND),))
    ownership.see(dataclasses.replace(core, groups=(lost,)), stub)  # type: ignore[arg-type]
    assert stub.parts == {}
