"""What a spec means for its members, worked out once for each generation. No API access, and no decision.

A VyosCluster changes far more often in its status than in its spec, and to parse it, to render each member's
configuration and to spell that as JSON took most of the operator's time with a thousand clusters. What is kept here
would come out the same again; that it belongs to the body beside it is the store's business.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vyos_api.nodeconfig import NodeConfig
from vyos_api.problems import InvalidObject
from vyos_api.render import members, render
from vyos_api.v1alpha1 import VyosCluster, parse
from vyos_operator import claims
from vyos_operator.claims import Place


class Rendering:
    """One generation of one cluster; `cluster` is None where the spec is invalid, and `problem` says why."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.cluster: VyosCluster | None = None
        self.problem = ""
        try:
            self.cluster = parse({key: value for key, value in body.items() if key != "status"})
        except InvalidObject as error:
            self.problem = str(error)
        self._key: object = None
        self._configs: tuple[NodeConfig, ...] = ()
        self._built: dict[str, tuple[NodeConfig, Mapping[str, Any]]] = {}

    @functools.cached_property
    def members(self) -> tuple[str, ...]:
        """The members by the spec; none where it is invalid."""
        return members(self.cluster.spec) if self.cluster is not None else ()

    @functools.cached_property
    def asked(self) -> frozenset[Place]:
        """The addresses that it asks for, on the members that may come to hold them."""
        return claims.places(render(self.cluster, self.members[0])) if self.cluster is not None else frozenset()

    def configs(
        self, addresses: Mapping[str, Sequence[str]], cordoned: Collection[str], departing: Sequence[str] = ()
    ) -> tuple[NodeConfig, ...]:
        """The configuration of each member, then of each departing node; the same objects while nothing has changed."""
        if self.cluster is None:
            return ()
        key = (
            tuple(tuple(addresses.get(m, ())) for m in (*self.members, *departing))
            if self.cluster.spec.unicast
            else (),
            frozenset(m for m in self.members if m in cordoned),
            tuple(departing),
        )
        if key != self._key:
            found = [render(self.cluster, m, addresses, cordoned, departing) for m in (*self.members, *departing)]
            # Every member is told of all: one copy of it is enough
            self._configs = tuple(dataclasses.replace(c, groups=found[0].groups, nodes=found[0].nodes) for c in found)
            self._key = key
            self._built.clear()
        return self._configs

    def built(self, config: NodeConfig, there: Mapping[str, Any]) -> bool:
        """Whether this very ConfigMap was found to be as built from this very configuration."""
        before = self._built.get(config.node)
        return before is not None and before[0] is config and before[1] is there

    def found_built(self, config: NodeConfig, there: Mapping[str, Any]) -> None:
        """Remember that, so that it is not spelled and compared at each look."""
        self._built[config.node] = (config, there)
