"""What the heartbeat daemon reports, as frozen values: the parsed answer of `report` (docs/control-socket.md).

Parsed once here and then trusted. Fields that this release does not know are passed over, as the two containers of a
pod may be of different age for a moment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class ReportError(ValueError):
    """An answer that is no report; the text begins with the field's path."""


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """So many of all are as they should be."""

    ready: int
    all: int

    @property
    def text(self) -> str:
        """As the status prints it: 1/2."""
        return f"{self.ready}/{self.all}"


@dataclasses.dataclass(frozen=True, slots=True)
class Deviation:
    """One thing that is not as it should be."""

    kind: str
    name: str
    state: str
    since_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class GroupReport:
    """One group of which this node is a member."""

    name: str
    state: str
    """This member's own state: Listening, Standby, Owner …"""
    owner: str | None
    """Whom this member believes to be the owner."""
    epoch: int | None
    since_ms: int
    """Wall clock of this member's last change of state."""
    reason: str | None
    addresses: tuple[str, ...]
    services: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ClusterReport:
    """One cluster that the daemon serves."""

    cluster: str
    uid: str
    generation: int
    groups: tuple[GroupReport, ...]
    peers: Count
    monitors: Count
    interfaces: Count
    deviations: tuple[Deviation, ...]
    send_key: int | None = None
    """The number of the key that frames are sealed with; None from a daemon that does not tell."""
    accept_keys: tuple[int, ...] = ()

    @classmethod
    def unserved(cls, cluster: str, uid: str) -> ClusterReport:
        """What there is to say of a cluster whose every configuration was refused."""
        none = Count(0, 0)
        return cls(cluster, uid, 0, (), none, none, none, ())


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """A configuration that the daemon did not take."""

    cluster: str
    generation: int
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """Everything the daemon says of itself."""

    revision: int
    node: str
    agent_version: str
    instance: str
    """One life of the daemon."""
    clusters: tuple[ClusterReport, ...]
    refused: tuple[Refusal, ...]


def parse(raw: object) -> Report:
    """The report in the daemon's JSON. Raises ReportError with the field's path."""
    report = _Object(raw, "report")
    return Report(
        revision=report.take("revision", int),
        node=report.take("node", str),
        agent_version=report.take("agentVersion", str),
        instance=report.take("instance", str),
        clusters=tuple(_cluster(c) for c in report.objects("clusters")),
        refused=refusals(report.take("refused", list), report.path),
    )


def refusals(raw: object, path: str) -> tuple[Refusal, ...]:
    """The `refused` list of a report or of an answer to `configure`. Raises ReportError."""
    if not isinstance(raw, list):
        raise ReportError(f"{path}.refused: must be a list")
    items = [_Object(item, f"{path}.refused[{i}]") for i, item in enumerate(raw)]
    return tuple(Refusal(i.take("cluster", str), i.take("generation", int), i.take("message", str)) for i in items)


def _cluster(raw: _Object) -> ClusterReport:
    return ClusterReport(
        cluster=raw.take("cluster", str),
        uid=raw.take("uid", str),
        generation=raw.take("generation", int),
        groups=tuple(_group(g) for g in raw.objects("groups")),
        peers=_count(raw.child("peers")),
        monitors=_count(raw.child("monitors")),
        interfaces=_count(raw.child("interfaces")),
        deviations=tuple(_deviation(d) for d in raw.objects("deviations")),
        **_keys(raw),
    )


def _keys(raw: _Object) -> dict[str, Any]:
    if raw.optional("keys", dict) is None:
        return {}
    keys = raw.child("keys")
    return {"send_key": keys.take("send", int), "accept_keys": keys.numbers("accept")}


def _group(raw: _Object) -> GroupReport:
    return GroupReport(
        name=raw.take("name", str),
        state=raw.take("state", str),
        owner=raw.optional("owner", str),
        epoch=raw.optional("epoch", int),
        since_ms=raw.take("sinceMs", int),
        reason=raw.optional("reason", str),
        addresses=raw.strings("addresses"),
        services=raw.strings("services"),
    )


def _count(raw: _Object) -> Count:
    return Count(raw.take("ready", int), raw.take("all", int))


def _deviation(raw: _Object) -> Deviation:
    return Deviation(raw.take("kind", str), raw.take("name", str), raw.take("state", str), raw.take("sinceMs", int))


class _Object:
    """Takes fields out of a JSON object; what is missing or mistyped is a ReportError."""

    def __init__(self, raw: object, path: str) -> None:
        if not isinstance(raw, Mapping):
            raise ReportError(f"{path}: must be an object")
        self.path = path
        self._raw = raw

    def take(self, name: str, kind: type[T]) -> T:
        value = self._raw.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ReportError(f"{self.path}.{name}: must be {kind.__name__}, not {type(value).__name__}")
        return value

    def optional(self, name: str, kind: type[T]) -> T | None:
        return None if self._raw.get(name) is None else self.take(name, kind)

    def child(self, name: str) -> _Object:
        return _Object(self._raw.get(name), f"{self.path}.{name}")

    def objects(self, name: str) -> list[_Object]:
        values: list[Any] = self.take(name, list)
        return [_Object(v, f"{self.path}.{name}[{i}]") for i, v in enumerate(values)]

    def numbers(self, name: str) -> tuple[int, ...]:
        values: list[Any] = self.take(name, list)
        if not all(type(v) is int for v in values):
            raise ReportError(f"{self.path}.{name}: must be a list of whole numbers")
        return tuple(values)

    def strings(self, name: str) -> tuple[str, ...]:
        values: list[Any] = self.take(name, list)
        if not all(isinstance(v, str) for v in values):
            raise ReportError(f"{self.path}.{name}: must be a list of strings")
        return tuple(values)
