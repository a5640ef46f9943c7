"""Runs an executable of the host as a transient unit of its systemd: for a daemon in a container."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets

from dbus_fast import Variant

from vyos_agent.edge.systemd import Refused, Systemd, Unreachable

LOOK_S = 0.02
LOOK_MAX_S = 0.5
"""How often it is looked at: soon, and ever later."""
USEC = 1_000_000
KILL_S = 1.0
"""systemd's own time for a unit that does not heed SIGTERM; SIGKILL follows."""
SLACK_S = 5.0
"""For a busy host to do that."""


class HostRun:
    """An Executor over D-Bus."""

    def __init__(self, systemd: Systemd) -> None:
        self._systemd = systemd
        self._life = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def run(self, argv: list[str], environment: dict[str, str], limit_s: float) -> str:
        """Its output is in the host's journal, under the unit's name."""
        unit = f"vyos-cluster-hook-{os.path.basename(argv[0])}-{self._life}-{next(self._numbers)}.service"
        try:
            async with asyncio.timeout(limit_s + KILL_S + SLACK_S):
                await self._systemd.tried()  # the first to ask finds no connection yet
                await self._systemd.start_transient(unit, _properties(argv, environment, limit_s))
                return await self._end(unit, limit_s)
        except TimeoutError:
            return f"{unit} does not end"
        except Refused as error:
            return f"systemd refuses: {error}"
        except Unreachable as error:
            return f"systemd cannot be asked: {error}"

    async def _end(self, unit: str, limit_s: float) -> str:
        wait_s = LOOK_S
        while not (row := await self._systemd.look(unit, watch=False)).at_rest:
            await asyncio.sleep(wait_s)
            wait_s = min(LOOK_MAX_S, 1.5 * wait_s)
        if row.active != "failed":
            return ""
        try:
            result, status = await self._systemd.result(unit)
        finally:
            await self._systemd.reset_failed(unit)  # else it would be remembered for ever
        if result == "timeout":
            return f"killed: it did not end in {limit_s:g} s"
        return f"exit code {status}" if result == "exit-code" else f"{result}, status {status}"


def _properties(argv: list[str], environment: dict[str, str], limit_s: float) -> dict[str, Variant]:
    return {
        "Description": Variant("s", f"Hook of the heartbeat daemon: {' '.join(argv)}"),
        "Type": Variant("s", "oneshot"),
        "ExecStartEx": Variant("a(sasas)", [[argv[0], argv, ["no-env-expand"]]]),
        "Environment": Variant("as", [f"{name}={value}" for name, value in environment.items()]),
        "TimeoutStartUSec": Variant("t", int(limit_s * USEC)),
        "TimeoutStopUSec": Variant("t", int(KILL_S * USEC)),
    }
