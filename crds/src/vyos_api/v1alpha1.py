"""The user's API: the models of a VyosCluster. One source for validation, CRD and reference page.

Every rule stands beside its field, in CEL and in Python (`rules.Rule`); the docstring below a field is its description
in `kubectl explain`. Not here: the form that agents get (`nodeconfig`, `render`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from vyos_api import limits, problems, services
from vyos_api.durations import Duration, cel_duration, cel_ok
from vyos_api.fields import (
    ApiModel,
    Checked,
    DurationField,
    GroupName,
    InterfaceName,
    LenientModel,
    ListMap,
    Many,
    MonitorAddress,
    MulticastGroup,
    NodeName,
    Ordered,
    SecretKey,
    SecretName,
    ServiceText,
    blame,
)
from vyos_api.nodeconfig import Address
from vyos_api.problems import InvalidObject
from vyos_api.rules import Rule, unique
from vyos_api.status import Condition, Deviation, GroupStatus, MemberGroup, NodeStatus, Status

__all__ = [
    "Announcements",
    "Condition",
    "Deviation",
    "Group",
    "GroupStatus",
    "InvalidObject",
    "MemberGroup",
    "Metadata",
    "NodeStatus",
    "PreSharedSecret",
    "SecretKeyRef",
    "Spec",
    "Status",
    "VyosCluster",
    "about",
    "object_at",
    "parse",
]

_NAME = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


def _more_than_twice(field: str, attribute: str) -> Rule:
    """VyOS: an interval after which somebody is dead must be more than twice the keepalive interval."""
    one, two = "self.keepaliveInterval", f"self.{field}"
    return Rule(
        cel=f"!{cel_ok(one)} || !{cel_ok(two)} || {cel_duration(one)} + {cel_duration(one)} < {cel_duration(two)}",
        message=f"{field} must be more than twice keepaliveInterval",
        message_cel=f"'{field} (' + string({two}) + ') must be more than twice keepaliveInterval (' + string({one}) + "
        "')'",
        say=lambda s: (
            f"{field} ({getattr(s, attribute)}) must be more than twice keepaliveInterval ({s.keepalive_interval})"
        ),
        at=f".{field}",
        holds=lambda s: 2 * s.keepalive_interval.ms < getattr(s, attribute).ms,
    )


class SecretKeyRef(ApiModel):
    """A key of a Secret in the namespace of the operator."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    name: SecretName
    """The Secret's name."""
    key: SecretKey
    """The key in it."""


class PreSharedSecret(ApiModel):
    """What members prove to each other; exactly one of the two."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=256)] | None = None
    """The secret itself, for labs: whoever may read this resource reads it."""
    secret_key_ref: SecretKeyRef | None = None
    """Where the secret is (recommended)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.value) != has(self.secretKeyRef)",
            message="exactly one of value and secretKeyRef must be set",
            holds=lambda s: (s.value is None) != (s.secret_key_ref is None),
        ),
    )


class Announcements(ApiModel):
    """Gratuitous ARP and unsolicited neighbour advertisements after an address was added."""

    count: Annotated[int, Field(ge=1, le=100)] = 5
    """How many rounds; the first goes out at once."""
    interval: Annotated[Duration, DurationField("interval", least="10ms", most="1m")] = Duration(200, "200ms")
    """Time between rounds. Linux forgives changes of a neighbour only once a second (locktime), so the rounds should
    together last as long."""
    refresh: Annotated[Duration, DurationField("refresh", least="1s", most="24h")] = Duration(60_000, "60s")
    """The owner announces again this often."""


class Group(ApiModel):
    """Services that live together on one member, the owner."""

    name: GroupName
    """Name of the group, unique in the cluster."""
    primary: NodeName
    """The node that owns the group when all are well."""
    secondaries: Annotated[
        Many[NodeName], Field(min_length=1, max_length=limits.SECONDARIES), Ordered, Checked(unique("secondaries"))
    ]
    """The nodes that take over, in order of preference."""
    auto_failback: bool = False
    """Whether the group returns to a better-placed member that came back."""
    failback_delay: Annotated[Duration, DurationField("failbackDelay", most="24h", many=True)] | None = None
    """How long the better-placed member must have been well before, at most 24h; deadInterval if not given."""
    monitors: Annotated[
        Many[MonitorAddress], Field(max_length=limits.MONITORS), Ordered, Checked(unique("monitors"))
    ] = ()
    """Addresses that a member pings to know that its uplink works."""
    maintenance: Annotated[
        Many[NodeName], Field(max_length=limits.MAINTENANCE), Ordered, Checked(unique("maintenance"))
    ] = ()
    """Members that must not own the group for now."""
    services: Annotated[
        Many[ServiceText], Field(min_length=1, max_length=limits.SERVICES), Ordered, Checked(unique("services"))
    ]
    """IP addresses (ADDRESS/PREFIX[/INTERFACE[/BROADCAST]]) and systemd units, in the order of starting."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(self.primary in self.secondaries)",
            message="secondaries must not contain the primary",
            message_cel="'secondaries must not contain the primary (' + self.primary + ')'",
            say=lambda g: f"secondaries must not contain the primary ({g.primary})",
            at=".secondaries",
            holds=lambda g: g.primary not in g.secondaries,
        ),
        Rule(
            cel="self.maintenance.all(m, m == self.primary || m in self.secondaries)",
            message="maintenance must name members of the group only",
            message_cel="'maintenance must name members of the group only, not ' + "
            "self.maintenance.filter(m, m != self.primary && !(m in self.secondaries))[0]",
            say=lambda g: (
                "maintenance must name members of the group only, not "
                + next(m for m in g.maintenance if m not in g.members)
            ),
            at=".maintenance",
            holds=lambda g: set(g.maintenance) <= set(g.members),
        ),
    )

    @property
    def members(self) -> tuple[str, ...]:
        """The primary, then the secondaries: the order of preference."""
        return (self.primary, *self.secondaries)


class Spec(ApiModel):
    """What shall be."""

    interfaces: Annotated[
        Many[InterfaceName], Field(min_length=1, max_length=limits.INTERFACES), Ordered, Checked(unique("interfaces"))
    ]
    """Interfaces that carry heartbeats, by name or alternative name."""
    keepalive_interval: Annotated[Duration, DurationField("keepaliveInterval", least="10ms", under="30s")] = Duration(
        5_000, "5s"
    )
    """Time between heartbeats: a Go duration, or a bare number of milliseconds."""
    dead_interval: Annotated[Duration, DurationField("deadInterval", under="30s")] = Duration(20_000, "20s")
    """A member not heard for this long is dead; more than twice keepaliveInterval."""
    monitor_dead_interval: Annotated[Duration, DurationField("monitorDeadInterval", under="30s")] = Duration(
        20_000, "20s"
    )
    """A monitor that has not answered for this long is unreachable; more than twice keepaliveInterval."""
    init_dead_interval: Annotated[Duration, DurationField("initDeadInterval", most="24h")] = Duration(30_000, "30s")
    """How long a member that starts, and whose heartbeats can go out, waits for the others before it claims a group;
    not less than deadInterval."""
    mcast_group: MulticastGroup = "239.251.252.253"
    """Multicast group for heartbeats: 239.0.0.0/8, or IPv6 of site scope or less."""
    port: Annotated[int, Field(ge=1, le=65535)] = 694
    """UDP port for heartbeats (IANA: ha-cluster 694)."""
    ttl: Annotated[int, Field(ge=1, le=255)] = 1
    """Hops that heartbeats may take; 1 keeps them on the link."""
    announcements: Announcements = Announcements()
    """How neighbours are told where an address lives."""
    on_cordon: Literal["Ignore", "Standby"] = "Ignore"
    """What a cordoned node does with its groups: Ignore keeps them (a cordon is no drain), Standby hands them over."""
    unicast: bool = False
    """Whether frames also go straight to the members' node addresses, for networks that lose multicast."""
    fence: Literal["None", "Nftables"] = "None"
    """What keeps a former owner off the network beside the lifetime of its addresses."""
    pre_shared_secret: PreSharedSecret
    """The secret that authenticates heartbeats."""
    groups: Annotated[Many[Group], Field(min_length=1, max_length=limits.GROUPS), ListMap("name")]
    """The resource groups."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _more_than_twice("deadInterval", "dead_interval"),
        _more_than_twice("monitorDeadInterval", "monitor_dead_interval"),
        Rule(
            cel=f"!{cel_ok('self.initDeadInterval')} || !{cel_ok('self.deadInterval')} || "
            f"{cel_duration('self.initDeadInterval')} >= {cel_duration('self.deadInterval')}",
            message="initDeadInterval must not be less than deadInterval",
            message_cel="'initDeadInterval (' + string(self.initDeadInterval) + ') must not be less than deadInterval ("
            "' + string(self.deadInterval) + ')'",
            say=lambda s: (
                f"initDeadInterval ({s.init_dead_interval}) must not be less than deadInterval ({s.dead_interval})"
            ),
            at=".initDeadInterval",
            holds=lambda s: s.init_dead_interval.ms >= s.dead_interval.ms,
        ),
    )

    @model_validator(mode="after")
    def _too_dear_for_cel(self) -> Self:
        members = {m for g in self.groups for m in g.members}
        if len(members) > limits.MEMBERS:
            message = f"at most {limits.MEMBERS} nodes can be members of a cluster, not {len(members)}"
            raise blame((("groups",), message))
        seen: dict[str, str] = {}
        for loc, what in self._held():
            if what in seen:
                raise blame((loc, f"{what} is already held by {seen[what]}; one cluster holds it once"))
            seen[what] = problems.path(("spec", *loc))
        return self

    def _held(self) -> Iterator[tuple[tuple[int | str, ...], str]]:
        for i, group in enumerate(self.groups):
            for j, text in enumerate(group.services):
                found = services.parse(text)
                yield ("groups", i, "services", j), found.address if isinstance(found, Address) else found.name


class Metadata(LenientModel):
    """The part of the object's metadata that this project reads."""

    name: str
    """At most 63 lower-case letters, digits and '-', with no dot: it is a label and the first part of names."""
    uid: str = ""
    """Given by the API server; the salt of the heartbeat key."""
    generation: int = 0
    """Given by the API server; counts changes of the spec."""
    creation_timestamp: str = ""
    """Given by the API server, RFC 3339: of two clusters that want one address, the older keeps it."""
    deletion_timestamp: str | None = None
    """Given by the API server when the object is being deleted."""


class VyosCluster(ApiModel):
    """VyOS clustering for routers that are Kubernetes nodes: addresses and services that survive the loss of any."""

    api_version: Literal["cluster.vyos.io/v1alpha1"]
    kind: Literal["VyosCluster"]
    metadata: Metadata
    spec: Spec
    """What shall be."""
    status: Status = Status()
    """What is true now."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.metadata.name.matches('{_NAME}')",
            message="the name of a VyosCluster must be 1 to 63 lower-case letters, digits and '-' (no dots)",
            at_in_python=".metadata.name",
            holds=lambda c: re.fullmatch(_NAME[:-1], c.metadata.name) is not None,
        ),
        Rule(
            cel="!has(oldSelf.status) || !has(oldSelf.status.groups) || oldSelf.status.groups.all(o, "
            "(has(self.status) && has(self.status.groups) && self.status.groups.exists(n, n.name == o.name)) || "
            "!self.spec.groups.exists(g, g.name == o.name))",
            message="a group that is still in spec.groups must keep its entry in status.groups",
            at=".status.groups",
            forbidden=True,
            holds=None,
        ),
    )


def parse(raw: object) -> VyosCluster:
    """A VyosCluster from the API or a file. Raises InvalidObject with a line for each field at fault."""
    try:
        return VyosCluster.model_validate(raw)
    except ValidationError as error:
        raise InvalidObject(problems.problems(error, _known(VyosCluster))) from None


def object_at(field: str) -> type[BaseModel] | None:
    """The model of an object of a VyosCluster by its path, such as spec.groups[0]; "" is the whole."""
    model: type[BaseModel] | None = VyosCluster
    for part in _parts(field):
        inner = _field(model, part) if model else None
        model = next(_models(inner.annotation), None) if inner else None
    return model


def about(field: str) -> str:
    """What a field is, as `kubectl explain` has it; "" for one that is not known or says nothing of itself."""
    *above, last = _parts(field) or [""]
    parent = object_at(".".join(above))
    found = _field(parent, last) if parent else None
    return (found.description or "") if found else ""


def _parts(field: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", re.sub(r"\[[0-9]+\]", "", field))


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    return next((f for n, f in model.model_fields.items() if name == (f.alias or n)), None)


def _known(model: type[BaseModel], at: tuple[str, ...] = ()) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """The field names of every object, by the path to it."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {at: tuple(f.alias or n for n, f in model.model_fields.items())}
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            found |= _known(inner, (*at, field.alias or name))
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)
