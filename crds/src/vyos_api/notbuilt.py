"""What the API describes and this release does not do yet. Nothing is silently ignored: each such field is named.

A field leaves this list with the release that builds it; nothing else decides it.
"""

from __future__ import annotations

from collections.abc import Iterator

from vyos_api.v1alpha1 import Spec


def not_built(spec: Spec) -> list[str]:
    """One line for each field whose behaviour comes later: its path, what it is, what to do."""
    return [f"{path}: {what} with a later release; {fix}" for path, what, fix in _found(spec)]


def _found(spec: Spec) -> Iterator[tuple[str, str, str]]:
    if spec.on_cordon != "Ignore":
        yield "spec.onCordon", f"{spec.on_cordon} on a cordon comes", "set it to Ignore or remove it"
