"""What this process is told by its environment: parsed once, then trusted.

Nothing about any cluster is here (that is the VyosCluster resource), and no secret: a value that cannot be used is
an error that names the variable.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping

from vyos_api import environment, rules


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
    api_address: str = ""
    """The ClusterIP at which pods reach the API server; empty where it is not known."""
    instance: str = "vyos-cluster-operator"
    """Which operator reports: the pod's name, in Events."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace that is watched, each once."""
        return tuple(sorted({self.operator_namespace, self.agent_namespace}))


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that the environment gives. Raises environment.SettingsError."""
    return Settings(
        operator_namespace=environment.namespace(environ, "OPERATOR_NAMESPACE", "the namespace this operator runs in"),
        agent_namespace=environment.namespace(environ, "AGENT_NAMESPACE", "the namespace of the agents"),
        liveness_port=environment.number(environ, "LIVENESS_PORT", Settings.liveness_port, 1, 65535),
        liveness_address=environment.address(environ, "LIVENESS_ADDRESS"),
        log_format=environment.choice(environ, "LOG_FORMAT", Settings.log_format, environment.LOG_FORMATS),
        resync_s=environment.number(environ, "RESYNC_SECONDS", Settings.resync_s, 1, 86_400),
        audit_s=environment.number(environ, "AUDIT_SECONDS", Settings.audit_s, 1, 3_600),
        api_address=_address(environ.get("KUBERNETES_SERVICE_HOST", "")),
        instance=(environ.get("POD_NAME") or socket.gethostname())[:128],  # Event.reportingInstance takes 128
    )


def _address(text: str) -> str:
    """The address in canonical spelling; empty where it is a name. Kubernetes sets it, so it is no error."""
    ip = rules.parse_ip(text)
    return "" if ip is None else str(ip)
