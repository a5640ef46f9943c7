"""Whatever the others say, and whatever befalls it: what one node never does. Drawn by seed, on the bench.

The others have the key and no manners: they claim, ask, give and refuse as dice tell them to, with no regard to what
the protocol lets them say next.
"""

from __future__ import annotations

import dataclasses
import random

import pytest

from spec.lab import VIP, Lab, Puppet, config, group
from vyos_agent.core.announce import NEVER_MS
from vyos_agent.core.events import Configured, Forced, LinkChanged, Occupied, Served
from vyos_agent.core.model import Cause, Force, Serving, State
from vyos_agent.core.wire import Handover

STEPS = 40


class Dice:
    """One run."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = random.Random(f"anything {seed}")
        units = rng.choice(((), ("ssh",)))
        self.group = group(members="abc", auto_failback=rng.random() < 0.5, failback_delay_ms=500, units=units)
        left_ms = {VIP: 900} if rng.random() < 0.2 else None
        self.lab = Lab(config(rng.choice("ab"), [self.group]), left_ms=left_ms)
        names = [n for n in "abc" if n != self.lab.node.config.me]
        self.peers = [self.lab.puppet(name).stands(State.STANDBY, epoch=1) for name in names]
        self.lab.meet(*self.peers)
        self.acts = (
            self.wait, self.wait, self.say, self.say, self.stall, self.hearing, self.link, self.command, self.configure,
            self.serve, self.send, self.silence, self.occupy,
        )  # fmt: skip

    @property
    def peer(self) -> Puppet:
        return self.rng.choice(self.peers)

    def wait(self) -> None:
        self.lab.run(self.rng.choice((1, 20, 100, 600, 3_100)))

    def say(self) -> None:
        rng, mine = self.rng, self.lab.entry().epoch
        self.peer.stands(
            rng.choice([s for s in State if s]),
            epoch=rng.choice((0, 1, 2, 5, mine, mine + 1)),
            candidate=rng.random() < 0.7,
            ready=rng.random() < 0.7,
            handover=rng.choice(list(Handover)),
            target=rng.choice((self.lab.me, 0)),
            cause=rng.choice(list(Cause)),
            services_stopped=rng.random() < 0.8,
        ).say()

    def stall(self) -> None:
        if VIP in self.lab.holds() and self.rng.random() < 0.7:
            self.lab.kernel[VIP] += 2_000  # a kernel that is late
        self.lab.stall(self.rng.choice((200, 900, 1_400, 4_000)))

    def hearing(self) -> None:
        peer = self.peer
        peer.deaf = not peer.deaf

    def link(self) -> None:
        carries = self.rng.choice((None, None, False))
        self.lab.feed(LinkChanged("eth0", self.rng.random() < 0.6, carries))

    def occupy(self) -> None:
        self.lab.feed(Occupied(frozenset([VIP.address] if self.rng.random() < 0.4 else [])))

    def command(self) -> None:
        self.lab.feed(Forced(self.rng.choice(list(Force))))

    def configure(self) -> None:
        rng, old = self.rng, self.lab.node.config
        barred = frozenset(rng.sample("abc", rng.choice((0, 0, 1))))
        groups = (dataclasses.replace(self.group, maintenance=barred),)
        new = dataclasses.replace(old, generation=old.generation + 1, standby=rng.random() < 0.3, groups=groups)
        self.lab.feed(Configured(new))

    def serve(self) -> None:
        if self.group.units:
            self.lab.feed(Served("g", self.rng.choice(list(Serving))))

    def send(self) -> None:
        self.lab.accepts = self.rng.random() < 0.7

    def silence(self) -> None:
        self.rng.choice((Puppet.rests, Puppet.beats))(self.peer)


@pytest.mark.parametrize("seed", range(60))
def test_what_a_node_never_does(seed: int) -> None:
    dice = Dice(seed)
    lab, seen, highest = dice.lab, 0, 0
    for _ in range(STEPS):
        dice.rng.choice(dice.acts)()
        epochs = [lab.entry(sender=beat).epoch for _, beat in lab.said[seen:]]
        assert sorted(epochs) == epochs, "an epoch never goes back"
        assert not epochs or epochs[0] >= highest
        highest, seen = max([highest, *epochs]), len(lab.said)
        if lab.entry().state is State.STANDBY:
            assert VIP not in lab.holds(), "Standby is said when nothing is held"
            ordered = [what for _, what in lab.events if what.startswith(("start", "stop"))]
            assert ordered[-1:] != ["start g"], "services are stopped where the group is not owned"
        _announces(lab)


def _announces(lab: Lab) -> None:
    """An owner with its addresses in place has something to announce, some time."""
    (machine,) = lab.node._groups.all
    if machine.announced and machine.announcer.due_ms >= NEVER_MS and lab.holds() >= set(machine.announced):
        lab.run(30)  # what the kernel holds may not be known yet
        missing = machine.announced and machine.announcer.due_ms >= NEVER_MS and lab.holds() >= set(machine.announced)
        assert not missing, f"{machine.state.name} ({machine.reason}) never announces again"
