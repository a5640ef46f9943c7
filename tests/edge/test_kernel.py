"""The messages to the kernel, tried on a real one."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

import pytest
from pyroute2 import IPRoute

from edge.netns import ip, run
from vyos_agent.edge.kernel import Entry, Kernel, Put

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("own_netns")]


@pytest.fixture
def kernel(own_netns: None) -> Iterator[Kernel]:
    with contextlib.closing(Kernel()) as kernel:
        yield kernel


def index(kernel: Kernel, name: str = "eth0") -> int:
    link = kernel.link(name)
    assert link is not None
    return link.index


def test_a_link_by_each_of_its_names(kernel: Kernel) -> None:
    long = "an-alternative-name-longer-than-any-other"
    for name in ("lan", long):
        ip("link", "property", "add", "dev", "eth0", "altname", name)
    link = kernel.link("eth0")
    assert link is not None
    assert (link.name, link.up, link.type, len(link.mac)) == ("eth0", True, 1, 6)
    assert kernel.link("lan") == kernel.link(long) == link
    assert kernel.link("none") is None
    assert kernel.link("x" * 127) is None
    ip("link", "set", "peer0", "down")
    down = kernel.link("eth0")
    assert down is not None
    assert not down.up


def test_addresses_come_marked_deprecated_and_mortal(kernel: Kernel) -> None:
    eth0 = index(kernel)
    four, six = Entry(eth0, "10.0.0.1", 24), Entry(eth0, "fd00::1", 128)
    ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
    assert kernel.put([Put(four, 60, True, "10.0.0.255"), Put(six, 60, True)]) == [None, None]
    found = kernel.addresses(eth0)
    assert four in found
    assert six in found
    assert Entry(eth0, "192.168.0.11", 24, marked=False) in found
    shown = ip("-o", "addr", "show", "dev", "eth0")
    assert "10.0.0.1/24 brd 10.0.0.255 scope global deprecated dynamic" in shown
    assert "fd00::1/128 scope global nodad deprecated dynamic noprefixroute" in shown


def test_the_mark_is_the_kernels_ifa_proto(kernel: Kernel) -> None:
    """Read by other eyes than ours; a kernel before 5.18 would keep none."""
    ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
    assert kernel.put([Put(Entry(index(kernel), "10.0.0.1", 24), 60, True)]) == [None]
    with IPRoute() as route:
        marks = {m.get_attr("IFA_ADDRESS"): m.get_attr("IFA_PROTO") for m in route.get_addr(family=socket.AF_INET)}
    assert marks["10.0.0.1"] == ord("v")
    assert marks["192.168.0.11"] in (0, None)


def test_a_new_address_that_is_there_is_refused_and_a_renewal_is_not(kernel: Kernel) -> None:
    entry = Entry(index(kernel), "10.0.0.1", 32)
    (first,) = kernel.put([Put(entry, 9, True)])
    (second,) = kernel.put([Put(entry, 9, True)])
    (third,) = kernel.put([Put(entry, 900, False)])
    assert first is None
    assert second is not None
    assert second.errno == errno.EEXIST
    assert third is None
    assert "valid_lft 9" in ip("addr", "show", "dev", "eth0")


def test_refusals_come_in_the_order_of_the_requests(kernel: Kernel) -> None:
    eth0 = index(kernel)
    entries = [Entry(eth0 if i % 3 else 9999, f"10.{i // 250}.0.{i % 250 + 1}", 32) for i in range(200)]
    refusals = kernel.put([Put(e, 60, True) for e in entries])
    assert [r is None for r in refusals] == [bool(i % 3) for i in range(200)]
    assert {r.errno for r in refusals if r is not None} == {errno.ENODEV}
    assert len(kernel.addresses(eth0)) >= 133


def test_only_the_exact_address_is_removed(kernel: Kernel) -> None:
    eth0 = index(kernel)
    for prefix in (24, 32):
        ip("addr", "add", f"10.0.0.1/{prefix}", "dev", "eth0")
    assert kernel.remove([Entry(eth0, "10.0.0.1", 32)]) == [None]
    (refusal,) = kernel.remove([Entry(eth0, "10.0.0.1", 32)])
    assert refusal is not None
    assert refusal.errno == errno.EADDRNOTAVAIL
    assert "10.0.0.1/24" in ip("addr", "show", "dev", "eth0")


def test_the_kernels_words_are_told(kernel: Kernel) -> None:
    run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
    (refusal,) = kernel.put([Put(Entry(index(kernel), "fd00::1", 64), 9, True)])
    assert refusal is not None
    assert refusal.strerror == "ipv6: IPv6 is disabled on this device"


def test_promote_secondaries_is_the_interfaces_own(kernel: Kernel) -> None:
    run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=0", "net.ipv4.conf.eth0.promote_secondaries=0")
    link = kernel.link("eth0")
    assert link is not None
    assert not link.promotes
    kernel.promote(link.index)
    link = kernel.link("eth0")
    assert link is not None
    assert link.promotes
    assert run("sysctl", "-n", "net.ipv4.conf.all.promote_secondaries").strip() == "0"


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1"])
def test_what_is_local(kernel: Kernel, address: str) -> None:
    assert not kernel.is_local(address)
    ip("addr", "add", f"{address}/{128 if ':' in address else 32}", "dev", "lo", *(["nodad"] if ":" in address else []))
    assert kernel.is_local(address)


def test_a_socket_of_its_own_is_the_cause_of_its_events(kernel: Kernel) -> None:
    with contextlib.closing(Kernel()) as other:
        assert kernel.port not in (0, other.port)


def test_the_nodes_own_connections_go_by_its_own_address(kernel: Kernel) -> None:
    """A shared address moves away; a connection from it would break, and kubelet would take it for the node's."""
    eth0 = index(kernel)
    ip("addr", "add", "192.168.0.11/24", "dev", "eth0")
    ip("addr", "add", "fd00::11/64", "dev", "eth0", "nodad")
    shared = [Entry(eth0, text, 32 if "." in text else 128) for text in ("192.168.0.2", "192.168.0.123", "fd00::2")]
    shared += [Entry(eth0, "10.7.0.9", 24), Entry(eth0, "fd07::9", 64)]
    assert kernel.put([Put(entry, 60, True) for entry in shared]) == [None] * len(shared)
    for family, gateway in (("-4", "192.168.0.1"), ("-6", "fd00::1")):
        ip(family, "route", "add", "default", "via", gateway, "dev", "eth0")
    for target, own in (
        ("192.168.0.50", "192.168.0.11"),
        ("203.0.113.1", "192.168.0.11"),
        ("fd00::50", "fd00::11"),
        ("2001:db8::1", "fd00::11"),
    ):
        with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((target, 9))
            assert sock.getsockname()[0] == own, target
