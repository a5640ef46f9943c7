"""Everything a node can ask of the shell, in the order in which the shell must do it.

Hold and Serve are levels: they name all that must be so now, so that repeating them is harmless.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_agent.core.model import Ending, Reason, State, Vip


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Multicast now: for each heartbeat interface its datagrams (the parts of one frame). Answered by Sent at once."""

    datagrams: Mapping[str, tuple[bytes, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """The kernel must hold exactly these addresses of this cluster, each for its lifetime from now.

    All in one netlink batch; add or renew what is named, remove what is not. Answered by Held.
    """

    lifetimes_ms: Mapping[Vip, int]
    """Whole seconds, as the kernel counts them. 0: leave that address as it is (neither add, renew nor remove it)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Serve:
    """Of every group named these host services must run now, and its others be stopped. Answered by Served, later.

    Started in this order, stopped in reverse; none: stopped. A group that is not named is left as it is.
    """

    running: Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Announce:
    """Tell the LAN once that these addresses are here (an ARP request and reply pair, or a neighbour advertisement)."""

    vips: tuple[Vip, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Persist:
    """Write these epochs to the disk, some time soon: never in the way of a frame or an address."""

    epochs: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Decided:
    """One change of state, for the log, the metrics and the history."""

    group: str
    before: State
    after: State
    epoch: int
    reason: Reason
    peer: str | None = None
    """Whose death, claim or leaving it follows, where there is one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stopped:
    """This node's life is over: no step of it may follow."""

    ending: Ending = Ending.LEFT


Effect = Send | Hold | Serve | Announce | Persist | Decided | Stopped
