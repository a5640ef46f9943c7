"""Heartbeat sockets on real interfaces: who hears whom, dates of frames, floods, and interfaces that fail."""

from __future__ import annotations

import contextlib
import ipaddress
import random
import secrets
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from edge import netns
from edge.netns import ip
from edge.waiting import wait
from vyos_agent.config import Endpoint
from vyos_agent.core import wire
from vyos_agent.core.events import Frame
from vyos_agent.edge import frames as framing
from vyos_agent.edge.clock import now
from vyos_agent.edge.multicast import Multicast, open_socket

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("own_netns")]

A, B = bytes(range(16)), bytes(range(16, 32))
V4 = Endpoint(ipaddress.ip_address("239.251.252.253"), 694, 1)
RNG = random.Random(1)
V6 = Endpoint(ipaddress.ip_address("ff05::694"), 694, 1)


def frame(cluster: bytes = A, size: int = 200) -> bytes:
    """What passes for a frame as long as nobody opens it."""
    return wire.MAGIC + bytes(8) + cluster + RNG.randbytes(size - 28)


class Pair:
    """eth0 here, and the cable's other end, peer0, in a namespace of its own; sockets of clusters A and B at both."""

    def __init__(self, endpoint: Endpoint, far: str) -> None:
        self.endpoint = endpoint
        self.near = {cluster: self.open("eth0", cluster) for cluster in (A, B)}
        self.far = netns.within(far, lambda: {cluster: self.open("peer0", cluster) for cluster in (A, B)})

    def open(self, interface: str, cluster: bytes) -> Multicast:
        opened = Multicast(self.endpoint)
        index = socket.if_nametoindex(interface)
        opened.attach(interface, index, open_socket(self.endpoint, cluster, index))
        return opened

    def close(self) -> None:
        for m in (*self.near.values(), *self.far.values()):
            for interface in m.interfaces:
                sock = m.detach(interface)
                assert sock is not None
                sock.close()


@pytest.fixture
def far(own_netns: None) -> Iterator[str]:
    """The namespace at the other end."""
    with netns.named(f"far-{secrets.token_hex(4)}") as (name,):
        ip("link", "set", "peer0", "netns", name)
        ip("link", "set", "peer0", "up", netns=name)
        for interface, end, place in (("eth0", "1", None), ("peer0", "2", name)):
            ip("addr", "add", f"192.168.0.1{end}/24", "dev", interface, netns=place)
            ip("addr", "add", f"fe80::{end}/64", "dev", interface, "nodad", netns=place)  # DAD takes a second
        yield name


@pytest.fixture(params=[V4, V6], ids=["IPv4", "IPv6"])
def pair(request: pytest.FixtureRequest, far: str) -> Iterator[Pair]:
    pair = Pair(request.param, far)
    yield pair
    pair.close()


def take(m: Multicast, count: int = 1) -> list[Frame]:
    """The next frames, as they come."""
    found: list[Frame] = []
    wait(lambda: found.extend(m.drain(now())) or len(found) >= count, f"{count} frames", 2)
    return found


def test_a_frame_reaches_its_own_cluster_only(pair: Pair) -> None:
    data = frame()
    assert pair.near[A].send({"eth0": [data]})
    (found,) = take(pair.far[A])
    assert (found.data, found.interface) == (data, "peer0")
    assert pair.far[B].drain(now()) == ()
    assert pair.near[A].drain(now()) == (), "no echo of one's own"
    assert pair.near[B].send({"eth0": [frame(B)]})
    take(pair.far[B])
    assert pair.far[A].drain(now()) == ()


def test_what_is_no_frame_does_not_pass_the_filter(pair: Pair) -> None:
    for data in (b"", b"hello", b"X" + frame()[1:], frame(size=wire.FRAME_MIN - 1), frame(size=wire.FRAME_MAX + 1)):
        pair.near[A].send({"eth0": [data]})
    last = frame(size=wire.FRAME_MIN)
    longest = frame(size=wire.FRAME_MAX)
    pair.near[A].send({"eth0": [last, longest]})
    assert [f.data for f in take(pair.far[A], 2)] == [last, longest]


def test_a_turn_takes_a_bounded_number_and_the_rest_later(pair: Pair) -> None:
    """[BOUND-1] A turn must take at most 256 frames; the rest must wake the loop again."""
    data = [frame() for _ in range(framing.FRAMES_MAX + 10)]
    assert pair.near[A].send({"eth0": data})
    time.sleep(0.05)
    first = pair.far[A].drain(now())
    assert [f.data for f in first] == data[: framing.FRAMES_MAX]
    assert [f.data for f in pair.far[A].drain(now())] == data[framing.FRAMES_MAX :]


def test_a_full_buffer_loses_the_newest_and_nothing_else(pair: Pair) -> None:
    data = [frame(size=1400) for _ in range(3000)]
    assert pair.near[A].send({"eth0": data})
    time.sleep(0.05)
    found: list[bytes] = []
    while batch := pair.far[A].drain(now()):
        found += [f.data for f in batch]
    assert 200 < len(found) < 3000, "bounded"
    assert found == data[: len(found)]


class TestDates:
    @pytest.fixture
    def pair(self, far: str) -> Iterator[Pair]:
        pair = Pair(V4, far)
        pair.far[A].drain(now())
        yield pair
        pair.close()

    def test_a_frame_that_waited_is_as_old_as_it_is(self, pair: Pair) -> None:
        """[SLEEP-2] Frames must be dated by the kernel's stamp, but not before the last drain nor after now, and as of
        now if the wall clock moved against the monotonic one.
        """
        before = now()
        pair.near[A].send({"eth0": [frame()]})
        after = now()
        time.sleep(0.1)
        (found,) = pair.far[A].drain(now())
        assert before - 2 <= found.at_ms <= after + 2

    def test_no_frame_is_older_than_the_last_look(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        """[SLEEP-2] Frames must be dated by the kernel's stamp, but not before the last drain nor after now, and as of
        now if the wall clock moved against the monotonic one.
        """
        pair.near[A].send({"eth0": [frame()]})
        time.sleep(0.05)
        floor = now()
        monkeypatch.setattr(pair.far[A]._dates, "_drained_ms", floor)
        (found,) = pair.far[A].drain(now() + 5)
        assert found.at_ms >= floor

    @pytest.mark.parametrize("step_s", [-3600, 3600])
    def test_a_wall_clock_that_is_set_ages_nothing(
        self, pair: Pair, monkeypatch: pytest.MonkeyPatch, step_s: int
    ) -> None:
        """[SLEEP-2] Frames must be dated by the kernel's stamp, but not before the last drain nor after now, and as of
        now if the wall clock moved against the monotonic one.
        """
        pair.near[A].send({"eth0": [frame()]})
        time.sleep(0.05)
        real = time.time_ns
        monkeypatch.setattr(framing.time, "time_ns", lambda: real() + step_s * 1_000_000_000)
        at = now()
        (found,) = pair.far[A].drain(at)
        assert found.at_ms == at
        pair.near[A].send({"eth0": [frame()]})
        (found,) = take(pair.far[A])
        assert at <= found.at_ms <= now(), "and the step is over"


class TestFailures:
    @pytest.fixture
    def pair(self, far: str) -> Iterator[Pair]:
        pair = Pair(V4, far)
        yield pair
        pair.close()

    def test_an_interface_that_is_down_is_no_accepted_frame(self, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        ip("link", "set", "eth0", "down")
        for _ in range(3):
            assert not pair.near[A].send({"eth0": [frame()]})
        assert sum(pair.near[A].errors.values()) == 3
        assert caplog.text.count("heartbeats do not go out") == 1
        ip("link", "set", "eth0", "up")
        assert pair.near[A].send({"eth0": [frame()]})
        assert "heartbeats go out again" in caplog.text
        take(pair.far[A])

    def test_one_interface_that_takes_it_is_enough(self, pair: Pair) -> None:
        assert pair.near[A].send({"missing": [frame()], "eth0": [frame()]})
        assert not pair.near[A].send({"missing": [frame()]})
        assert not pair.near[A].send({})
        assert pair.near[A].errors["ENODEV"] == 2

    def test_an_interface_that_is_gone(self, pair: Pair) -> None:
        ip("link", "del", "eth0")
        assert not pair.near[A].send({"eth0": [frame()]})
        assert pair.near[A].drain(now()) == ()

    def test_a_socket_on_no_interface(self) -> None:
        with pytest.raises(OSError, match="assign requested address"):
            open_socket(V4, A, 9999)

    def test_the_kernel_keeps_a_flood_of_strangers_away(self, pair: Pair) -> None:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
            index = socket.if_nametoindex("eth0")
            stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
            for _ in range(5000):
                stranger.sendto(b"VYCB but not ours", (str(V4.group), V4.port))
        data = frame()
        pair.near[A].send({"eth0": [data]})
        assert [f.data for f in take(pair.far[A])] == [data], "the buffer had room, as nothing of the flood is in it"
