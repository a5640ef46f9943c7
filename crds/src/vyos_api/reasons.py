"""The words of conditions, ownership and events, so that code, tests and documentation spell them alike.

Standard library only. The agents' core keeps its own enum of ownership reasons (it imports nothing); the names travel
as text, and a test sees to it that the API knows each of them.
"""

from __future__ import annotations

import enum


class ConditionType(enum.StrEnum):
    """The conditions of a VyosCluster."""

    ACCEPTED = "Accepted"
    """The spec can be carried out as written."""
    PROGRAMMED = "Programmed"
    """Every member runs the newest generation."""
    AVAILABLE = "Available"
    """Every group has exactly one owner, seen by every living member."""
    VERIFIED = "Verified"
    """The addresses answer on the LAN, and only from their owners."""
    DEGRADED = "Degraded"
    """Something is not as it should be, though the addresses may be served."""


class AcceptedReason(enum.StrEnum):
    """Why a spec is accepted or not."""

    ACCEPTED = "Accepted"
    """The spec is being carried out."""
    INVALID_SPEC = "InvalidSpec"
    """A field is wrong in a way that the API server could not see."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 (a reason, no password)
    """secretKeyRef names a Secret or key that does not exist."""
    INVALID_SECRET = "InvalidSecret"  # noqa: S105 (a reason, no password)
    """The pre-shared secret is there but cannot be used (empty)."""
    ADDRESS_CONFLICT = "AddressConflict"
    """An address is another VyosCluster's, a Node's, a pod's, the API server's or a monitor's."""
    NODE_HAS_ADDRESS = "NodeHasAddress"
    """A Node came later with an address that this cluster has; the cluster goes on."""
    NODE_NOT_FOUND = "NodeNotFound"
    """A member is no node of this Kubernetes cluster."""
    NO_AGENT = "NoAgent"
    """A member's node runs no agent, and never did for this cluster."""


class ProgrammedReason(enum.StrEnum):
    """Why the members run the newest generation or not."""

    PROGRAMMED = "Programmed"
    """Every member acknowledged this generation."""
    ROTATING_KEY = "RotatingKey"
    """Every member runs this generation, and the pre-shared secret is being changed step by step."""
    PENDING = "Pending"
    """Some members have not acknowledged this generation yet."""
    NOT_ACCEPTED = "NotAccepted"
    """The newest spec is not accepted: the members keep the configuration they have."""
    REFUSED = "Refused"
    """A member's agent refused the configuration."""


class AvailableReason(enum.StrEnum):
    """Why the groups are served or not."""

    AVAILABLE = "Available"
    """Every group has one owner, and all living members agree."""
    PENDING = "Pending"
    """No member has reported yet."""
    NO_HEARTBEAT_LINK = "NoHeartbeatLink"
    """No member of a group has a heartbeat link that carries a frame, so nobody claims the group."""
    ADDRESS_OCCUPIED = "AddressOccupied"
    """A member has an address of a group for good, so nobody claims the group."""
    NO_OWNER = "NoOwner"
    """A group has no owner."""
    SPLIT_BRAIN = "SplitBrain"
    """A group has two owners that do not hear each other."""
    DISAGREEMENT = "Disagreement"
    """Living members see different owners of a group."""
    NO_AGENTS = "NoAgents"
    """No member has an agent that could report."""


class VerifiedReason(enum.StrEnum):
    """Whether the addresses were seen to answer; what an agent finds travels in its deviations by these names."""

    VERIFIED = "Verified"
    """No living member finds that an address answers otherwise than from its owner."""
    NOT_CHECKED = "NotChecked"
    """Nobody is there to ask the LAN: a group without an owner, or without another living member."""
    NO_ANSWER = "NoAnswer"
    """An address does not answer."""
    WRONG_MAC = "WrongMAC"
    """An address answers from somebody who is not its owner."""
    TWO_MACS = "TwoMACs"
    """Two answer for an address."""
    OTHER = "Other"
    """An agent finds something that this operator has no word for (it is newer); the message has the agent's."""


class DegradedReason(enum.StrEnum):
    """What is not as it should be."""

    HEALTHY = "Healthy"
    """Nothing (the condition is False)."""
    NOT_RUNNING = "NotRunning"
    """No member has a configuration yet."""
    MEMBER_DOWN = "MemberDown"
    """A member is dead, or its agent does not report or may be unable to."""
    INTERFACE_DOWN = "InterfaceDown"
    """A heartbeat interface is down at a member."""
    NO_HEARTBEAT_LINK = "NoHeartbeatLink"
    """No heartbeat link of a member carries a frame."""
    ADDRESS_OCCUPIED = "AddressOccupied"
    """A member has an address of the cluster for good, set by its administrator."""
    MONITOR_UNREACHABLE = "MonitorUnreachable"
    """A monitor does not answer a member."""
    SERVICE_FAILED = "ServiceFailed"
    """A service did not start, or a unit is missing."""
    SERVICE_NOT_ALLOWED = "ServiceNotAllowed"
    """A host service is left as it is: the node needs it, or agents.hostServices.allow does not have it."""
    ADDRESS_FAILED = "AddressFailed"
    """A member's kernel refuses an address, or has no interface for it."""
    MULTICAST_LOST = "MulticastLost"
    """Members hear each other by unicast only: the network loses multicast."""
    FENCE_FAILED = "FenceFailed"
    """A member cannot set up the nftables fence."""
    SPLIT_BRAIN = "SplitBrain"
    """A group has two owners that do not hear each other."""
    PEER_UNHEARD = "PeerUnheard"
    """A living member does not hear another one that lives."""
    OTHER = "Other"
    """An agent tells of something that this operator has no word for (it is newer); the message has the agent's."""
    SEVERAL = "Several"
    """More than one kind of thing; the message names them."""


ConditionReason = AcceptedReason | ProgrammedReason | AvailableReason | VerifiedReason | DegradedReason
"""Every reason that a condition may have."""


class OwnershipReason(enum.StrEnum):
    """Why a group moved or stayed; status.groups[].reason says why its owner has it."""

    FIRST_CLAIM = "FirstClaim"
    """The group had no owner since all members started."""
    ADOPTED = "Adopted"
    """An agent that restarted found its addresses alive and went on."""
    PEER_DEAD = "PeerDead"
    """The owner was not heard for its dead interval."""
    PEER_LEFT = "PeerLeft"
    """The owner said that it leaves."""
    PEER_RELEASED = "PeerReleased"
    """The owner let the group go: its interface went down, or a service failed there."""
    HANDOVER_REQUESTED = "HandoverRequested"
    """A person asked for the move (`force active`, `force standby`)."""
    MONITORS_LOST = "MonitorsLost"
    """The new owner reaches more of the monitors."""
    MAINTENANCE = "Maintenance"
    """The old owner is in maintenance for the group."""
    CORDONED = "Cordoned"
    """The old owner's node is cordoned, and onCordon is Standby."""
    SERVICE_FAILED = "ServiceFailed"
    """A host service did not start at the old owner, or ended by itself."""
    FAILBACK = "Failback"
    """A better-placed member came back and autoFailback is on."""
    SETTLED = "Settled"
    """Two owners met, and this one goes on."""
    EPOCH_RAISED = "EpochRaised"
    """The owner went on under a higher epoch that it learned of; nothing moved."""
    LISTENED = "Listened"
    """A member that started knows enough to stand by."""
    RESUMED = "Resumed"
    """A member that was asleep is acknowledged by its peers again."""
    LINK_LOST = "LinkLost"
    """The owner let go because the interface of an address went down."""
    ADD_FAILED = "AddFailed"
    """The owner let go because its kernel refused an address."""
    LEAVING = "Leaving"
    """The owner let go because its agent stops."""
    REMOVED = "Removed"
    """The owner let go because the configuration does not name it any more."""
    SLEPT = "Slept"
    """The owner was asleep beyond the lifetime of its addresses."""
    READY = "Ready"
    """The target of a handover is ready: the group is given."""
    HANDED_OVER = "HandedOver"
    """The target of a handover owns the group."""
    TAKEN_BACK = "TakenBack"
    """The target of a handover did not take the group, so its old owner goes on under a new epoch."""
    CANCELLED = "Cancelled"
    """A handover ended before anything was given."""


class EventAction(enum.StrEnum):
    """What happened to a group, in an Event's `action`; its `reason` is the OwnershipReason."""

    TAKEOVER = "Takeover"
    """A group has a new owner because its old one died or left."""
    HANDOVER = "Handover"
    """A group was moved on purpose."""
    FAILBACK = "Failback"
    """A group returned to a better-placed member."""
    SETTLEMENT = "Settlement"
    """Two owners met and one let go."""
    FIRST_CLAIM = "FirstClaim"
    """A group has its first owner."""
