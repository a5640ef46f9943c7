"""The nodes' root tree: one Debian with systemd, dbus, sshd and containerd, the read-only lower layer of every node."""

import shutil
import tempfile
from pathlib import Path

from ground import debian
from ground.paths import HERE, cache, digest, locked
from ground.shell import step

# No libpam-systemd: each ssh login would start a user manager, which took 120 s to stop, and a clean reboot as long
_PACKAGES = [
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "openssh-client"),
    *("containerd", "runc", "containernetworking-plugins", "iptables", "nftables", "conntrack"),
    *("iproute2", "iputils-ping", "iputils-arping", "procps", "kmod", "ethtool", "tcpdump"),
]

# Units that make no sense here, or would change settings of the one kernel that everybody shares
_MASKED = [
    *("systemd-sysctl.service", "systemd-modules-load.service", "systemd-binfmt.service", "kmod-static-nodes.service"),
    *("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-hwdb-update.service"),
    *("systemd-remount-fs.service", "systemd-journald-audit.socket", "systemd-pstore.service"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount"),
    *("dev-hugepages.mount", "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount"),
    *("systemd-firstboot.service", "getty.target", "console-getty.service", "fstrim.timer", "motd-news.timer"),
    *(
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
        "e2scrub_all.timer",
        "e2scrub_reap.service",
    ),
]
_SYSTEM = "/lib/systemd/system"
_ENABLED = {"containerd": _SYSTEM, "ssh": _SYSTEM, "ground-images": "..", "kubelet": "..", "kube-proxy": ".."}

# What mmdebstrap copied from this machine, and keys that all nodes would share
_NOT_OURS = ["etc/resolv.conf", "etc/hostname", "etc/machine-id", "var/lib/dbus/machine-id"]


def node_tree() -> Path:
    """Return the tree's folder; it is built if it is not there."""
    out = cache() / "tree" / f"{debian.suite()}-{digest(HERE / 'tree.py', HERE / 'debian.py')}"
    if out.exists():
        return out
    with locked("tree"):
        if not out.exists():
            out.parent.mkdir(exist_ok=True)
            work = Path(tempfile.mkdtemp(dir=out.parent, prefix=".building-"))
            try:
                with step("root tree of the nodes (mmdebstrap)"):
                    debian.bootstrap(work / "root", _PACKAGES)
                    _finish(work / "root")
                (work / "root").rename(out)
            finally:
                shutil.rmtree(work)
    return out


def _finish(root: Path) -> None:
    for file in [root / name for name in _NOT_OURS]:
        file.unlink(missing_ok=True)
    for file in [*root.glob("etc/ssh/ssh_host_*"), *root.glob("etc/apt/sources.list.d/*")]:
        file.unlink()
    for folder in (
        "opt/k8s",
        "opt/images",
        "mnt/old",
        "var/lib/containerd",
        "etc/systemd/system/multi-user.target.wants",
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
    units = root / "etc/systemd/system"
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for unit, where in _ENABLED.items():
        link = units / "multi-user.target.wants" / f"{unit}.service"
        link.unlink(missing_ok=True)
        link.symlink_to(f"{where}/{unit}.service")
