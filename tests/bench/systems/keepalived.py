"""keepalived (VRRP version 2 and 3) as its manual has it: preempting, priorities 150 and 100.

One directive to a line: version 2.2.7 ignores an authentication block on one line, with no more than a log line. With a
second link it speaks there and tracks the first, so that a lost carrier of the address' own link is told at once. (Two
instances in a sync group were tried: the backup then waits as with one link.)
"""

from __future__ import annotations

import os
import signal
from typing import ClassVar

from bench.cage import Cage
from bench.lan import LINKS, NODES
from bench.systems.base import System

PRIORITIES = {"r1": 150, "r2": 100}
GIVEN_UP = 50
"""r1's priority for a planned move: below r2's. keepalived has no other command for it."""
ROUTER_ID = 51


class KeepalivedV3(System):
    """VRRP version 3: advertisements down to 10 ms, no authentication."""

    name = "keepalived-v3"
    settings: ClassVar[tuple[str, ...]] = ("A", "B", "C", "D3", "default")
    packages = ("keepalived",)
    second_link = True
    rest_partition_ms = 5_500
    """It repeats its gratuitous ARP 5 s after a takeover (garp_master_delay), which would hide a black hole."""
    version = 3
    skew_of_ms = 0
    authentication = ""

    @property
    def dead_ms(self) -> float:
        """Three advertisements and the backup's skew (RFC 5798 6.1; RFC 3768: the skew is of a second)."""
        advert_ms = self.setting.keepalive_ms
        return 3 * advert_ms + (256 - PRIORITIES["r2"]) / 256 * (self.skew_of_ms or advert_ms)

    def setup(self, node: str) -> str:
        self._write(node, PRIORITIES[node])
        return ""

    def command(self, node: str) -> str:
        return f"exec keepalived -n -P -l -D -f {self.directory(node)}/keepalived.conf -p /run/k.pid -r /run/v.pid"

    def main(self, cage: Cage) -> int:
        return cage.named(b"keepalived")

    def switch(self, cage: Cage) -> None:
        self._write(NODES[0], GIVEN_UP)
        os.kill(self.main(cage), signal.SIGHUP)

    def switch_back(self, cage: Cage) -> bool:
        self._write(NODES[0], PRIORITIES[NODES[0]])
        os.kill(self.main(cage), signal.SIGHUP)
        return True

    def _write(self, node: str, priority: int) -> None:
        names = [f"V{n}" for n in range(len(self.addresses))]
        blocks = [
            self._instance(name, ROUTER_ID + n, priority, address)
            for n, (name, address) in enumerate(zip(names, self.addresses, strict=True))
        ]
        head = f"global_defs {{\n  router_id {node}\n  vrrp_version {self.version}\n}}\n"
        self.put(node, "keepalived.conf", head + "".join(blocks))

    def _instance(self, name: str, router: int, priority: int, address: str) -> str:
        interface = LINKS[self.links - 1]
        more = f"  virtual_ipaddress {{\n    {address}/24 dev eth0\n  }}\n"
        if interface != "eth0":
            more += "  track_interface {\n    eth0\n  }\n"
        return (
            f"vrrp_instance {name} {{\n  state BACKUP\n  interface {interface}\n  virtual_router_id {router}\n"
            f"  priority {priority}\n  advert_int {self.setting.keepalive_ms / 1000:g}\n"
            f"{self.authentication}{more}}}\n"
        )


class KeepalivedV2(KeepalivedV3):
    """VRRP version 2: whole seconds, a password in clear."""

    name = "keepalived-v2"
    settings = ("A", "default")
    version = 2
    skew_of_ms = 1_000
    authentication = "  authentication {\n    auth_type PASS\n    auth_pass secret\n  }\n"
