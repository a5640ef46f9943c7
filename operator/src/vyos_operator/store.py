"""What the watches have shown, by name: the operator's memory of the API server. No API access.

kopf's own indexes are not used because an object that is deleted while a watch is away stays in them for ever; here
the watchdog can take it out. A change marks the clusters that it concerns, and no others.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vyos_api import names, rules
from vyos_api.nodeconfig import ConfigError, NodeConfig, node_config_from_json
from vyos_api.problems import InvalidObject
from vyos_api.render import members, render
from vyos_api.v1alpha1 import VyosCluster, parse
from vyos_operator import claims, kinds, presence
from vyos_operator.claims import Claim, Claims, Place
from vyos_operator.kinds import Kind, Watch
from vyos_operator.settings import Settings
from vyos_operator.world import Absence, Body, World

Version = tuple[str, str]
"""An object's life and state: uid and resourceVersion."""


@dataclasses.dataclass(slots=True)
class _Known:
    """What is remembered of one cluster beside its body."""

    generation: tuple[str, int, bool]
    members: frozenset[str]
    secret: str | None
    asked: frozenset[Place]
    planned: frozenset[Place] = frozenset()
    owners: dict[str, str] = dataclasses.field(default_factory=dict)
    """The owner of each group by the status."""
    former: dict[str, str] = dataclasses.field(default_factory=dict)
    """The owner before that, where a change was seen."""


class Store:
    """Objects by kind, namespace and name; `mark` is told the name of every cluster that a change concerns."""

    def __init__(self, settings: Settings, mark: Callable[[str], None]) -> None:
        self._settings = settings
        self._mark = mark
        self._objects: dict[Kind, dict[tuple[str, str], Body]] = {kind: {} for kind in kinds.WATCHED}
        self._known: dict[str, _Known] = {}
        self._children: dict[str, dict[str, Body]] = {}
        self._pods: dict[str, dict[str, Absence | None]] = {}
        self._agents: dict[str, Absence | None] = {}
        self._claims = Claims()

    def put(self, kind: Kind, body: Body) -> None:
        """An object as it is now, from a watch or from the answer to a write; what is older than known is ignored."""
        key = _key(body)
        before = self._objects[kind].get(key)
        if before is not None and _older(body, before):
            return
        after = _trimmed(kind, body)
        self._objects[kind][key] = after
        self._changed(kind, key, before, after)

    def drop(self, kind: Kind, namespace: str | None, name: str, uid: str) -> None:
        """This life of the object is over."""
        key = (namespace or "", name)
        before = self._objects[kind].get(key)
        if before is not None and before["metadata"].get("uid") == uid:
            del self._objects[kind][key]
            self._changed(kind, key, before, None)

    def versions(self, watch: Watch) -> dict[str, Version]:
        """What is known of the objects that a watch shows, by name."""
        namespace = watch.namespace or ""
        found = self._objects[watch.kind].items()
        return {name: version(body) for (where, name), body in found if where == namespace}

    def clusters(self) -> Iterable[str]:
        """The names of all clusters."""
        return [name for _, name in self._objects[kinds.CLUSTERS]]

    def conditions(self) -> Iterable[tuple[str, str]]:
        """Type and status of every condition of every cluster, as the resources say."""
        for body in self._objects[kinds.CLUSTERS].values():
            for condition in (body.get("status") or {}).get("conditions") or ():
                yield condition.get("type", ""), condition.get("status", "")

    def plan_to_hold(self, name: str, places: frozenset[Place]) -> None:
        """The agents of `name` are about to be told to hold these, so nobody else may be."""
        known = self._known.get(name)
        if known is not None and known.planned != places:
            known.planned = places
            self._claim(name)

    def world(self, name: str, now: datetime.datetime) -> World | None:
        """Everything known that bears on one cluster; None when it does not exist (any more)."""
        body = self._objects[kinds.CLUSTERS].get(("", name))
        claim = self._claims.of(name)
        if body is None or claim is None:
            return None
        settings, secrets = self._settings, self._objects[kinds.SECRETS]
        reference = self._known[name].secret
        addresses: dict[str, tuple[str, ...]] = {}
        lost: list[str] = []
        cordoned: list[str] = []
        for (_, node), facts in self._objects[kinds.NODES].items():  # once: there may be hundreds
            addresses[node] = facts["addresses"]
            if facts["lost"]:
                lost.append(node)
            if facts["cordoned"]:
                cordoned.append(node)
        return World(
            now=now,
            operator_namespace=settings.operator_namespace,
            agent_namespace=settings.agent_namespace,
            instance=settings.instance,
            cluster=body,
            nodes=frozenset(addresses),
            lost=frozenset(lost),
            cordoned=frozenset(cordoned),
            secret=secrets.get((settings.operator_namespace, reference)) if reference else None,
            config_maps=tuple(self._children.get(name, {}).values()),
            key_secret=secrets.get((settings.agent_namespace, names.key_secret(name))),
            created=claim.created,
            held=claim.held,
            rivals=self._claims.rivals(name),
            addresses=addresses,
            agents=dict(self._agents),
            former=dict(self._known[name].former),
        )

    def _changed(self, kind: Kind, key: tuple[str, str], before: Body | None, after: Body | None) -> None:
        namespace, name = key
        if kind is kinds.CLUSTERS:
            self._cluster_changed(name, after)
        elif kind is kinds.NODES:
            if before is None or after is None or _told(before) != _told(after):
                self._mark_members(name)
        elif kind is kinds.CONFIG_MAPS:
            if namespace == self._settings.agent_namespace:
                self._child_changed(name, before, after)
        elif kind is kinds.PODS:
            self._pod_changed(name, before, after)
        else:
            self._secret_changed(namespace, name)

    def _cluster_changed(self, name: str, body: Body | None) -> None:
        if body is None:
            self._known.pop(name, None)
        else:
            meta = body["metadata"]
            generation = (meta.get("uid", ""), meta.get("generation", 0), "deletionTimestamp" in meta)
            known = self._known.get(name)
            if known is None or known.generation != generation:
                same_life = known if known and known.generation[0] == generation[0] else None
                self._known[name] = _remember(body, generation, same_life)
            _note_owners(self._known[name], body)
            self._mark(name)
        self._claim(name)

    def _child_changed(self, name: str, before: Body | None, after: Body | None) -> None:
        old, new = _label(before), _label(after)
        if old is not None and old != new:
            del self._children[old][name]
        if new is not None and after is not None:
            self._children.setdefault(new, {})[name] = after
        for cluster in {old, new} - {None}:
            assert cluster is not None
            if cluster in self._known:
                self._mark(cluster)
            self._claim(cluster)

    def _pod_changed(self, name: str, before: Body | None, after: Body | None) -> None:
        for node in {body["node"] for body in (before, after) if body is not None} - {""}:  # none: not scheduled yet
            pods = self._pods.setdefault(node, {})
            pods.pop(name, None)
            if after is not None and after["node"] == node:
                pods[name] = after["absence"]
            old, new = self._agents.pop(node, presence.NO_POD), presence.of_node(pods.values())
            if pods:
                self._agents[node] = new
            else:
                del self._pods[node]
            if new != old:
                self._mark_members(node)

    def _secret_changed(self, namespace: str, name: str) -> None:
        if namespace == self._settings.agent_namespace:
            self._mark_all(n for n in self._known if names.key_secret(n) == name)
        if namespace == self._settings.operator_namespace:
            self._mark_all(n for n, known in self._known.items() if known.secret == name)

    def _claim(self, name: str) -> None:
        """Work out anew what a cluster claims, and wake those that it meets."""
        known, body = self._known.get(name), self._objects[kinds.CLUSTERS].get(("", name))
        held = claims.held(_configs(self._children.get(name, {}).values()))
        claim = None
        if known is not None and body is not None:
            created = body["metadata"].get("creationTimestamp", "")
            claim = Claim(name, created, known.asked, held | known.planned)
        elif held:  # deleted, but its ConfigMaps are not collected yet and agents may still hold
            claim = Claim(name, "", frozenset(), held)
        self._mark_all(self._claims.replace(name, claim))

    def _mark_members(self, node: str) -> None:
        self._mark_all(n for n, known in self._known.items() if node in known.members)

    def _mark_all(self, found: Iterable[str]) -> None:
        for name in list(found):
            if name in self._known:
                self._mark(name)


def version(body: Body) -> Version:
    """An object's uid and resourceVersion."""
    return body["metadata"].get("uid", ""), body["metadata"].get("resourceVersion", "")


def _key(body: Body) -> tuple[str, str]:
    return body["metadata"].get("namespace") or "", body["metadata"]["name"]


def _older(body: Body, known: Body) -> bool:
    """Whether `body` is an earlier state: the answer to a write overtakes the watch, and so does a next life.

    resourceVersions of one kind are whole numbers that grow, across lives too (KEP-5504; true of etcd all along).
    """
    new, old = version(body)[1], version(known)[1]
    return new.isdecimal() and old.isdecimal() and int(new) < int(old)


def _trimmed(kind: Kind, body: Body) -> Body:
    """The body without what nobody asks for and what would fill the memory."""
    meta = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    if kind is kinds.NODES:
        cordoned = bool((body.get("spec") or {}).get("unschedulable"))
        return {"metadata": meta, "lost": _lost(body), "cordoned": cordoned, "addresses": _addresses(body)}
    if kind is kinds.PODS:
        node = (body.get("spec") or {}).get("nodeName") or ""
        return {"metadata": meta, "node": node, "absence": presence.of_pod(body)}
    return {**body, "metadata": meta}


def _told(node: Body) -> tuple[bool, bool, tuple[str, ...]]:
    """What a Node's clusters want to know of it."""
    return node["lost"], node["cordoned"], node["addresses"]


def _addresses(node: Body) -> tuple[str, ...]:
    """Its InternalIPs, in the kubelet's order, spelled canonically."""
    found = (node.get("status") or {}).get("addresses") or ()
    return tuple(
        str(ip)
        for a in found
        if a.get("type") == "InternalIP" and (ip := rules.parse_ip(a.get("address", ""))) is not None
    )


def _lost(node: Body) -> bool:
    """Whether the Node's kubelet is silent: then the node controller says Unknown (False is the kubelet's own word)."""
    found = (node.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "Unknown" for c in found)


def _label(body: Body | None) -> str | None:
    label: str | None = (body["metadata"].get("labels") or {}).get(names.LABEL_CLUSTER) if body else None
    return label


def _note_owners(known: _Known, body: Body) -> None:
    """Keep the former owner of a group that moved: the status itself tells only the present one."""
    for entry in (body.get("status") or {}).get("groups") or ():
        group, owner = entry["name"], entry["owner"]
        before = known.owners.get(group)
        if before is not None and before != owner:
            known.former[group] = before
        known.owners[group] = owner


def _remember(body: Body, generation: tuple[str, int, bool], before: _Known | None) -> _Known:
    cluster = parsed(body)
    asked: frozenset[Place] = frozenset()
    member_names: frozenset[str] = frozenset()
    if cluster is not None:
        member_names = frozenset(members(cluster.spec))
        if not generation[2]:
            asked = claims.places(render(cluster, min(member_names)))
    if before is None:
        return _Known(generation, member_names, _reference(body), asked)
    return dataclasses.replace(
        before, generation=generation, members=member_names, secret=_reference(body), asked=asked
    )


def parsed(body: Body) -> VyosCluster | None:
    """The cluster if its spec is valid; its status is not looked at."""
    try:
        return parse({key: value for key, value in body.items() if key != "status"})
    except InvalidObject:
        return None


def _reference(body: Body) -> str | None:
    value: Any = body.get("spec")
    for key in ("preSharedSecret", "secretKeyRef", "name"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None


def _configs(found: Iterable[Body]) -> dict[str, NodeConfig]:
    """The configurations in ConfigMaps that can be read, by the member each is for."""
    configs = {}
    for body in found:
        try:
            config = node_config_from_json((body.get("data") or {}).get(names.CONFIG_KEY, ""))
        except ConfigError:
            continue
        configs[config.node] = config
    return configs
