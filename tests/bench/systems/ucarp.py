"""ucarp: one process for each address, and a script that adds it.

Whole seconds only: with `advbase 0` the interval and the dead time are both the skew, and the two flap.
"""

from __future__ import annotations

import os
import signal

from bench.cage import Cage
from bench.lan import HOSTS, NET
from bench.systems.base import System

SKEWS = {"r1": 0, "r2": 10}
"""In 1/256 s; the lower one preempts (-P)."""


class Ucarp(System):
    """CARP in user space."""

    name = "ucarp"
    settings = ("A", "default")
    packages = ("ucarp",)

    @property
    def dead_ms(self) -> float:
        """`-r` advertisements and the backup's skew."""
        return self.setting.dead_ms + SKEWS["r2"] * 1000 / 256

    def setup(self, node: str) -> str:
        for name, verb in (("up.sh", "add"), ("down.sh", "del")):
            self.put(node, name, f"#!/bin/sh\nexec ip addr {verb} $2/24 dev $1\n", 0o755)
        return ""

    def command(self, node: str) -> str:
        base_s = self.setting.keepalive_ms // 1000
        ratio = self.setting.dead_ms // self.setting.keepalive_ms
        place, preempt = self.directory(node), "-P" if node == "r1" else ""
        commands = [
            f"/usr/sbin/ucarp -i eth0 -s {NET}{HOSTS[node]} -v {number} -p secret -a {address} -u {place}/up.sh "
            f"-d {place}/down.sh -b {base_s} -k {SKEWS[node]} -r {ratio} {preempt} -z"
            for number, address in enumerate(self.addresses, 51)
        ]
        return " & ".join(commands)

    def stop(self, cage: Cage) -> None:
        for pid in cage.pids():
            os.kill(pid, signal.SIGTERM)

    def switch(self, cage: Cage) -> None:
        os.kill(self.main(cage), signal.SIGUSR2)
