"""What the API allows in a VyosCluster and is yet better otherwise: the advice that `lint` gives. Pure.

Each piece of advice says what may happen and what to write instead. Not here: what the API refuses (`vyos_api`).
"""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
from collections.abc import Iterator

from vyos_api import host_units, services
from vyos_api.nodeconfig import Address
from vyos_api.v1alpha1 import Group, Spec
from vyos_cluster import promise

LOST_FRAMES = 2
"""So many lost frames in a row should not look like a death."""
GAP_FACTOR = 2
"""The dead interval should be so many times the longest gap that was measured (Linux-HA advised 1.5 to 2)."""

_EXAMPLES = {4: "239.251.252.253", 6: "ff05::4:2"}
"""Multicast groups that the API takes, by family."""
DEAD_UNDER_MS = 30_000
"""The API takes only shorter dead intervals."""


class Rule(enum.StrEnum):
    """The names of the pieces of advice; docs/cli.md explains each."""

    ADDRESS_COLLISION = "address-collision"
    FEW_KEEPALIVES = "few-keepalives"
    MEASURED_GAP = "measured-gap"
    MCAST_FAMILY = "mcast-family"
    MISSING_SECRET = "missing-secret"  # noqa: S105 - a rule's name
    NEEDED_UNIT = "needed-unit"
    ONE_INTERFACE = "one-interface"
    ONE_MEMBER = "one-member"
    OPEN_SECRET = "open-secret"  # noqa: S105 - a rule's name
    PROMISE = "promise"
    SAME_NAME = "same-name"
    SECRET_NAMESPACE = "secret-namespace"  # noqa: S105 - a rule's name
    SINGLE_MONITOR = "single-monitor"


@dataclasses.dataclass(frozen=True, slots=True)
class Advice:
    """One piece of advice and the field that it is about."""

    field: str
    rule: Rule
    text: str


def of_spec(spec: Spec, gap_ms: int | None = None) -> Iterator[Advice]:
    """Advice on one cluster by itself; `gap_ms` is the longest gap between heartbeats that was measured."""
    if len(spec.interfaces) == 1:
        text = (
            f"{spec.interfaces[0]} alone carries heartbeats: while it is cut, each side owns the groups; name a second"
        )
        rest = " (unicast helps only where the node addresses are on another)" if spec.unicast else ""
        yield Advice("spec.interfaces", Rule.ONE_INTERFACE, f"{text} interface{rest}")
    yield from _family(spec)
    if spec.pre_shared_secret.value is not None:
        text = "whoever may read this resource reads the secret; put it into a Secret and name that with secretKeyRef"
        yield Advice("spec.preSharedSecret.value", Rule.OPEN_SECRET, text)
    yield from _dead_interval(spec, gap_ms)
    for i, group in enumerate(spec.groups):
        yield from _group(f"spec.groups[{i}]", group)


def _family(spec: Spec) -> Iterator[Advice]:
    """An IPv4 group where every heartbeat interface has shared addresses of IPv6 only, or the other way round."""
    group = ipaddress.ip_address(spec.mcast_group)
    lacking, shown = f"IPv{group.version}", 10 - group.version
    found: dict[str | None, set[int]] = {}
    for text in (text for group_ in spec.groups for text in group_.services):
        if isinstance(address := services.parse(text), Address):
            found.setdefault(address.interface, set()).add(ipaddress.ip_address(address.address).version)
    if spec.unicast or any(found.get(name) != {shown} for name in spec.interfaces):
        return
    names = ", ".join(spec.interfaces)
    text = (
        f"{group} is {lacking}, and all addresses on {names} are IPv{shown}: an interface without an {lacking} address "
        f"of its own carries no heartbeats then, and no group gets a first owner; name an IPv{shown} group (such as "
        f"{_EXAMPLES[shown]}), or see to it that {names} has an {lacking} address on each member"
    )
    yield Advice("spec.mcastGroup", Rule.MCAST_FAMILY, text)


def claims(spec: Spec) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The field of each address, the address, and the nodes that may come to hold it, as the operator counts them."""
    for i, group in enumerate(spec.groups):
        for j, text in enumerate(group.services):
            found = services.parse(text)
            if isinstance(found, Address):
                # A link-local address is unique on its interface only.
                local = ipaddress.ip_address(found.address).is_link_local and found.interface
                address = f"{found.address}%{found.interface}" if local else found.address
                yield f"spec.groups[{i}].services[{j}]", address, group.members


def _dead_interval(spec: Spec, gap_ms: int | None) -> Iterator[Advice]:
    at, said = "spec.deadInterval", f"deadInterval ({spec.dead_interval})"
    keepalive_ms, dead_ms = spec.keepalive_interval.ms, spec.dead_interval.ms
    lost = promise.lost_frames(keepalive_ms, dead_ms)
    if spec.fence == "None" and lost < 1:
        what, least_ms = (
            ("is too short for the promise: after a kill or freeze two", promise.least_dead_ms(keepalive_ms))
            if lost < 0
            else ("keeps the promise only while no frame of the owner is lost: else two", _first_ms(keepalive_ms))
        )
        text = f"{what} routers may hold an address for a moment; {_longer(least_ms)}, or set fence: Nftables"
        yield Advice(at, Rule.PROMISE, f"{said} {text}")
    least_ms = (LOST_FRAMES + 1) * keepalive_ms
    if dead_ms < least_ms:
        what = f"is less than {LOST_FRAMES + 1} times keepaliveInterval ({spec.keepalive_interval})"
        text = f"{what}: {LOST_FRAMES} lost frames in a row look like a death; {_longer(least_ms)}"
        yield Advice(at, Rule.FEW_KEEPALIVES, f"{said} {text}")
    if gap_ms is not None and dead_ms < GAP_FACTOR * gap_ms:
        what = (
            f"is not longer than the longest gap measured ({gap_ms}ms): living members would have been taken for dead"
            if dead_ms <= gap_ms
            else f"is less than {GAP_FACTOR} times the longest gap measured ({gap_ms}ms)"
        )
        yield Advice(at, Rule.MEASURED_GAP, f"{said} {what}; {_longer(GAP_FACTOR * gap_ms)}")


def _longer(least_ms: int) -> str:
    if least_ms < DEAD_UNDER_MS:
        return f"write {least_ms} (milliseconds) or more"
    return f"as it must be less than {DEAD_UNDER_MS}, send more often (keepaliveInterval) or mend the network"


def _first_ms(keepalive_ms: int) -> int:
    """The shortest dead interval from which on one lost frame does no harm."""
    dead_ms = promise.least_dead_ms(keepalive_ms)
    while promise.lost_frames(keepalive_ms, dead_ms) < 1:
        dead_ms += 1
    return dead_ms


def _group(at: str, group: Group) -> Iterator[Advice]:
    if len(group.monitors) == 1:
        text = f"{group.monitors[0]} alone decides whose uplink works; name a second monitor, best of another path"
        yield Advice(f"{at}.monitors", Rule.SINGLE_MONITOR, text)
    for j, text in enumerate(group.services):
        unit = services.parse(text)
        if isinstance(unit, services.Unit) and host_units.is_needed(unit.name):
            text = f"a node needs {unit.name}: the agents leave it as it is; {host_units.CURE}"
            yield Advice(f"{at}.services[{j}]", Rule.NEEDED_UNIT, text)
    left = [m for m in group.members if m not in group.maintenance]
    if len(left) < 2:
        who = f"only {left[0]}" if left else "no member"
        text = f"leaves {who} to own group {group.name}; end the maintenance of another member when you can"
        yield Advice(f"{at}.maintenance", Rule.ONE_MEMBER, text)
