"""What this node's frame says: building it, part by part and link by link. Sealing is `wire`'s work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from vyos_agent.core import handover, wire
from vyos_agent.core.effects import Send
from vyos_agent.core.group import GroupMachine
from vyos_agent.core.model import NOBODY, OWNING, Cause, Config, State
from vyos_agent.core.peers import Peers
from vyos_agent.core.turn import Turn


def frame(
    config: Config,
    peers: Peers,
    entries: Iterable[wire.GroupEntry],
    now: int,
    *,
    leaving: bool,
    answer_please: bool,
    former: bool = True,
) -> tuple[Send, int]:
    """The datagrams for every heartbeat interface, and the newest sequence in them. `former`: for former ones, too."""
    beat = wire.Beat(
        sender=peers.me,
        incarnation=peers.incarnation,
        sequence=peers.sent.newest + 1,
        dead_ms=config.dead_ms,
        keepalive_ms=config.keepalive_ms,
        generation=config.generation,
        leaving=leaving,
        answer_please=answer_please,
        link=0,
        peers=peers.entries(now, config.dead_ms),
        groups=tuple(entries),
    )
    parts = wire.split(beat)
    datagrams = {
        interface: tuple(
            wire.seal(dataclasses.replace(part, link=link), config.cluster_id, config.keyring) for part in parts
        )
        for link, interface in enumerate(config.interfaces)
        if former or interface not in config.former
    }
    return Send(datagrams), parts[-1].sequence


def entry(machine: GroupMachine, turn: Turn) -> wire.GroupEntry:
    """One group as this node stands to it, and the strongest claim that it heard itself."""
    heard = turn.view.heard_claim
    return wire.GroupEntry(
        group=machine.group.id,
        epoch=machine.epoch,
        state=machine.state,
        rank=max(0, machine.rank),
        candidate=machine.candidate(turn),
        ready=machine.ready(turn) or (machine.here(turn) and not machine.novelty.vips),
        services_stopped=machine.services.stopped(machine.group.units),
        suspended=machine.state is State.SUSPENDED,
        monitors=turn.mine.monitors,
        list_hash=turn.mine.list_hash,
        handover=machine.level.kind,
        cause=Cause.NOT_ABLE if turn.occupied and machine.level == handover.SILENT else machine.level.cause,
        target=machine.level.partner,
        claim_owner=heard.owner if heard else NOBODY,
        claim_epoch=heard.epoch if heard else 0,
        claim_rank=heard.rank if heard else 0,
    )


def is_news(old: wire.GroupEntry | None, new: wire.GroupEntry) -> bool:
    """Whether what it says of this member itself must be said at once; an epoch only when it is a claim."""
    if old is None:
        return True
    if old == new:
        return False
    said = dataclasses.replace(
        old,
        epoch=old.epoch if new.state in OWNING else new.epoch,
        claim_owner=new.claim_owner,
        claim_epoch=new.claim_epoch,
        claim_rank=new.claim_rank,
    )
    return said != new


def is_relayed_news(old: wire.GroupEntry | None, new: wire.GroupEntry) -> bool:
    """Whether somebody else's claim has come or gone: whoever does not hear it waits for this."""
    return old is not None and (old.claim_owner, old.claim_epoch) != (new.claim_owner, new.claim_epoch)
