"""Debian packages that the machine needs to build and run the ground. Containerd, runc, systemd and sshd are not
among them: they come with the nodes' own root tree (tree.py) and never run on the machine itself.
"""

import os
import subprocess
from pathlib import Path

from ground.shell import GroundError, run, step

# package: what it is for
PACKAGES = {
    "buildah": "builds the images",
    "ca-certificates": "package indexes over TLS",
    "gcc": "the pause program",
    "iproute2": "namespaces, bridges, cables",
    "iputils-ping": "a look by hand",
    "libc6-dev": "the pause program",
    "mmdebstrap": "root trees of nodes and images",
    "nftables": "cut and lossy cables",
    "openssh-client": "ground ssh",
    "openssl": "certificates",
    "procps": "sysctl",
    "prometheus": "promtool for the alert rules, and the real one that the dashboard's queries are put to",
    "util-linux": "unshare, nsenter, setpriv",
}
# package: the service that it would start, where its programs alone are wanted
SERVICES = {"prometheus": "prometheus.service"}
UNITS = Path("/etc/systemd/system")


def missing() -> list[str]:
    """Return the packages that are not installed."""
    try:
        shown = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES], capture_output=True, text=True
        )
    except FileNotFoundError:
        raise GroundError("this is no Debian (no dpkg-query): the ground's nodes are made of Debian packages") from None
    installed = {line.split()[0] for line in shown.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in PACKAGES if package not in installed]


def install() -> None:
    """Install what is missing; say and do nothing when all is there."""
    packages = missing()
    if not packages:
        return
    if os.geteuid() != 0:
        raise GroundError(f"not installed: {' '.join(packages)}; run as root: tests/ground/ground deps")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for package in SERVICES.keys() & set(packages):
        _mask(UNITS / SERVICES[package])
    with step(f"apt-get install {' '.join(packages)}"):
        run("apt-get", "-q", "update", env=env)
        run("apt-get", "-qy", "install", "--no-install-recommends", *packages, env=env)


def _mask(unit: Path) -> None:
    """Keep systemd from running a service whose package is not there yet (where there is no systemd, as in a
    container, the image's policy-rc.d does that).
    """
    if not unit.is_symlink() and not unit.exists():
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.symlink_to("/dev/null")
