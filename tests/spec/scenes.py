"""Situations that several tests of moves begin with."""

from __future__ import annotations

import dataclasses
from typing import Any

from spec.lab import D, K, Lab, Puppet, config, group, owner, owning
from vyos_agent.core import election
from vyos_agent.core.events import Configured, Forced, Monitored, Served, Stopping
from vyos_agent.core.model import Cause, Config, Force, Group, Serving, State
from vyos_agent.core.wire import Handover

MONITORS = ("192.0.2.1", "192.0.2.2")
LIST = election.list_hash(MONITORS)
UNITS = ("ssh", "bird")
V = 4 * K


def watched(**fields: Any) -> Config:
    return config(groups=[group(monitors=MONITORS, **fields)])


def moving(*, config_: Config | None = None, names: str = "b") -> tuple[Lab, list[Puppet]]:
    """An owner that has been told to stand by, and asks its first peer."""
    lab, peers = owning(config_=config_, names=names)
    lab.run(1_000)
    lab.feed(Forced(Force.STANDBY))
    assert lab.state() is State.ASKING
    return lab, peers


def answer(peer: Puppet, kind: Handover, **fields: Any) -> Puppet:
    """The target's word on it."""
    return peer.stands(State.STANDBY, handover=kind, target=peer.lab.me, **fields)


def given(*, config_: Config | None = None) -> tuple[Lab, Puppet]:
    """An owner that has said GO."""
    lab, (peer,) = moving(config_=config_)
    answer(peer, Handover.READY).say()
    lab.run(100)
    assert lab.state() is State.GIVING
    assert lab.entry().handover is Handover.GO
    return lab, peer


def asked(kind: Handover = Handover.ASK, cause: Cause = Cause.REQUESTED, **fields: Any) -> tuple[Lab, Puppet]:
    """A standby, and an owner that asks or gives to it."""
    lab, peer = owner(epoch=5, lab=Lab(config(**fields)) if fields else None)
    lab.run(600)
    state = State.GIVING if kind is Handover.GO else State.ASKING
    peer.stands(state, epoch=5, handover=kind, cause=cause, target=lab.me)
    return lab, peer


def better(how: str, **said: Any) -> tuple[Lab, Puppet]:
    """An owner and a peer that is better in monitors, or in rank with autoFailback."""
    if how == "monitors":
        lab, (peer,) = owning(config_=watched())
        peer.stands(State.STANDBY, **{"monitors": 2, "list_hash": LIST, **said}).say()
        lab.feed(Monitored(dict.fromkeys(MONITORS, False)))
    else:
        lab = Lab(config("b", [group(auto_failback=True, failback_delay_ms=1_500)]))
        lab.run(3 * D)
        assert lab.state() is State.OWNER
        peer = lab.puppet("a").stands(State.STANDBY, epoch=1, **said)
        lab.meet(peer)
    return lab, peer


WAIT = {"monitors": 2 * K, "failback": 1_500}


def push(lab: Lab, how: str) -> None:
    plain = lab.node.config
    (only,) = plain.groups
    match how:
        case "leaving":
            lab.feed(Stopping())
        case "service":
            lab.feed(Served("g", Serving.FAILED))
        case "maintenance":
            configure(lab, dataclasses.replace(only, maintenance=frozenset({"a"})))
        case "removed":
            configure(lab, dataclasses.replace(only, members=("b", "c")))
        case "cordon":
            lab.feed(Configured(dataclasses.replace(plain, standby=True)))


def configure(lab: Lab, changed: Group) -> None:
    lab.feed(Configured(dataclasses.replace(lab.node.config, groups=(changed,))))
