"""The keys that a plan gives the members: one at rest, and in a change step by step, with whom it waits for."""

import base64
import copy
import dataclasses
from typing import Any

import pytest

from vyos_operator import plan
from vyos_operator.world import Absence, Plan, World

from .worlds import (
    SECRET,
    at,
    carried_out,
    cluster,
    conditions,
    message,
    names,
    owned,
    reported,
    said,
    secret,
    working,
    world,
)


def answered(before: World, send: int, accept: tuple[int, ...]) -> World:
    """Both members say which keys they run."""
    runs = {"sendKey": send, "acceptKeys": list(accept)}
    entries = (said("node1", cluster=("Owner", "node1")) | runs, said("node2", cluster=("Standby", "node1")) | runs)
    return reported(before, *entries, groups=(owned("node1"),))


def ran(before: World, dead: dict[str, dict[str, int]] | None = None, **keys: tuple[int, tuple[int, ...]]) -> World:
    """These members say now which keys they run, and whom they miss since so many seconds; the others' words stay."""
    body = copy.deepcopy(dict(before.cluster))
    for entry in body["status"]["nodes"]:
        if entry["name"] in keys:
            send, accept = keys[entry["name"]]
            missed = (dead or {}).get(entry["name"], {})
            away = [{"kind": "Peer", "name": n, "state": "Dead", "since": at(s)} for n, s in missed.items()]
            entry |= {"sendKey": send, "acceptKeys": list(accept), "deviations": away}
    return dataclasses.replace(before, cluster=body)


def said_now(before: World, done: Plan, kind: str) -> str:
    """The message of a condition once the plan is carried out."""
    found = carried_out(before, done).cluster["status"]["conditions"]
    return str(next(c["message"] for c in found if c["type"] == kind))


GONE: dict[str, dict[str, Any]] = {
    "its Node is silent": {"lost": frozenset({"node2"})},
    "its Node is gone": {"nodes": frozenset({"node1"})},
}
"""What Kubernetes says of node2."""


class TestKeys:
    def test_another_life_of_the_name_gets_another_key(self) -> None:
        before = carried_out(world())
        reborn = dataclasses.replace(before, cluster=cluster(uid="99999999-2222-3333-4444-555555555555"))
        done = plan.plan_for(reborn)
        assert conditions(done)["Accepted"] == ("True", "Accepted")
        assert names(done.apply) == ["Secret/edge", "ConfigMap/edge.node1", "ConfigMap/edge.node2"]
        for body in done.apply:
            assert [o["uid"] for o in body["metadata"]["ownerReferences"]] == ["99999999-2222-3333-4444-555555555555"]
        assert done.apply[0]["data"] != (before.key_secret or {})["data"]

    def test_the_old_life_says_nothing_about_the_new_one(self) -> None:
        before = carried_out(world())
        reborn = dataclasses.replace(before, cluster=cluster(uid="9"), secret=None)
        assert message(plan.plan_for(reborn), "Programmed").endswith("nothing runs yet")

    def test_a_changed_secret_goes_step_by_step(self) -> None:
        """Accept, switch, forget; each is seen in the status, and waits for every living member."""
        now = dataclasses.replace(working(), secret=secret(secret="another"))
        numbers = []
        for run in ((1, (1,)), (1, (1, 2)), (2, (1, 2)), (2, (2,))):
            now = answered(now, *run)
            done = plan.plan_for(now)
            assert names(done.apply) == ([] if run == (2, (2,)) else ["Secret/edge"])
            now = carried_out(now, done)
            found = {c["type"]: c["reason"] for c in now.cluster["status"]["conditions"]}
            assert (found["Accepted"], found["Available"]) == ("Accepted", "Available")
            numbers.append(found["Programmed"])
        assert numbers == ["RotatingKey", "RotatingKey", "Programmed", "Programmed"]

    @pytest.mark.parametrize("state", ["Dead", "Left", "Unheard"])
    def test_a_member_that_is_away_holds_no_rotation_up(self, state: str) -> None:
        begun = carried_out(answered(dataclasses.replace(working(), secret=secret(secret="another")), 1, (1,)))
        body = copy.deepcopy(dict(begun.cluster))
        entry = next(n for n in body["status"]["nodes"] if n["name"] == "node1")
        entry |= {"acceptKeys": [1, 2], "deviations": [{"kind": "Peer", "name": "node2", "state": state}]}
        done = plan.plan_for(dataclasses.replace(begun, cluster=body))
        assert names(done.apply) == ["Secret/edge"], "the second step, though node2 has not answered the first"

    @pytest.mark.parametrize("more", GONE.values(), ids=GONE)
    def test_a_member_that_only_kubernetes_misses_is_waited_for(self, more: dict[str, Any]) -> None:
        """Its peers hear it: one that sent with a key that it has not read would be dead to it, and two would own."""
        begun = carried_out(answered(dataclasses.replace(working(), secret=secret(secret="another")), 1, (1,)))
        half = dataclasses.replace(ran(begun, node1=(1, (1, 2))), **more)
        done = plan.plan_for(half)
        assert "Secret/edge" not in names(done.apply), "node2 does not accept the new key yet"
        told = "the heartbeat key is being changed, 1 of 3: the members learn to accept the new key; awaited from node2"
        assert said_now(half, done, "Programmed") == told
        both = dataclasses.replace(ran(begun, node1=(1, (1, 2)), node2=(1, (1, 2))), **more)
        assert names(plan.plan_for(both).apply) == ["Secret/edge"], "whatever Kubernetes says, it has answered"

    @pytest.mark.parametrize("more", GONE.values(), ids=GONE)
    def test_a_member_that_its_peers_miss_too_is_not(self, more: dict[str, Any]) -> None:
        begun = carried_out(answered(dataclasses.replace(working(), secret=secret(secret="another")), 1, (1,)))
        found = ran(begun, dead={"node1": {"node2": 9}}, node1=(1, (1, 2)))
        assert names(plan.plan_for(dataclasses.replace(found, **more)).apply) == ["Secret/edge"]

    def test_an_old_word_does_not_leave_a_member_out(self) -> None:
        """node1 cannot take back that it misses node2, which is back: its kube-sync does not run."""
        begun = carried_out(answered(dataclasses.replace(working(), secret=secret(secret="another")), 1, (1,)))
        found = ran(begun, dead={"node1": {"node2": 9}}, node1=(1, (1, 2)))
        mute = Absence("its agent's container kube-sync does not run (CrashLoopBackOff)", dead=False)
        done = plan.plan_for(dataclasses.replace(found, agents={"node1": mute, "node2": None}))
        assert "Secret/edge" not in names(done.apply)

    @pytest.mark.parametrize(
        "more",
        [
            pytest.param({"lost": frozenset({"node1", "node2"})}, id="all Nodes are silent"),
            pytest.param({"nodes": frozenset()}, id="all Nodes are gone"),
            pytest.param({"agents": {}}, id="no agent has a pod"),
        ],
    )
    def test_where_nobody_is_left_to_tell_nothing_is_forgotten(self, more: dict[str, Any]) -> None:
        """They may live, and hear each other; node2 still sends with the old key."""
        begun = carried_out(answered(dataclasses.replace(working(), secret=secret(secret="another")), 1, (1,)))
        switched = carried_out(ran(begun, node1=(1, (1, 2)), node2=(1, (1, 2))))
        half = dataclasses.replace(ran(switched, node1=(2, (1, 2)), node2=(1, (1, 2))), **more)
        done = plan.plan_for(half)
        assert "Secret/edge" not in names(done.apply)
        assert said_now(half, done, "Programmed").endswith("begin to send with the new key; awaited from node2")

    def test_a_secret_that_goes_in_the_middle_changes_nothing(self) -> None:
        now = carried_out(answered(dataclasses.replace(working(), secret=secret(secret="another")), 1, (1,)))
        done = plan.plan_for(answered(dataclasses.replace(now, secret=None), 1, (1, 2)))
        assert conditions(done)["Accepted"] == ("False", "SecretNotFound")
        assert done.apply == ()

    @pytest.mark.parametrize("data", [None, {}, {"keys.json": "!"}, {"keys.json": base64.b64encode(b"{").decode()}])
    def test_a_torn_key_secret_is_written_anew(self, data: dict[str, str] | None) -> None:
        before = carried_out(world())
        assert before.key_secret is not None
        done = plan.plan_for(dataclasses.replace(before, key_secret={**before.key_secret, "data": data}))
        assert done.apply == (plan.plan_for(world()).apply[0],)

    def test_the_secret_is_in_nothing_but_the_key_secret_and_not_even_there(self) -> None:
        done = plan.plan_for(world())
        assert SECRET not in repr(done)
        assert base64.b64encode(SECRET.encode()).decode() not in repr(done)
