"""All traffic with the API server: four requests, and one family of errors.

The only module that knows the client library. Timeouts are short and dead connections are noticed by the kernel,
because an agent must find its way back within seconds of the API server's return.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx2
import lightkube
import msgspec
from lightkube import operators
from lightkube.config.client_adapter import verify_cluster
from lightkube.generic_resource import create_global_resource
from lightkube.resources.core_v1 import ConfigMap, Secret
from lightkube.types import PatchType

from vyos_api import names

CONNECT_S = 2.0
READ_S = 5.0
"""An apply to a cluster of 64 nodes and 32 groups took up to 0.6 s on a loaded machine."""
_SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""A watch whose peer vanished ends after 14 s of silence on the wire."""

VyosCluster = create_global_resource(names.GROUP, names.VERSION, names.KIND, names.PLURAL)


class Kind(enum.Enum):
    """What is watched in the agents' namespace, and by which label."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 (a kind's name)


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """A ConfigMap or a Secret, as far as it matters; its data may be secret."""

    name: str
    labels: Mapping[str, str]
    kind: str | None
    """The Secret's type."""
    data: Mapping[str, str] = dataclasses.field(repr=False)


@dataclasses.dataclass(slots=True)
class Counts:
    """How the API server fared with this process, for /metrics."""

    errors: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Failed requests by HTTP status, or "none" where there was no answer."""
    writes: int = 0
    success_s: float = 0.0
    """Wall-clock seconds since 1970 of the last request that worked; 0: none did."""


class ApiProblem(Exception):
    """A request that did not work; `status` is the HTTP status, or None where there was no answer."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class NoSuchCluster(Exception):
    """The API server answers, and has no VyosCluster of that name."""


class NoSuchType(Exception):
    """The API server answers, and does not know VyosClusters at all (yet, or any more)."""


class Api:
    """A client for one node's agent. Every method raises ApiProblem when the request did not work."""

    def __init__(self, config: lightkube.SingleConfig, namespace: str, node: str) -> None:
        self.counts = Counts()
        if config.user is None:
            raise lightkube.ConfigError("the client's configuration names no user")
        authority = config.cluster.certificate_auth
        self._authority = str(config.abs_file(authority)) if authority else None
        self._tls = verify_cluster(config.cluster, config.user, config.abs_file, trust_env=False)
        self._client = lightkube.AsyncClient(
            config,
            namespace=namespace,
            timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
            trust_env=False,
            transport=httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False, socket_options=_SOCKET_OPTIONS),
        )
        self._resources: dict[Kind, Any] = {Kind.CONFIG_MAP: ConfigMap, Kind.SECRET: Secret}
        self._labels: dict[Kind, Any] = {
            Kind.CONFIG_MAP: {names.LABEL_NODE: names.short(node)},
            Kind.SECRET: {names.LABEL_CLUSTER: operators.exists()},
        }

    async def list(self, kind: Kind) -> tuple[str, dict[str, Object]]:
        """All objects by name, and the resource version to watch from."""
        with self._problems():
            listing = self._client.list(self._resources[kind], labels=self._labels[kind])
            objects = [_object(found) async for found in listing]
            return listing.resourceVersion, {o.name: o for o in objects}

    async def watch(self, kind: Kind, version: str, timeout_s: int) -> AsyncIterator[tuple[str, Object]]:
        """Changes after `version`: ("ADDED" | "MODIFIED" | "DELETED", object). Without an end: leave it."""
        with self._problems():
            watching: Any = self._client.watch(
                self._resources[kind], labels=self._labels[kind], resource_version=version, server_timeout=timeout_s
            )
            async with contextlib.aclosing(watching) as events:
                async for event, found in events:
                    yield event, _object(found)

    async def cluster(self, name: str) -> Mapping[str, Any]:
        """One VyosCluster. Raises NoSuchCluster or NoSuchType where the API server says so."""
        with self._problems():
            try:
                return await self._client.get(VyosCluster, name)
            except httpx2.HTTPStatusError as error:
                raise _absence(error, name) or error from None

    async def apply_status(self, name: str, manager: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Apply to a VyosCluster's status, and return the whole object. Raises NoSuchCluster or NoSuchType."""
        with self._problems():
            try:
                found: Mapping[str, Any] = await self._client.patch(
                    VyosCluster.Status,
                    name,
                    dict(document),
                    patch_type=PatchType.APPLY,
                    field_manager=manager,
                    force=True,
                )
                self.counts.writes += 1
                return found
            except httpx2.HTTPStatusError as error:
                raise _absence(error, name) or error from None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    @contextlib.contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
            self.counts.success_s = time.time()
        except lightkube.ApiError as error:
            raise self._problem(error.status.message or "no message", error.status.code) from error
        except httpx2.HTTPStatusError as error:
            raise self._problem(str(error), error.response.status_code) from error
        except (httpx2.HTTPError, lightkube.ConfigError, OSError, msgspec.MsgspecError) as error:
            if self._authority is not None and "CERTIFICATE_VERIFY_FAILED" in str(error):
                self._tls.load_verify_locations(self._authority)  # the authority may have been renewed under us
            raise self._problem(f"{type(error).__name__}: {error}", None) from error

    def _problem(self, message: str, status: int | None) -> ApiProblem:
        self.counts.errors["none" if status is None else str(status)] += 1
        return ApiProblem(message, status)


def _object(found: Any) -> Object:
    return Object(
        name=found.metadata.name,
        labels=found.metadata.labels or {},
        kind=getattr(found, "type", None),
        data=found.data or {},
    )


def _absence(error: httpx2.HTTPStatusError, name: str) -> Exception | None:
    """What a 404 means: a missing object is answered with a Status, a path that is not served in plain text."""
    if isinstance(error, lightkube.ApiError):
        return NoSuchCluster(name) if error.status.code == 404 else None
    return NoSuchType(name) if error.response.status_code == 404 else None
