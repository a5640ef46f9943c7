"""The ground's map: who is where. Everything that has an address or a name in the ground has it from here.

     root namespace                              namespace vc-lan
10.89.255.1 vc-root                 br-eth0 192.168.0.0/24     br-eth1 192.168.1.0/24
     |                                |    |    |    |            |    |    |
10.89.255.2 - vc-ctl  192.168.0.1 ----+    |    |    |            |    |    |
              vc-client 192.168.0.9 -------+    |    |            |    |    |
              vc-node1  192.168.0.11 -----------+   ...    .11 ---+   ...  ...
"""

NODES = ("node1", "node2", "node3")
INTERFACES = ("eth0", "eth1")
PORTS = {**{node: INTERFACES for node in NODES}, "ctl": ("eth0",), "client": ("eth0",)}  # who is cabled to which LAN

LAN = {"eth0": "192.168.0", "eth1": "192.168.1"}  # /24 each
LAN6 = {"eth0": "fd00:0:0:1", "eth1": "fd00:0:0:2"}  # /64 each
CTL_ADDRESS = "192.168.0.1"  # API server; the nodes' default route
API_PORT = 6443
POD_NETWORK = "10.244.0.0/16"  # node k has 10.244.k.0/24

# A private leg from the root namespace to ctl: tests, kubectl and helm reach the API server over it
ROOT_INTERFACE = "vc-root"
ROOT_ADDRESS = "10.89.255.1"
API_ADDRESS = "10.89.255.2"
API_URL = f"https://{API_ADDRESS}:{API_PORT}"

LAN_NETNS = "vc-lan"


def netns(name: str) -> str:
    """Return the network namespace of a node, of ctl or of client; prefixed, so that it collides with nobody's."""
    return f"vc-{name}"


def number(node: str) -> int:
    """Return k of node k."""
    return NODES.index(node) + 1


def host_part(name: str) -> int:
    """Return the last number of all addresses of a node, ctl or client."""
    return {"ctl": 1, "client": 9}.get(name) or 10 + number(name)


def address(name: str, interface: str = "eth0") -> str:
    """Return the IPv4 address of a node, ctl or client on one LAN."""
    return f"{LAN[interface]}.{host_part(name)}"


def address6(name: str, interface: str = "eth0") -> str:
    """Return the IPv6 address: the same last digits."""
    return f"{LAN6[interface]}::{host_part(name)}"


def pod_network(node: str) -> str:
    """Return the network of a node's pods."""
    return f"10.244.{number(node)}.0/24"
