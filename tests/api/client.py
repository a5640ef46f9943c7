"""A few requests to the API server as a person with curl would send them: what was sent and answered stays visible."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

BASE = "/apis/cluster.vyos.io/v1alpha1/vyosclusters"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_REMARK = "some validation rules were not checked because the object was invalid"
"""An extra cause beside those that CEL rules had to wait for."""
_OLDER_WORDS = {r"may not be longer than (\d+)": r"may not be more than \1 bytes", r"map\[string\]interface {}": ""}
"""What Kubernetes 1.31 says itself, as 1.34 says it."""


class Refused(Exception):
    """The API server said no: its code, and one line for each cause, as kubectl prints them."""

    def __init__(self, code: int, answer: dict[str, Any]) -> None:
        causes = answer.get("details", {}).get("causes", [])
        self.code = code
        lines = {_newer(f"{c['field']}: {c['message']}") for c in causes if _REMARK not in c["message"]}
        self.lines = sorted(lines) or [answer.get("message", "")]
        super().__init__(f"{code}: {self.lines}")


def _newer(line: str) -> str:
    for old, new in _OLDER_WORDS.items():
        line = re.sub(old, new, line)
    return line


class Client:
    """One connection to an API server, with the identity of a kubeconfig that refers to files."""

    def __init__(self, kubeconfig: Path) -> None:
        found = yaml.safe_load(kubeconfig.read_text())
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        tls = ssl.create_default_context(cadata=_text(kubeconfig, cluster, "certificate-authority"))
        tls.load_cert_chain(kubeconfig.parent / user["client-certificate"], kubeconfig.parent / user["client-key"])
        url = urlsplit(cluster["server"])
        assert url.hostname
        self._connection = http.client.HTTPSConnection(url.hostname, url.port, context=tls, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def request(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **options: Any
    ) -> dict[str, Any]:
        """Send one request; raises Refused."""
        query = f"?{urlencode(options)}" if options else ""
        self._connection.request(method, path + query, json.dumps(body), {"Content-Type": content})
        answer = self._connection.getresponse()
        text = answer.read()
        # "404 page not found" of a resource that is not served yet is no JSON
        found: dict[str, Any] = json.loads(text) if text.startswith(b"{") else {"message": text.decode()}
        if answer.status >= 400:
            raise Refused(answer.status, found)
        return found

    def create(self, thing: dict[str, Any], *, dry: bool = False) -> dict[str, Any]:
        """Create a VyosCluster as kubectl does: unknown fields are errors."""
        return self.request("POST", BASE, thing, fieldValidation="Strict", **({"dryRun": "All"} if dry else {}))

    def get(self, name: str) -> dict[str, Any]:
        """The VyosCluster of this name."""
        return self.request("GET", f"{BASE}/{name}")

    def replace_status(self, thing: dict[str, Any], *, dry: bool = False) -> dict[str, Any]:
        """Replace the whole status of a VyosCluster."""
        path = f"{BASE}/{thing['metadata']['name']}/status"
        return self.request("PUT", path, thing, fieldValidation="Strict", **({"dryRun": "All"} if dry else {}))

    def apply_status(self, name: str, manager: str, **document: Any) -> dict[str, Any]:
        """Server-side apply to the status, by force, as agents and operator do."""
        head = {"apiVersion": "cluster.vyos.io/v1alpha1", "kind": "VyosCluster", "metadata": {"name": name}}
        path = f"{BASE}/{name}/status"
        return self.request("PATCH", path, head | document, APPLY, fieldManager=manager, force="true")

    def merge(self, name: str, change: dict[str, Any], *, status: bool = False) -> dict[str, Any]:
        """Merge-patch a VyosCluster or its status."""
        return self.request("PATCH", f"{BASE}/{name}" + ("/status" if status else ""), change, MERGE)

    def delete(self, name: str) -> None:
        """Delete a VyosCluster."""
        self.request("DELETE", f"{BASE}/{name}")


def _text(kubeconfig: Path, part: dict[str, str], key: str) -> str:
    if f"{key}-data" in part:
        return base64.b64decode(part[f"{key}-data"]).decode()
    return (kubeconfig.parent / part[key]).read_text()
