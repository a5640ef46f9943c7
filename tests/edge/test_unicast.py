"""Frames to node addresses: who hears them, what is refused, and multicast beside them on the same port."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from edge import netns
from edge.netns import ip
from edge.test_multicast import V4, A, B, frame
from edge.waiting import until
from vyos_agent.config import UNICAST
from vyos_agent.core import wire
from vyos_agent.core.events import Frame
from vyos_agent.edge import bpf, frames, unicast
from vyos_agent.edge.clock import now
from vyos_agent.edge.multicast import Multicast, open_socket
from vyos_agent.edge.unicast import Door, Unicast

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("own_netns")]

NEAR4, FAR4, NEAR6, FAR6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
C = bytes(range(32, 48))


@pytest.fixture
def far(own_netns: None) -> Iterator[str]:
    with netns.neighbour((NEAR4, NEAR6), (FAR4, FAR6)) as name:
        yield name


class Side:
    """One node: two clusters, one hub."""

    def __init__(self) -> None:
        self.woken: list[bytes] = []
        self.hub = Unicast()
        self.doors = {c: self.hub.open(c, "edge", lambda c=c: self.woken.append(c)) for c in (A, B)}

    def configure(self, *addresses: str, port: int = 694) -> None:
        for door in self.doors.values():
            door.configure(port, {"other": addresses} if addresses else {})

    def __getitem__(self, cluster: bytes) -> Door:
        return self.doors[cluster]


@pytest.fixture
async def sides(far: str) -> AsyncIterator[tuple[Side, Side]]:
    near, there = Side(), Side()
    near.configure(FAR4, FAR6)
    netns.within(far, lambda: there.configure(NEAR4, NEAR6))
    yield near, there
    near.hub.close()
    there.hub.close()


async def take(door: Door, count: int = 1) -> list[Frame]:
    found: list[Frame] = []
    await until(lambda: found.extend(door.drain(now())) or len(found) >= count)
    return found


async def test_a_frame_comes_to_its_own_cluster_over_each_address(sides: tuple[Side, Side]) -> None:
    near, far = sides
    data = frame()
    assert near[A].send([data])
    found = await take(far[A], 2)
    assert [(f.data, f.interface) for f in found] == [(data, UNICAST)] * 2, "once over IPv4 and once over IPv6"
    assert far[A].heard_ms is not None
    assert abs(now() - found[-1].at_ms) < 500
    assert far[B].drain(now()) == ()
    assert far[B].heard_ms is None
    far[B].send([frame(B)])
    await until(lambda: B in near.woken)
    await take(near[B])


async def test_reading_for_one_loses_nothing_of_the_other(sides: tuple[Side, Side]) -> None:
    near, far = sides
    near[B].send([frame(B)])
    near[A].send([frame(A)])
    await take(far[A], 2)
    assert len(await take(far[B], 2)) == 2


async def test_what_is_no_frame_of_ours_wakes_nobody(sides: tuple[Side, Side], far: str) -> None:
    _, there = sides
    bad = [frame(C), b"", b"VYCB", bytes(200), frame(A, wire.FRAME_MAX + 1), frame(A, wire.FRAME_MIN - 1)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for data in bad:
            stranger.sendto(data, (FAR4, 694))
        stranger.sendto(frame(), (FAR4, 694))
    await until(lambda: there.woken)
    assert len(await take(there[A])) == 1


async def test_multicast_on_the_same_port_is_another_link(sides: tuple[Side, Side], far: str) -> None:
    near, there = sides

    def open_multicast() -> Multicast:
        opened = Multicast(V4)
        opened.attach("eth0", socket.if_nametoindex("eth0"), open_socket(V4, A, socket.if_nametoindex("eth0")))
        return opened

    here, remote = open_multicast(), netns.within(far, open_multicast)
    try:
        by_unicast, by_multicast = frame(), frame()
        near[A].send([by_unicast])
        here.send({"eth0": [by_multicast]})
        found: list[Frame] = []
        await until(lambda: found.extend(remote.drain(now())) or found)
        assert [f.data for f in found] == [by_multicast]
        assert {f.data for f in await take(there[A], 2)} == {by_unicast}
        assert there[A].drain(now()) == ()
    finally:
        for each in (here, remote):
            sock = each.detach("eth0")
            assert sock is not None
            sock.close()


async def test_a_flood_is_bounded(sides: tuple[Side, Side]) -> None:
    near, far = sides
    for _ in range(3 * unicast.QUEUE_MAX):
        near[B].send([frame(B)])
    for _ in range(10):
        far[A].drain(now())
    assert len(far[B].queue) <= unicast.QUEUE_MAX
    assert far[B].overflows > 0


async def test_a_member_that_is_not_there(sides: tuple[Side, Side], caplog: pytest.LogCaptureFixture) -> None:
    near, _ = sides
    near[A].configure(694, {"gone": ("198.51.100.1",), "there": (FAR4,)})
    assert near[A].send([frame()]), "one of them was reached"
    near[A].configure(694, {"gone": ("198.51.100.1",)})
    assert not near[A].send([frame()])
    assert not near[A].send([frame()])
    assert near[A].errors == {"ENETUNREACH": 3}
    assert caplog.text.count("do not go out to 198.51.100.1") == 1
    ip("route", "add", "198.51.100.0/24", "dev", "eth0")
    assert near[A].send([frame()])
    assert near[A].errors == {"ENETUNREACH": 3}


async def test_sockets_come_and_go_with_what_is_wanted(sides: tuple[Side, Side]) -> None:
    near, _ = sides
    assert {w for w in near.hub._sockets} == {(4, 694), (6, 694)}
    near[A].configure(700, {"other": (FAR4,)})
    assert {w for w in near.hub._sockets} == {(4, 694), (6, 694), (4, 700)}
    near[B].close()
    assert {w for w in near.hub._sockets} == {(4, 700)}
    near[A].configure(700, {})
    assert near.hub._sockets == {}
    assert near[A].drain(now()) == ()


async def test_a_port_that_is_taken_is_tried_again(own_netns: None, caplog: pytest.LogCaptureFixture) -> None:
    near = Side()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 694))
        near.configure("127.0.0.2")
        assert near.hub._sockets == {}
        assert not near[A].send([frame()])
    await until(lambda: near.hub._sockets, 3)
    assert caplog.text.count("no unicast heartbeats on IPv4 port 694: Address already in use") == 1
    near.hub.close()


def test_other_members_only() -> None:
    nodes = {"r1": ("10.0.0.1",), "r2": ("10.0.0.2", "fd00::2"), "r3": ()}
    assert unicast.others("r1", nodes.items()) == {"r2": ("10.0.0.2", "fd00::2")}


@pytest.mark.parametrize("count", [1, 3, 64])
def test_a_filter_for_many_clusters(own_netns: None, count: int) -> None:
    ids = [i.to_bytes(16, "big") for i in range(count)]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        bpf.attach(sock, bpf.program(frames.magic(), [frames.of_cluster(i) for i in ids]))
        for cluster, expected in ((ids[0], True), (ids[-1], True), (b"\xff" * 16, False)):
            sender.sendto(frame(cluster), sock.getsockname())
            try:
                assert sock.recv(2000)
                assert expected
            except BlockingIOError:
                assert not expected
