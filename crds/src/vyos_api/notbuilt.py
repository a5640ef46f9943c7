"""What the API describes and this release does not do yet. Nothing is silently ignored: each such field is named.

A field leaves this list with the release that builds it; nothing else decides it.
"""

from __future__ import annotations

from collections.abc import Iterator

from vyos_api import services
from vyos_api.services import Unit
from vyos_api.v1alpha1 import Group, Spec


def not_built(spec: Spec) -> list[str]:
    """One line for each field whose behaviour comes later: its path, what it is, what to do."""
    return [f"{path}: {what} with a later release; {fix}" for path, what, fix in _found(spec)]


def _found(spec: Spec) -> Iterator[tuple[str, str, str]]:
    if spec.unicast:
        yield "spec.unicast", "heartbeats to node addresses come", "set it to false or remove it"
    if spec.fence != "None":
        yield "spec.fence", f"fencing by {spec.fence} comes", "set it to None or remove it"
    if spec.on_cordon != "Ignore":
        yield "spec.onCordon", f"{spec.on_cordon} on a cordon comes", "set it to Ignore or remove it"
    for i, group in enumerate(spec.groups):
        yield from _found_in_group(f"spec.groups[{i}]", group)


def _found_in_group(path: str, group: Group) -> Iterator[tuple[str, str, str]]:
    if group.failback_delay is not None:
        yield f"{path}.failbackDelay", "a delay other than deadInterval comes", "remove it"
    if group.monitors:
        yield f"{path}.monitors", "monitoring of addresses comes", "remove it"
    if group.maintenance:
        yield f"{path}.maintenance", "maintenance of a member comes", "remove it"
    for j, text in enumerate(group.services):
        service = services.parse(text)
        if isinstance(service, Unit):
            yield f"{path}.services[{j}]", f"the host service {text!r} comes", "remove it"
