"""World -> Plan: everything that shall be for one cluster. Pure: the same world always gives the same plan."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from vyos_api import names
from vyos_api.nodeconfig import ConfigError, NodeConfig, node_config_from_json
from vyos_api.reasons import AcceptedReason, ConditionType, EventAction, OwnershipReason
from vyos_api.v1alpha1 import Deviation, GroupStatus, Status
from vyos_operator import checks, health, kinds, manifests, presence, psk, status, unclaimed
from vyos_operator.checks import Verdict
from vyos_operator.rotation import Rotation, rotate
from vyos_operator.world import Body, Plan, Ref, World

EVENT_AGE_MAX_S = 600
"""Ownership that is older is history, not news: a restarted operator does not tell it again."""
ACTIONS: dict[str, str] = {
    OwnershipReason.FIRST_CLAIM: EventAction.FIRST_CLAIM,
    OwnershipReason.PEER_DEAD: EventAction.TAKEOVER,
    OwnershipReason.PEER_LEFT: EventAction.TAKEOVER,
    OwnershipReason.PEER_RELEASED: EventAction.TAKEOVER,
    OwnershipReason.HANDOVER_REQUESTED: EventAction.HANDOVER,
    OwnershipReason.MONITORS_LOST: EventAction.HANDOVER,
    OwnershipReason.MAINTENANCE: EventAction.HANDOVER,
    OwnershipReason.CORDONED: EventAction.HANDOVER,
    OwnershipReason.SERVICE_FAILED: EventAction.HANDOVER,
    OwnershipReason.FAILBACK: EventAction.FAILBACK,
    OwnershipReason.SETTLED: EventAction.SETTLEMENT,
}
"""What happened, for an Event's `action`; its `reason` is the core's own word, the same as in log and status."""
STAYS = (OwnershipReason.ADOPTED, OwnershipReason.EPOCH_RAISED)
"""Reasons of an epoch with which nothing moved, so nothing is told."""


def plan_for(world: World) -> Plan:
    """What is still to do for a cluster. One that is being deleted is left to the garbage collector."""
    meta = world.cluster["metadata"]
    if "deletionTimestamp" in meta:
        return Plan()
    raw = world.cluster.get("status") or {}
    known = _status(raw)
    if known is None:
        return _plan_without_status(world)
    verdict = checks.judge(world, known)
    running = verdict.configs[0] if verdict.configs else _running(world)
    state = _state(world, running, known) if running else None
    rotation = _rotation(world, verdict, known, state)
    now = status.timestamp(world.now)
    fields = status.fields(
        generation=meta.get("generation", 0),
        verdict=verdict,
        rotation=rotation,
        running=running,
        health=state,
        status=known,
        now=now,
    )
    children = _children(world, verdict, rotation)
    lost = bool(known.observed_generation) and any(there is None for _, there in children)
    return Plan(
        doubtful=meta.get("uid") if lost else None,
        apply=_to_apply(children),
        delete=_to_delete(world, verdict),
        prune=_to_prune(known, verdict),
        events=(
            *_verdict_events(world, verdict, known),
            *_ownership_events(world, running, known),
            *_deviation_events(world, running, known),
        ),
        status=None if status.same(fields, raw) else fields,
        holds=verdict.rendering.asked if verdict.rendering is not None else None,
    )


def _plan_without_status(world: World) -> Plan:
    """What can be done where the status cannot be read: the members get their configuration, and nothing else changes.

    An empty status in its place would say that no member has any key, and that every owner is a new one.
    """
    verdict = checks.judge(world, Status())
    children = _children(world, verdict, None)
    return Plan(
        apply=_to_apply(children),
        holds=verdict.rendering.asked if verdict.rendering is not None else None,
        unreadable_status=True,
    )


def _state(world: World, running: NodeConfig, known: Status) -> health.Health:
    absent = presence.absences(running.members, nodes=world.nodes, lost=world.lost, agents=world.agents)
    groups = [group.members for group in running.groups]
    for member, absence in absent.items():
        if absence == presence.NO_POD:
            absent[member] = dataclasses.replace(absence, why=f"{absence.why} ({checks.field(groups, member)})")
    return health.assess(running, known, absent)


def _rotation(world: World, verdict: Verdict, known: Status, state: health.Health | None) -> Rotation | None:
    """The keys that the members shall have now; None while the spec is refused."""
    if verdict.refusal is not None or state is None:
        return None
    uid = world.cluster["metadata"]["uid"]
    entries = {entry.name: entry for entry in known.nodes}
    # Kubernetes' word is not enough to go on without a member: its peers may hear it well, and then not understand it
    members = {m: entries.get(m) for m in state.members if m not in state.away}
    return rotate(verdict.secret, psk.running(world, uid), uid, members)


def _children(world: World, verdict: Verdict, rotation: Rotation | None) -> tuple[tuple[Body, Body | None], ...]:
    """What the agents may not find as it shall be, each with what is there. The key Secret first, as all need it."""
    wanted: list[tuple[Body, Body | None]] = []
    if rotation is not None:
        name = world.cluster["metadata"]["name"]
        wanted.append((manifests.key_secret(name, rotation.keys, world.agent_namespace), world.key_secret))
    found = {body["metadata"]["name"]: body for body in world.config_maps}
    for config in verdict.configs:
        there = found.get(names.config_map(config.cluster, config.node))
        if there is not None and verdict.rendering is not None and verdict.rendering.built(config, there):
            continue
        body = manifests.config_map(config, world.agent_namespace)
        if there is not None and verdict.rendering is not None and manifests.as_built(body, there):
            verdict.rendering.found_built(config, there)
        else:
            wanted.append((body, there))
    return tuple(wanted)


def _to_apply(children: Iterable[tuple[Body, Body | None]]) -> tuple[Body, ...]:
    """The wanted objects that are missing or differ; each comes with what is there."""
    return tuple(body for body, there in children if there is None or not manifests.as_built(body, there))


def _to_delete(world: World, verdict: Verdict) -> tuple[Ref, ...]:
    """ConfigMaps of members that left. Only an accepted spec says who they are."""
    if verdict.refusal is not None:
        return ()
    wanted = {names.config_map(config.cluster, config.node) for config in verdict.configs}
    return tuple(
        Ref(kinds.CONFIG_MAPS, world.agent_namespace, meta["name"], meta["uid"])
        for meta in (body["metadata"] for body in world.config_maps)
        if meta["name"] not in wanted and _ours(meta)
    )


def _to_prune(known: Status, verdict: Verdict) -> tuple[str, ...]:
    """Status entries of members that left and groups that are gone, by the field manager that wrote them."""
    if verdict.refusal is not None:
        return ()
    groups = {group.name for group in verdict.configs[0].groups}
    configured = {config.node for config in verdict.configs}
    return (
        *(names.node_manager(n.name) for n in known.nodes if n.name not in configured),
        *(names.group_manager(g.name) for g in known.groups if g.name not in groups),
    )


def _verdict_events(world: World, verdict: Verdict, known: Status) -> tuple[Body, ...]:
    """One Event when the answer to the spec changes: accepted, refused, or refused for something else."""
    generation = world.cluster["metadata"].get("generation", 0)
    said = status.accepted(generation, verdict)
    before = next((c for c in known.conditions if c.type == ConditionType.ACCEPTED), None)
    if before is not None and (before.status, before.reason, before.message) == (
        said.status,
        said.reason,
        said.message,
    ):
        return ()
    after = before.model_dump_json() if before is not None else ""
    identity = _identity(world, "verdict", said.status, said.reason, said.message, after)
    warning = said.reason != AcceptedReason.ACCEPTED
    note = said.message if not warning else f"generation {generation}: {said.message}"
    return (_event(world, identity, action=said.reason, reason=said.reason, note=note, warning=warning),)


def _ownership_events(world: World, running: NodeConfig | None, known: Status) -> tuple[Body, ...]:
    """One Event for each new owner; its epoch makes it unique."""
    groups = {group.name for group in running.groups} if running else set()
    return tuple(
        _event(
            world,
            _identity(world, "owner", group.name, group.owner, str(group.epoch)),
            action=ACTIONS.get(group.reason, group.reason),
            reason=group.reason,
            note=f"{group.owner} took group {group.name} (epoch {group.epoch}){_why(world, group)}",
            warning=group.reason == OwnershipReason.PEER_DEAD,
        )
        for group in known.groups
        if group.name in groups and group.reason and group.reason not in STAYS and _is_news(world, group)
    )


def _deviation_events(world: World, running: NodeConfig | None, known: Status) -> tuple[Body, ...]:
    """One Event when a member begins to keep a group from its first claim; the time of that makes it unique."""
    return tuple(
        _event(
            world,
            _identity(world, "deviation", entry.name, deviation.name, deviation.since or ""),
            action=reason,
            reason=reason,
            note=f"{entry.name}: {deviation.name}",
            warning=True,
        )
        for entry in known.nodes
        for deviation in entry.deviations or ()
        if (reason := unclaimed.reason(deviation.kind, deviation.state)) is not None
        and running is not None
        and entry.name in running.members
        and _is_news(world, deviation)
    )


def _why(world: World, group: GroupStatus) -> str:
    former = world.former.get(group.name)
    other = former if former and former != group.owner else ""
    who = other or "its former owner"
    words = {
        # A member that owns since before another one was recorded keeps the reason of its claim ([EPOCH-5]).
        OwnershipReason.FIRST_CLAIM: ": it had no owner"
        if not other
        else f": it goes on, {other} was recorded as the owner",
        OwnershipReason.PEER_DEAD: f": {who} was not heard for its dead interval",
        OwnershipReason.PEER_LEFT: f": {who} has left",
        OwnershipReason.PEER_RELEASED: f": {who} has let it go",
        OwnershipReason.HANDOVER_REQUESTED: f" from {who}: it was asked to",
        OwnershipReason.MONITORS_LOST: f" from {who}: it reaches more monitors",
        OwnershipReason.MAINTENANCE: f" from {who}, which is in maintenance",
        OwnershipReason.CORDONED: f" from {who}, which is cordoned",
        OwnershipReason.SERVICE_FAILED: f" from {who}: a service failed there",
        OwnershipReason.FAILBACK: f" back from {who}",
        OwnershipReason.SETTLED: f": it goes on, {who} has let it go",
    }
    return {str(reason): text for reason, text in words.items()}.get(group.reason or "", "")


def _is_news(world: World, said: GroupStatus | Deviation) -> bool:
    since_ms = health.milliseconds(said.since)
    return since_ms / 1000 > (world.now - datetime.timedelta(seconds=EVENT_AGE_MAX_S)).timestamp()


def _event(world: World, identity: str, *, action: str, reason: str, note: str, warning: bool) -> Body:
    return manifests.event(
        world.cluster,
        identity,
        action=action,
        reason=reason,
        note=note,
        warning=warning,
        now=world.now,
        instance=world.instance,
    )


def _identity(world: World, *parts: str) -> str:
    """16 hex digits for one happening: the same for whoever works it out again."""
    text = "\0".join((world.cluster["metadata"].get("uid", ""), *parts))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _status(raw: Body) -> Status | None:
    """The status; None where it cannot be read, as one of a newer release that an older CRD let in."""
    try:
        return Status.model_validate(raw)
    except ValidationError:
        return None


def _running(world: World) -> NodeConfig | None:
    """The newest configuration that this life of the cluster has in ConfigMaps."""
    found: list[NodeConfig] = []
    for body in world.config_maps:
        try:
            found.append(node_config_from_json((body.get("data") or {}).get(names.CONFIG_KEY, "")))
        except ConfigError:
            continue
    mine = [c for c in found if c.uid == world.cluster["metadata"].get("uid")]
    return max(mine, key=lambda config: (config.generation, config.node), default=None)


def _ours(meta: dict[str, Any]) -> bool:
    """Whether a ConfigMap was made for a VyosCluster, and does not only carry its label."""
    return any(owner.get("kind") == names.KIND for owner in meta.get("ownerReferences") or ())
