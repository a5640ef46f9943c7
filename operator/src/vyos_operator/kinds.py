"""The kinds of objects that the operator reads and writes, and which of them it watches where.

One table for watching (handlers), auditing (watchdog) and writing (cluster), so that they cannot disagree.
"""

from __future__ import annotations

import dataclasses

from vyos_api import names
from vyos_operator.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object, and what narrows its watch."""

    api: str
    name: str
    plural: str
    namespaced: bool
    label_selector: str = ""
    field_selector: str = ""

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.api.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version in the API group."""
        return self.api.rpartition("/")[2]

    def path(self, namespace: str | None = None, name: str = "", sub: str = "") -> str:
        """The path of the collection, an object or a subresource below the API server's address."""
        parts = ["apis" if self.group else "api", self.api]
        if namespace is not None:
            parts += ["namespaces", namespace]
        return "/" + "/".join([*parts, self.plural, *(p for p in (name, sub) if p)])


CLUSTERS = Kind(f"{names.GROUP}/{names.VERSION}", names.KIND, names.PLURAL, namespaced=False)
NODES = Kind("v1", "Node", "nodes", namespaced=False)
CONFIG_MAPS = Kind("v1", "ConfigMap", "configmaps", namespaced=True, label_selector=names.LABEL_CLUSTER)
SECRETS = Kind("v1", "Secret", "secrets", namespaced=True, field_selector="type!=helm.sh/release.v1")
"""Helm keeps its releases in the operator's namespace, up to a megabyte each and of no use here."""
PODS = Kind(
    "v1",
    "Pod",
    "pods",
    namespaced=True,
    label_selector="app.kubernetes.io/part-of=vyos-cluster,app.kubernetes.io/component=agent",
)
"""The agents' pods: what the chart labels so, whatever its release is called."""
EVENTS = Kind("events.k8s.io/v1", "Event", "events", namespaced=True)

WATCHED = (CLUSTERS, NODES, CONFIG_MAPS, SECRETS, PODS)
WRITTEN = {kind.name: kind for kind in (CONFIG_MAPS, SECRETS, EVENTS)}


@dataclasses.dataclass(frozen=True, slots=True)
class Watch:
    """One kind in one namespace, or cluster-wide where `namespace` is None."""

    kind: Kind
    namespace: str | None

    def __str__(self) -> str:
        return self.kind.plural if self.namespace is None else f"{self.kind.plural} in {self.namespace}"


def watches(settings: Settings) -> dict[str, tuple[Watch, ...]]:
    """Every watch of the operator, by the namespace whose kopf serves it.

    kopf watches a kind in all of its namespaces or in none, and the operator has no business with the ConfigMaps of
    its own; so there is one kopf for the agents' namespace and everything outside of namespaces, and one for the other.
    """
    agents, own = settings.agent_namespace, settings.operator_namespace
    found = {agents: tuple(Watch(kind, agents if kind.namespaced else None) for kind in WATCHED)}
    if own != agents:
        found[own] = (Watch(SECRETS, own),)
    return found
