"""Monitors: verdicts by hand-set time in memory, then real echoes between two namespaces."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest

from edge import netns
from edge.fakes import Clock
from edge.netns import ip
from edge.waiting import until
from vyos_agent.edge import ping
from vyos_agent.edge.monitors import LATE_MS, Monitors, Watch
from vyos_agent.edge.ping import IpAddress, Pinger, Reply

K, D = 100, 300
A, B, A6 = "192.0.2.1", "192.0.2.2", "2001:db8::1"


class FakePinger(Pinger):
    """Notes what is asked, and brings back what a test puts in."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int, int, int]] = []
        self.replies: list[Reply] = []

    def open(self, version: int) -> int | None:
        return None

    def send(self, ip: IpAddress, text: str, number: int, sequence: int, scope: int) -> bool:
        self.asked.append((text, number, sequence, scope))
        return True

    def drain(self) -> Iterator[Reply]:
        replies, self.replies = self.replies, []
        yield from replies

    def answer(self, text: str, *, sequence: int | None = None, source: str | None = None) -> None:
        """To the newest request to an address."""
        _, number, newest, _ = [a for a in self.asked if a[0] == text][-1]
        family = socket.AF_INET6 if ":" in (source or text) else socket.AF_INET
        self.replies.append(Reply(number, sequence or newest, socket.inet_pton(family, source or text)))


class Desk:
    """Monitors whose timer is rung by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pinger = FakePinger()
        self.monitors = Monitors(self.pinger, self.clock)
        self.told: list[dict[str, bool]] = []
        self.watch = self.monitors.open("edge", self._note)

    def _note(self, verdicts: Mapping[str, bool]) -> None:
        self.told.append(dict(verdicts))

    def set(self, *addresses: str, interval_ms: int = K, dead_ms: int = D, watch: Watch | None = None) -> None:
        (watch or self.watch).set(addresses, interval_ms=interval_ms, dead_ms=dead_ms, scope=lambda: 7)

    def run(self, ms: int, step: int = 10) -> None:
        """Let time pass: the timer rings when it is due."""
        end = self.clock.ms + ms
        while self.clock.ms < end:
            self.clock.ms += step
            if self.monitors._armed_ms <= self.clock.ms:
                self.monitors._ring()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    desk.monitors.close()


async def test_undecided_until_the_first_verdict(desk: Desk) -> None:
    desk.set(A, B)
    desk.run(150)
    assert {a[0] for a in desk.pinger.asked} == {A, B}
    assert desk.told == []
    assert desk.watch.verdicts == {}
    desk.pinger.answer(A)
    desk.monitors._readable()
    assert desk.told == [{A: True}], "one is decided, the other is not"
    desk.run(300)
    assert desk.watch.verdicts == {A: True, B: False}


async def test_asked_every_interval(desk: Desk) -> None:
    desk.set(A)
    desk.run(1000)
    assert [a[2] for a in desk.pinger.asked] == list(range(1, len(desk.pinger.asked) + 1))
    assert len(desk.pinger.asked) in (10, 11)


async def test_dead_a_dead_interval_after_the_first_request_in_vain(desk: Desk) -> None:
    desk.set(A, interval_ms=100, dead_ms=350)
    desk.run(100)
    desk.pinger.answer(A)
    desk.run(100)
    assert desk.watch.verdicts == {A: True}
    silent_since = desk.clock.ms
    while desk.watch.verdicts[A]:
        desk.run(10)
    assert 350 - 100 <= desk.clock.ms - silent_since <= 350 + 30, "on time, not only with the next request"
    assert desk.told == [{A: True}, {A: False}]
    desk.run(1000)
    assert len(desk.told) == 2, "told once"
    desk.pinger.answer(A)
    desk.monitors._readable()
    assert desk.told[-1] == {A: True}


async def test_one_answer_in_a_dead_interval_is_enough(desk: Desk) -> None:
    desk.set(A, interval_ms=100, dead_ms=1000)
    for _ in range(10):
        desk.run(900)
        desk.pinger.answer(A)
    assert desk.told == [{A: True}]


async def test_what_is_no_answer_to_us_changes_nothing(desk: Desk) -> None:
    desk.set(A, A6)
    desk.run(100)
    desk.pinger.answer(A, source=B)
    desk.pinger.answer(A6, source="2001:db8::2")
    desk.pinger.answer(A, sequence=40)
    desk.pinger.replies.append(Reply(999, 1, socket.inet_aton(A)))
    desk.monitors._readable()
    assert desk.told == []


async def test_an_old_answer_keeps_nobody_alive(desk: Desk) -> None:
    desk.set(A)
    desk.run(100)
    desk.pinger.answer(A)
    desk.run(50)
    old = desk.pinger.asked[0][2]
    for _ in range(50):
        desk.pinger.answer(A, sequence=old)
        desk.run(10)
    assert desk.watch.verdicts == {A: False}


async def test_a_late_answer_counts(desk: Desk) -> None:
    desk.set(A, interval_ms=100, dead_ms=500)
    desk.run(350)
    desk.pinger.answer(A, sequence=1)
    desk.monitors._readable()
    assert desk.told == [{A: True}]


async def test_sequences_wrap(desk: Desk) -> None:
    desk.set(A)
    target = desk.watch.targets[A]
    target.sequence = target.answered = 0xFFFF
    for _ in range(3):
        desk.run(100)
        desk.pinger.answer(A, sequence=desk.pinger.asked[-1][2] & 0xFFFF)
    desk.monitors._readable()
    assert desk.told == [{A: True}]
    assert target.answered == target.sequence > 0xFFFF


async def test_a_process_that_slept_judges_nobody(desk: Desk) -> None:
    desk.set(A)
    desk.run(100)
    desk.pinger.answer(A)
    desk.run(150)
    desk.clock.ms += LATE_MS + 500
    desk.monitors._ring()
    assert desk.watch.verdicts == {A: True}
    desk.run(D + 30)
    assert desk.watch.verdicts == {A: False}, "but time runs on from then"


async def test_a_short_stall_reads_before_it_judges(desk: Desk) -> None:
    desk.set(A)
    desk.run(100)
    desk.pinger.answer(A)
    desk.run(110)
    desk.pinger.answer(A)
    desk.clock.ms += LATE_MS - 100
    desk.monitors._ring()
    assert desk.told == [{A: True}]


async def test_what_stays_keeps_its_verdict(desk: Desk) -> None:
    desk.set(A, B)
    desk.run(100)
    desk.pinger.answer(A)
    desk.run(20)
    desk.set(A6, A, interval_ms=50)
    assert desk.watch.verdicts == {A: True}
    asked = len(desk.pinger.asked)
    desk.run(500)
    assert {a[0] for a in desk.pinger.asked[asked:]} == {A, A6}
    assert 18 <= len(desk.pinger.asked) - asked <= 24


async def test_two_clusters_may_watch_one_address(desk: Desk) -> None:
    other: list[Mapping[str, bool]] = []
    watch = desk.monitors.open("other", other.append)
    desk.set(A)
    desk.set(A, interval_ms=50, dead_ms=150, watch=watch)
    desk.run(200)
    assert (desk.told, other) == ([], [{A: False}])
    watch.close()
    desk.run(200)
    assert len(other) == 1
    assert desk.told == [{A: False}]


async def test_link_local_ones_are_asked_on_the_clusters_interface(desk: Desk) -> None:
    desk.set("fe80::1")
    desk.run(50)
    assert desk.pinger.asked[0][3] == 7


# -- with the kernel


@pytest.fixture
def far(own_netns: None) -> Iterator[str]:
    """A neighbour in another namespace: its name."""
    with netns.neighbour(("192.0.2.9", "2001:db8::9"), ("192.0.2.1", "2001:db8::1")) as name:
        ip("link", "set", "eth0", "addrgenmode", "none", netns=name)
        ip("addr", "flush", "dev", "eth0", "scope", "link", netns=name)
        ip("addr", "add", "fe80::1/64", "dev", "eth0", "nodad", netns=name)
        ip("addr", "add", "fe80::9/64", "dev", "eth0", "nodad")
        yield name


async def test_echoes_of_both_families(far: str) -> None:
    told: list[Mapping[str, bool]] = []
    monitors = Monitors()
    watch = monitors.open("edge", told.append)
    wanted = [A, B, A6, "2001:db8::2", "fe80::1"]
    watch.set(wanted, interval_ms=50, dead_ms=400, scope=lambda: socket.if_nametoindex("eth0"))
    try:
        await until(lambda: len(watch.verdicts) == len(wanted))
        assert watch.verdicts == {A: True, B: False, A6: True, "2001:db8::2": False, "fe80::1": True}
        ip("addr", "del", f"{A}/24", "dev", "eth0", netns=far)
        at = time.monotonic()
        await until(lambda: not watch.verdicts[A])
        assert 0.3 <= time.monotonic() - at <= 0.7
        assert told[-1] == {**watch.verdicts, A: False}
        ip("addr", "add", f"{A}/24", "dev", "eth0", netns=far)
        await until(lambda: watch.verdicts[A])
        ip("link", "set", "eth0", "down")
        await until(lambda: not any(watch.verdicts.values()))
    finally:
        monitors.close()


async def test_only_our_answers_pass(far: str) -> None:
    """The filter takes our identifier only; the secret refuses whoever has guessed that."""
    pinger = Pinger()
    try:
        pinger.open(4)
        assert pinger.send(ping.ipaddress.ip_address(A), A, 5, 1, 0)
        found: list[Reply] = []
        await until(lambda: found.extend(pinger.drain()) or found)
        assert found == [Reply(5, 1, socket.inet_aton(A))]
        for identifier, secret in ((pinger._identifier ^ 1, pinger._secret), (pinger._identifier, bytes(8))):
            netns.within(far, lambda i=identifier, s=secret: _forge(i, s))
        netns.within(far, lambda: _forge(pinger._identifier, pinger._secret, 77))
        found.clear()
        await until(lambda: found.extend(pinger.drain()) or found)
        assert [r.number for r in found] == [77], "the last one shows that the others came and were refused"
    finally:
        pinger.close()


def _forge(identifier: int, secret: bytes, number: int = 5) -> None:
    tail = ping.TAIL.pack(secret, number)
    head = ping.ECHO.pack(ping.ECHO_REPLY, 0, 0, identifier, 1)
    total = struct.pack("!H", ping.checksum(head + tail))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.sendto(head[:2] + total + head[4:] + tail, ("192.0.2.9", 0))


async def test_hundreds_cost_little(own_netns: None) -> None:
    """300 a second; the bound is generous, for a busy machine."""
    ip("addr", "add", "198.51.100.0/23", "dev", "lo")
    monitors = Monitors()
    watch = monitors.open("edge", lambda verdicts: None)
    wanted = [str(ping.ipaddress.ip_address("198.51.100.1") + i) for i in range(300)]
    watch.set(wanted, interval_ms=1000, dead_ms=3000, scope=lambda: 0)
    try:
        await until(lambda: len(watch.verdicts) == 300)
        assert all(watch.verdicts.values())
        before, at = time.process_time(), time.monotonic()
        await asyncio.sleep(2)
        share = (time.process_time() - before) / (time.monotonic() - at)
        asked = sum(t.sequence for t in watch.targets.values())
        assert asked >= 800
        print(f"300 monitors at 1 s: {100 * share:.1f} % of a core, with both ends of each echo in it")
        assert share < 0.08
    finally:
        monitors.close()
