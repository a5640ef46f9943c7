"""From the core's report to the JSON of the control socket (docs/control-socket.md). Pure but for the calendar.

Names what deviates and counts what is well, because the status of a quiet cluster must cost nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

from vyos_agent.config import UNICAST
from vyos_agent.core.model import Keyring, Serving, State
from vyos_agent.core.report import GroupReport, PeerReport, Report
from vyos_agent.edge.clock import Calendar
from vyos_agent.edge.usable import Trouble
from vyos_api import host_units
from vyos_api.nodeconfig import NodeConfig

STATE_NAMES = {state: state.name.title() for state in State}
"""As the status spells them: Listening, Standby, Owner …"""
WELL = "Alive"
STARTING = "Listening"
"""States of a peer that are no deviation; only the first makes it ready."""


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What the shell knows beside the core: each a deviation."""

    failed: Collection[str] = ()
    """Addresses that the kernel refused when it was asked last."""
    fence: str = ""
    """Why there is no fence, though one is wanted."""
    unfound: Collection[str] = ()
    """Addresses whose subnet no interface has."""
    troubles: Mapping[str, Trouble] = dataclasses.field(default_factory=dict)
    """Of heartbeat interfaces that can carry no frame: why."""
    occupied: Collection[str] = ()
    """Addresses that this node has for good, set by its administrator; with the cure."""
    answers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Addresses that do not answer on the LAN as they should: NoAnswer, WrongMAC or TwoMACs."""
    refused_units: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    """By group, the host services that this daemon may not start or stop, each with the reason."""


class ClusterReporter:
    """The reports of one cluster: keeps the wall-clock time of everything that it tells."""

    def __init__(self, here: Callable[[str], bool], clock: Callable[[], int]) -> None:
        """`here(name)`: whether there is an interface of that name."""
        self._here = here
        self._clock = clock
        self._calendar = Calendar()
        self._used: set[object] = set()

    def build(self, config: NodeConfig, keyring: Keyring, report: Report, facts: Facts) -> dict[str, Any]:
        """One item of `clusters`. Of the keys it tells the numbers, and nothing else."""
        self._used = set()
        refused = facts.refused_units
        units = {g.name: tuple(u for u in g.units if u not in refused.get(g.name, ())) for g in config.groups}
        links = {name: up for name, up in report.links.items() if ":" not in name}
        alive = sum(p.state == WELL for p in report.peers)
        built = {
            "cluster": config.cluster,
            "uid": config.uid,
            "generation": report.generation,
            "keys": {"send": keyring.send_id, "accept": sorted(keyring.keys)},
            "groups": [self._group(g, units.get(g.name, ())) for g in report.groups],
            "peers": {"ready": alive, "all": len(report.peers)},
            "monitors": {"ready": sum(v is True for v in report.monitors.values()), "all": len(report.monitors)},
            "interfaces": {"ready": sum(links.values()), "all": len(links)},
            "deviations": self._deviations(report, links, facts),
            "drops": dict(report.drops),
        }
        self._calendar.keep(self._used)
        return built

    def _group(self, group: GroupReport, units: tuple[str, ...]) -> dict[str, Any]:
        return {
            "name": group.name,
            "state": STATE_NAMES[group.state],
            "owner": group.owner,
            "epoch": group.epoch or None,
            "sinceMs": self._wall_ms(("group", group.name, group.since_ms), group.since_ms),
            "reason": group.reason.value if group.reason is not None else None,
            "addresses": [vip.text for vip in group.vips],
            "services": list(units) if group.services is Serving.RUNNING else [],
        }

    def _deviations(self, report: Report, links: Mapping[str, bool], facts: Facts) -> list[dict[str, Any]]:
        listening = any(g.state is State.LISTENING for g in report.groups)
        found = [self._peer(p) for p in report.peers if _deviates(p, listening=listening)]
        deaf = sorted(p.name for p in report.peers if p.state == WELL and p.links == (UNICAST,))
        found += [self._other("Multicast", name, "Lost") for name in deaf]
        down = sorted(name for name, up in links.items() if not up)
        found += [self._other("Interface", name, "Down" if self._here(name) else "Missing") for name in down]
        found += [self._other(*told) for told in _heartbeat(report, facts.troubles)]
        found += [self._other("Address", text, "Occupied") for text in sorted(facts.occupied)]
        found += [self._other("Address", text, "Failed") for text in sorted(facts.failed)]
        found += [self._other("Address", text, "NoInterface") for text in sorted(facts.unfound)]
        found += [self._other("Fence", facts.fence, "Failed")] if facts.fence else []
        found += [self._other("Answer", text, state) for text, state in sorted(facts.answers.items())]
        dead = sorted(text for text, verdict in report.monitors.items() if verdict is False)
        found += [self._other("Monitor", text, "Unreachable") for text in dead]
        refused = facts.refused_units.items()
        denied = [f"{group}: {text}: {host_units.CURE}" for group, units in refused for text in units.values()]
        found += [self._other("Service", text, host_units.NOT_ALLOWED) for text in sorted(denied)]
        ailing = [g for g in report.groups if g.services in (Serving.FAILED, Serving.ABSENT)]
        return found + [self._other("Service", f"{g.name}: {g.message}", str(g.services)) for g in ailing]

    def _peer(self, peer: PeerReport) -> dict[str, Any]:
        since_ms = self._wall_ms(("peer", peer.name, peer.state, peer.since_ms), peer.since_ms)
        return {"kind": "Peer", "name": peer.name, "state": peer.state, "sinceMs": since_ms}

    def _other(self, kind: str, name: str, state: str) -> dict[str, Any]:
        """Something that has no date of its own: it deviates since it was first told."""
        return {"kind": kind, "name": name, "state": state, "sinceMs": self._wall_ms((kind, name, state), None)}

    def _wall_ms(self, key: object, at_ms: int | None) -> int:
        self._used.add(key)
        return self._calendar.wall_ms(key, self._clock() if at_ms is None else at_ms)


def _heartbeat(report: Report, troubles: Mapping[str, Trouble]) -> list[tuple[str, str, str]]:
    """Why no link carries heartbeats; while one does, why another that is up does not."""
    if report.mute and not troubles:
        return [("Heartbeat", "no heartbeat is accepted for sending: look at the node's firewall and log", "Refused")]
    if report.mute:
        return [("Heartbeat", why.text, why.state) for _, why in sorted(troubles.items())]
    return [("Interface", w.text, w.state) for _, w in sorted(troubles.items()) if w.state not in ("Missing", "Down")]


def _deviates(peer: PeerReport, *, listening: bool) -> bool:
    """A peer not heard yet deviates only when this member has stopped waiting for it."""
    if peer.state in (WELL, STARTING):
        return False
    return peer.state != "Unheard" or not listening
