"""What the benchmark speaks of: faults, settings, systems' names. The words of build/bench.json."""

from __future__ import annotations

import dataclasses
import enum


class Fault(enum.StrEnum):
    """What is done to the owner, r1 (failback: it comes back)."""

    POWER_OFF = "power-off"
    """All its processes die and both its cables are dead, at once."""
    LINK_CUT = "link-cut"
    """The carrier of the interface with the address goes; it comes back after the takeover."""
    KILL = "kill"
    """SIGKILL to every process of the daemon; the machine and its addresses stay."""
    FREEZE = "freeze"
    """SIGSTOP to every process of the daemon; SIGCONT well after the takeover."""
    STOP = "stop"
    """SIGTERM to the daemon, as a service manager does it."""
    SWITCHOVER = "switchover"
    """The system's own command for a planned move; the daemon lives on."""
    FAILBACK = "failback"
    """The daemon of r1 starts again while r2 owns."""
    PARTITION = "partition"
    """Nothing passes r1's port of the switch, the carrier stays; healed after the takeover."""
    REPLAYED = "power-off-replay"
    """As power-off, while a stranger repeats the dead owner's newest frame."""
    GARBLED = "power-off-garbage"
    """As power-off, beside truncated and oversized frames."""
    FILTERED = "power-off-filtered"
    """As power-off, beside frames that our socket filter refuses."""
    FORGED = "power-off-forged"
    """As power-off, beside frames with a true header and a bad tag."""


CUTS = frozenset({Fault.LINK_CUT, Fault.PARTITION})
"""Both daemons live on, and meet again."""
HEALED = CUTS | {Fault.FREEZE}
STORMS = frozenset({Fault.REPLAYED, Fault.GARBLED, Fault.FILTERED, Fault.FORGED})
"""A power-off beside a stranger on the LAN (storm.py)."""
OFF = STORMS | {Fault.POWER_OFF}
"""What a machine without power still has in its kernel holds nothing."""
DEADLY = STORMS | {Fault.POWER_OFF, Fault.KILL, Fault.STOP}
"""Afterwards r1 has no daemon: what follows can be a failback."""
JUDGED = frozenset({Fault.POWER_OFF, Fault.LINK_CUT, Fault.KILL, Fault.FREEZE, Fault.PARTITION})
"""The peer has to find out by silence, so that its dead interval counts. Beside a storm it does, too; but
there nobody can tell the owner's last frame from a stranger's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """Intervals as each system is asked for them; what it makes of them is its own (System.dead_ms)."""

    name: str
    keepalive_ms: int
    dead_ms: int


SETTINGS = {
    s.name: s
    for s in (
        Setting("A", 1_000, 3_000),
        Setting("B", 100, 300),
        Setting("C", 10, 30),
        Setting("D3", 500, 3_000),
        Setting("default", 5_000, 20_000),
    )
}
"""`default` is VyOS' own, and ours."""
