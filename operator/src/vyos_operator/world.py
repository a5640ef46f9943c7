"""World, all that was gathered about one cluster, and Plan, all that shall be: frozen values between I/O and decisions.

Bodies are the API server's JSON as it is; whoever needs a field parses it once (`plan`), because what is wrong with
it is part of the decision.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from vyos_api.reasons import AcceptedReason
from vyos_operator.claims import Claim, Place
from vyos_operator.kinds import Kind
from vyos_operator.node_addresses import Taken
from vyos_operator.rendering import Rendering

Body = Mapping[str, Any]
"""An object of the API server, or one to apply."""


@dataclasses.dataclass(frozen=True, slots=True)
class Absence:
    """What keeps an agent from being seen at work (`presence` judges it)."""

    why: str
    dead: bool
    """Whether it cannot live; else its peers may hear it, though Kubernetes does not see it."""


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """One cluster and everything that bears on it."""

    now: datetime.datetime
    operator_namespace: str
    agent_namespace: str
    instance: str
    cluster: Body
    nodes: frozenset[str]
    """The names of all Nodes."""
    lost: frozenset[str]
    """Those of them whose kubelet is silent."""
    secret: Body | None
    """The Secret that secretKeyRef names, if it exists."""
    config_maps: tuple[Body, ...]
    """The ConfigMaps labelled with this cluster's name."""
    key_secret: Body | None
    """The Secret under the name of this cluster's key Secret."""
    created: str
    held: frozenset[Place]
    """What the agents may hold for this cluster by the ConfigMaps that exist or are being written."""
    rivals: tuple[Claim, ...]
    """What the other clusters claim, as far as it meets this one's addresses."""
    addresses: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """The InternalIPs of each Node."""
    cordoned: frozenset[str] = frozenset()
    """Nodes on which nothing new shall be scheduled."""
    agents: Mapping[str, Absence | None] = dataclasses.field(default_factory=dict)
    """Of each Node with an agent's pod, what that agent is short of; None for nothing."""
    former: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The owner before the present one, of the groups that were seen to move."""
    taken: Taken = dataclasses.field(default_factory=Taken)
    """Addresses of Nodes, pods and the API server."""
    rendering: Rendering | None = dataclasses.field(default=None, repr=False, compare=False)
    """What the spec in `cluster` means, where that was worked out before."""

    def rendered(self) -> Rendering:
        """What the spec means for the members."""
        return self.rendering or Rendering(self.cluster)


@dataclasses.dataclass(frozen=True, slots=True)
class Ref:
    """An object to delete; only this life of it (`uid`)."""

    kind: Kind
    namespace: str
    name: str
    uid: str


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is still to do for one cluster, in the order of the fields; all of it may be repeated."""

    doubtful: str | None = None
    """The cluster's UID where something that was written before is gone: before it is written again, the API server is
    asked whether this life of the cluster is over. A watch that was away may not have shown its deletion."""
    apply: tuple[Body, ...] = ()
    """Objects that are missing or differ."""
    delete: tuple[Ref, ...] = ()
    prune: tuple[str, ...] = ()
    """Field managers whose entries in the status go: of members that left and groups that are gone."""
    events: tuple[Body, ...] = ()
    status: Body | None = None
    """The operator's part of the status, whole; None when it is already so."""
    unreadable_status: bool = False
    """The status cannot be read: no key is changed, and no status and no Event is written, until it can be."""
    holds: frozenset[Place] | None = None
    """What agents may hold once this is carried out; None when the configuration stays as it is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What a check found wrong: a reason for machines, and a sentence for people that names the field and the fix."""

    reason: AcceptedReason
    message: str
