"""A status that cannot be read is not an empty one: nothing that depends on it is changed."""

import copy
import dataclasses
from typing import Any

import pytest

from vyos_operator import plan
from vyos_operator.world import World

from .worlds import cluster, conditions, edited, group, names, owned, secret, working, world


def unreadable(found: World, **status: Any) -> World:
    body = copy.deepcopy(dict(found.cluster))
    body["status"] = {**body.get("status", {}), **status}
    return dataclasses.replace(found, cluster=body)


BROKEN: list[dict[str, Any]] = [{"nodes": "none"}, {"groups": [{"name": 5}]}, {"conditions": [{"type": "Accepted"}]}]


@pytest.mark.parametrize("status", BROKEN, ids=["nodes", "groups", "conditions"])
def test_nothing_is_rewritten(status: dict[str, Any]) -> None:
    done = plan.plan_for(unreadable(working(), **status))
    assert done.unreadable_status
    assert (done.apply, done.delete, done.prune, done.events, done.status) == ((), (), (), (), None)


@pytest.mark.parametrize("status", BROKEN, ids=["nodes", "groups", "conditions"])
def test_no_key_is_changed(status: dict[str, Any]) -> None:
    """With an empty status nobody would be waited for, and a changed secret would go through at once."""
    changed = dataclasses.replace(unreadable(working(), **status), secret=secret(secret="another"))
    assert plan.plan_for(changed).apply == ()


def test_an_edit_still_reaches_the_members() -> None:
    after = edited(working(), cluster(group(services=("192.168.0.200/24/eth0",))))
    done = plan.plan_for(unreadable(after, nodes="none"))
    assert names(done.apply) == ["ConfigMap/edge.node1", "ConfigMap/edge.node2"]
    assert (done.delete, done.events, done.status) == ((), (), None)


def test_one_that_can_be_read_again_is_looked_at_as_ever() -> None:
    done = plan.plan_for(unreadable(working(), groups=[owned("node1")]))
    assert not done.unreadable_status


def test_a_cluster_that_does_not_run_yet_is_not_called_healthy() -> None:
    assert conditions(plan.plan_for(world(secret=None)))["Degraded"] == ("Unknown", "NotRunning")
