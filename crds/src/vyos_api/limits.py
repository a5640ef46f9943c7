"""How much of everything a VyosCluster may hold. Standard library only.

The numbers bound what the API server's CEL cost estimate multiplies (tried on 1.34: these pass together) and what a
writer of the status may send; whoever builds a status entry cuts it to them, because one item too many is a refused
apply.
"""

from __future__ import annotations

CLUSTER_NAME = 63
"""A cluster's name is a label value (names.LABEL_VALUE_MAX)."""
GROUP_NAME = 63
"""`vyos-cluster-group-<group>` must fit a field manager's 128 bytes."""
NODE_NAME = 253
"""RFC 1123 subdomain, the API server's limit for node names."""
INTERFACE_NAME = 127
"""Linux: 15 characters for a name (IFNAMSIZ), 127 for an alternative name (ALTIFNAMSIZ, linux/if.h)."""
SERVICE_TEXT = 128
ADDRESS_TEXT = 45
"""INET6_ADDRSTRLEN without its NUL."""
DURATION_TEXT = 20
SECRET_BYTES = 1024
"""A Secret holds up to a megabyte; more than this is a file that got there by mistake, not a passphrase."""

INTERFACES = 8
GROUPS = 32
SECONDARIES = 31
SERVICES = 32
MONITORS = 16
MAINTENANCE = 32
NODE_ADDRESSES = 8
"""Addresses of one node to which unicast frames go; two (one of each family) is what Kubernetes gives."""
MEMBERS = 64
"""Members of one cluster; at 64 x 32 groups a status is half a megabyte, a third of etcd's limit for one object."""

EPOCH = 2**53 - 1
"""The daemon's own limit, which refuses more: the largest whole number that JSON readers keep exactly (RFC 8259 6)."""
OWNERS_TEXT = 256
"""status.owners is for `kubectl get`: longer text is cut by its writer."""
DEVIATIONS = 256
"""Deviations in one node's entry; its writer names the first ones and leaves out the rest."""
REASON_TEXT = 64
STATE_TEXT = 32
VERSION_TEXT = 64
CONDITIONS = 16
CONDITION_MESSAGE = 32_768
"""metav1.Condition's own limits: message 32768, reason 1024, type 316 characters."""
CONDITION_REASON = 1024
CONDITION_TYPE = 316
