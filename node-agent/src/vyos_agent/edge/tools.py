"""What all clusters of one daemon share."""

from __future__ import annotations

import dataclasses

from vyos_agent.edge.addresses import AddressKeeper
from vyos_agent.edge.arp import Announcer
from vyos_agent.edge.hooks import Executor, Hooks
from vyos_agent.edge.links import Links
from vyos_agent.edge.monitors import Monitors
from vyos_agent.edge.node_addresses import NodeAddresses
from vyos_agent.edge.probing import Prober
from vyos_agent.edge.services import HostServices
from vyos_agent.edge.state import State
from vyos_agent.edge.unicast import Unicast


@dataclasses.dataclass(frozen=True, slots=True)
class Tools:
    """One of each."""

    keeper: AddressKeeper
    links: Links
    addresses: NodeAddresses
    announcer: Announcer
    state: State
    monitors: Monitors
    services: HostServices
    unicast: Unicast
    prober: Prober
    hooks: Hooks
    executor: Executor
    """What runs the host's programs."""
