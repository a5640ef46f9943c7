"""The environment: what is taken, and what the errors say."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from vyos_api.environment import SettingsError
from vyos_operator import logs, settings

GOOD = {"OPERATOR_NAMESPACE": "vyos-cluster", "AGENT_NAMESPACE": "vyos-cluster-agents"}


def test_defaults() -> None:
    found = settings.from_environment({**GOOD, "POD_NAME": "op-1", "LIVENESS_PORT": ""})
    assert found == settings.Settings("vyos-cluster", "vyos-cluster-agents", 8080, "", "text", 600, 60, "", "op-1")
    assert found.namespaces == ("vyos-cluster", "vyos-cluster-agents")


def test_everything_set() -> None:
    environ = {**GOOD, "LIVENESS_PORT": "9090", "LOG_FORMAT": "json", "RESYNC_SECONDS": "30", "AUDIT_SECONDS": "5"}
    found = settings.from_environment(environ | {"LIVENESS_ADDRESS": "10.0.0.9"})
    assert found.liveness_address == "10.0.0.9"
    assert (found.liveness_port, found.log_format, found.resync_s, found.audit_s) == (9090, "json", 30, 5)
    assert found.instance


def test_one_namespace_for_both_is_watched_once() -> None:
    assert settings.from_environment({"OPERATOR_NAMESPACE": "x", "AGENT_NAMESPACE": "x"}).namespaces == ("x",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"OPERATOR_NAMESPACE": ""},
            "OPERATOR_NAMESPACE: is not set; it must name the namespace this operator runs in",
        ),
        ({"AGENT_NAMESPACE": ""}, "AGENT_NAMESPACE: is not set; it must name the namespace of the agents"),
        ({"AGENT_NAMESPACE": "A_b"}, "AGENT_NAMESPACE: 'A_b' is not a namespace's name"),
        ({"AGENT_NAMESPACE": "a" * 64}, "AGENT_NAMESPACE: "),
        ({"LIVENESS_PORT": "http"}, "LIVENESS_PORT: 'http' is not a whole number from 1 to 65535"),
        ({"LIVENESS_PORT": "65536"}, "LIVENESS_PORT: "),
        ({"LIVENESS_ADDRESS": "pod"}, "LIVENESS_ADDRESS: 'pod' is no IP address"),
        ({"RESYNC_SECONDS": "0"}, "RESYNC_SECONDS: '0' is not a whole number from 1 to 86400"),
        ({"RESYNC_SECONDS": "1.5"}, "RESYNC_SECONDS: "),
        ({"AUDIT_SECONDS": "-1"}, "AUDIT_SECONDS: '-1' is not a whole number from 1 to 3600"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT: 'xml' is not one of text, json"),
    ],
)
def test_errors_name_the_variable(change: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.from_environment({**GOOD, **change})
    assert str(caught.value).startswith(message)


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield root
    root.handlers[:], root.level = before[0], before[1]


def test_json_lines(root_logger: logging.Logger) -> None:
    out = io.StringIO()
    logs.configure("json", out)
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("a").warning("edge: %s", 'a "b"', exc_info=True)
    logging.getLogger("a").debug("bodies are printed here")
    line = json.loads(out.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "a", 'edge: a "b"')
    assert line["exception"].endswith("ValueError: x")
    assert line["time"].endswith("Z")


def test_text_lines(root_logger: logging.Logger) -> None:
    out = io.StringIO()
    logs.configure("text", out)
    logging.getLogger("a").info("edge: done")
    assert out.getvalue().endswith(" INFO a: edge: done\n")
