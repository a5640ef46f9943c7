"""What this process is told by its environment: parsed once, then trusted.

Nothing about any cluster is here, and no secret: the token and the API server's address are the client library's
business (the pod's own, or KUBECONFIG). A value that cannot be used is an error that names the variable.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_api import environment

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


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
    """The settings that the environment gives. Raises environment.SettingsError."""
    return Settings(
        node=environment.node(environ, "NODE_NAME", "the node that this agent runs on"),
        namespace=environment.namespace(environ, "AGENT_NAMESPACE", "the namespace of the agents"),
        control_socket=environment.path(environ, "CONTROL_SOCKET", Settings.control_socket),
        health_port=environment.number(environ, "HEALTH_PORT", Settings.health_port, 0, 65535),
        metrics_address=environment.address(environ, "METRICS_ADDRESS"),
        metrics_port=environment.number(environ, "METRICS_PORT", Settings.metrics_port, 1, 65535),
        relist_s=environment.number(environ, "RELIST_SECONDS", Settings.relist_s, 1, 3600),
        log_level=environment.choice(environ, "LOG_LEVEL", Settings.log_level, LOG_LEVELS),
        log_format=environment.choice(environ, "LOG_FORMAT", Settings.log_format, environment.LOG_FORMATS),
    )
