"""What this node's frame says: building it, part by part and link by link. Sealing is `wire`'s work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from vyos_agent.core import view, wire
from vyos_agent.core.effects import Send
from vyos_agent.core.group import GroupMachine, Turn
from vyos_agent.core.model import NOBODY, Config, State
from vyos_agent.core.peers import Peers


def frame(
    config: Config,
    peers: Peers,
    groups: Iterable[tuple[GroupMachine, Turn]],
    now: int,
    *,
    leaving: bool,
    answer_please: bool,
) -> tuple[Send, int]:
    """The datagrams for every heartbeat interface, and the newest sequence in them."""
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
        peers=peers.entries(now),
        groups=tuple(_entry(peers, machine, turn, leaving=leaving) for machine, turn in groups),
    )
    parts = wire.split(beat)
    datagrams = {
        interface: tuple(
            wire.seal(dataclasses.replace(part, link=link), config.cluster_id, config.keyring) for part in parts
        )
        for link, interface in enumerate(config.interfaces)
    }
    return Send(datagrams), parts[-1].sequence


def _entry(peers: Peers, machine: GroupMachine, turn: Turn, *, leaving: bool) -> wire.GroupEntry:
    heard = view.direct_claim(peers, machine.group.id)
    return wire.GroupEntry(
        group=machine.group.id,
        epoch=machine.epoch,
        state=machine.state,
        rank=max(0, machine.rank),
        candidate=machine.candidate(turn) and not leaving,
        ready=machine.state is State.STANDBY,
        suspended=machine.state is State.SUSPENDED,
        claim_owner=heard.owner if heard else NOBODY,
        claim_epoch=heard.epoch if heard else 0,
        claim_rank=heard.rank if heard else 0,
    )
