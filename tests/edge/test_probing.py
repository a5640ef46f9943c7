"""Who answers for an address: questions and answers with a real kernel, verdicts, rivals, and the first claim."""

from __future__ import annotations

import dataclasses
import ipaddress
import secrets
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from edge import netns
from edge.netns import ip
from edge.waiting import until
from vyos_agent.core.model import Vip
from vyos_agent.edge import arp, probing
from vyos_agent.edge.kernel import Kernel, Link
from vyos_agent.edge.neighbours import Ear, Mouth
from vyos_agent.edge.probing import Answer, Part, Prober, Watch

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("own_netns")]

VIP, VIP6 = Vip("192.0.2.99", 24, "eth0"), Vip("2001:db8::99", 64, "eth0")
OWNER, RIVAL = "192.0.2.2", "192.0.2.3"

FLOOD = 60


class Lan:
    """eth0 here; two neighbours on the same wire, each in a namespace of its own."""

    def __init__(self, owner: str, rival: str) -> None:
        self.owner = owner
        self.rival = rival
        kernel = Kernel()
        found = kernel.link("eth0")
        kernel.close()
        assert found is not None
        self.link: Link | None = found

    def has(self, place: str, *vips: Vip) -> None:
        for vip in vips:
            ip("addr", "add", f"{vip.address}/{vip.prefix}", "dev", "eth0", *_nodad(vip), netns=place or None)

    def loses(self, place: str, *vips: Vip) -> None:
        for vip in vips:
            ip("addr", "del", f"{vip.address}/{vip.prefix}", "dev", "eth0", netns=place)

    def mac(self, place: str) -> str:
        return netns.run("ip", "netns", "exec", place, "cat", "/sys/class/net/eth0/address").strip()


def _nodad(vip: Vip) -> list[str]:
    return ["nodad"] if ":" in vip.address else []


@pytest.fixture
def lan() -> Iterator[Lan]:
    with netns.private():
        ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip("link", "set", "br0", "up", "addrgenmode", "none")
        tag = secrets.token_hex(3)
        with netns.named(f"edge-{tag}-owner", f"edge-{tag}-rival") as names:
            ip("link", "add", "eth0", "type", "veth", "peer", "name", "p0")
            for name, port in zip(names, ("p1", "p2"), strict=True):
                ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            for place in (None, *names):
                ip("link", "set", "eth0", "addrgenmode", "none", netns=place)
                ip("link", "set", "eth0", "up", netns=place)
            for port in ("p0", "p1", "p2"):
                ip("link", "set", port, "master", "br0", "up", "addrgenmode", "none")
            for place, last in ((None, 1), (names[0], 2), (names[1], 3)):
                ip("addr", "add", f"192.0.2.{last}/24", "dev", "eth0", netns=place)
                ip("addr", "add", f"fe80::{last}/64", "dev", "eth0", "nodad", netns=place)
                ip("addr", "add", f"2001:db8::{last}/64", "dev", "eth0", "nodad", netns=place)
            yield Lan(*names)


class Desk:
    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.changes = 0
        self.rivals: list[Vip] = []
        self.verified: set[tuple[Vip, str]] = set()
        self.beacons: dict[str, str] = {"r2": OWNER}
        self.prober = Prober(lambda name: lan.link if name == "eth0" else None)
        self.watch: Watch = self.prober.open(
            "edge",
            beacon=lambda member, interface: self.beacons.get(member),
            on_change=self._changed,
            on_rival=lambda vip, mac: self.rivals.append(vip),
            on_verified=lambda vip, owner: self.verified.add((vip, owner)),
        )

    def _changed(self) -> None:
        self.changes += 1

    def follows(self, *vips: Vip, owner: str | None = "r2", mine: bool = False) -> None:
        self.watch.set({vip: Part(owner, mine=mine) for vip in vips})

    async def says(self, answers: dict[str, str]) -> None:
        try:
            await until(lambda: self.watch.answers == answers, 4)
        except AssertionError:
            raise AssertionError(f"{self.watch.answers}, not {answers}") from None

    async def rounds(self, count: int) -> None:
        """Wait until each address was asked for so often."""
        for _ in range(count):
            probes = list(self.watch.probes.values())
            await until(lambda found=probes: all(p.begun_ms is not None for p in found), 3)  # type: ignore[misc]
            await until(lambda found=probes: all(p.begun_ms is None for p in found), 3)  # type: ignore[misc]


@pytest.fixture
async def desk(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    for name, value in (
        ("ROUND_MS", 300), ("FIRST_MS", 100), ("AGAIN_MS", 200), ("ASK_GAP_MS", 30), ("WAIT_MS", 150),
        ("GRAIN_MS", 5), ("RIVAL_MS", 700),
    ):  # fmt: skip
        monkeypatch.setattr(probing, name, value)
    desk = Desk(lan)
    yield desk
    desk.prober.close()


async def test_an_owner_that_answers_is_no_news(desk: Desk, lan: Lan) -> None:
    lan.has(lan.owner, VIP, VIP6)
    desk.follows(VIP, VIP6)
    await desk.rounds(3)
    assert desk.watch.answers == {}
    assert desk.changes == 0
    heard = {p.vip: p.heard for p in desk.watch.probes.values()}
    assert heard == {vip: {bytes.fromhex(lan.mac(lan.owner).replace(":", ""))} for vip in (VIP, VIP6)}, "it was asked"
    assert desk.verified == {(VIP, "r2"), (VIP6, "r2")}


async def test_nobody_answers(desk: Desk, lan: Lan) -> None:
    desk.follows(VIP, VIP6)
    await desk.rounds(1)
    assert desk.watch.answers == {}, "one round is no news"
    await desk.says({VIP.address: "NoAnswer", VIP6.address: "NoAnswer"})
    lan.has(lan.owner, VIP, VIP6)
    await desk.says({})


async def test_somebody_else_answers(desk: Desk, lan: Lan, caplog: pytest.LogCaptureFixture) -> None:
    lan.has(lan.rival, VIP, VIP6)
    desk.follows(VIP, VIP6)
    await desk.says({VIP.address: "WrongMAC", VIP6.address: "WrongMAC"})
    assert lan.mac(lan.rival) in caplog.text
    assert desk.verified == set()
    lan.loses(lan.rival, VIP, VIP6)
    lan.has(lan.owner, VIP, VIP6)
    await desk.says({})


async def test_who_the_owner_is_may_be_unknown(desk: Desk, lan: Lan) -> None:
    desk.beacons.clear()
    lan.has(lan.rival, VIP)
    desk.follows(VIP)
    await desk.rounds(3)
    assert desk.watch.answers == {}, "one answers; that is all that can be told"
    assert desk.verified == set()


async def test_two_answer(desk: Desk, lan: Lan) -> None:
    lan.has(lan.owner, VIP, VIP6)
    lan.has(lan.rival, VIP, VIP6)
    desk.follows(VIP, VIP6)
    await desk.says({VIP.address: "TwoMACs", VIP6.address: "TwoMACs"})
    assert desk.verified == set()


async def test_the_owner_hears_a_rival_that_answers(desk: Desk, lan: Lan) -> None:
    desk.follows(VIP, VIP6, owner="r1", mine=True)
    await desk.rounds(2)
    assert desk.watch.answers == {}
    lan.has(lan.rival, VIP, VIP6)
    await desk.says({VIP.address: "TwoMACs", VIP6.address: "TwoMACs"})
    assert set(desk.rivals) == {VIP, VIP6}
    lan.loses(lan.rival, VIP, VIP6)
    await desk.says({})


async def test_the_owner_hears_a_rival_that_announces(desk: Desk, lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "ROUND_MS", 60_000)
    desk.follows(VIP, owner="r1", mine=True)
    await desk.rounds(1)
    mac = bytes.fromhex("020000000099")

    def announce() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            frame = arp.gratuitous(ipaddress.IPv4Address(VIP.address), mac, arp.ARP_REQUEST)
            sock.sendto(frame, ("eth0", 0))

    netns.within(lan.rival, announce)
    await desk.says({VIP.address: "TwoMACs"})
    assert desk.rivals == [VIP]


async def test_a_flood_of_words_asks_once_for_the_nodes_interfaces(
    desk: Desk, lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node can have hundreds, and the loop has heartbeats to send."""
    asked: list[int] = []
    monkeypatch.setattr(probing, "own_macs", lambda: asked.append(1) or frozenset())
    monkeypatch.setattr(probing, "ROUND_MS", 60_000)
    desk.follows(VIP, owner="r1", mine=True)
    await desk.rounds(1)

    def announce() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            for last in range(FLOOD):
                frame = arp.gratuitous(
                    ipaddress.IPv4Address(VIP.address), bytes([2, 0, 0, 0, 0, last]), arp.ARP_REQUEST
                )
                sock.sendto(frame, ("eth0", 0))

    asked.clear()
    netns.within(lan.rival, announce)
    await desk.says({VIP.address: "TwoMACs"})
    await until(lambda: len(desk.rivals) >= FLOOD)
    assert [len(p.heard) for p in desk.watch.probes.values()] == [probing.HEARD_MAX]
    assert 0 < len(asked) <= FLOOD // 4, "by turns of the loop, not by words"


async def test_a_new_owner_is_judged_anew(desk: Desk, lan: Lan) -> None:
    desk.follows(VIP)
    await desk.says({VIP.address: "NoAnswer"})
    desk.follows(VIP, owner=None)
    assert desk.watch.answers == {}
    await desk.rounds(0)
    desk.follows(VIP, owner="r3")
    assert desk.watch.answers == {}
    await desk.says({VIP.address: "NoAnswer"})


async def test_without_a_link_nothing_is_known(desk: Desk, lan: Lan) -> None:
    desk.follows(VIP)
    await desk.says({VIP.address: "NoAnswer"})
    lan.link = None
    await desk.says({})
    assert desk.prober._ears == {}


async def test_a_carrier_that_goes_opens_no_sockets_anew(desk: Desk, lan: Lan) -> None:
    """Closing one holds the caller up for a grace period of the kernel: in the very moment in which a claim is due."""
    desk.follows(VIP)
    (before,) = desk.prober._ears.values()
    assert lan.link is not None
    lan.link = dataclasses.replace(lan.link, up=False)
    desk.follows(VIP, owner="r3")
    assert list(desk.prober._ears.values()) == [before]
    lan.link = dataclasses.replace(lan.link, index=lan.link.index + 1)
    desk.follows(VIP, owner="r2")
    assert before not in desk.prober._ears.values()


async def test_a_question_teaches_nobody_anything(desk: Desk, lan: Lan) -> None:
    lan.has(lan.owner, VIP)
    ip("neigh", "flush", "all", netns=lan.owner)
    desk.beacons.clear()
    desk.follows(VIP)
    await desk.rounds(2)
    assert "192.0.2.1" not in ip("neigh", "show", netns=lan.owner)


async def test_this_nodes_other_interface_is_no_rival(desk: Desk, lan: Lan) -> None:
    """Linux answers on each interface of a LAN for every address that it has (arp_ignore 0)."""
    ip("link", "add", "eth1", "type", "veth", "peer", "name", "p9")
    for name in ("eth1", "p9"):
        ip("link", "set", name, "up")
    ip("link", "set", "p9", "master", "br0")
    lan.has("", VIP)
    desk.follows(VIP, owner="r1", mine=True)
    await desk.rounds(3)
    assert desk.watch.answers == {}
    lan.has(lan.rival, VIP)
    await desk.says({VIP.address: "TwoMACs"})


# -- before a first claim


async def test_an_address_that_somebody_has_is_found_in_time(desk: Desk, lan: Lan) -> None:
    lan.has(lan.rival, VIP)
    desk.follows(VIP, VIP6, owner="r1", mine=True)
    begun_ms = probing.now()
    await desk.prober.first_claim(desk.watch, [VIP, VIP6])
    assert 180 <= probing.now() - begun_ms < 500
    assert desk.watch.answers == {VIP.address: "TwoMACs"}
    assert desk.rivals[0] == VIP


# -- on the wire


async def test_only_what_is_wanted_is_heard(lan: Lan) -> None:
    assert lan.link is not None
    lan.has(lan.owner, VIP, VIP6)
    ear, mouth = Ear(lan.link), Mouth()
    other = ipaddress.ip_address(OWNER)
    try:
        ear.want([ipaddress.ip_address(VIP.address)])
        for address in (VIP.address, VIP6.address, OWNER):
            assert mouth.ask(ipaddress.ip_address(address), lan.link)
        found: list[object] = []
        await until(lambda: found.extend(ear.hear()) or found)
        await until(lambda: not list(ear.hear()))
        assert len(found) == 1
        ear.want([other, ipaddress.ip_address(VIP6.address)])
        mouth.ask(other, lan.link)
        mouth.ask(ipaddress.ip_address(VIP6.address), lan.link)
        both: list[object] = []
        await until(lambda: both.extend(ear.hear()) or len(both) == 2)
    finally:
        ear.close()
        mouth.close()


def test_the_words_are_the_issues() -> None:
    assert [str(a) for a in Answer] == ["NoAnswer", "WrongMAC", "TwoMACs"]
