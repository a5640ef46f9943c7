"""heartbeat 3.0.6 with haresources, IPaddr2 and auto_failback on: what VyOS' clustering was made of.

/etc/ha.d and /var/lib/heartbeat are bound over with the router's own files; the latter keep its generation, without
which it calls a restarted peer a replay.
"""

from __future__ import annotations

from bench.cage import Cage
from bench.lan import LINKS
from bench.systems.base import System

GROUP, PORT = "239.251.252.253", 694
INIT_DEAD_MIN_MS = 2_000


class Heartbeat(System):
    """The system that users of VyOS clustering had."""

    name = "heartbeat"
    settings = ("A", "B", "C", "D3", "default")
    packages = ("heartbeat", "resource-agents", "cluster-glue")
    calm_ms = 5_000
    """After a heal both give up some 2 s later."""
    rest_ms = 2_500
    """A peer that came back less than initdead ago is dead only after initdead."""

    @property
    def boot_ms(self) -> int:
        return 7_000 + super().boot_ms

    @property
    def init_dead_ms(self) -> int:
        """`initdead`: at least twice the dead time, as its manual asks."""
        return max(INIT_DEAD_MIN_MS, 2 * self.setting.dead_ms)

    def setup(self, node: str) -> str:
        s, d = self.setting, self.directory(node)
        links = "".join(f"mcast {link} {GROUP} {PORT} 1 0\n" for link in LINKS[: self.links])
        self.put(
            node,
            "ha.cf",
            f"logfile {d}/ha-log\nlogfacility none\nkeepalive {s.keepalive_ms}ms\ndeadtime {s.dead_ms}ms\n"
            f"warntime {s.dead_ms * 2 // 3}ms\ninitdead {self.init_dead_ms}ms\nudpport {PORT}\n{links}"
            "auto_failback on\nnode r1\nnode r2\ncrm off\n",
        )
        self.put(node, "haresources", "".join(f"r1 IPaddr2::{a}/24/eth0\n" for a in self.addresses))
        self.put(node, "authkeys", "auth 1\n1 sha1 secret\n", 0o600)
        return f"""\
rm -rf {d}/ha.d; cp -a /etc/ha.d {d}/ha.d
cp {d}/ha.cf {d}/haresources {d}/authkeys {d}/ha.d/; chmod 600 {d}/ha.d/authkeys
mount --bind {d}/ha.d /etc/ha.d
[ -d {d}/lib ] || cp -a /var/lib/heartbeat {d}/lib
mount --bind {d}/lib /var/lib/heartbeat
mkdir -p /run/lock /run/resource-agents
mkdir -m 750 /run/heartbeat /run/heartbeat/ccm /run/heartbeat/crm /run/heartbeat/dopd /run/crm
chown hacluster:haclient /run/heartbeat /run/heartbeat/* /run/crm"""

    def command(self, node: str) -> str:
        path = "export PATH=$PATH:/usr/sbin:/sbin"
        return f". /etc/ha.d/shellfuncs; mkdir -p -m 1755 $HA_RSCTMP; {path}; exec /usr/libexec/heartbeat/heartbeat"

    def main(self, cage: Cage) -> int:
        return cage.named(b"master control")

    def switch(self, cage: Cage) -> None:
        cage.start(["/usr/share/heartbeat/hb_standby", "all"])

    def switch_back(self, cage: Cage) -> bool:
        cage.start(["/usr/share/heartbeat/hb_takeover", "all"])
        return True
