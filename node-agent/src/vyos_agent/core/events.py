"""Everything that can happen to a node. The shell makes these; nothing else enters the core."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_agent.core.model import Config, Force, Serving, Vip


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One datagram as it came: undecoded, so that the simulator exercises decoding too."""

    data: bytes
    interface: str
    at_ms: int
    """When the kernel received it, on the core's clock; never later than `now`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Woke:
    """Time has passed or frames have come. `frames`: all that were queued, at most 256 a turn, oldest first."""

    frames: tuple[Frame, ...] = ()
    slept_ms: int = 0
    """By how much BOOTTIME has gone ahead of MONOTONIC since the last turn: the machine was suspended."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """The answer to a Send: whether at least one interface accepted every part. Comes in the same turn."""

    accepted: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """The answer to a Hold, later: what the kernel holds of this cluster now, and what it refused (text by address).

    Told each time that other addresses are named, and whenever what is held changes; never about an older set of
    addresses than that of the newest Hold.
    """

    vips: frozenset[Vip]
    failed: Mapping[Vip, str] = dataclasses.field(default_factory=dict)
    left_ms: Mapping[Vip, int] = dataclasses.field(default_factory=dict)
    """Of those of `vips` that carry this project's mark, the life left. Used of the first answer after a start only."""


@dataclasses.dataclass(frozen=True, slots=True)
class LinkChanged:
    """An interface's carrier came or went. Until told, a link counts as up."""

    interface: str
    up: bool
    carries: bool | None = None
    """Whether a heartbeat can go out on it, as far as the shell knows. None: while it is up."""


@dataclasses.dataclass(frozen=True, slots=True)
class Occupied:
    """Those of the cluster's addresses that this machine has for good, set by its administrator.

    None before the first event.
    """

    addresses: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Monitored:
    """Verdicts on `Config.monitors`, all that there are, by address; one that is missing is undecided yet."""

    reachable: Mapping[str, bool]


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """What the host services of one group do here: the answer to a Serve, later, and again whenever it changes.

    Told each time that the group's level changes, and whenever the state does; never about an older level than that of
    the newest Serve.
    """

    group: str
    state: Serving
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Forced:
    """A person's command for one group, or for all of them (None)."""

    command: Force
    group: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Configured:
    """A new configuration, checked and for the same cluster."""

    config: Config


@dataclasses.dataclass(frozen=True, slots=True)
class Hint:
    """The highest epoch of a group that is known elsewhere (status, disk)."""

    epoch: int
    owner: str | None = None
    """The member that claimed it, where that is known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hinted:
    """What is known elsewhere of the groups' epochs, by group name."""

    hints: Mapping[str, Hint]


@dataclasses.dataclass(frozen=True, slots=True)
class Stopping:
    """Leave: release everything, say so, and be done (SIGTERM, or the cluster is gone)."""


Told = Woke | Held | LinkChanged | Occupied | Monitored | Served | Forced | Configured | Hinted | Stopping
Event = Told | Sent
