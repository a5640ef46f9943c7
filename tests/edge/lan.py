"""Routers on a LAN: a bridge in one namespace, each router and its daemon in another. Faults as methods.

The daemons are whole processes. Who holds an address is asked of each kernel by a watcher beside them, so that a test
can say when two held it, or none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge import capture, netns
from edge.waiting import wait
from vyos_agent import control
from vyos_agent.edge.kernel import Kernel

POLL_S = 0.005
START_S = 20.0
"""A Python process on a busy machine, and the first exchange of frames."""


class Watcher(threading.Thread):
    """Samples every router's kernel, and keeps who held each address when."""

    def __init__(self, kernels: Mapping[str, Kernel]) -> None:
        super().__init__(daemon=True)
        self._kernels = kernels
        self._over = threading.Event()
        self.spans: dict[str, list[tuple[float, frozenset[str]]]] = {}
        """By address: since when whom it was held by."""

    def run(self) -> None:
        while not self._over.wait(POLL_S):
            at = time.monotonic()
            held: dict[str, set[str]] = {address: set() for address in self.spans}
            for name, kernel in self._kernels.items():
                for entry in kernel.addresses():
                    if entry.marked:
                        held.setdefault(entry.address, set()).add(name)
            for address, names in held.items():
                spans = self.spans.setdefault(address, [(0.0, frozenset())])
                if spans[-1][1] != names:
                    spans.append((at, frozenset(names)))

    def stop(self) -> None:
        self._over.set()
        self.join()

    def holders(self, address: str) -> frozenset[str]:
        return self.spans.get(address, [(0.0, frozenset())])[-1][1]

    def most(self, address: str, since: float) -> int:
        """The most that held it at one time."""
        spans = self.spans[address]
        return max(len(names) for i, (_, names) in enumerate(spans) if i + 1 == len(spans) or spans[i + 1][0] > since)

    def dark_s(self, address: str, since: float) -> float:
        """For how long nobody held it."""
        spans = [*self.spans[address], (time.monotonic(), frozenset({"end"}))]
        pairs = itertools.pairwise(spans)
        return sum(max(0.0, end - max(begin, since)) for (begin, names), (end, _) in pairs if not names)


@dataclasses.dataclass(slots=True)
class Router:
    """One router: a namespace, a directory, and perhaps a daemon."""

    name: str
    place: str
    directory: Path
    process: subprocess.Popen[bytes] | None = None
    under: tuple[str, ...] = ()
    """What runs the daemon's command: setpriv, for one."""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def socket(self) -> Path:
        return self.directory / "control.sock"

    @property
    def log(self) -> str:
        """What its daemon has written so far; nothing, where none has run."""
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""

    def logged(self, text: str, times: int = 1) -> None:
        """Wait until its daemon has logged this: a thread of its own writes the log."""
        wait(lambda: self.log.count(text) >= times, f"{self.name} to log {text!r}")
        assert self.log.count(text) == times or times == 1, self.log

    def start(self, *args: str) -> None:
        """Run the daemon; returns when it answers."""
        command = [sys.executable, "-m", "vyos_agent.heartbeat", "--node", self.name]
        command += ["--control", str(self.socket), "--state", str(self.directory / "state"), *args]
        command = ["ip", "netns", "exec", self.place, *self.under, *command]
        with (self.directory / "log").open("ab") as log:
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        wait(lambda: self.socket.exists() and self.ask("report"), f"{self.name} to answer", START_S)

    def ip(self, *args: str) -> str:
        return netns.ip(*args, netns=self.place)

    def exec(self, *command: str) -> str:
        return netns.run("ip", "netns", "exec", self.place, *command)

    def ask(self, op: str, **fields: Any) -> dict[str, Any] | None:
        try:
            return control.request(self.socket, op, fields)
        except control.ControlError:
            return None

    def configure(self, *clusters: Mapping[str, Any]) -> None:
        answer = self.ask("configure", clusters=clusters)
        assert answer is not None
        assert answer["ok"], answer
        assert answer["refused"] == []

    def cluster(self, name: str = "edge") -> dict[str, Any]:
        """Its item in the report."""
        answer = self.ask("report")
        found = [c for c in answer["report"]["clusters"] if c["cluster"] == name] if answer else []
        return found[0] if found else {"groups": [], "deviations": [], "drops": {}, "peers": {"ready": 0}}

    def state(self, group: str = "cluster") -> str:
        return next((g["state"] for g in self.cluster()["groups"] if g["name"] == group), "")

    def owner(self, group: str = "cluster") -> str | None:
        return next((g["owner"] for g in self.cluster()["groups"] if g["name"] == group), None)

    def deviations(self) -> list[tuple[str, str, str]]:
        return [(d["kind"], d["name"], d["state"]) for d in self.cluster()["deviations"]]

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; its exit code."""
        assert self.process is not None
        self.send(number)
        code = self.process.wait(15)
        self.process = None
        return code

    def memory_kib(self) -> dict[str, int]:
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()[1:]
        return {line.split(":")[0]: int(line.split()[1]) for line in lines}

    def cpu_s(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Lan:
    """The bridge, the routers on it, and the watcher."""

    def __init__(self, routers: Mapping[str, Router], place: str, watcher: Watcher) -> None:
        self.routers = routers
        self.watcher = watcher
        self._place = place

    def __getitem__(self, name: str) -> Router:
        return self.routers[name]

    def cable(self, name: str, *, plugged: bool, link: int = 0) -> None:
        netns.ip("link", "set", _port(name, link), "up" if plugged else "down", netns=self._place)

    def bridge(self, *args: str) -> str:
        """`ip` where the bridge is."""
        return netns.ip(*args, netns=self._place)

    def inside(self, *command: str) -> list[str]:
        """A command line where the bridge is."""
        return ["ip", "netns", "exec", self._place, *command]

    def bridge_port(self, name: str, *args: str) -> None:
        """Set something about a router's port."""
        netns.run("ip", "netns", "exec", self._place, "bridge", "link", "set", "dev", f"p-{name}", *args)

    def isolate(self, name: str, *, cut: bool) -> None:
        """Carrier stays, but nothing passes: the bridge's port is disabled (0) or forwards (3)."""
        self.bridge_port(name, "state", "03"[not cut])

    def held_by(self, *names: str, address: str = "192.168.0.123", timeout_s: float = START_S) -> None:
        """Wait until exactly these hold the address."""
        try:
            wait(lambda: self.watcher.holders(address) == set(names), f"{names} to hold {address}", timeout_s)
        except AssertionError as error:
            logs = "\n".join(f"--- {r.name}\n{r.log}" for r in self.routers.values())
            raise AssertionError(f"{error}\n{self.watcher.spans}\n{logs}") from None

    def all_hear_all(self) -> None:
        """Wait until every running member finds all others well."""
        running = [r for r in self.routers.values() if r.process is not None]
        wait(
            lambda: all(r.cluster()["peers"]["ready"] == len(running) - 1 for r in running), "all to hear all", START_S
        )


@contextlib.contextmanager
def lan(directory: Path, *names: str, links: int = 1) -> Iterator[Lan]:
    """A LAN with these routers; whatever they left is ended and removed afterwards.

    `links`: to how many bridges each is plugged, by eth0 to br0, by eth1 to br1, and so on.
    """
    tag = secrets.token_hex(3)
    places = {name: f"edge-{tag}-{name}" for name in names}
    with netns.named(f"edge-{tag}-lan", *places.values()) as (bridge, *_):
        for link in range(links):
            netns.ip("link", "add", f"br{link}", "type", "bridge", "mcast_snooping", "0", netns=bridge)
            netns.ip("link", "set", f"br{link}", "up", netns=bridge)
        routers = {}
        for number, (name, place) in enumerate(places.items(), 1):
            for link in range(links):
                _plug(bridge, name, place, number, link)
            (directory / name).mkdir()
            routers[name] = Router(name, place, directory / name)
        kernels = {name: netns.within(place, Kernel) for name, place in places.items()}
        watcher = Watcher(kernels)
        watcher.start()
        try:
            with capture.recorded(bridge, "br0"):
                yield Lan(routers, bridge, watcher)
        finally:
            watcher.stop()
            for kernel in kernels.values():
                kernel.close()
            for router in routers.values():
                if router.process is not None:
                    router.process.kill()
                    router.process.wait()


def _plug(bridge: str, name: str, place: str, number: int, link: int) -> None:
    port, own = _port(name, link), f"eth{link}"
    netns.ip("link", "add", own, "netns", place, "type", "veth", "peer", "name", port, "netns", bridge)
    netns.ip("link", "set", port, "master", f"br{link}", "up", netns=bridge)
    netns.ip("addr", "add", f"192.168.{link}.1{number}/24", "dev", own, netns=place)
    netns.ip("addr", "add", f"fd0{link}::1{number}/64", "dev", own, "nodad", netns=place)
    netns.ip("link", "set", own, "up", netns=place)


def _port(name: str, link: int) -> str:
    """The bridge's end of a cable."""
    return f"p{link or ''}-{name}"
