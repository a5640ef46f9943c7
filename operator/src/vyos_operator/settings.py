"""What this process is told by its environment: parsed once, then trusted.

Nothing about any cluster is here (that is the VyosCluster resource), and no secret: a value that cannot be used is
an error that names the variable.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import socket
from collections.abc import Mapping

NAMESPACE_SYNTAX = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123), which a namespace's name is."""
LOG_FORMATS = ("text", "json")


class SettingsError(ValueError):
    """An environment variable that cannot be used; the text begins with its name."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The operator's environment, checked."""

    operator_namespace: str
    """Where the users' pre-shared Secrets lie."""
    agent_namespace: str
    """Where ConfigMaps and key Secrets are written for the agents."""
    liveness_port: int = 8080
    liveness_address: str = ""
    """Where /healthz and /metrics are answered; on every address where empty."""
    log_format: str = "text"
    resync_s: int = 600
    """How often every cluster is looked at again with no event at all."""
    audit_s: int = 60
    """How often the watches are compared with what the API server lists."""
    instance: str = "vyos-cluster-operator"
    """Which operator reports: the pod's name, in Events."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace that is watched, each once."""
        return tuple(sorted({self.operator_namespace, self.agent_namespace}))


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that the environment gives. Raises SettingsError."""
    return Settings(
        operator_namespace=_namespace(environ, "OPERATOR_NAMESPACE", "the namespace this operator runs in"),
        agent_namespace=_namespace(environ, "AGENT_NAMESPACE", "the namespace of the agents"),
        liveness_port=_number(environ, "LIVENESS_PORT", Settings.liveness_port, 1, 65535),
        liveness_address=_address(environ, "LIVENESS_ADDRESS"),
        log_format=_choice(environ, "LOG_FORMAT", Settings.log_format, LOG_FORMATS),
        resync_s=_number(environ, "RESYNC_SECONDS", Settings.resync_s, 1, 86_400),
        audit_s=_number(environ, "AUDIT_SECONDS", Settings.audit_s, 1, 3_600),
        instance=(environ.get("POD_NAME") or socket.gethostname())[:128],  # Event.reportingInstance takes 128
    )


def _namespace(environ: Mapping[str, str], name: str, meaning: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"{name}: is not set; it must name {meaning}")
    if not NAMESPACE_SYNTAX.fullmatch(value):
        raise SettingsError(f"{name}: {value!r} is not a namespace's name (lower-case letters, digits and '-')")
    return value


def _address(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    try:
        return str(ipaddress.ip_address(value)) if value else ""
    except ValueError:
        raise SettingsError(f"{name}: {value!r} is no IP address") from None


def _number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise SettingsError(f"{name}: {text!r} is not a whole number from {least} to {most}")
    return int(text)


def _choice(environ: Mapping[str, str], name: str, default: str, known: tuple[str, ...]) -> str:
    value = environ.get(name, "") or default
    if value not in known:
        raise SettingsError(f"{name}: {value!r} is not one of {', '.join(known)}")
    return value
