"""Worlds for tables: one cluster as the API server would show it, with everything around it, and its plan."""

from __future__ import annotations

import base64
import copy
import dataclasses
import datetime
from typing import Any

from vyos_operator import plan, store
from vyos_operator.claims import Claim, Place, held
from vyos_operator.world import Body, Plan, World

Json = dict[str, Any]
NOW = datetime.datetime(2026, 11, 24, 12, 0, 0, tzinfo=datetime.UTC)
UID = "11111111-2222-3333-4444-555555555555"
CREATED = "2026-11-24T11:00:00Z"
SECRET = "S3cr#t"


def at(seconds: int) -> str:
    """A timestamp so long before NOW."""
    return (NOW - datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def group(name: str = "cluster", *members: str, services: tuple[str, ...] = ("192.168.0.123/24/eth0",)) -> Json:
    primary, *secondaries = members or ("node1", "node2")
    return {"name": name, "primary": primary, "secondaries": secondaries, "services": list(services)}


def cluster(*groups: Json, generation: int = 3, name: str = "edge", uid: str = UID, **spec: Any) -> Json:
    return {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "metadata": {"name": name, "uid": uid, "generation": generation, "creationTimestamp": CREATED},
        "spec": {
            "interfaces": ["eth0"],
            "preSharedSecret": {"secretKeyRef": {"name": "psk", "key": "secret"}},
            "groups": list(groups) or [group()],
        }
        | spec,
    }


def secret(**data: str) -> Json:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": "psk", "namespace": "release", "uid": "s"}, "data": encoded}


def world(body: Json | None = None, **more: Any) -> World:
    found = World(
        now=NOW,
        operator_namespace="release",
        agent_namespace="agents",
        instance="op-0",
        cluster=body or cluster(),
        nodes=frozenset({"node1", "node2", "node3"}),
        lost=frozenset(),
        secret=secret(secret=SECRET),
        config_maps=(),
        key_secret=None,
        created=CREATED,
        held=frozenset(),
        rivals=(),
    )
    return dataclasses.replace(found, **{"agents": dict.fromkeys(more.get("nodes", found.nodes)), **more})


def carried_out(before: World, done: Plan | None = None) -> World:
    """The world after its plan was carried out, as the watches would show it."""
    done = done or plan.plan_for(before)
    maps = {b["metadata"]["name"]: b for b in before.config_maps}
    keys = before.key_secret
    for body in done.apply:
        made: Json = copy.deepcopy(dict(body))
        made["metadata"]["uid"] = made["metadata"]["name"]
        if made["kind"] == "ConfigMap":
            maps[made["metadata"]["name"]] = made
        else:
            keys = made
    for ref in done.delete:
        del maps[ref.name]
    body = dict(copy.deepcopy(before.cluster))
    if done.status is not None:
        agents = {k: v for k, v in (body.get("status") or {}).items() if k in ("nodes", "groups")}
        body["status"] = copy.deepcopy(dict(done.status)) | agents
    configs = store._configs(maps.values())
    return dataclasses.replace(
        before, cluster=body, config_maps=tuple(maps.values()), key_secret=keys, held=held(configs)
    )


def said(
    node: str,
    generation: int = 3,
    dead: dict[str, int] | None = None,
    deviations: tuple[tuple[str, str, str], ...] = (),
    **groups: tuple[str, str | None],
) -> Json:
    """A node's entry: its state and the owner it sees by group, and peers that are dead since so many seconds."""
    found = [{"kind": "Peer", "name": n, "state": "Dead", "since": at(s)} for n, s in (dead or {}).items()]
    found += [{"kind": kind, "name": name, "state": state, "since": at(9)} for kind, name, state in deviations]
    return {
        "name": node,
        "configGeneration": generation,
        "groups": [{"name": g, "state": s} | ({"owner": o} if o else {}) for g, (s, o) in groups.items()],
        "peers": "1/1",
        "deviations": found,
    }


def owned(owner: str, name: str = "cluster", epoch: int = 7, reason: str = "PeerDead", seconds: int = 60) -> Json:
    return {"name": name, "owner": owner, "epoch": epoch, "since": at(seconds), "reason": reason}


def reported(before: World, *entries: Json, groups: tuple[Json, ...] = (), **more: Any) -> World:
    """The same world after agents have written these entries."""
    body = dict(copy.deepcopy(before.cluster))
    body["status"] = (body.get("status") or {}) | {"nodes": list(entries), "groups": list(groups)}
    return dataclasses.replace(before, cluster=body, **more)


def working(**more: Any) -> World:
    """A cluster of two that runs well."""
    return reported(
        carried_out(world(**more)),
        said("node1", cluster=("Owner", "node1")),
        said("node2", cluster=("Standby", "node1")),
        groups=(owned("node1"),),
    )


def edited(before: World, body: Json) -> World:
    """The same world with another spec, one generation later."""
    after = copy.deepcopy(body)
    after["metadata"]["generation"] = before.cluster["metadata"]["generation"] + 1
    after["status"] = before.cluster.get("status") or {}
    return dataclasses.replace(before, cluster=after)


def claim(name: str, asked: str = "", held_: str = "", created: str = CREATED) -> Claim:
    """`node1:192.168.0.9 node2:...` as claims."""

    def places(text: str) -> frozenset[Place]:
        return frozenset(Place(*word.split(":", 1)) for word in text.split())

    return Claim(name, created, places(asked), places(held_))


def conditions(found: Plan) -> dict[str, tuple[str, str]]:
    assert found.status is not None
    return {c["type"]: (c["status"], c["reason"]) for c in found.status["conditions"]}


def message(found: Plan, kind: str) -> str:
    assert found.status is not None
    return str(next(c["message"] for c in found.status["conditions"] if c["type"] == kind))


def names(bodies: tuple[Body, ...]) -> list[str]:
    return [f"{b['kind']}/{b['metadata']['name']}" for b in bodies]


def says(found: World, available: tuple[str, str], degraded: tuple[str, str], texts: tuple[str, str]) -> Plan:
    """Plan it, and check status and reason of Available and Degraded, and how their messages begin; the plan."""
    found.cluster["status"].pop("conditions", None)  # so that the plan has a status in every row
    done = plan.plan_for(found)
    assert (conditions(done)["Available"], conditions(done)["Degraded"]) == (available, degraded)
    assert message(done, "Available").startswith(texts[0])
    assert message(done, "Degraded").startswith(texts[1])
    return done
