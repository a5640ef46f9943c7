"""How commands ask Kubernetes: by kubectl, which knows every kubeconfig and every way to log in.

Not a client of our own: the program is there wherever `kubectl vyos-cluster` is, and what it may do is what the person
may do. A secret that stands in a resource passes through here and is never printed.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vyos_api import names, v1alpha1
from vyos_api.problems import InvalidObject
from vyos_api.v1alpha1 import VyosCluster
from vyos_cluster.refusal import printable

PROGRAM = "kubectl"
RESOURCE = f"{names.PLURAL}.{names.GROUP}"
TIMEOUT = "--request-timeout=30s"
"""Of one question to the API server; the longest that a person waits for a server that is gone."""
NOISE = ("E", "W", "I")
"""First letters of the lines that kubectl's own libraries log beside its words (klog: E1128 19:20:00 …)."""


class ApiError(Exception):
    """Kubernetes cannot be asked, or refuses; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """How kubectl ended: its exit code, what it printed, and what it said beside it."""

    code: int
    text: str
    words: str


@dataclasses.dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the options that say which cluster; None: as the kubeconfig says."""

    context: str | None = None
    kubeconfig: Path | None = None

    def done(self, *words: str, stdin: str | None = None) -> Done:
        """Run kubectl, whatever comes of it. Raises ApiError where it cannot be run."""
        where = [f"--context={self.context}"] if self.context is not None else []
        where += [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig is not None else []
        command = [PROGRAM, *where, *words]
        try:
            done = subprocess.run(
                command, input=stdin or "", capture_output=True, text=True, check=False, errors="replace"
            )
        except FileNotFoundError:
            raise ApiError(f"there is no {PROGRAM} in PATH, by which Kubernetes is asked") from None
        except (OSError, ValueError) as error:  # an argument with a NUL, or longer than the system takes
            raise ApiError(f"{PROGRAM} cannot be run: {error}") from None
        return Done(done.returncode, done.stdout, _words(done.stderr))

    def run(self, *words: str) -> str:
        """What kubectl prints. Raises ApiError."""
        done = self.done(*words)
        if done.code:
            raise ApiError(done.words or f"{PROGRAM} ended with {done.code} and said nothing")
        return done.text

    def get(self, *words: str) -> dict[str, Any]:
        """What `kubectl get` finds. Raises ApiError."""
        text = self.run("get", *words, "--output=json", TIMEOUT)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ApiError(f"{PROGRAM} get answered no JSON object")
        return found

    def clusters(self, name: str | None = None) -> list[VyosCluster]:
        """All VyosClusters by name, or that one. Raises ApiError."""
        found = self.get(RESOURCE, *([] if name is None else [name]))
        items = found.get("items", []) if name is None else [found]
        return [_model(item) for item in items]


def _model(item: dict[str, Any]) -> VyosCluster:
    try:
        return v1alpha1.parse(item)
    except InvalidObject as error:
        name = item.get("metadata", {}).get("name", "?")
        text = printable("; ".join(str(error).splitlines()))
        raise ApiError(f"VyosCluster {name} is of another release: {text}") from None


def _words(stderr: str) -> str:
    """What kubectl said, in one line and without its libraries' log."""
    lines: Sequence[str] = [line for line in stderr.splitlines() if line.strip() and not _logged(line)]
    return printable(" ".join(lines or stderr.split()))


def _logged(line: str) -> bool:
    return line.startswith(NOISE) and line[1:5].isdigit()
