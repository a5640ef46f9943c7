"""The operator's part of a cluster's status: conditions, owners and members, in words for people. Pure.

Agents write the rest (status.groups, status.nodes); nothing here repeats it.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from vyos_api import limits
from vyos_api.host_units import NOT_ALLOWED
from vyos_api.nodeconfig import NodeConfig
from vyos_api.reasons import (
    AcceptedReason,
    AvailableReason,
    ConditionReason,
    ConditionType,
    DegradedReason,
    ProgrammedReason,
    VerifiedReason,
)
from vyos_api.v1alpha1 import Condition, Status
from vyos_operator import unclaimed
from vyos_operator.checks import Verdict, listed
from vyos_operator.health import Health
from vyos_operator.rotation import Rotation

DEVIATIONS = {
    unclaimed.HEARTBEAT_KIND: DegradedReason.NO_HEARTBEAT_LINK,
    "Interface": DegradedReason.INTERFACE_DOWN,
    "Monitor": DegradedReason.MONITOR_UNREACHABLE,
    "Service": DegradedReason.SERVICE_FAILED,
    "Address": DegradedReason.ADDRESS_FAILED,
    "Multicast": DegradedReason.MULTICAST_LOST,
    "Fence": DegradedReason.FENCE_FAILED,
    "Peer": DegradedReason.PEER_UNHEARD,
}
"""What a deviation of a kind is called; a kind that is not here is OTHER, and the message has the agent's words."""
SENTENCES = frozenset({"NoAddress", "Refused", "Occupied", NOT_ALLOWED})
"""States of deviations whose name is a sentence: why, and what to do."""
ANSWER_KIND = "Answer"
"""The kind of a deviation by which an agent tells what the LAN says of an address; its state is a VerifiedReason."""
REFUSAL_KIND = "Configuration"
"""The kind of a deviation by which an agent refuses a configuration; its name is the agent's message."""


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """One condition without its times."""

    type: ConditionType
    status: str
    reason: ConditionReason
    message: str


def fields(
    *,
    generation: int,
    verdict: Verdict,
    rotation: Rotation | None,
    running: NodeConfig | None,
    health: Health | None,
    status: Status,
    now: str,
) -> dict[str, Any]:
    """The operator's whole part of the status.

    `running` is what the agents are told to run, `health` how it does.
    """
    said = [
        accepted(generation, verdict),
        programmed(generation, verdict, rotation, running, health, status),
        available(running, health),
        verified(running, health),
        degraded(health),
    ]
    before = {c.type: c for c in status.conditions}
    found: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": [_condition(s, before.get(s.type), generation, now) for s in said],
    }
    if running is not None and health is not None:
        found["members"] = f"{len(health.ready)}/{len(health.members)}"
        owned = owners(running, status)
        if owned:
            found["owners"] = owned
    return found


def same(fields_: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    """Whether the status already says this (`raw` is the whole status as the API server has it)."""
    conditions = {c.get("type"): c for c in raw.get("conditions") or ()}
    return all(raw.get(key) == fields_.get(key) for key in ("observedGeneration", "members", "owners")) and all(
        conditions.get(c["type"]) == c for c in fields_["conditions"]
    )


def owners(running: NodeConfig, status: Status) -> str:
    """Group=owner pairs for kubectl get."""
    records = {g.name: g.owner for g in status.groups}
    text = ",".join(f"{g.name}={records[g.name]}" for g in running.groups if g.name in records)
    return text if len(text) <= limits.OWNERS_TEXT else text[: limits.OWNERS_TEXT - 3] + "..."


def accepted(generation: int, verdict: Verdict) -> Said:
    """Accepted: can the spec be carried out?"""
    finding = verdict.refusal or verdict.note
    if finding is None:
        message = f"generation {generation} is being carried out"
        return Said(ConditionType.ACCEPTED, "True", AcceptedReason.ACCEPTED, message)
    return Said(ConditionType.ACCEPTED, "False" if verdict.refusal else "True", finding.reason, finding.message)


def programmed(
    generation: int,
    verdict: Verdict,
    rotation: Rotation | None,
    running: NodeConfig | None,
    health: Health | None,
    status: Status,
) -> Said:
    """Programmed: do all members run the newest generation?"""
    if verdict.refusal is not None:
        kept = f"the members keep generation {running.generation}" if running else "nothing runs yet"
        message = f"generation {generation} is not accepted ({verdict.refusal.reason}); {kept}"
        return Said(ConditionType.PROGRAMMED, "False", ProgrammedReason.NOT_ACCEPTED, message)
    assert running is not None, "what is accepted is what runs"
    assert health is not None, "what runs is judged"
    refusing = [f"{member} refuses {text}" for member, kind, text, _ in health.deviations if kind == REFUSAL_KIND]
    if refusing:
        message = listed(refusing, "; ")
        return Said(ConditionType.PROGRAMMED, "False", ProgrammedReason.REFUSED, message)
    runs = {n.name: n.config_generation for n in status.nodes}
    missing = [
        f"{m} ({'has not reported' if m in health.silent else f'runs generation {runs[m] or 0}'})"
        for m in running.members
        if runs.get(m) != generation
    ]
    if missing:
        message = f"generation {generation} is awaited from {listed(missing)}"
        return Said(ConditionType.PROGRAMMED, "False", ProgrammedReason.PENDING, message)
    if rotation is not None and rotation.stage:
        awaited = f"; awaited from {listed(rotation.awaited)}" if rotation.awaited else ""
        message = f"the heartbeat key is being changed, {rotation.stage}{awaited}"
        return Said(ConditionType.PROGRAMMED, "False", ProgrammedReason.ROTATING_KEY, message)
    message = f"every member runs generation {generation}"
    return Said(ConditionType.PROGRAMMED, "True", ProgrammedReason.PROGRAMMED, message)


def available(running: NodeConfig | None, health: Health | None) -> Said:
    """Available: has every group exactly one owner, seen by every living member?"""
    kind, reasons = ConditionType.AVAILABLE, AvailableReason
    if running is None or health is None:
        return Said(kind, "False", reasons.PENDING, "nothing runs yet")
    if len(health.gone) == len(health.members):
        message = f"nobody is left to report: {listed((f'{m}: {why}' for m, why in health.gone.items()), '; ')}"
        return Said(kind, "Unknown", reasons.NO_AGENTS, message)
    if len(health.silent) == len(health.members):
        return Said(kind, "False", reasons.PENDING, "no member has reported yet")
    if health.split:
        return Said(kind, "False", reasons.SPLIT_BRAIN, _split(health))
    for reason, why, look in (
        (reasons.NO_HEARTBEAT_LINK, "no heartbeat link carries a frame", unclaimed.without_a_link),
        (reasons.ADDRESS_OCCUPIED, "an address of it is in use for good", unclaimed.occupied),
    ):
        found = {g.name: causes for g in running.groups if g.name in health.ownerless and (causes := look(g, health))}
        if found:
            parts = (f"group {g} is not claimed: {why}: {listed(causes, '; ')}" for g, causes in found.items())
            return Said(kind, "False", reason, listed(parts, "; "))
    if health.ownerless:
        message = listed((f"group {g}: {why}" for g, why in health.ownerless.items()), "; ")
        return Said(kind, "False", reasons.NO_OWNER, message)
    if health.dissents:
        parts = (
            f"group {d.group}: {d.member} sees {d.sees or 'no owner'}, {d.owner} is recorded" for d in health.dissents
        )
        return Said(kind, "False", reasons.DISAGREEMENT, listed(parts, "; "))
    return Said(kind, "True", reasons.AVAILABLE, "every group has one owner, and all living members see it")


def verified(running: NodeConfig | None, health: Health | None) -> Said:
    """Verified: do the addresses answer on the LAN, and only from their owners? Agents ask it every half a minute."""
    kind, reasons = ConditionType.VERIFIED, VerifiedReason
    if running is None or health is None:
        return Said(kind, "Unknown", reasons.NOT_CHECKED, "nothing runs yet")
    found: dict[str, list[str]] = {}
    for member, what, name, state in health.deviations:
        if what == ANSWER_KIND:
            found.setdefault(state, []).append(f"{member} finds {state} for {name}")
    if found:
        gravest = (reasons.TWO_MACS, reasons.WRONG_MAC, reasons.NO_ANSWER)
        reason = next((r for r in gravest if r in found), reasons.OTHER)
        return Said(kind, "False", reason, listed((part for parts in found.values() for part in parts), "; "))
    alone = [g.name for g in running.groups if g.addresses and len(health.living.intersection(g.members)) < 2]
    unowned = [g.name for g in running.groups if g.addresses and g.name in health.ownerless]
    if unowned or alone:
        why = "has no owner" if unowned else "has no other living member to ask"
        return Said(kind, "Unknown", reasons.NOT_CHECKED, f"group {listed(unowned or alone)} {why}")
    return Said(kind, "True", reasons.VERIFIED, "no member finds an address that answers otherwise than from its owner")


def degraded(health: Health | None) -> Said:
    """Degraded: is anything not as it should be, though the addresses may be served?"""
    kind = ConditionType.DEGRADED
    if health is None:
        return Said(kind, "Unknown", DegradedReason.NOT_RUNNING, "nothing runs yet")
    found: dict[DegradedReason, list[str]] = {}
    if health.split:
        found[DegradedReason.SPLIT_BRAIN] = [_split(health)]
    if down := _down(health):
        found[DegradedReason.MEMBER_DOWN] = down
    for member, what, name, state in (d for d in health.deviations if d[1] not in (REFUSAL_KIND, ANSWER_KIND)):
        reason = unclaimed.reason(what, state) or DEVIATIONS.get(what, DegradedReason.OTHER)
        if state == NOT_ALLOWED:
            reason = DegradedReason.SERVICE_NOT_ALLOWED
        plain = what == unclaimed.HEARTBEAT_KIND or state in SENTENCES
        found.setdefault(reason, []).append(f"{member}: {name}" if plain else f"{member}: {what} {name} is {state}")
    if not found:
        return Said(kind, "False", DegradedReason.HEALTHY, "all members are well")
    split = DegradedReason.SPLIT_BRAIN in found
    reason = next(iter(found)) if split or len(found) == 1 else DegradedReason.SEVERAL
    message = listed((part for parts in found.values() for part in parts), "; ")
    return Said(kind, "True", reason, message)


def timestamp(now: datetime.datetime) -> str:
    """As metav1.Time is written."""
    return now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _down(health: Health) -> list[str]:
    """Of each member that is not there or may be unable to report, why; and of which the last report still stands."""
    dead = [(m, who) for m, who in health.accusers.items() if m not in health.gone]
    silent = [m for m in health.silent if m not in health.gone]
    found = [f"{m} is dead ({', '.join(who) or 'by the latest report'})" for m, who in dead]
    found += [f"{m}: {why}" for m, why in health.gone.items()]
    found += [f"{listed(silent)} {'has' if len(silent) == 1 else 'have'} not reported"] if silent else []
    found += [f"{m} may be unable to report: {why}" for m, why in health.mute.items()]
    if health.accusers:
        found.append(f"stale in status.nodes: {listed(health.accusers)}")
    if health.mute:
        found.append(f"perhaps stale in status.nodes: {listed(health.mute)}")
    return found


def _split(health: Health) -> str:
    parts = (f"group {group} is owned by {' and '.join(who)}" for group, who in health.split.items())
    return f"{listed(parts, '; ')}: they do not hear each other"


def _condition(said: Said, before: Condition | None, generation: int, now: str) -> dict[str, Any]:
    moved = before is None or before.status != said.status
    return {
        "type": str(said.type),
        "status": said.status,
        "observedGeneration": generation,
        "lastTransitionTime": now if moved or before is None else before.last_transition_time,
        "reason": str(said.reason),
        "message": said.message[: limits.CONDITION_MESSAGE],
    }
