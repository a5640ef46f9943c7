"""Announcements, byte by byte, and what is sent on a real interface."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import socket
from collections.abc import Iterator

import pytest

from edge.fakes import ETH0
from edge.netns import ip, run
from vyos_agent.core.model import Vip
from vyos_agent.edge import arp
from vyos_agent.edge.kernel import Kernel, Link

MAC = bytes.fromhex("020000000001")
V4, V6 = Vip("192.168.0.123", 24, "eth0"), Vip("fd00::123", 64, "eth0")


def test_gratuitous_request_and_reply() -> None:
    request, reply = arp.frames(V4.address, ETH0)
    head = "ffffffffffff0200000000010806000108000604"
    pair = "020000000001c0a8007b"
    assert request.hex() == head + "0001" + pair + "000000000000c0a8007b"
    assert reply.hex() == head + "0002" + pair + pair


@pytest.mark.parametrize(("router", "flags", "checksum"), [(False, "20", "7cb7"), (True, "a0", "fcb6")])
def test_unsolicited_advertisement(router: bool, flags: str, checksum: str) -> None:
    frame = arp.advertisement(ipaddress.IPv6Address("fd00::123"), MAC, router=router)
    address, all_nodes = "fd000000000000000000000000000123", "ff020000000000000000000000000001"
    head = "33330000000102000000000186dd6000000000203aff" + address + all_nodes
    body = frame.hex().removeprefix(head)
    assert body[:4] == "8800"
    assert body[8:] == flags + "000000" + address + "0201020000000001"
    words = bytes.fromhex(address + all_nodes + "000000200000003a" + body)
    total = sum(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF, "RFC 1071: the sum over all, checksum included, is all ones"


def announcer(link: Link | None) -> arp.Announcer:
    return arp.Announcer(lambda name: link)


@pytest.mark.netns
@pytest.mark.usefixtures("own_netns")
class TestOnTheWire:
    @pytest.fixture
    def tap(self, own_netns: None) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as tap:
            tap.bind(("peer0", 0x0003))
            tap.settimeout(1)
            yield tap

    @pytest.fixture
    def link(self, own_netns: None) -> Link:
        with contextlib.closing(Kernel()) as kernel:
            link = kernel.link("eth0")
        assert link is not None
        return link

    @staticmethod
    def heard(tap: socket.socket, count: int) -> list[bytes]:
        """Announcements only: the kernel has its own things to say on a new link."""
        frames: list[bytes] = []
        while len(frames) < count:
            frame = tap.recv(2048)
            if frame[12:14] == b"\x08\x06" or (frame[12:14] == b"\x86\xdd" and frame[54] == 136):
                frames.append(frame)
        return frames

    def test_both_families(self, tap: socket.socket, link: Link) -> None:
        run("sysctl", "-qw", "net.ipv6.conf.eth0.forwarding=1")
        with contextlib.closing(announcer(link)) as a:
            assert a.announce((V4, V6)) == 3
        request, reply, advertisement = self.heard(tap, 3)
        assert [request, reply] == list(arp.frames(V4.address, link))
        assert advertisement == arp.advertisement(ipaddress.IPv6Address(V6.address), link.mac, router=True)

    @pytest.mark.parametrize("change", [{"up": False}, {"type": 512}, {"mac": b""}])
    def test_nothing_for_a_link_that_is_down_or_has_no_ethernet(self, link: Link, change: dict[str, object]) -> None:
        with contextlib.closing(announcer(dataclasses.replace(link, **change))) as a:  # type: ignore[arg-type]
            assert a.announce((V4,)) == 0
        with contextlib.closing(announcer(None)) as a:
            assert a.announce((V4,)) == 0

    def test_an_interface_that_is_gone_is_told_once(self, link: Link, caplog: pytest.LogCaptureFixture) -> None:
        ip("link", "del", "eth0")
        with contextlib.closing(announcer(link)) as a:
            assert a.announce((V4, V6)) == 0
        assert caplog.text.count("announcements do not go out") == 1
