"""Breaking things, each with its inverse beside it. `ground fault NAME ARGUMENTS` calls these by name.

A machine is node1, node2, node3, ctl (the API server's) or client. Where an interface may be named
and is not, all of the machine's are meant. All of them return in well under a second and wait for nothing.
"""

import signal
from itertools import product

from ground import cgroups, daemons, lifecycle, network, nodes
from ground.layout import LAN_NETNS, PORTS
from ground.shell import GroundError, quiet, run

_TABLE = "bridge ground"


class Faults:
    """All faults, as methods."""

    def power_off(self, node: str) -> None:
        """Cut the power: everything on NODE is gone at once."""
        nodes.power_off(node)

    def power_on(self, node: str) -> None:
        """Switch NODE on again; its disk is as it was."""
        nodes.power_on(node)

    def reboot(self, node: str) -> None:
        """Reboot NODE cleanly, from inside."""
        nodes.execute(node, "systemctl", "reboot")

    def shutdown(self, node: str) -> None:
        """Switch NODE off cleanly, from inside (power-on brings it back)."""
        nodes.execute(node, "systemctl", "poweroff")

    def hang(self, node: str) -> None:
        """Stop every process of NODE; its kernel still answers ARP and ping for what it holds."""
        cgroups.freeze(nodes.check(node), frozen=True)

    def unhang(self, node: str) -> None:
        """Let NODE's processes go on."""
        cgroups.freeze(nodes.check(node), frozen=False)

    def pull(self, machine: str, interface: str = "") -> None:
        """Pull MACHINE's cable [INTERFACE]: it sees its carrier gone."""
        for port in _ports(machine, interface):
            network.ip(LAN_NETNS, "link", "set", port, "down")

    def plug(self, machine: str, interface: str = "") -> None:
        """Plug MACHINE's cable in again."""
        for port in _ports(machine, interface):
            network.ip(LAN_NETNS, "link", "set", port, "up")

    def mute(self, machine: str, interface: str = "") -> None:
        """Let the switch pass nothing at MACHINE's port [INTERFACE]; the link stays up."""
        for port in _ports(machine, interface):
            run(*network.inside(LAN_NETNS, "bridge", "link", "set", "dev", port, "state", "0"))

    def unmute(self, machine: str, interface: str = "") -> None:
        """Let the switch forward at MACHINE's port again."""
        for port in _ports(machine, interface):
            run(*network.inside(LAN_NETNS, "bridge", "link", "set", "dev", port, "state", "3"))

    def split(self, machine: str, other: str, interface: str = "") -> None:
        """Let MACHINE and OTHER not hear each other [on INTERFACE]; all else hear both."""
        self.one_way(machine, other, interface)
        self.one_way(other, machine, interface)

    def one_way(self, machine: str, other: str, interface: str = "") -> None:
        """Let OTHER not hear MACHINE [on INTERFACE], while MACHINE hears OTHER."""
        for source, target in product(_ports(machine, interface), _ports(other, interface)):
            _drop(f'iifname "{source}" oifname "{target}"')

    def partition(self, *sides: str) -> None:
        """Split the sides, each written like node1,client, from each other on every LAN."""
        for index, side in enumerate(sides):
            for rest in sides[index + 1 :]:
                for machine, other in product(side.split(","), rest.split(",")):
                    self.split(machine, other)

    def deaf(self, machine: str, interface: str = "") -> None:
        """Let MACHINE receive nothing [on INTERFACE], while it is heard."""
        for port in _ports(machine, interface):
            _drop(f'oifname "{port}"')

    def dumb(self, machine: str, interface: str = "") -> None:
        """Drop what MACHINE sends [on INTERFACE], while it hears."""
        for port in _ports(machine, interface):
            _drop(f'iifname "{port}"')

    def loss(self, machine: str, percent: int, interface: str = "") -> None:
        """Lose PERCENT of MACHINE's frames in each direction [on INTERFACE], by chance."""
        # in place of netem, which not every kernel has
        for port in _ports(machine, interface):
            for way in ("iifname", "oifname"):
                _drop(f'{way} "{port}" numgen random mod 100 < {int(percent)}')

    def heal(self) -> None:
        """Undo split, one-way, partition, deaf, dumb and loss, all of them."""
        quiet(*network.inside(LAN_NETNS, "nft", "delete", "table", *_TABLE.split()))

    def api_stop(self) -> None:
        """Kill the API server."""
        daemons.end("kube-apiserver")

    def api_start(self) -> None:
        """Start the API server again; ready after 2 to 3 s."""
        lifecycle.start_api_server()

    def api_hang(self) -> None:
        """Stop the API server's process: connections open, no answer."""
        daemons.send("kube-apiserver", signal.SIGSTOP)

    def api_resume(self) -> None:
        """Let the API server go on."""
        daemons.send("kube-apiserver", signal.SIGCONT)

    def etcd_hang(self) -> None:
        """Stop etcd's process: the API server answers most requests with 500 or 504, after a while."""
        daemons.send("etcd", signal.SIGSTOP)

    def etcd_resume(self) -> None:
        """Let etcd go on."""
        daemons.send("etcd", signal.SIGCONT)

    def etcd_stop(self) -> None:
        """Kill etcd: the API server answers most requests with 500 or 504, at once or after a while."""
        daemons.end("etcd")

    def etcd_start(self) -> None:
        """Start etcd again, with the data that it had; the API server is ready within 1 to 2 s."""
        lifecycle.start_etcd()

    def service_stop(self, node: str, unit: str) -> None:
        """Stop a systemd unit of NODE (kubelet, containerd, kube-proxy, ssh, ...)."""
        nodes.execute(node, "systemctl", "stop", unit)

    def service_start(self, node: str, unit: str) -> None:
        """Start a systemd unit of NODE."""
        nodes.execute(node, "systemctl", "start", unit)

    def service_crash(self, node: str, unit: str) -> None:
        """Kill the main process of a unit of NODE; systemd starts it again."""
        nodes.execute(node, "systemctl", "kill", "--kill-who=main", "--signal=KILL", unit)

    def pause(self, node: str, container: str) -> None:
        """Freeze a container on NODE, by its name in the pod."""
        nodes.tasks(node, "pause", container)

    def resume(self, node: str, container: str) -> None:
        """Let a paused container go on."""
        nodes.tasks(node, "resume", container)

    def kill(self, node: str, container: str, signal_name: str = "KILL") -> None:
        """Send a signal (KILL) to a container's first process; the kubelet starts it again."""
        nodes.tasks(node, "kill", container, "--signal", f"SIG{signal_name.removeprefix('SIG')}")


def _ports(machine: str, interface: str) -> list[str]:
    """Return the names of the switch's ports that a machine is cabled to."""
    if machine not in PORTS:
        raise GroundError(f"there is no machine {machine!r}; they are {', '.join(PORTS)}")
    if interface and interface not in PORTS[machine]:
        raise GroundError(f"{machine} has no interface {interface!r}, but {', '.join(PORTS[machine])}")
    return [f"{machine}.{name}" for name in ([interface] if interface else PORTS[machine])]


def _drop(match: str) -> None:
    commands = (
        f"add table {_TABLE}\n"
        f"add chain {_TABLE} cut {{ type filter hook forward priority 0; }}\n"
        f"add rule {_TABLE} cut {match} drop\n"
    )
    run(*network.inside(LAN_NETNS, "nft", "-f", "-"), stdin=commands)
