"""An API server that refuses for a while, all or Events alone: what can be done is, and the rest soon after."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ground.refusing import NO_ANSWER, refusing

from . import harness
from .harness import Agents, Api, spec, until

pytestmark = pytest.mark.apiserver
Make = Callable[..., Agents]

ILL_S = 20
"""Long enough for a wait that doubles to be far beyond CATCH_UP_S."""
CATCH_UP_S = 8.0
"""The aim is 5 s; a loaded machine gets some more."""
EVENTS = "/apis/events.k8s.io/"
PER_S_MAX = 10
"""Requests a second while nothing works: watches and clusters together."""


@pytest.mark.parametrize("status", [429, pytest.param(500, marks=pytest.mark.e2e_long)])
def test_what_was_refused_is_carried_out_when_the_server_is_well(
    api: Api, account: Path, make: Make, tmp_path: Path, status: int
) -> None:
    clusters = [f"edge{number}" for number in range(12)]
    with (
        refusing(api.server) as way,
        harness.operator(way.kubeconfig(account), tmp_path, AUDIT_SECONDS="3600") as operator,
    ):
        for number, name in enumerate(clusters):
            make(name, spec(address=f"192.168.0.{100 + number}/24/eth0"))
        for name in clusters:
            api.says(name, "Accepted", "True", "Accepted")
        time.sleep(1)
        way.refuse(status, watches=False)
        for name in clusters:  # the operator sees it, and cannot mend it
            api.collect(name)
        time.sleep(ILL_S)
        refused = [at for at, _, _ in way.refused]
        assert operator.process.poll() is None
        assert operator.health()[0] == 200
        assert len(refused) >= len(clusters), "it has tried"
        assert len(refused) / ILL_S <= PER_S_MAX
        way.mend()
        well = time.monotonic()
        for name in clusters:
            until(lambda name=name: api.config_map(name, "node2"), f"{name} to have its ConfigMaps", 90)  # type: ignore[misc]
        took_s = time.monotonic() - well
        print(f"{status}: {len(refused)} requests in {ILL_S} s; all written {took_s:.1f} s after the end")
        assert took_s <= CATCH_UP_S


@pytest.mark.parametrize("status", [429, 500, NO_ANSWER])
def test_events_that_nobody_takes_hold_no_status_up(
    api: Api, account: Path, make: Make, tmp_path: Path, status: int
) -> None:
    with refusing(api.server) as way, harness.operator(way.kubeconfig(account), tmp_path):
        way.refuse(status, only=EVENTS, watches=False)
        agents = make("edge")
        api.says("edge", "Accepted", "True", "Accepted")
        tried = len(way.refused)
        assert tried, "the verdict's Event goes before the status, or it would be none"
        agents.owns("node1", "cluster", 1, "FirstClaim")
        agents.says("node1", 1, {"cluster": ("Owner", "node1")})
        agents.says("node2", 1, {"cluster": ("Standby", "node1")})
        api.says("edge", "Available", "True", "Available")
        assert len(way.refused) > tried, "and so does that of the move"
        assert {(method, path.partition("?")[0]) for _, method, path in way.refused} == {
            ("POST", f"{EVENTS}v1/namespaces/default/events")
        }
        assert told(api) == []
        way.mend()
        agents.says("node2", 1, {"cluster": ("Standby", "node1")}, {"node3": harness.ago(1)})
        until(lambda: told(api), "what is news still")
        assert told(api) == ["FirstClaim"], "that the spec is accepted, the status has said long since"


def told(api: Api) -> list[str]:
    """The Events of this life of the cluster."""
    uid = api.cluster("edge")["metadata"]["uid"]
    return [event["reason"] for event in api.events("edge") if event["regarding"]["uid"] == uid]
