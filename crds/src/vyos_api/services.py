"""The services of a group: IP addresses and systemd units, told apart as VyOS does, by a '/' after an address.

Standard library only. The rules here are also the CEL rules of `groups[].services[]`, in the order in which they
are tried; text that passes them all can be parsed.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import re

from vyos_api import host_units, limits
from vyos_api.nodeconfig import Address
from vyos_api.rules import Rule, is_ip, parse_ip

FORM = "ADDRESS/PREFIX[/INTERFACE[/BROADCAST]]"

INTERFACE_SYNTAX = rf"^[!-.0-9;-~]{{1,{limits.INTERFACE_NAME}}}$"
"""Printable ASCII but '/' and ':', which Linux refuses in names (dev_valid_name in net/core/dev.c)."""
INTERFACE_HELP = f"1 to {limits.INTERFACE_NAME} printable ASCII characters without / and :"

_UNIT = r"^[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]*$"
"""The characters of a unit's name by systemd.unit(5), a leading '@' excepted."""
_NUMBERS = r"^([0-9.:]+|[0-9a-fA-F.]*:[0-9a-fA-F.]*:[0-9a-fA-F.:]*)$"
"""An address without a prefix, mistyped or not; it would pass for a unit's name."""
_PARTS = "self.split('/')"
_IP_SERVICE = f"self.contains('/') && {_PARTS}.size() <= 4 && isIP({_PARTS}[0])"
_CIDR = f"({_PARTS}[0] + '/' + {_PARTS}[1])"


class ServiceError(ValueError):
    """The text is no service; the message says what is wrong with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A host service, as its full unit name: `ssh` means ssh.service, as in systemctl."""

    name: str


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Address | Unit:
    """The address (in canonical spelling) or unit that the text means. Raises ServiceError."""
    for rule in RULES:
        assert rule.holds is not None
        if not rule.holds(text):
            raise ServiceError(rule.text(text))
    if "/" not in text:
        return Unit(host_units.full_name(text))
    address, prefix, *rest = text.split("/")
    interface, broadcast = (*rest, None, None)[:2]
    return Address(str(ipaddress.ip_address(address)), int(prefix), interface, broadcast)


def interface_name(text: str) -> bool:
    """Whether Linux could know an interface by this name or alternative name."""
    return re.fullmatch(INTERFACE_SYNTAX[1:-1], text) is not None and text not in (".", "..")


def _is_ip_service(text: str) -> bool:
    return "/" in text and text.count("/") <= 3 and is_ip(text.split("/")[0])


def _has_prefix(text: str) -> bool:
    return _network(text) is not None


def _network(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    """CEL's cidr() of an IP service: no leading zeros, no netmask in place of a prefix length."""
    address, prefix = text.split("/")[:2]
    if not (is_ip(address) and re.fullmatch(r"0|[1-9][0-9]{0,2}", prefix)):
        return None
    try:
        return ipaddress.ip_interface(f"{address}/{prefix}")
    except ValueError:
        return None


def _unicast(text: str) -> bool:
    a = parse_ip(text.split("/")[0])
    return a is not None and not (a.is_unspecified or a.is_loopback or a.is_multicast or str(a) == "255.255.255.255")


def _is_host(text: str) -> bool:
    found = _network(text)
    if found is None or found.network.max_prefixlen - found.network.prefixlen < 2:
        return True
    return found.ip != found.network[0] and (found.version == 6 or found.ip != found.network[-1])


def _has_interface(text: str) -> bool:
    parts = text.split("/")
    return len(parts) < 3 or interface_name(parts[2])


def _has_broadcast(text: str) -> bool:
    parts = text.split("/")
    return len(parts) < 4 or all(":" not in p and is_ip(p) for p in (parts[0], parts[3]))


RULES = (
    Rule(
        cel=f"self.contains('/') || self.matches('{_UNIT.replace(chr(92), chr(92) * 2)}')",
        message=r"a host service is the name of a systemd unit: letters, digits and : _ . \ @ -",
        holds=lambda s: "/" in s or re.fullmatch(_UNIT[1:-1], s) is not None,
    ),
    Rule(
        cel=f"!isIP(self) && !self.matches('{_NUMBERS}')",
        message=f"an IP service needs a prefix length: {FORM}",
        holds=lambda s: not is_ip(s) and re.fullmatch(_NUMBERS[1:-1], s) is None,
    ),
    Rule(
        cel=f"!self.contains('/') || ({_PARTS}.size() <= 4 && isIP({_PARTS}[0]))",
        message=f"an IP service is {FORM} and must begin with an IPv4 or IPv6 address",
        holds=lambda s: "/" not in s or _is_ip_service(s),
    ),
    Rule(
        cel=f"!({_IP_SERVICE}) || isCIDR{_CIDR}",
        message="PREFIX must be a prefix length: 0 to 32 for IPv4, 0 to 128 for IPv6",
        holds=lambda s: not _is_ip_service(s) or _has_prefix(s),
    ),
    Rule(
        cel=f"!({_IP_SERVICE}) || ip({_PARTS}[0]).isGlobalUnicast() || ip({_PARTS}[0]).isLinkLocalUnicast()",
        message="ADDRESS must be a unicast address that a router can hold: not 0.0.0.0, ::, loopback, multicast or "
        "255.255.255.255",
        holds=lambda s: not _is_ip_service(s) or _unicast(s),
    ),
    Rule(
        cel="",  # comparing two of CEL's addresses costs 100 times what a CRD may
        message="ADDRESS must be a host's address, not the network's own (its host bits are all zero) nor its "
        "broadcast address (all one)",
        holds=lambda s: not _is_ip_service(s) or _is_host(s),
    ),
    Rule(
        cel=f"!({_IP_SERVICE}) || {_PARTS}.size() < 3 || "
        f"({_PARTS}[2].matches('{INTERFACE_SYNTAX}') && !({_PARTS}[2] in ['.', '..']))",
        message=f"INTERFACE must be an interface's name: {INTERFACE_HELP}",
        holds=lambda s: not _is_ip_service(s) or _has_interface(s),
    ),
    Rule(
        cel=f"!({_IP_SERVICE}) || {_PARTS}.size() < 4 || "
        f"[{_PARTS}[0], {_PARTS}[3]].all(a, isIP(a) && ip(a).family() == 4)",
        message="BROADCAST must be an IPv4 address, and only an IPv4 service has one",
        holds=lambda s: not _is_ip_service(s) or _has_broadcast(s),
    ),
)
