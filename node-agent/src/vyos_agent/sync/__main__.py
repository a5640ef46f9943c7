"""Entry point of kube-sync: settings, log, client, signals."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time

import lightkube

from vyos_agent.sync import settings
from vyos_agent.sync.agent import Agent
from vyos_agent.sync.api import Api
from vyos_api import __version__, usage
from vyos_api.environment import SettingsError

logger = logging.getLogger(__name__)

USAGE = """usage: vyos-cluster-kube-sync [--help | --version]

Carries configurations from the Kubernetes API to the heartbeat daemon of this node, and its reports into the status.
Settings come from the environment: NODE_NAME, AGENT_NAMESPACE (both required), CONTROL_SOCKET, HEALTH_PORT,
METRICS_ADDRESS, METRICS_PORT, RELIST_SECONDS, LOG_LEVEL, LOG_FORMAT (text or json).
The API is that of the pod, or of KUBECONFIG.
"""


def main() -> None:
    """Run until SIGTERM or SIGINT; exit with 2 when the environment cannot be used."""
    usage.answer(USAGE, sys.argv[1:])
    try:
        found = settings.from_environment(os.environ)
        config = lightkube.KubeConfig.from_env().get()
        if config is None:
            raise lightkube.ConfigError("the kubeconfig has no current context")
    except (SettingsError, lightkube.ConfigError) as error:
        print(f"vyos-cluster-kube-sync: {error}", file=sys.stderr)
        sys.exit(2)
    _log(found)
    asyncio.run(_run(found, config))


async def _run(found: settings.Settings, config: lightkube.SingleConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, _stop, stop)
    loop.add_signal_handler(signal.SIGINT, _stop, stop)
    logger.info("kube-sync %s for node %s, namespace %s", __version__, found.node, found.namespace)
    api = Api(config, found.namespace, found.node)
    try:
        await Agent(found, api).run(stop)
    except* OSError as group:
        sys.exit(f"vyos-cluster-kube-sync: HEALTH_PORT: {group.exceptions[0]}")
    finally:
        await api.close()


def _stop(stop: asyncio.Event) -> None:
    """Stop in order; a second signal ends at once."""
    if stop.is_set():
        os._exit(1)
    stop.set()


def _log(found: settings.Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if found.log_format == "json" else _Text("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=found.log_level, handlers=[handler])
    # Its INFO is a line per request.
    for name in ("httpx2", "httpcore2", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Text(logging.Formatter):
    """UTC, as the status writes times."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class _Json(_Text):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


if __name__ == "__main__":
    main()
