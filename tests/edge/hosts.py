"""A real systemd of a test's own: a user manager and its dbus-daemon, in namespaces that nothing gets out of.

Its own PID, mount and cgroup namespaces, below a cgroup of its own in a hierarchy without controllers: a systemd that
saw the machine's cgroups would sort all of the machine's processes into its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from edge.waiting import wait

CGROUPS = Path("/sys/fs/cgroup/systemd")
"""The named hierarchy of systemd on cgroup v1 and "hybrid" machines."""
INSIDE = """
mount -t tmpfs none /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/user
mount --bind "$1" /run/user
export XDG_RUNTIME_DIR=/run/user
unset DBUS_SESSION_BUS_ADDRESS
/lib/systemd/systemd --user &
wait
"""
DBUS_SOCKET = "[Socket]\nListenStream=%t/bus\n"
DBUS_SERVICE = """
[Unit]
Requires=dbus.socket
[Service]
Type=notify
ExecStart=/usr/bin/dbus-daemon --config-file=%t/bus.conf --address=systemd: --nofork --nopidfile
"""
BUS_CONF = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><auth>EXTERNAL</auth><listen>unix:path=/run/user/bus</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>
"""
SYSTEMCTL = ("/bin/systemctl", "--user")


class Host:
    """One such systemd."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self.process = process

    @property
    def address(self) -> str:
        return f"unix:path={self.directory}/bus"

    def unit(self, name: str, text: str) -> str:
        """Write a unit file and load it."""
        (self.directory / "systemd/user" / name).write_text(text)
        self.ctl("daemon-reload")
        return name

    def service(self, name: str, *lines: str) -> str:
        return self.unit(f"{name}.service", "\n".join(["[Service]", *lines, ""]))

    def ctl(self, *args: str) -> str:
        """systemctl, inside; its output, whatever its exit code says."""
        inside = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if not inside:
            return ""
        command = ["nsenter", "-t", inside[0], "-m", "-p", "env", "XDG_RUNTIME_DIR=/run/user", *SYSTEMCTL, *args]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def active(self, unit: str) -> str:
        return self.ctl("is-active", unit)

    def leases(self) -> list[str]:
        lines = self.ctl("list-units", "--plain", "--no-legend", "--state=active", "vyos-cluster-*").splitlines()
        return [line.split()[0] for line in lines]


@contextlib.contextmanager
def host(directory: Path) -> Iterator[Host]:
    """Start it; whatever runs in it ends with it."""
    units = directory / "systemd/user"
    units.mkdir(parents=True)
    directory.chmod(0o700)
    (units / "dbus.socket").write_text(DBUS_SOCKET)
    (units / "dbus.service").write_text(DBUS_SERVICE)
    (directory / "bus.conf").write_text(BUS_CONF)
    cgroup = CGROUPS / f"vyos-test-{secrets.token_hex(4)}"
    cgroup.mkdir()
    unshare = "exec unshare --mount --propagation private --cgroup --pid --fork --mount-proc --kill-child"
    script = f"echo $$ > {cgroup}/cgroup.procs; {unshare} bash -ec '{INSIDE}' inside \"$1\""
    process = subprocess.Popen(["bash", "-ec", script, "host", str(directory)], stdin=subprocess.DEVNULL)
    try:
        found = Host(directory, process)
        wait(lambda: found.active("basic.target") == "active", "systemd to start", 20)
        wait(
            lambda: found.ctl("start", "dbus.service") == "" and found.active("dbus.service") == "active", "its bus", 20
        )
        yield found
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait(lambda: _gone(cgroup), "its cgroups to be empty")


def possible() -> str:
    """Why it cannot be had here; empty when it can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    if not os.access(CGROUPS / "cgroup.procs", os.W_OK):
        return f"there is no {CGROUPS}"
    if not os.access("/lib/systemd/systemd", os.X_OK) or not os.access("/usr/bin/dbus-daemon", os.X_OK):
        return "systemd and dbus-daemon are not installed"
    return ""


def _gone(cgroup: Path) -> bool:
    try:
        for path, _, _ in os.walk(cgroup, topdown=False):
            os.rmdir(path)
    except OSError:
        return False
    return True
