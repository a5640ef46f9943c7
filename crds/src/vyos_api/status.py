"""The status of a VyosCluster: who owns what, as told by agents and operator.

Entries of `groups` and `nodes` are atomic: each is written whole by one writer under its own field manager
(names.group_manager, names.node_manager), so that nothing of a dead owner's entry survives in its successor's.
"""

from __future__ import annotations

import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from vyos_api import limits, nodeconfig
from vyos_api.fields import Checked, LenientModel, ListMap, Many, Ordered
from vyos_api.rules import Rule


def _is_time(text: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


Timestamp = Annotated[
    str,
    Field(max_length=35, json_schema_extra={"format": "date-time"}),
    Checked(Rule(cel="", message="must be a time such as 2026-01-02T03:04:05Z", holds=_is_time)),
]
"""RFC 3339, UTC, whole seconds."""
Int64 = Annotated[
    int,
    Field(ge=0, json_schema_extra={"format": "int64"}),
    Checked(Rule(cel="", message="must be less than 2^63", holds=lambda number: number < 2**63)),
]
Count = Annotated[str, Field(max_length=16, pattern=r"^[0-9]{1,4}/[0-9]{1,4}$")]
"""How many of how many are as they should be: "1/2"."""
_GroupName = Annotated[str, Field(max_length=limits.GROUP_NAME)]
_NodeName = Annotated[str, Field(max_length=limits.NODE_NAME)]
_Service = Annotated[str, Field(max_length=limits.SERVICE_TEXT)]
_State = Annotated[str, Field(max_length=limits.STATE_TEXT)]


class Condition(LenientModel):
    """One aspect of the cluster, in the form of metav1.Condition."""

    type: Annotated[str, Field(max_length=limits.CONDITION_TYPE)]
    """Accepted, Programmed, Available, Verified or Degraded."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    observed_generation: Int64 = 0
    """The generation of the spec that this was said about."""
    last_transition_time: Timestamp
    """When the status last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=limits.CONDITION_REASON)]
    """One word for machines."""
    message: Annotated[str, Field(max_length=limits.CONDITION_MESSAGE)]
    """A sentence for people."""


class GroupStatus(LenientModel):
    """Who owns a group; written by the owner itself when it takes the group."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    name: _GroupName
    """The group."""
    owner: _NodeName
    """The member that holds the group's services."""
    epoch: Annotated[int, Field(ge=0, le=limits.EPOCH, json_schema_extra={"format": "int64"})]
    """How often the group was claimed; it never goes back."""
    since: Timestamp | None = None
    """When the owner took the group."""
    reason: Annotated[str, Field(max_length=limits.REASON_TEXT)] | None = None
    """Why the owner took it."""
    addresses: Annotated[Many[_Service], Field(max_length=limits.SERVICES), Ordered] | None = None
    """IP services that the owner holds."""
    services: Annotated[Many[_Service], Field(max_length=limits.SERVICES), Ordered] | None = None
    """Host services that run at the owner."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.epoch >= oldSelf.epoch",
            message="the epoch of a group must not go back",
            message_cel="'the epoch of group ' + self.name + ' must not go back'",
            at=".epoch",
            holds=None,
        ),
        Rule(
            cel="self.owner == oldSelf.owner || self.epoch > oldSelf.epoch",
            message="a new owner needs a higher epoch",
            message_cel="'a new owner of group ' + self.name + ' needs a higher epoch'",
            at=".owner",
            holds=None,
        ),
    )


class MemberGroup(LenientModel):
    """A group as one member sees it."""

    name: _GroupName
    """The group."""
    state: _State
    """This member's own part in it: Listening, Standby, Owner, ..."""
    owner: _NodeName | None = None
    """Whom this member sees as owner; absent when nobody."""


class Deviation(LenientModel):
    """One thing that is not as it should be, seen from one node."""

    kind: Annotated[str, Field(max_length=limits.STATE_TEXT)]
    """Peer, Monitor, Interface, Address, Service, ..."""
    name: Annotated[str, Field(max_length=limits.NODE_NAME)]
    """Which one."""
    state: _State
    """What it is instead."""
    since: Timestamp | None = None
    """Since when."""


class NodeStatus(LenientModel):
    """What one member reports; written by its agent, on change only."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    name: _NodeName
    """The node."""
    config_generation: Int64 | None = None
    """The generation of the spec that the member runs."""
    agent_version: Annotated[str, Field(max_length=limits.VERSION_TEXT)] | None = None
    """The version of its agent."""
    send_key: Int64 | None = None
    """The number of the heartbeat key that it sends with."""
    accept_keys: Annotated[Many[Int64], Field(max_length=nodeconfig.KEYS_MAX), Ordered] | None = None
    """The numbers of the keys that it accepts: two while the pre-shared secret is being changed."""
    groups: Annotated[Many[MemberGroup], Field(max_length=limits.GROUPS), Ordered] | None = None
    """The groups that it is a member of."""
    peers: Count | None = None
    """Peers alive, of all."""
    monitors: Count | None = None
    """Monitors reachable, of all."""
    interfaces: Count | None = None
    """Heartbeat interfaces up, of all."""
    deviations: Annotated[Many[Deviation], Field(max_length=limits.DEVIATIONS), Ordered] | None = None
    """What is not as it should be; nothing that is."""


class Status(LenientModel):
    """What is true now."""

    observed_generation: Int64 | None = None
    """The newest generation of the spec that the operator has seen."""
    owners: Annotated[str, Field(max_length=limits.OWNERS_TEXT)] | None = None
    """group=owner pairs for kubectl get, shortened where they are long."""
    members: Count | None = None
    """Members ready, of all."""
    conditions: Annotated[Many[Condition], Field(max_length=limits.CONDITIONS), ListMap("type")] = ()
    """Accepted, Programmed, Available, Verified, Degraded."""
    groups: Annotated[Many[GroupStatus], Field(max_length=limits.GROUPS), ListMap("name")] = ()
    """Owners, one entry a group."""
    nodes: Annotated[Many[NodeStatus], Field(max_length=limits.MEMBERS), ListMap("name")] = ()
    """Members, one entry a node."""
