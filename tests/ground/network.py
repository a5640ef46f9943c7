"""Namespaces, bridges and cables of the ground (picture: layout.py). Nothing touches the machine's own cards."""

import subprocess

from ground import layout
from ground.layout import LAN_NETNS, NODES, PORTS, netns
from ground.shell import quiet, run


def ip(namespace: str, *arguments: str) -> str:
    """Run `ip` in a network namespace."""
    return run("ip", "-n", namespace, *arguments)


def inside(namespace: str, *command: str) -> list[str]:
    """Return a command line that runs a command in a network namespace (and in it alone)."""
    return ["nsenter", f"--net=/run/netns/{namespace}", "--", *command]


def exists(namespace: str) -> bool:
    """Say whether a network namespace is there."""
    return quiet("ip", "-n", namespace, "link", "show", "lo")


def up() -> None:
    """Lay both LANs and cable ctl, client and the root namespace; nodes are cabled when they boot."""
    _make(LAN_NETNS)
    for interface in layout.INTERFACES:
        # A dumb switch: no spanning tree, and multicast goes everywhere (there is no querier for snooping)
        options = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        ip(LAN_NETNS, "link", "add", f"br-{interface}", *options.split())
        ip(LAN_NETNS, "link", "set", f"br-{interface}", "up")
    # This setting exists per namespace, and 1 is its default: iptables rules would see bridged frames
    off = [f"net.bridge.bridge-nf-call-{table}=0" for table in ("iptables", "ip6tables", "arptables")]
    run(*inside(LAN_NETNS, "sysctl", "-qw", *off))
    for name in ("ctl", "client"):
        _make(netns(name))
        _cable(name)
    root, ctl = layout.ROOT_INTERFACE, netns("ctl")
    run("ip", "link", "add", root, "type", "veth", "peer", "name", root, "netns", ctl)
    run("ip", "addr", "add", f"{layout.ROOT_ADDRESS}/30", "dev", root)
    run("ip", "link", "set", root, "up")
    ip(ctl, "addr", "add", f"{layout.API_ADDRESS}/30", "dev", root)
    ip(ctl, "link", "set", root, "up")
    for node in NODES:  # the API server proxies to pods
        ip(ctl, "route", "add", layout.pod_network(node), "via", layout.address(node))


def cable(node: str) -> None:
    """Give a node its network namespace, cables, addresses and routes: what a reboot forgets and a boot sets again."""
    namespace = netns(node)
    _make(namespace)
    _cable(node)
    settings = ["ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0"]
    run(*inside(namespace, "sysctl", "-qw", *(f"net.ipv4.{setting}" for setting in settings)))
    for other in NODES:
        if other != node:
            ip(namespace, "route", "add", layout.pod_network(other), "via", layout.address(other))
    # ctl forwards nothing. But without a route for Service addresses the kernel says "network is unreachable"
    # before kube-proxy's rules can translate them.
    ip(namespace, "route", "add", "default", "via", layout.CTL_ADDRESS)


def uncable(node: str) -> None:
    """Take a node's cables and namespace away."""
    _remove(node)


def down() -> None:
    """Remove all of it, whatever part of it is there."""
    quiet("ip", "link", "del", layout.ROOT_INTERFACE)
    for name in PORTS:
        _remove(name)
    for interface in layout.INTERFACES:
        quiet("ip", "-n", LAN_NETNS, "link", "del", f"br-{interface}")
    quiet("ip", "netns", "del", LAN_NETNS)


def leftovers() -> list[str]:
    """Return the ground's namespaces and interfaces that exist."""
    names = [LAN_NETNS, *(netns(name) for name in PORTS)]
    listed = {line.split()[0] for line in run("ip", "netns", "list").splitlines() if line}
    found = [name for name in names if name in listed]
    return [*found, layout.ROOT_INTERFACE] if quiet("ip", "link", "show", layout.ROOT_INTERFACE) else found


def _make(namespace: str) -> None:
    run("ip", "netns", "add", namespace)
    ip(namespace, "link", "set", "lo", "up")


def _cable(name: str) -> None:
    """Lay a machine's cables; the switch's end is called MACHINE.INTERFACE, so that a fault can name it."""
    for interface in PORTS[name]:
        port = f"{name}.{interface}"
        run(*f"ip link add {interface} netns {netns(name)} type veth peer name {port} netns {LAN_NETNS}".split())
        ip(LAN_NETNS, "link", "set", port, "master", f"br-{interface}", "up")
        ip(netns(name), "addr", "add", f"{layout.address(name, interface)}/24", "dev", interface)
        ip(netns(name), "addr", "add", f"{layout.address6(name, interface)}/64", "dev", interface, "nodad")
        ip(netns(name), "link", "set", interface, "up")


def _remove(name: str) -> None:
    # The cables by their names first: a mount namespace that somebody made meanwhile may hold on to the network
    # namespace beyond its deletion, and its cables would stay plugged
    for interface in PORTS[name]:
        quiet("ip", "-n", LAN_NETNS, "link", "del", f"{name}.{interface}")
    quiet("ip", "netns", "del", netns(name))


def popen(namespace: str, *command: str) -> "subprocess.Popen[str]":
    """Start a command in a network namespace and return it with its output as a pipe."""
    return subprocess.Popen(
        inside(namespace, *command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, bufsize=1
    )
