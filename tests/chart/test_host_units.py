"""The chart's list of units that groups may name: how the daemon gets it, and what is no list."""

import re

import pytest

from chart.helm import one, render, template
from ground.shell import GroundError
from vyos_agent import heartbeat

pytestmark = pytest.mark.apiserver  # helm is built together with the API server


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ("agents.hostServices=true", ("*",)),
        ('agents.hostServices.allow=["ssh", "openvpn@*"]', ("ssh", "openvpn@*")),
        ('agents.hostServices.allow=["a\\\\x2db.service", "[!a]?c"]', ("a\\x2db.service", "[!a]?c")),
        ("agents.hostServices.allow=[]", ()),
    ],
)
def test_the_daemon_has_the_list_of_units(values: str, allowed: tuple[str, ...]) -> None:
    pod = one(render(f"--set-json={values}"), "DaemonSet")["spec"]["template"]["spec"]
    arguments = [a.replace("$(NODE_NAME)", "node1") for a in pod["containers"][0]["args"]]
    assert heartbeat._parser().parse_args(arguments).host_services == allowed
    assert "dbus" in {v["name"] for v in pod["volumes"]}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ('{"allow": "ssh"}', "allow': got string, want array"),
        ('{"allow": ["a b"]}', "allow/0': 'a b' does not match"),
        ('{"allow": ["a,b"]}', "allow/0': 'a,b' does not match"),
        ('{"deny": ["ssh"]}', "hostServices': additional properties 'deny' not allowed"),
        ('"yes"', "hostServices': got string, want boolean or object"),
    ],
)
def test_what_is_no_list_of_units_is_refused(value: str, where: str) -> None:
    with pytest.raises(GroundError, match=re.escape(where)):
        template(f"--set-json=agents.hostServices={value}")
