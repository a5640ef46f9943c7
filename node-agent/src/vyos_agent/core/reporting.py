"""Builds the report: reading only. What it means for people is the shell's and the status's work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vyos_agent.core import election, handover
from vyos_agent.core.election import Candidate
from vyos_agent.core.group import GroupMachine
from vyos_agent.core.model import OWNING, Config, MemberId, State, Vip, wire_id
from vyos_agent.core.peer import Peer
from vyos_agent.core.peers import Peers
from vyos_agent.core.report import CandidateReport, GroupReport, HandoverReport, PeerReport
from vyos_agent.core.turn import Turn


def groups(entries: Iterable[tuple[GroupMachine, Turn]], held: frozenset[Vip]) -> tuple[GroupReport, ...]:
    """Every group of which this node is a member, and those that it has not released yet."""
    return tuple(_group(machine, turn, held) for machine, turn in entries if machine.rank >= 0 or machine.busy)


def peers(config: Config, table: Peers) -> tuple[PeerReport, ...]:
    """Every other member of the configuration."""
    others = [name for name in config.members if name != config.me]
    return tuple(_peer(name, table.table[MemberId(wire_id(name))], config.interfaces) for name in others)


def _group(machine: GroupMachine, turn: Turn, held: frozenset[Vip]) -> GroupReport:
    owner = machine.following.owner
    waits = machine.state is State.OWNER and machine.services.wanted is not True
    return GroupReport(
        name=machine.group.name,
        state=machine.state,
        owner=_name(owner.owner, turn.at.names) if owner is not None else None,
        epoch=owner.epoch if owner is not None else machine.epoch,
        reason=machine.reason,
        since_ms=machine.since_ms,
        vips=tuple(v for v in (*machine.group.vips, *machine.relocated) if v in held),
        services=machine.services.told if machine.group.units else None,
        message=_waits_for(turn) if waits and machine.group.units else machine.services.message,
        handover=_handover(machine, turn),
        candidates=_candidates(machine, turn),
        occupied=_occupied(machine, turn),
    )


def _occupied(machine: GroupMachine, turn: Turn) -> tuple[str, ...]:
    found = {_name(m, turn.at.names) for m in turn.view.occupied}
    return tuple(sorted(found | {machine.me} if turn.occupied else found))


def _waits_for(turn: Turn) -> str:
    """Why an owner's services have not been started."""
    running = [s.peer.id for s in turn.view.standings.values() if not s.entry.services_stopped]
    names = ", ".join(sorted(_name(m, turn.at.names) for m in running))
    return f"waiting for {names} to stop them" if running else ""


def _handover(machine: GroupMachine, turn: Turn) -> HandoverReport | None:
    move, taken = machine.move, machine.taken
    if move is not None:
        return HandoverReport(_name(move.target, turn.at.names), move.reason, given=move.go_ms is not None)
    if taken is not None and machine.reason is not None:
        return HandoverReport(machine.me, machine.reason, given=True)
    asker = handover.asker(turn)
    if asker is None or machine.state in OWNING:
        return None
    return HandoverReport(machine.me, handover.taker_reason(asker.entry.cause), given=False)


def _candidates(machine: GroupMachine, turn: Turn) -> tuple[CandidateReport, ...]:
    """The table behind the present owner, best first; members of which nothing is known come last."""
    mine = turn.mine
    rows = {mine: (machine.state, machine.candidate(turn), machine.ready(turn))}
    for standing in turn.view.standings.values():
        entry = standing.entry
        rows[standing.candidate] = (entry.state, entry.candidate, handover.is_ready(standing, turn))
    known = {c.member: c for c in rows}
    members = [(name, MemberId(wire_id(name)), rank) for rank, name in enumerate(machine.group.members)]
    ranked = [c for c in rows if c.member in machine.group.member_ids]
    order = sorted(ranked, key=lambda c: (not rows[c][1], election.turn(ranked, c), c.rank))
    names = {member: name for name, member, _ in members}
    found = [_row(names[c.member], c, rows[c], mine) for c in order]
    unknown = [CandidateReport(n, None, rank, False, False, None) for n, m, rank in members if m not in known]
    return (*found, *unknown)


def _row(name: str, candidate: Candidate, says: tuple[State, bool, bool], mine: Candidate) -> CandidateReport:
    monitors = candidate.monitors if candidate.list_hash == mine.list_hash else None
    return CandidateReport(name, says[0], candidate.rank, says[1], says[2], monitors)


def _peer(name: str, peer: Peer, interfaces: tuple[str, ...]) -> PeerReport:
    if peer.believed:
        listening = any(e.state is State.LISTENING for e in peer.groups.values())
        state = "Left" if peer.leaving else "Listening" if listening else "Alive"
    else:
        state = "Left" if peer.leaving else "Dead" if peer.ever else "Unheard"
    heard = tuple(interfaces[i] for i in sorted(peer.heard_on) if i < len(interfaces))
    return PeerReport(name, state, peer.since_ms, heard)


def _name(member: MemberId, names: Mapping[MemberId, str]) -> str:
    """A member's name, or what is known of one outside the configuration."""
    return names.get(member, f"{member:08x}")
