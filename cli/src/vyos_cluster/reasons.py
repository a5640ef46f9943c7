"""What the words for moves mean: the table of docs/protocol.md section 22, for `explain` to quote (a test compares)."""

from __future__ import annotations

REASONS = {
    "FirstClaim": "Nobody had owned the group since this member started.",
    "PeerDead": "The owner was not heard for its dead interval.",
    "PeerLeft": "The owner said that it leaves.",
    "PeerReleased": "The owner let go and stays a member (a lost link, a failback in progress).",
    "Failback": "A better-placed member is back and autoFailback is on.",
    "LinkLost": "The interface of an address went down and another member can take the group.",
    "Settled": "Of two owners that heard each other the other one stays.",
    "Leaving": "This member is stopping.",
    "Removed": "The configuration names this member no more, or the group is gone.",
    "Slept": "This process was late beyond its lease; it listens before it acts.",
    "Resumed": "After a sleep every peer heard has acknowledged this member, and none owns the group.",
    "Listened": "All members were heard, or the initial dead interval is over.",
    "AddFailed": "The kernel refused an address.",
    "ServiceFailed": "A host service did not start here, or ended by itself.",
    "EpochRaised": "The owner goes on above an epoch that it learned of; nothing moves.",
    "Adopted": "This member's earlier life owned the group; its addresses are alive still.",
    "HandoverRequested": "A person asked for the move (`force active`, `force standby`).",
    "MonitorsLost": "Another member reaches more of the monitors.",
    "Maintenance": "The owner is in maintenance for the group.",
    "Cordoned": "The owner's node is cordoned, and onCordon is Standby.",
    "Ready": "The target of a handover is ready: the group is given.",
    "HandedOver": "The target of a handover owns the group.",
    "TakenBack": "The target of a handover did not take the group, so its old owner goes on under a new epoch.",
    "Cancelled": (
        "A handover ended before anything was given: refused, not answered in time, or without a reason any more."
    ),
}
