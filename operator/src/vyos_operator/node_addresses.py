"""Addresses that belong to Nodes, pods or the API server: no cluster may share one. Pure.

A router that adds another Node's address takes that Node's packets for its own: the Node is cut off, and every cluster
of the two has two owners. So the resource that names it is refused, whatever else it says.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from vyos_api import rules, services
from vyos_api.nodeconfig import Address
from vyos_api.v1alpha1 import Spec

KINDS = ("InternalIP", "ExternalIP")
"""Types of a Node's addresses that are IP addresses; a Hostname and a DNS name are none."""


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """What belongs to the Kubernetes cluster itself."""

    addresses: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """By address: whose it is, as "the InternalIP of node2"."""
    networks: Mapping[ipaddress.IPv4Network | ipaddress.IPv6Network, str] = dataclasses.field(default_factory=dict)
    """By pod network: the Node whose pods have their addresses there."""

    def by(self, address: str) -> str | None:
        """Return whose an address is; None: nobody's that is known."""
        if address in self.addresses:
            return self.addresses[address]
        ip = ipaddress.ip_address(address)
        nodes = (node for network, node in self.networks.items() if ip.version == network.version and ip in network)
        node = next(nodes, None)
        return None if node is None else f"in the pod network of {node}"


def of_node(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the IP addresses of a Node, in canonical spelling, with their types."""
    name = body["metadata"]["name"]
    found: dict[str, str] = {}
    for entry in (body.get("status") or {}).get("addresses") or ():
        ip = rules.parse_ip(entry.get("address", "")) if entry.get("type") in KINDS else None
        if ip is not None:
            found.setdefault(str(ip), f"the {entry['type']} of {name}")
    return found


def pod_networks(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the pod networks of a Node, as far as they can be read."""
    found = []
    for text in (body.get("spec") or {}).get("podCIDRs") or ():
        try:
            found.append(str(ipaddress.ip_network(text)))
        except ValueError:
            continue
    return tuple(found)


def shared(spec: Spec) -> Iterator[tuple[str, str]]:
    """Return each shared address of a spec, with the path of its field."""
    for i, group in enumerate(spec.groups):
        for j, text in enumerate(group.services):
            service = services.parse(text)
            if isinstance(service, Address):
                yield f"spec.groups[{i}].services[{j}]", service.address


def monitored(spec: Spec) -> dict[str, str]:
    """Return the path of the field that names each monitor."""
    return {
        str(ip): f"spec.groups[{i}].monitors[{j}]"
        for i, group in enumerate(spec.groups)
        for j, text in enumerate(group.monitors)
        if (ip := rules.parse_ip(text)) is not None
    }
