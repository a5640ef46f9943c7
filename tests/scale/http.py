"""The API server over a few connections, as its admin: kubectl is too slow for thousands of small requests."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import aiohttp

from ground.apiserver import ApiServer

Json = dict[str, Any]
CONNECTIONS = 24
APPLY = "application/apply-patch+yaml"
WRITES = re.compile(
    r'^apiserver_request_total\{.*code="(?P<code>\d+)".*[,{]resource="(?P<resource>[a-z]+)".*'
    r'verb="(?:POST|PUT|PATCH|APPLY|DELETE)".*\} (?P<count>\S+)$'
)
OURS = ("configmaps", "secrets", "vyosclusters", "events")
"""Kinds that operator and agents write; an API server by itself renews leases and writes flow schemas."""


class Http:
    """Requests and watches; an `async with` closes the connections."""

    def __init__(self, server: ApiServer) -> None:
        tls = ssl.create_default_context(cafile=str(server.ca_file))
        folder = server.kubeconfig.parent
        tls.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        self._base = server.url
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def request(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Json:
        """The JSON of the answer; RuntimeError with what the API server says when it refuses."""
        data = None if body is None else json.dumps(body).encode()
        async with self._session.request(
            method, self._base + path, data=data, headers={"Content-Type": kind}
        ) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]}")
            found: Json = json.loads(text)
            return found

    async def apply(self, path: str, body: Json, manager: str) -> Json:
        """Server-side apply."""
        return await self.request("PATCH", f"{path}?fieldManager={manager}&force=true", body, APPLY)

    async def watch(self, path: str, version: str) -> AsyncIterator[tuple[str, Json]]:
        """Events of a kind from a version on, until cancelled."""
        url = f"{self._base}{path}?watch=1&resourceVersion={version}"
        async with self._session.get(url) as answer:
            buffer = b""
            async for chunk, _ in answer.content.iter_chunks():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]

    async def writes(self) -> dict[str, int]:
        """How many writes of the kinds that are ours the API server has carried out, by kind."""
        async with self._session.get(f"{self._base}/metrics") as answer:
            text = await answer.text()
        found = dict.fromkeys(OURS, 0)
        for line in text.splitlines():
            match = WRITES.match(line)
            if match and match["resource"] in found and match["code"].startswith("2"):
                found[match["resource"]] += int(float(match["count"]))
        return found
