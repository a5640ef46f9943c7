"""The core's own values: configuration as it needs it, states, and the names of refusals and reasons.

Not the user's API and not the NodeConfig: `vyos_agent.config` makes these from that.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
from typing import NewType

Millis = NewType("Millis", int)
"""Monotonic milliseconds. Whole numbers, so that `now >= deadline` is exact."""
MemberId = NewType("MemberId", int)
"""A member on the wire: 32 bits of its name's SHA-256."""
GroupId = NewType("GroupId", int)
"""A group on the wire: 32 bits of its name's SHA-256."""

EPOCH_MAX = 2**53 - 1
"""Largest epoch: the largest whole number that JSON readers keep exactly (RFC 8259 section 6)."""


NAMES_MAX = 4096
"""Identities that are remembered: more than a node has at once, and bounded over the years of a process."""
NOBODY = MemberId(0)
"""No member: the identity that no name has."""


@functools.lru_cache(NAMES_MAX)
def wire_id(name: str) -> int:
    """The 32-bit wire identity of a member's or group's name. Never 0, which means "none" in a frame."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") or 1


@functools.lru_cache(NAMES_MAX)
def _ids(names: tuple[str, ...]) -> tuple[MemberId, ...]:
    return tuple(MemberId(wire_id(name)) for name in names)


@functools.lru_cache(NAMES_MAX)
def _id_set(names: tuple[str, ...]) -> frozenset[MemberId]:
    return frozenset(_ids(names))


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Vip:
    """One address that a group brings along, as it is written into the kernel."""

    address: str
    prefix: int
    interface: str
    broadcast: str | None = None

    @property
    def text(self) -> str:
        """As VyOS writes it."""
        return "/".join(str(p) for p in (self.address, self.prefix, self.interface, self.broadcast) if p is not None)


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """One resource group; `members` in order of preference, so that a member's rank is its index."""

    name: str
    members: tuple[str, ...]
    auto_failback: bool
    failback_delay_ms: int
    vips: tuple[Vip, ...]
    monitors: tuple[str, ...] = ()
    """Addresses that a member pings to know that its uplink works."""
    units: tuple[str, ...] = ()
    """Host services, in the order in which they are started."""
    maintenance: frozenset[str] = frozenset()
    """Members that must not own it."""

    @property
    def id(self) -> GroupId:
        """Its identity on the wire."""
        return GroupId(wire_id(self.name))

    @property
    def member_ids(self) -> frozenset[MemberId]:
        """Its members' identities on the wire."""
        return _id_set(self.members)

    def rank(self, member: MemberId) -> int:
        """A member's place in the order of preference."""
        return _ids(self.members).index(member)


@dataclasses.dataclass(frozen=True, slots=True)
class Keyring:
    """Heartbeat keys by their id; `send_id` seals, every key opens."""

    send_id: int
    keys: dict[int, bytes] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """All that the core must know of one cluster, checked (`config.resolve`)."""

    cluster_id: bytes
    """16 bytes: the UID of the VyosCluster."""
    generation: int
    me: str
    interfaces: tuple[str, ...]
    keepalive_ms: int
    dead_ms: int
    init_dead_ms: int
    announce_count: int
    announce_interval_ms: int
    announce_refresh_ms: int
    groups: tuple[Group, ...]
    keyring: Keyring
    former: tuple[str, ...] = ()
    """Those of `interfaces` that frames went over before a change, of which not every member knows yet."""
    standby: bool = False
    """This member is to own nothing that another can take (a cordon with onCordon: Standby)."""

    @property
    def monitors(self) -> tuple[str, ...]:
        """Every address that this member must ping."""
        mine = (g for g in self.groups if self.me in g.members)
        return tuple(dict.fromkeys(address for g in mine for address in g.monitors))

    @property
    def members(self) -> tuple[str, ...]:
        """Every member of the cluster, sorted."""
        return tuple(sorted({m for g in self.groups for m in g.members}))


class State(enum.IntEnum):
    """What a member is to a group. The numbers stand on the wire: add, never renumber."""

    NONE = 0
    """Not a member of the group (it may still relay who owns it)."""
    LISTENING = 1
    """Just started, or was asleep: claims nothing, and may still hold what an earlier life left."""
    STANDBY = 2
    OWNER = 3
    ASKING = 4
    """Owner that asks a target to take the group (handover, step 1)."""
    GIVING = 5
    """Owner that has given the group and waits for the target's claim (handover, step 2)."""
    SUSPENDED = 6
    """Owner that was asleep: adds and renews nothing until its peers have acknowledged it again."""
    YIELDING = 7
    """No longer owner, but an address may still be in the kernel: says Standby when it is gone."""


OWNING = frozenset({State.OWNER, State.ASKING, State.GIVING, State.SUSPENDED})
"""States that are a claim."""


class Serving(enum.StrEnum):
    """What the host services of one group do on this node."""

    STOPPED = "Stopped"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    FAILED = "Failed"
    """One did not do what was asked: did not start or ended by itself, or did not stop."""
    ABSENT = "Absent"
    """One of the units does not exist on this node; the others are stopped."""


class Force(enum.StrEnum):
    """What a person asks of this node (`force cluster ...`)."""

    ACTIVE = "Active"
    """Take the group from whoever owns it."""
    STANDBY = "Standby"
    """Give the group to the best other member."""


class Cause(enum.IntEnum):
    """Why a planned move is asked for, or refused. The numbers stand on the wire (four bits): add, never renumber."""

    NONE = 0
    REQUESTED = 1
    FAILBACK = 2
    MONITORS = 3
    CORDON = 4
    LEAVING = 5
    MAINTENANCE = 6
    SERVICE = 7
    REMOVED = 8
    NOT_STANDBY = 9
    """Refused: the target still listens, was late and judges nothing yet, lets go, or is no member of the group."""
    NOT_ABLE = 10
    """Refused: a link is down, a service failed or is absent, an address is the machine's own, or the target is in
    maintenance, cordoned or leaving."""


class Ending(enum.StrEnum):
    """Why a node's life is over."""

    LEFT = "Left"
    """It was asked to stop, and has released everything and said so."""
    TWIN = "Twin"
    """Another living node calls itself by this member's name. It must not be started again by itself."""
    ROLLED_BACK = "RolledBack"
    """It was restored from a snapshot or cloned: the shell starts it over with a new incarnation."""


class Reason(enum.StrEnum):
    """Why a group moved or stayed: the same word in log, metric, Event and status."""

    FIRST_CLAIM = "FirstClaim"
    """Nobody had owned the group since this member started."""
    PEER_DEAD = "PeerDead"
    """The owner was not heard for its dead interval."""
    PEER_LEFT = "PeerLeft"
    """The owner said that it leaves."""
    PEER_RELEASED = "PeerReleased"
    """The owner let go and stays a member (a lost link, a failback in progress)."""
    FAILBACK = "Failback"
    """A better-placed member is back and autoFailback is on."""
    LINK_LOST = "LinkLost"
    """The interface of an address went down and another member can take the group."""
    SETTLED = "Settled"
    """Of two owners that heard each other the other one stays."""
    LEAVING = "Leaving"
    """This member is stopping."""
    REMOVED = "Removed"
    """The configuration names this member no more, or the group is gone."""
    SLEPT = "Slept"
    """This process was late beyond its lease; it listens before it acts."""
    RESUMED = "Resumed"
    """After a sleep every peer heard has acknowledged this member, and none owns the group."""
    LISTENED = "Listened"
    """All members were heard, or the initial dead interval is over."""
    ADD_FAILED = "AddFailed"
    """The kernel refused an address."""
    SERVICE_FAILED = "ServiceFailed"
    """A host service did not start here, or ended by itself."""
    EPOCH_RAISED = "EpochRaised"
    """The owner goes on above an epoch that it learned of; nothing moves."""
    ADOPTED = "Adopted"
    """This member's earlier life owned the group; its addresses are alive still."""
    HANDOVER_REQUESTED = "HandoverRequested"
    """A person asked for the move (`force active`, `force standby`)."""
    MONITORS_LOST = "MonitorsLost"
    """Another member reaches more of the monitors."""
    MAINTENANCE = "Maintenance"
    """The owner is in maintenance for the group."""
    CORDONED = "Cordoned"
    """The owner's node is cordoned, and onCordon is Standby."""
    READY = "Ready"
    """The target of a handover is ready: the group is given."""
    HANDED_OVER = "HandedOver"
    """The target of a handover owns the group."""
    TAKEN_BACK = "TakenBack"
    """The target of a handover did not take the group, so its old owner goes on under a new epoch."""
    CANCELLED = "Cancelled"
    """A handover ended before anything was given: refused, not answered in time, or without a reason any more."""


class Drop(enum.StrEnum):
    """Why a frame was refused. Counted under this name."""

    TOO_SHORT = "TooShort"
    TOO_LONG = "TooLong"
    BAD_MAGIC = "BadMagic"
    BAD_VERSION = "BadVersion"
    OTHER_CLUSTER = "OtherCluster"
    UNKNOWN_KEY = "UnknownKey"
    BAD_TAG = "BadTag"
    MALFORMED = "Malformed"
    """Sealed with a good key, and yet its counts or values cannot be."""
    OWN = "Own"
    """This very life's own frame, looped back."""
    OWN_NAME = "OwnName"
    """Another life that calls itself by this member's name."""
    OLD = "Old"
    """A sequence that is not newer than the newest one heard."""
    UNPROVED = "Unproved"
    """Authentic, but nothing in it proves that it is not a recording."""
    NEVER_SENT = "NeverSent"
    """It shows that this life sent a frame that it never sent: this node was rolled back or cloned."""
    TABLE_FULL = "TableFull"
    """More senders outside the configuration than are kept."""
