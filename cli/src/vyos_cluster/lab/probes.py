"""The lab's client: pings each shared address, and tells when answers stop and come back, and who owns what.

A `ping` beside it does the work, ten times a second: a client that suffers as any other, its ARP cache included.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping

from vyos_cluster.lab.layout import LabError
from vyos_cluster.lab.machines import Lab

INTERVAL_S = 0.1
SILENT_S = 0.35
"""Three probes in a row without an answer are a gap, one is chance."""

Say = Callable[[str], None]


class Probe:
    """One `ping` of one address, in the client's namespace."""

    def __init__(self, lab: Lab, address: str, say: Say) -> None:
        """Begins at once. Raises LabError without `ping`."""
        self._address = address
        self._say = say
        self._answered_s: float | None = None
        self._told = False
        command = ["ip", "netns", "exec", lab.lan, "ping", "-n", "-i", f"{INTERVAL_S:g}", address]
        try:
            self._ping = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1, start_new_session=True
            )
        except FileNotFoundError:
            raise LabError("ip is not installed (Debian: apt-get install iproute2)") from None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._ping.stdout is not None
        for line in self._ping.stdout:
            if "bytes from" not in line:
                continue
            at_s, before_s, self._answered_s = time.monotonic(), self._answered_s, time.monotonic()
            if before_s is None:
                self._say(f"{self._address} answers")
            elif at_s - before_s > SILENT_S:
                self._say(f"{self._address} answers again, {at_s - before_s:.1f} s after its last answer")
            self._told = False

    def look(self) -> None:
        """Tell of a silence, once."""
        last_s = self._answered_s
        if self._ping.poll() is not None:
            raise LabError("ping ended; is it installed? (Debian: apt-get install iputils-ping)")
        if last_s is not None and not self._told and time.monotonic() - last_s > SILENT_S:
            self._told = True
            self._say(f"{self._address} does not answer")

    def stop(self) -> None:
        """End the ping."""
        self._ping.kill()
        self._ping.wait()
        self._thread.join()


class Owners:
    """Whom the living routers hold for the owner of each group; tells changes."""

    def __init__(self, lab: Lab, routers: tuple[str, ...], vips: Mapping[str, str], say: Say) -> None:
        self._lab = lab
        self._routers = routers
        self._say = say
        self._addresses = {group: [a for a, g in vips.items() if g == group] for group in vips.values()}
        self._before: dict[str, tuple[str, ...]] = {}
        self._running = frozenset(routers)

    def look(self) -> None:
        """Ask every router, and tell what is new."""
        owners: dict[str, list[str]] = {group: [] for group in self._addresses}
        reasons: dict[str, str] = {}
        running = set()
        for router in self._routers:
            report = self._lab.report(router)
            if report is None:
                continue
            running.add(router)
            for group in (g for c in report["clusters"] for g in c["groups"] if g["state"] == "Owner"):
                owners[group["name"]].append(router)
                reasons[group["name"]] = group["reason"] or ""
        for router in sorted(self._running ^ running):
            self._say(f"the daemon of {router} {'runs' if router in running else 'is gone'}")
        self._running = frozenset(running)
        for group, found in owners.items():
            now = tuple(found)
            if now and now != self._before.get(group):
                self._before[group] = now
                names, what = " and ".join(now), ", ".join(self._addresses[group])
                verb = "owns" if len(now) == 1 else "own at once"
                self._say(f"group {group}: {names} {verb} {what} ({reasons[group]})")
