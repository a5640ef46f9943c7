"""What this process is told by its environment: parsed once, then trusted.

Nothing about any cluster is here, and no secret: the token and the API server's address are the client library's
business (the pod's own, or KUBECONFIG). A value that cannot be used is an error that names the variable.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Mapping

NAME_SYNTAX = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""A node's name, a DNS subdomain (RFC 1123), or a namespace's, a DNS label."""
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("text", "json")


class SettingsError(ValueError):
    """An environment variable that cannot be used; the text begins with its name."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The environment of kube-sync, checked."""

    node: str
    """The node that this agent serves, as Kubernetes calls it."""
    namespace: str
    """Where the operator writes ConfigMaps and key Secrets for agents."""
    control_socket: str = "/run/vyos-cluster/control.sock"
    """Where the heartbeat daemon listens."""
    health_port: int = 9694
    """TCP port of /healthz, /readyz and /metrics on 127.0.0.1; 0 opens none."""
    metrics_address: str = ""
    """The node's address on which /metrics is answered besides; none where empty."""
    metrics_port: int = 9695
    relist_s: int = 60
    """How often everything is read anew, so that a watch that went silent heals."""
    log_level: str = "INFO"
    log_format: str = "text"


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that the environment gives. Raises SettingsError."""
    return Settings(
        node=_name(environ, "NODE_NAME", "the node that this agent runs on"),
        namespace=_name(environ, "AGENT_NAMESPACE", "the namespace of the agents"),
        control_socket=_path(environ, "CONTROL_SOCKET", Settings.control_socket),
        health_port=_number(environ, "HEALTH_PORT", Settings.health_port, 0, 65535),
        metrics_address=_address(environ, "METRICS_ADDRESS"),
        metrics_port=_number(environ, "METRICS_PORT", Settings.metrics_port, 1, 65535),
        relist_s=_number(environ, "RELIST_SECONDS", Settings.relist_s, 1, 3600),
        log_level=_choice(environ, "LOG_LEVEL", Settings.log_level, LOG_LEVELS),
        log_format=_choice(environ, "LOG_FORMAT", Settings.log_format, LOG_FORMATS),
    )


def _name(environ: Mapping[str, str], name: str, meaning: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"{name}: is not set; it must name {meaning}")
    if not NAME_SYNTAX.fullmatch(value):
        raise SettingsError(f"{name}: {value!r} is no name in Kubernetes (lower-case letters, digits, '-' and '.')")
    return value


def _path(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name, "") or default
    if not value.startswith("/"):
        raise SettingsError(f"{name}: {value!r} must be an absolute path")
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
