"""What the watches have shown, by name: the operator's memory of the API server. No API access.

kopf's own indexes are not used because an object that is deleted while a watch is away stays in them for ever; here
the watchdog can take it out. A change marks the clusters that it concerns, and no others.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vyos_api import names, rules
from vyos_api.nodeconfig import ConfigError, NodeConfig, node_config_from_json
from vyos_operator import claims, kinds, node_addresses, presence
from vyos_operator.claims import Claim, Claims, Place
from vyos_operator.kinds import Kind, Watch
from vyos_operator.node_addresses import Taken
from vyos_operator.rendering import Rendering
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
    rendering: Rendering
    planned: frozenset[Place] = frozenset()
    owners: dict[str, str] = dataclasses.field(default_factory=dict)
    """The owner of each group by the status."""
    former: dict[str, str] = dataclasses.field(default_factory=dict)
    """The owner before that, where a change was seen."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Scene:
    """What all clusters have in common: Nodes and agents. Made anew when one of them changed, not at every look."""

    addresses: Mapping[str, tuple[str, ...]]
    nodes: frozenset[str]
    lost: frozenset[str]
    cordoned: frozenset[str]
    agents: Mapping[str, Absence | None]
    taken: Taken


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
        self._held: dict[str, frozenset[Place]] = {}
        """What each ConfigMap lets its member hold."""
        self._by_member: dict[str, set[str]] = {}
        self._indexed: dict[str, frozenset[str]] = {}
        self._scene: _Scene | None = None

    def put(self, kind: Kind, body: Body) -> None:
        """An object as it is now, from a watch or the answer to a write; what is known, or older, is ignored."""
        key = _key(body)
        before = self._objects[kind].get(key)
        if before is not None and not _newer(body, before):
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
        scene = self._scene = self._scene or _scene(self._objects[kinds.NODES], self._agents, settings.api_address)
        return World(
            now=now,
            operator_namespace=settings.operator_namespace,
            agent_namespace=settings.agent_namespace,
            instance=settings.instance,
            cluster=body,
            nodes=scene.nodes,
            lost=scene.lost,
            cordoned=scene.cordoned,
            secret=secrets.get((settings.operator_namespace, reference)) if reference else None,
            config_maps=tuple(self._children.get(name, {}).values()),
            key_secret=secrets.get((settings.agent_namespace, names.key_secret(name))),
            created=claim.created,
            held=claim.held,
            rivals=self._claims.rivals(name),
            addresses=scene.addresses,
            agents=scene.agents,
            former=dict(self._known[name].former),
            taken=scene.taken,
            rendering=self._known[name].rendering,
        )

    def _changed(self, kind: Kind, key: tuple[str, str], before: Body | None, after: Body | None) -> None:
        namespace, name = key
        if kind is kinds.CLUSTERS:
            self._cluster_changed(name, after)
        elif kind is kinds.NODES:
            if before is None or after is None or _told(before) != _told(after):
                self._scene = None
                self._mark_members(name)
                self._mark_sharing(before, after)
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
            self._index(name, frozenset())
        else:
            meta = body["metadata"]
            generation = (meta.get("uid", ""), meta.get("generation", 0), "deletionTimestamp" in meta)
            known = self._known.get(name)
            changed = known is None or known.generation != generation
            if known is None or changed:
                same_life = known if known and known.generation[0] == generation[0] else None
                known = self._known[name] = _remember(body, generation, same_life)
                self._index(name, known.members)
            _note_owners(known, body)
            self._mark(name)
            if not changed:
                return  # what a status says changes no claim
        self._claim(name)

    def _child_changed(self, name: str, before: Body | None, after: Body | None) -> None:
        old, new = _label(before), _label(after)
        self._held.pop(name, None)
        if new is not None and after is not None:
            self._held[name] = claims.held(_configs([after]))
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
            if new != old or not pods:
                self._scene = None
                self._mark_members(node)

    def _secret_changed(self, namespace: str, name: str) -> None:
        if namespace == self._settings.agent_namespace:
            self._mark_all(n for n in self._known if names.key_secret(n) == name)
        if namespace == self._settings.operator_namespace:
            self._mark_all(n for n, known in self._known.items() if known.secret == name)

    def _claim(self, name: str) -> None:
        """Work out anew what a cluster claims, and wake those that it meets."""
        known, body = self._known.get(name), self._objects[kinds.CLUSTERS].get(("", name))
        held = frozenset().union(*(self._held[child] for child in self._children.get(name, {})))
        claim = None
        if known is not None and body is not None:
            created = body["metadata"].get("creationTimestamp", "")
            claim = Claim(name, created, known.asked, held | known.planned)
        elif held:  # deleted, but its ConfigMaps are not collected yet and agents may still hold
            claim = Claim(name, "", frozenset(), held)
        self._mark_all(self._claims.replace(name, claim))

    def _mark_members(self, node: str) -> None:
        self._mark_all(self._by_member.get(node, ()))

    def _mark_sharing(self, before: Body | None, after: Body | None) -> None:
        """Mark the clusters that ask for an address which a Node has got or lost, or that lies in its pod network."""
        old, new = (_owned(node) if node is not None else set() for node in (before, after))
        if old == new:
            return
        taken = _taken([node for node in (before, after) if node is not None], api="")
        for name, known in list(self._known.items()):
            if any(taken.by(place.address.partition("%")[0]) for place in known.asked):
                self._mark(name)

    def _index(self, name: str, members: frozenset[str]) -> None:
        """Note whose member is who, so that a Node's change costs what it concerns."""
        for node in self._indexed.pop(name, frozenset()) - members:
            self._by_member[node].discard(name)
            if not self._by_member[node]:
                del self._by_member[node]
        for node in members:
            self._by_member.setdefault(node, set()).add(name)
        if members:
            self._indexed[name] = members

    def _mark_all(self, found: Iterable[str]) -> None:
        for name in list(found):
            if name in self._known:
                self._mark(name)


def version(body: Body) -> Version:
    """An object's uid and resourceVersion."""
    return body["metadata"].get("uid", ""), body["metadata"].get("resourceVersion", "")


def _key(body: Body) -> tuple[str, str]:
    return body["metadata"].get("namespace") or "", body["metadata"]["name"]


def _newer(body: Body, known: Body) -> bool:
    """Whether `body` may be a later state: the answer to a write overtakes the watch, and so does a next life.

    resourceVersions of one kind are whole numbers that grow, across lives too (KEP-5504; true of etcd all along).
    """
    new, old = version(body)[1], version(known)[1]
    return not (new.isdecimal() and old.isdecimal()) or int(new) > int(old)


def _trimmed(kind: Kind, body: Body) -> Body:
    """The body without what nobody asks for and what would fill the memory."""
    meta = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    if kind is kinds.NODES:
        cordoned = bool((body.get("spec") or {}).get("unschedulable"))
        return {
            "metadata": meta,
            "lost": _lost(body),
            "cordoned": cordoned,
            "addresses": _addresses(body),
            "owned": node_addresses.of_node(body),
            "networks": node_addresses.pod_networks(body),
        }
    if kind is kinds.PODS:
        node = (body.get("spec") or {}).get("nodeName") or ""
        return {"metadata": meta, "node": node, "absence": presence.of_pod(body)}
    return {**body, "metadata": meta}


def _scene(nodes: Mapping[tuple[str, str], Body], agents: Mapping[str, Absence | None], api: str) -> _Scene:
    return _Scene(
        addresses={name: facts["addresses"] for (_, name), facts in nodes.items()},
        nodes=frozenset(name for _, name in nodes),
        lost=frozenset(name for (_, name), facts in nodes.items() if facts["lost"]),
        cordoned=frozenset(name for (_, name), facts in nodes.items() if facts["cordoned"]),
        agents=dict(agents),
        taken=_taken(nodes.values(), api),
    )


def _taken(nodes: Iterable[Body], api: str) -> Taken:
    """What these Nodes have, and the API server. `api`: its ClusterIP."""
    addresses = {api: "the address of the API server"} if api else {}
    networks: dict[ipaddress.IPv4Network | ipaddress.IPv6Network, str] = {}
    for facts in nodes:
        addresses |= facts["owned"]
        networks |= {ipaddress.ip_network(text): facts["metadata"]["name"] for text in facts["networks"]}
    return Taken(addresses, networks)


def _owned(node: Body) -> set[str]:
    return {*node["owned"], *node["networks"]}


def _told(node: Body) -> tuple[object, ...]:
    """What clusters want to know of a Node."""
    return node["lost"], node["cordoned"], node["addresses"], node["owned"], node["networks"]


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
    rendering = Rendering(body)
    fresh = _Known(
        generation=generation,
        members=frozenset(rendering.members),
        secret=_reference(body),
        asked=frozenset() if generation[2] else rendering.asked,
        rendering=rendering,
    )
    if before is None:
        return fresh
    return dataclasses.replace(fresh, planned=before.planned, owners=before.owners, former=before.former)


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
