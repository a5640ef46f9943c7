"""A node's power supply: `python3 -m ground.power node1` boots the node, and boots it again when it rebooted itself.

    power.py -> unshare (dies with power.py: pdeathsig) -> systemd = PID 1 (dies with unshare: --kill-child)

So killing this one process is a power cut: everything of the node dies with it. systemd runs as it is,
not in systemd-nspawn, whose own policy for devices, capabilities and cgroups would have to be loosened
for containerd, runc and kubelet one by one.
"""

import os
import signal
import subprocess
import sys

from ground import cgroups, network
from ground.layout import netns
from ground.paths import HERE
from ground.shell import say

# The kernel turns reboot(2) in a PID namespace into the death of its PID 1 by SIGHUP (restart) or SIGINT (power off),
# and unshare dies of the same signal as its child
_RESTART = -signal.SIGHUP


def supply(node: str, environment: dict[str, str]) -> None:
    """Run the node until it switches itself off."""
    while True:
        network.cable(node)
        cgroups.make(node)
        namespaces = "--mount --uts --ipc --cgroup --pid --fork --kill-child=KILL --propagation private --mount-proc"
        boot = ["unshare", *namespaces.split(), "--", str(HERE / "node-init")]
        script = f'{cgroups.enter_script(node)}; exec "$@"'
        command = ["sh", "-c", script, "sh", *network.inside(netns(node), *boot)]
        code = subprocess.run(["setpriv", "--pdeathsig=KILL", "--", *command], env=environment).returncode
        say(f"{node} ended with code {code}")
        network.uncable(node)
        cgroups.end(node)
        if code != _RESTART:
            return


if __name__ == "__main__":
    supply(sys.argv[1], dict(os.environ))
