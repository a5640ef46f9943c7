from __future__ import annotations

import pytest

from vyos_api import services
from vyos_api.nodeconfig import Address
from vyos_api.services import ServiceError, Unit


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.168.0.123/24/eth0", Address("192.168.0.123", 24, "eth0")),
        ("192.168.0.123/24", Address("192.168.0.123", 24)),
        ("10.0.0.1/8/eth0/10.255.255.255", Address("10.0.0.1", 8, "eth0", "10.255.255.255")),
        ("2001:DB8:0:0::1/64/eth0.5", Address("2001:db8::1", 64, "eth0.5")),
        ("1:2:3:4:5:6:7:8/128", Address("1:2:3:4:5:6:7:8", 128)),
        ("ssh", Unit("ssh.service")),
        ("ssh.service", Unit("ssh.service")),
        ("backup.timer", Unit("backup.timer")),
        ("node.exporter", Unit("node.exporter.service")),
        ("service", Unit("service.service")),
        ("openvpn@site", Unit("openvpn@site.service")),
    ],
)
def test_read(text: str, found: Address | Unit) -> None:
    assert services.parse(text) == found


@pytest.mark.parametrize("text", ["192.168.0.123/24/eth0", "10.0.0.1/8/eth0/10.255.255.255", "2001:db8::1/64"])
def test_written_as_read(text: str) -> None:
    found = services.parse(text)
    assert isinstance(found, Address)
    assert found.text == text


@pytest.mark.parametrize("rule", services.RULES, ids=lambda r: r.message)
def test_one_rule_at_a_time(rule: services.Rule) -> None:
    """Each rule is the first to refuse something, so none is hidden behind another."""
    bad = {
        "a host": "ssh daemon",
        "an IP service needs": "192.168.0.123",
        "an IP service is": "router.lan/24",
        "PREFIX": "10.0.0.1/33",
        "ADDRESS must be a unicast": "127.0.0.1/8",
        "ADDRESS must be a host's": "192.168.0.0/24",
        "INTERFACE": "10.0.0.1/8/eth0:1",
        "BROADCAST": "2001:db8::1/64/eth0/10.255.255.255",
    }
    text = next(t for start, t in bad.items() if rule.message.startswith(start))
    with pytest.raises(ServiceError) as error:
        services.parse(text)
    assert str(error.value) == rule.message
