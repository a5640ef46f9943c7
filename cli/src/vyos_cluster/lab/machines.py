"""The lab as it stands on this machine: namespaces, bridges, daemons; made, hurt, and taken away again.

Every namespace carries the lab's name as its prefix, and a process is ended only when it runs in one of them: nothing
else on the machine is touched, and what a killed lab left behind can be found again without any record of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vyos_agent import control
from vyos_cluster.lab.layout import LabError, Lan, Layout

RUN = Path("/run/vyos-cluster-lab")
START_S = 15.0
"""A daemon on a busy machine is up within this."""
END_S = 3.0
"""What a daemon gets to leave; then it is killed."""
POLL_S = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Lab:
    """One lab by its name; whether it stands is another matter."""

    name: str

    @property
    def directory(self) -> Path:
        """Sockets, logs, the manifest."""
        return RUN / self.name

    @property
    def lan(self) -> str:
        """The namespace of the bridges and the client."""
        return f"vyoslab-{self.name}.lan"

    def place(self, router: str) -> str:
        """The namespace of a router."""
        return f"vyoslab-{self.name}.r.{router}"

    def namespaces(self) -> list[str]:
        """Those that are there."""
        prefix = f"vyoslab-{self.name}."
        listed = (line.split()[0] for line in _run("ip", "netns", "list").splitlines() if line)
        return [name for name in listed if name.startswith(prefix)]

    # -- building

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the lab's lock while it stands. Raises LabError when somebody else does."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (RUN / f"{self.name}.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"a lab named {self.name} is up; end it with `vyos-cluster lab down`, or give another --name"
                raise LabError(text) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def build(self, layout: Layout) -> None:
        """Namespaces, wires and addresses, and then the daemons. Raises LabError."""
        (self.directory / "cluster.yaml").touch(0o600)
        (self.directory / "cluster.yaml").write_text(layout.manifest)
        wires = {
            "lans": [lan.interface for lan in layout.lans],
            "routers": layout.routers,
            "peers": {name: list(layout.peers(name)) if layout.unicast else [] for name in layout.routers},
        }
        (self.directory / "lab.json").write_text(json.dumps(wires))
        for place in (self.lan, *map(self.place, layout.routers)):
            _run("ip", "netns", "add", place)
            _ip(place, "link", "set", "lo", "up")
        for number, lan in enumerate(layout.lans):
            self._wire(number, lan)
        for address, interface in layout.routes:
            number = next(i for i, lan in enumerate(layout.lans) if lan.interface == interface)
            _ip(self.lan, "route", "add", address, "dev", f"br{number}")
        for router in layout.routers:
            self.start(router, wait=False)
        for router in layout.routers:
            self._await(router)

    def _wire(self, number: int, lan: Lan) -> None:
        bridge = f"br{number}"
        _ip(self.lan, "link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
        _ip(self.lan, "link", "set", bridge, "up")
        self._address(self.lan, bridge, lan.client)
        for router, addresses in lan.routers.items():
            place, port = self.place(router), self.port(number, list(lan.routers).index(router))
            _ip(self.lan, "link", "add", port, "type", "veth", "peer", "name", lan.interface, "netns", place)
            _ip(self.lan, "link", "set", port, "master", bridge, "up")
            self._address(place, lan.interface, addresses)
            _ip(place, "link", "set", lan.interface, "up")

    def _address(self, place: str, interface: str, addresses: tuple[Any, ...]) -> None:
        for address in addresses:
            nodad = ["nodad"] if address.version == 6 else []
            _ip(place, "addr", "add", str(address), "dev", interface, *nodad)

    @staticmethod
    def port(lan: int, router: int) -> str:
        """The bridge's end of a router's wire."""
        return f"p{lan}-{router}"

    # -- playing

    def start(self, router: str, *, wait: bool = True) -> None:
        """Run the router's daemon. Raises LabError when it runs already or does not come up."""
        number = self._router(router)
        if self.pids(router):
            raise LabError(f"the daemon of {router} runs already")
        here = self.directory / f"r{number}"
        here.mkdir(exist_ok=True)
        command = [sys.executable, "-P", "-m", "vyos_agent.heartbeat", "--node", router]
        command += ["--config", str(self.directory / "cluster.yaml")]
        command += ["--control", str(here / "control.sock"), "--state", str(here / "state")]
        for peer in self._wires()["peers"][router]:
            command += ["--peer", peer]
        with (here / "log").open("ab") as log:
            subprocess.Popen(
                ["ip", "netns", "exec", self.place(router), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the lab, which lets the daemons leave in order
            )
        if wait:
            self._await(router)

    def _await(self, router: str) -> None:
        end = time.monotonic() + START_S
        while self.report(router) is None:
            if time.monotonic() > end:
                log = (self.directory / f"r{self._router(router)}" / "log").read_text(errors="replace")
                raise LabError(f"the daemon of {router} does not answer; the end of its log:\n{log[-2000:]}")
            time.sleep(POLL_S)

    def kill(self, router: str) -> None:
        """SIGKILL to the router's daemon: its kernel is left alone with the address."""
        self._router(router)
        if not self._signal(self.place(router), signal.SIGKILL):
            raise LabError(f"the daemon of {router} does not run; start it with `vyos-cluster lab start {router}`")

    def cable(self, router: str, interface: str, *, plugged: bool) -> None:
        """Pull the cable of an interface, or plug it in again."""
        number, lans = self._router(router), self._wires()["lans"]
        if interface not in lans:
            raise LabError(f"{router} has no interface {interface}; there are: {', '.join(lans)}")
        _ip(self.lan, "link", "set", self.port(lans.index(interface), number), "up" if plugged else "down")

    def report(self, router: str) -> dict[str, Any] | None:
        """What its daemon says; None when nobody answers."""
        path = self.directory / f"r{self._router(router)}" / "control.sock"
        try:
            answer = control.request(path, "report")
        except control.ControlError:
            return None
        found = answer.get("report")
        return found if isinstance(found, dict) else None

    def pids(self, router: str) -> list[int]:
        """The processes of a router."""
        return _pids(self.place(router))

    def _wires(self) -> dict[str, Any]:
        try:
            wires: dict[str, Any] = json.loads((self.directory / "lab.json").read_text())
        except (OSError, ValueError):
            raise LabError(f"no lab named {self.name} is up; begin with `vyos-cluster lab up FILE`") from None
        return wires

    def _router(self, name: str) -> int:
        routers = self._wires()["routers"]
        if name not in routers:
            raise LabError(f"the lab has no router {name}; there are: {', '.join(routers)}")
        return int(routers.index(name))

    @staticmethod
    def _signal(place: str, number: signal.Signals) -> bool:
        pids = _pids(place)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(pids)

    # -- the end

    def sweep(self) -> bool:
        """Take away all that carries the lab's name; whether there was anything."""
        places = self.namespaces()
        for number, patience_s in ((signal.SIGTERM, END_S), (signal.SIGKILL, END_S)):
            end = time.monotonic() + patience_s
            for place in places:
                self._signal(place, number)
            while any(map(_pids, places)) and time.monotonic() < end:
                time.sleep(POLL_S)
        for place in places:
            _run("ip", "netns", "del", place)
        there = self.directory.exists()
        shutil.rmtree(self.directory, ignore_errors=True)
        return bool(places) or there

    def end_owner(self) -> bool:
        """Have the `lab up` that holds the lock take the lab down, and wait for it; whether there was one."""
        try:
            file = (RUN / f"{self.name}.lock").open("r+")
        except FileNotFoundError:
            return False
        with file:
            asked, end = False, time.monotonic() + 4 * END_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return asked
                except BlockingIOError:
                    file.seek(0)
                    if not asked and (pid := file.read()):  # empty for a moment after the lock was taken
                        os.kill(int(pid), signal.SIGTERM)
                        asked = True
                if time.monotonic() > end:
                    raise LabError(f"`lab up` of {self.name} does not end; its process is in {file.name}")
                time.sleep(POLL_S)


def _pids(place: str) -> list[int]:
    done = subprocess.run(["ip", "netns", "pids", place], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]


def _ip(place: str, *args: str) -> str:
    return _run("ip", "-n", place, *args)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed (Debian: apt-get install iproute2)") from None
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
