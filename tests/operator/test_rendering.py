"""What is worked out once for a generation: the same objects while nothing changes, others as soon as it does."""

import dataclasses
from typing import Any

from vyos_operator import manifests, plan
from vyos_operator.rendering import Rendering

from .worlds import carried_out, cluster, group, world

PAIR = cluster(group("cluster", "node1", "node2"))


def test_the_configurations_are_those_of_before_until_a_node_is_cordoned() -> None:
    body = cluster(group("cluster", "node1", "node2"))
    body["spec"]["onCordon"] = "Standby"
    rendering = Rendering(body)
    first = rendering.configs({}, ())
    assert rendering.configs({"node9": ("192.0.2.9",)}, ("node9",)) is first
    cordoned = rendering.configs({}, ("node2",))
    assert [c.standby for c in cordoned] == [False, True]
    assert [c.node for c in first] == ["node1", "node2"]


def test_an_invalid_spec_has_a_problem_and_no_members() -> None:
    body = cluster(group("cluster", "node1", "node2"))
    body["spec"]["keepaliveInterval"] = "soon"
    rendering = Rendering(body)
    assert "keepaliveInterval" in rendering.problem
    assert (rendering.cluster, rendering.members, rendering.asked, rendering.configs({}, ())) == (
        None,
        (),
        frozenset(),
        (),
    )


def test_a_config_map_that_was_found_as_built_is_looked_at_again_when_it_changes() -> None:
    rendering = Rendering(PAIR)
    done = carried_out(dataclasses.replace(world(PAIR), rendering=rendering))
    assert plan.plan_for(done).apply == ()
    config = rendering.configs({}, ())[0]
    assert rendering.built(config, done.config_maps[0])
    broken: dict[str, Any] = {**done.config_maps[0], "data": {}}
    repaired = plan.plan_for(dataclasses.replace(done, config_maps=(broken, done.config_maps[1])))
    assert repaired.apply == (manifests.config_map(config, done.agent_namespace),)
