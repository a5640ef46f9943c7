"""Rules about the member that a new configuration makes the heir of an owner (docs/protocol.md section 11)."""

from __future__ import annotations

import dataclasses

import pytest

from spec.lab import D, K, Lab, Puppet, config, group
from spec.scenes import push
from vyos_agent.core.events import Configured
from vyos_agent.core.model import Reason, State


def _two_that_stand_by() -> tuple[Lab, Puppet, Puppet]:
    lab = Lab(config(groups=[group(members="abc")]))
    b, c = (lab.puppet(name).stands(State.STANDBY) for name in "bc")
    lab.meet(b, c).run(K)
    assert lab.state() is State.OWNER
    return lab, b, c


@pytest.mark.parametrize("how", ["maintenance", "removed", "cordon"])
@pytest.mark.parametrize("learns", [True, False])
def test_the_heir_of_a_new_configuration(how: str, learns: bool) -> None:
    """[MOVE-10] An owner that a new configuration takes out of the group, puts into maintenance or cordons must wait
    until the best ready member, ranked by that configuration, carries its generation, for a dead interval at most.
    """
    lab, b, c = _two_that_stand_by()
    changed = {
        "maintenance": {"groups": (group(members="abc", maintenance=frozenset("a")),)},
        "removed": {"groups": (group(members="bc"),)},
        "cordon": {"standby": True},
    }[how]
    lab.feed(Configured(dataclasses.replace(lab.node.config, generation=2, **changed)))
    since = lab.now
    c.generation = 2
    c.stands(State.STANDBY).say()
    lab.run(D - K)
    assert lab.decided()[-1].reason is Reason.FIRST_CLAIM, "c knows the configuration, but b is the heir"
    if learns:
        b.generation = 2
        b.stands(State.STANDBY).say()
        lab.run(2)
        assert (lab.state(), lab.entry().target) == (State.ASKING, b.id)
    else:
        lab.run(since + D + 2 - lab.now)
        assert (lab.state(), lab.entry().target) == (State.ASKING, c.id)


def test_a_member_that_is_not_the_heir_is_not_waited_for() -> None:
    """[MOVE-10] An owner that a new configuration takes out of the group, puts into maintenance or cordons must wait
    until the best ready member, ranked by that configuration, carries its generation, for a dead interval at most.
    """
    lab, b, _ = _two_that_stand_by()
    lab.feed(Configured(dataclasses.replace(lab.node.config, generation=2, groups=(group(members="bc"),))))
    b.generation = 2
    b.stands(State.STANDBY, rank=0).say()
    lab.run(2)
    assert (lab.state(), lab.entry().target) == (State.ASKING, b.id)


@pytest.mark.parametrize("knows", ["b", "c"])
def test_a_newer_generation_is_no_obstacle(knows: str) -> None:
    """[MOVE-11] With a hard motive a ready member with a newer generation than the owner's must count like one with the
    same.
    """
    lab, b, c = _two_that_stand_by()
    newer = {"b": b, "c": c}[knows]
    newer.generation = 2
    newer.say()
    push(lab, "leaving")
    lab.run(2)
    assert (lab.state(), lab.entry().target) == (State.ASKING, b.id)
