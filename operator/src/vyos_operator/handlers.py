"""What kopf does for us: it watches. Every event goes into the store, and the store marks what needs a look.

Only `on.event` is used: any other handler would make kopf write to the VyosCluster itself (an annotation with the
whole spec in it, or a finalizer). An index would keep a second copy of everything, and never forget what was deleted
while a watch was away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import kopf

from vyos_operator import cluster, kinds
from vyos_operator.kinds import Kind, Watch
from vyos_operator.store import Store

RETRY_S = (1.0, 2.0)
RETRY_MAX_S = 3.0
"""After an outage the watches are back within this, so that the status has caught up 5 s after it."""


class Endless:
    """Waits between tries, without an end: kopf would give up, and the process with it."""

    def __iter__(self) -> Iterator[float]:
        yield from RETRY_S
        while True:
            yield RETRY_MAX_S


class NoDiffs(kopf.DiffBaseStorage):
    """kopf copies each object at each event to compare it with the last one; nothing here asks for that."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """An object's essence: nothing."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """The essence that was last stored: none was."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""


def register(store: Store, watches: Iterable[Watch], on_listed: Callable[[], None]) -> kopf.OperatorRegistry:
    """A registry whose handlers put into `store` what these watches show; `on_listed`: a watch has begun anew."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        found = await cluster.connection()
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            certificate_path=found.certificate_path,
            private_key_path=found.private_key_path,
            token=found.token,
        )

    for watch in watches:
        _watch(registry, watch.kind, store, on_listed)
    return registry


def settings() -> kopf.OperatorSettings:
    """kopf without anything that writes, scans or gives up."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True  # needs rights, and misses a CRD that comes later: main waits for it
    found.peering.standalone = True
    found.persistence.diffbase_storage = NoDiffs()
    found.queueing.idle_timeout = 1.0  # each object's idle worker delays the end by this
    found.networking.error_backoffs = Endless()
    found.networking.request_timeout = 30.0
    found.watching.server_timeout = 300  # the API server ends an idle watch by itself, and kopf begins another
    for kind in kinds.WATCHED:
        if kind.label_selector:
            found.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.label_selector
        if kind.field_selector:
            found.watching.field_selectors[kind.group, kind.version, kind.plural] = kind.field_selector
    return found


def _watch(registry: kopf.OperatorRegistry, kind: Kind, store: Store, on_listed: Callable[[], None]) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=kind.plural, registry=registry)
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        body = event["object"]
        if event["type"] is None:  # kopf's mark of what a listing found
            on_listed()
        if event["type"] == "DELETED":
            meta = body["metadata"]
            store.drop(kind, meta.get("namespace"), meta["name"], meta["uid"])
        else:
            store.put(kind, body)
