"""Which units of a node clusters may start and stop."""

from __future__ import annotations

import pytest

from vyos_api import host_units
from vyos_api.host_units import HostUnits

NEEDED = (
    *("kubelet.service", "containerd.service", "crio.service", "docker.service", "docker.socket", "k3s.service"),
    *("k3s-agent.service", "rke2-server.service", "dbus.service", "dbus.socket", "dbus-broker.service", "init.scope"),
    *(
        "systemd-networkd.service",
        "systemd-journald.socket",
        "NetworkManager.service",
        "networking.service",
        "ifup@eth0.service",
    ),
    *(
        "wpa_supplicant.service",
        "wpa_supplicant@wlan0.service",
        "multipathd.service",
        "iscsid.socket",
        "cloud-init.service",
    ),
    *(
        "cloud-init-local.service",
        "nftables.service",
        "-.mount",
        "var-lib.mount",
        "system.slice",
        "sda.device",
        "user@0.service",
    ),
    *(
        "poweroff.target",
        "reboot.target",
        "multi-user.target",
        "vyos-router.service",
        "vyos-cluster-lease-edge-g-1-2.service",
    ),
    *("vyos-cluster-heartbeat.service", "session-1.scope", "dev-sda2.swap"),
)
FREE = (
    *("ssh.service", "ssh.socket", "openvpn@tun0.service", "openvpn.service", "nginx.service", "strongswan.service"),
    *(
        "ipsec.service",
        "bind9.service",
        "isc-dhcp-server.service",
        "haproxy.service",
        "backup.timer",
        "dnsmasq.service",
    ),
    *(
        "kea-dhcp4-server.service",
        "frr.service",
        "keepalived.service",
        "docker-registry.service",
        "wg-quick@wg0.service",
    ),
)


@pytest.mark.parametrize("name", NEEDED)
def test_what_a_node_needs_is_refused(name: str) -> None:
    for allow in (host_units.ALL, ("*.*",), (f"{name[:-1]}?",), (f"{name[:3]}*",)):
        assert HostUnits(allow).refusal([name]) == f"a node needs {name}"
    assert HostUnits([name]).refusal([name]) is None, "named without a wildcard it is the administrator's decision"


@pytest.mark.parametrize("name", FREE)
def test_any_other_is_allowed(name: str) -> None:
    assert HostUnits().refusal([name]) is None


@pytest.mark.parametrize(
    ("allow", "name", "allowed"),
    [
        ("ssh", "ssh.service", True),
        ("ssh.service", "ssh.service", True),
        ("ssh", "ssh.socket", False),
        ("ssh", "sshd.service", False),
        ("ssh.*", "ssh.socket", True),
        ("openvpn@*", "openvpn@tun0.service", True),
        ("openvpn@*", "openvpn.service", False),
        ("openvpn@", "openvpn@tun0.service", False),
        (" ssh , openvpn@*", "openvpn@tun0.service", True),
        ("a?c", "abc.service", False),
        ("a?c.service", "abc.service", True),
        ("", "ssh.service", False),
        ("SSH", "ssh.service", False),
        ("foo.bar", "foo.bar.service", True),
    ],
)
def test_a_list_allows_what_it_names(allow: str, name: str, allowed: bool) -> None:
    assert (HostUnits(host_units.patterns(allow)).refusal([name]) is None) is allowed


def test_a_unit_is_judged_by_all_its_names() -> None:
    assert HostUnits(["ssh"]).refusal(["sshd.service", "ssh.service"]) is None
    assert HostUnits().refusal(["front.service", "kubelet.service"]) == "a node needs kubelet.service"
    assert HostUnits(["front"]).refusal(["front.service", "kubelet.service"]) == "a node needs kubelet.service"
    both = ["dbus.service", "dbus-broker.service"]
    assert HostUnits(["dbus-broker"]).refusal(both) == "a node needs dbus.service"
    assert HostUnits(["dbus-broker", "dbus"]).refusal(both) is None


def test_a_unit_with_which_systemd_stops_a_needed_one_is_refused() -> None:
    stopped = ["shutdown.target", "data.mount", "kubelet.service", "x.service"]
    why = "systemd stops kubelet.service with it, which a node needs"
    assert HostUnits().refusal(["storage.service"], stopped) == why
    assert HostUnits(["storage", "kubelet"]).refusal(["storage.service"], stopped) is None
    assert HostUnits().refusal(["storage.service"], ["shutdown.target", "data.mount"]) is None, "its own, as a rule"


@pytest.mark.parametrize("text", ["a b", "a,,b", "a/b", ",", "ssh;x"])
def test_a_list_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no unit's name and no glob"):
        host_units.patterns(text)


def test_the_reason_says_what_is_wrong() -> None:
    assert HostUnits(["ssh"]).refusal(["nginx.service"]) == "the list of allowed units does not have it"
    assert HostUnits([]).refusal(["nginx.service"]) == "no unit is allowed"
    assert HostUnits([]).none
    assert not HostUnits().none
