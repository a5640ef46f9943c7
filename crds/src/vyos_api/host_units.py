"""Which units of a node's systemd a group's host services may be: those that a list allows, and that no node needs.

A standby member stops the units of its groups. Without the units of NEEDED a node is lost to Kubernetes, to its network
or to its administrator, which is worse than what the cluster protects from. Standard library only.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

TYPES = ("service", "socket", "timer", "target", "path", "mount", "automount", "swap", "slice", "device", "scope")
PATTERN = re.compile(r"[A-Za-z0-9:_.\\@*?\[\]!-]+")
"""The characters of a unit's name by systemd.unit(5), and those of a glob."""
NOT_ALLOWED = "NotAllowed"
"""The state of a deviation of the kind Service that names such a unit."""
CURE = "remove it from the group, or allow it (agents.hostServices.allow)"
ALL = ("*",)
"""The list that allows every unit, but those of NEEDED."""

NEEDED = (
    # Kubernetes and its containers: the node becomes NotReady, and the agent itself ends
    *("kubelet.*", "kube-*.*", "containerd.*", "crio.*", "cri-o.*", "cri-docker*.*", "docker.*", "etcd.*"),
    *("k3s*.*", "k0s*.*", "rke2*.*", "snap.microk8s.*", "snap.k8s.*"),
    # this product: its daemon, its leases, its hooks
    "vyos-cluster-*",
    # systemd and its bus: the agent could start and stop nothing more; the machine halts, loses its journal or logins
    *("systemd-*", "init.scope", "dbus.*", "dbus-broker.*", "dbus-daemon.*", "polkit.*", "user@*.*"),
    *("emergency.*", "rescue.*", "getty@*.*", "serial-getty@*.*"),
    # the network: heartbeats, the node's own addresses, kube-proxy's rules and the fence
    *("NetworkManager*.*", "networking.*", "network.*", "ifup@*.*", "ifplugd*.*", "netplan*.*", "wicked*.*"),
    *("connman.*", "dhcpcd*.*", "dhclient*.*", "wpa_supplicant*.*", "iwd.*", "openvswitch*.*", "ovs*.*"),
    *("nftables.*", "iptables.*", "ip6tables.*", "netfilter-persistent.*", "firewalld.*", "ufw.*"),
    # VyOS's own: its configuration, with all addresses and routes
    *("vyos-router.*", "vyos-configd.*"),
    # disks
    *(
        "multipathd.*",
        "iscsid.*",
        "iscsi.*",
        "open-iscsi.*",
        "iscsiuio.*",
        "lvm2-*",
        "blk-availability.*",
        "mdmonitor*.*",
    ),
    *("zfs-*", "nvmf-*", "nvmefc-*"),
    # what a cloud configures the machine by
    *("cloud-init*.*", "cloud-config.*", "cloud-final.*"),
)
"""Globs of names. A unit of these is a host service only where the list has its name, without a wildcard."""
NEEDED_TYPES = ("target", "mount", "automount", "swap", "slice", "scope", "device")
"""The same for all units of these types: a target such as poweroff, a mount or a slice takes many others with it."""


def full_name(text: str) -> str:
    """A unit's or glob's name with its type, as systemctl completes it: `ssh` is ssh.service, `openvpn@*` stays."""
    typed = "." in text and text.rpartition(".")[2] in TYPES
    return text if typed or any(c in text for c in "*?[") else f"{text}.service"


def patterns(text: str) -> tuple[str, ...]:
    """The list in a text, separated by commas; an empty text allows nothing. Raises ValueError."""
    found = tuple(part.strip() for part in text.split(",")) if text.strip() else ()
    for part in found:
        if not PATTERN.fullmatch(part):
            raise ValueError(f"{part!r} is no unit's name and no glob of such names (ssh, openvpn@*)")
    return found


class HostUnits:
    """What a list allows."""

    def __init__(self, allow: Iterable[str] = ALL) -> None:
        self._globs = tuple(full_name(text) for text in allow)
        self.none = not self._globs
        """Whether no unit at all is allowed."""

    def refusal(self, names: Iterable[str], stopped: Iterable[str] = ()) -> str | None:
        """Why a unit may be neither started nor stopped; None: it may.

        `names`: it and its aliases; `stopped`: the units that systemd stops with it.
        """
        names = sorted(set(names))
        needed = [name for name in names if is_needed(name) and name not in self._globs]
        if needed:
            return f"a node needs {needed[0]}"
        also = [name for name in sorted(stopped) if _matches(name, NEEDED) and name not in self._globs]
        if also:
            return f"systemd stops {also[0]} with it, which a node needs"
        if not any(_matches(name, self._globs) for name in names):
            return "the list of allowed units does not have it" if not self.none else "no unit is allowed"
        return None


def is_needed(name: str) -> bool:
    """Whether a node needs the unit of this full name."""
    return name.rpartition(".")[2] in NEEDED_TYPES or _matches(name, NEEDED)


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)
