"""Whether a heartbeat link can carry a frame, and if not, why and what to do about it. Pure."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Collection

from vyos_agent.edge.kernel import Link


@dataclasses.dataclass(frozen=True, slots=True)
class Trouble:
    """Why no frame can go out by a link: a word for machines, and a sentence with the cure."""

    state: str
    text: str


def trouble(
    name: str,
    link: Link | None,
    group: ipaddress.IPv4Address | ipaddress.IPv6Address,
    families: Collection[int] | None,
    refusal: str | None,
) -> Trouble | None:
    """Judge one interface. `families`: IP versions of its own addresses (None: unknown); `refusal`: the kernel's."""
    if link is None:
        return Trouble("Missing", f"{name}: there is no such interface: correct spec.interfaces, or create {name}")
    if not link.up:
        return Trouble(
            "Down", f"{name}: it has no carrier: connect it and set it up, or name another in spec.interfaces"
        )
    if families is not None and group.version not in families:
        lacks, has = f"IPv{group.version}", "IPv6" if group.version == 4 else "IPv4"
        cure = f"give it one, or set spec.mcastGroup to an {has} group"
        return Trouble("NoAddress", f"{name}: it has no {lacks} address of its own for mcastGroup {group}: {cure}")
    if refusal is not None:
        return Trouble(
            "Refused", f"{name}: the kernel refuses heartbeats ({refusal}): look at the node's firewall and log"
        )
    return None
