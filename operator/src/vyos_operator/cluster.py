"""The only module that talks to the API server on the operator's own account: login, lists, writes.

kopf does the watching, with the same credentials. What is needed, and no more:

  ClusterRole              cluster.vyos.io  vyosclusters         get, list, watch
                           cluster.vyos.io  vyosclusters/status  patch
                           core             nodes                get, list, watch
  Role, agents' namespace  core             configmaps, secrets  get, list, watch, create, patch, delete
                           core             pods                 get, list, watch
  Role, own namespace      core             secrets              get, list, watch
  Role, default            events.k8s.io    events               create

`read` and `request` are for the checkup too, which has an account of its own.

Server-side apply of a new object needs `create` beside `patch`; nothing is ever deleted but ConfigMaps of members
that left.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Awaitable
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from vyos_api import names
from vyos_operator import kinds, manifests
from vyos_operator.kinds import Kind, Watch
from vyos_operator.queue import Outage, Retry
from vyos_operator.store import Store, Version
from vyos_operator.world import Body, Plan, Ref

logger = logging.getLogger(__name__)

APPLY = "application/apply-patch+yaml"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
REQUEST_S = 15
"""Longer than an apply takes on a busy API server (half a second measured), shorter than anybody's patience."""
LIST_PAGE = 500
"""Objects in one page of a list; client-go's default."""
TOLD_MAX = 10_000
"""Names of Events remembered, so that each is sent once; the API server refuses a second one anyway."""


class ApiError(Retry):
    """The API server's refusal. Its text names object and fields, but quotes no value: one could be a secret."""

    def __init__(self, what: str, status: int, reason: str, fields: str = "") -> None:
        super().__init__(f"{what}: {status} {reason}{f' ({fields})' if fields else ''}")
        self.status = status

    @property
    def final(self) -> bool:
        """Whether asking again is of no use before something changes."""
        return 400 <= self.status < 500 and self.status != 429


class Overloaded(ApiError, Outage):
    """429 or 5xx: a refusal that is about the API server, not about what was asked."""


class Unreachable(Outage):
    """No answer at all."""


@dataclasses.dataclass(frozen=True)
class Connection:
    """Where the API server is and who we are; what kopf's login wants."""

    server: str
    ca_path: str | None
    certificate_path: str | None
    private_key_path: str | None
    token: str | None = dataclasses.field(repr=False)


async def configuration() -> client.Configuration:
    """The pod's own account, or outside of a pod the kubeconfig. Raises kubernetes.aio.config.ConfigException."""
    found = client.Configuration(client_session_kwargs={"trust_env": False})
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=found, persist_config=False)  # type: ignore[no-untyped-call]
    return found


async def connection() -> Connection:
    """The same for kopf, read anew each time, as tokens expire."""
    found = await configuration()
    words = (found.api_key.get("BearerToken") or "").split()
    return Connection(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
        token=words[-1] if words else None,
    )


class Cluster:
    """The API server as the operator uses it."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._told: dict[str, None] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def serves_clusters(self) -> bool:
        """Whether the CRD is there and served."""
        try:
            found = await self.request("GET", f"/apis/{kinds.CLUSTERS.api}", what="discovery")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return {names.PLURAL, f"{names.PLURAL}/status"} <= {r.get("name") for r in found.get("resources") or ()}

    async def read(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """One object. Raises ApiError or Unreachable."""
        return await self.request("GET", kind.path(namespace, name), what=f"{kind.name} {namespace}/{name}")

    async def versions(self, watch: Watch) -> dict[str, Version]:
        """What the API server has now of what a watch shows, by name: metadata only, in pages."""
        found: dict[str, Version] = {}
        query = {"limit": str(LIST_PAGE)}
        if watch.kind.label_selector:
            query["labelSelector"] = watch.kind.label_selector
        if watch.kind.field_selector:
            query["fieldSelector"] = watch.kind.field_selector
        while True:
            path = watch.kind.path(watch.namespace)
            page = await self.request("GET", path, query, accept=METADATA_ONLY, what=f"list of {watch}")
            for item in page.get("items") or ():
                meta = item["metadata"]
                found[meta["name"]] = (meta.get("uid", ""), meta.get("resourceVersion", ""))
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return found
            query["continue"] = more

    async def carry_out(self, name: str, plan: Plan, store: Store) -> None:
        """Do what the plan says. A refusal of one thing does not keep the others from being done; it is raised last."""
        if plan.doubtful is not None and not await self._lives(name, plan.doubtful):
            logger.warning("%s: is gone, though the watch has not said so", name)
            store.drop(kinds.CLUSTERS, None, name, plan.doubtful)
            return
        refusals: list[ApiError] = []
        for body in plan.apply:
            await self._unless_refused(refusals, self._apply(body, store))
        for ref in plan.delete:
            await self._unless_refused(refusals, self._delete(ref, store))
        for manager in plan.prune:
            await self._unless_refused(refusals, self._apply_status(name, None, manager, store))
        for event in plan.events:
            if not await self._tell(event):
                break  # the others would fare no better, and the status is of more use
        if plan.status is not None:
            await self._unless_refused(refusals, self._apply_status(name, plan.status, names.OPERATOR_MANAGER, store))
        if refusals:
            raise refusals[0]

    async def _lives(self, name: str, uid: str) -> bool:
        """Whether this life of a cluster is there."""
        path = kinds.CLUSTERS.path(name=name)
        try:
            found = await self.request("GET", path, accept=METADATA_ONE, what=f"look at {name}")
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return bool(found["metadata"].get("uid") == uid)

    async def _unless_refused(self, refusals: list[ApiError], doing: Awaitable[None]) -> None:
        try:
            await doing
        except ApiError as error:
            if not error.final:
                raise
            refusals.append(error)

    async def _apply(self, body: Body, store: Store) -> None:
        kind, meta = kinds.WRITTEN[body["kind"]], body["metadata"]
        path = kind.path(meta["namespace"], meta["name"])
        query = {"fieldManager": names.OPERATOR_MANAGER, "force": "true"}
        what = f"apply of {kind.name} {meta['namespace']}/{meta['name']}"
        store.put(kind, await self.request("PATCH", path, query, body=body, content_type=APPLY, what=what))
        logger.info("%s: written", what.removeprefix("apply of "))

    async def _delete(self, ref: Ref, store: Store) -> None:
        what = f"{ref.kind.name} {ref.namespace}/{ref.name}"
        body = {"preconditions": {"uid": ref.uid}}
        try:
            await self.request("DELETE", ref.kind.path(ref.namespace, ref.name), body=body, what=f"delete of {what}")
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or another life of it: the watch tells
                raise
            return
        store.drop(ref.kind, ref.namespace, ref.name, ref.uid)
        logger.info("%s: deleted", what)

    async def _apply_status(self, name: str, fields: Body | None, manager: str, store: Store) -> None:
        path = kinds.CLUSTERS.path(name=name, sub="status")
        query = {"fieldManager": manager, "force": "true"}
        body = manifests.status(name, fields)
        what = f"apply of the status of {name} as {manager}"
        try:
            answer = await self.request("PATCH", path, query, body=body, content_type=APPLY, what=what)
        except ApiError as error:
            if error.status != 404:  # deleted meanwhile
                raise
            return
        store.put(kinds.CLUSTERS, answer)

    async def _tell(self, event: Body) -> bool:
        """Send an Event once; whether the API server takes Events. News is worth one try in each look, and no more.

        A verdict is news until the status says the same, which waits for no Event; a move is for some minutes.
        """
        name, namespace = event["metadata"]["name"], event["metadata"]["namespace"]
        if name in self._told:
            return True
        try:
            await self.request("POST", kinds.EVENTS.path(namespace), body=event, what=f"Event {name}")
            logger.info("%s: %s: %s", event["regarding"]["name"], event["reason"], event["note"])
        except (ApiError, Unreachable) as error:
            if not (isinstance(error, ApiError) and error.status == 409):
                logger.warning("%s", error)
            if not (isinstance(error, ApiError) and error.final):
                return False
        self._told[name] = None
        if len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]
        return True

    async def request(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        *,
        what: str,
        body: Body | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        """One request; the JSON of its answer. Raises ApiError or Unreachable."""
        headers = {"Accept": accept, "Content-Type": content_type}
        sent = await self._api.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=headers, body=body,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        try:
            answer = await self._api.call_api(*sent, _request_timeout=timeout)
            data = await answer.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{what}: {type(error).__name__}") from None
        if not 200 <= answer.status < 300:
            ill = answer.status == 429 or answer.status >= 500
            raise (Overloaded if ill else ApiError)(what, answer.status, *_refusal(data))
        found: dict[str, Any] = json.loads(data)
        return found


def _refusal(data: bytes) -> tuple[str, str]:
    """Reason and fields of the API server's Status, without its messages: they may quote values."""
    try:
        status = json.loads(data)
        causes = (status.get("details") or {}).get("causes") or ()
        fields = ", ".join(sorted({c.get("field", "") for c in causes} - {""}))
        return status.get("reason") or "no reason given", fields
    except (ValueError, AttributeError):
        return "no reason given", ""
