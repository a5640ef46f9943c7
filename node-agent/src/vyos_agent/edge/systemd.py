"""The door to the host's systemd: units by name, jobs that end, transient units. Over D-Bus, never blocking.

The connection is made when it is first needed and made anew whenever it is lost (dbus restarts, systemd is executed
anew). Signals are only hints that a unit must be looked at again: what counts is what systemd answers then.

dbus-fast is imported here only, and this module only by a daemon that has host services: 3 MiB that others need not
pay.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

logger = logging.getLogger(__name__)

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
"""Where the host's dbus listens, unless DBUS_SYSTEM_BUS_ADDRESS says otherwise (dbus-daemon(1)). The chart mounts the
directory, so that a socket made anew is seen."""
BUS, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
SYSTEMD, PATH, MANAGER = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
UNITS = "org.freedesktop.systemd1.Unit"
CALL_S = 10.0
"""A manager that does not answer for so long is as good as gone."""
RETRY_S, RETRY_MAX_S = 0.2, 5.0
STOPPED_WITH = ("RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo")
"""Properties of a unit that list what systemd stops with it."""
KIN_MAX = 256
"""Of more units that stop with one, not all are looked at."""
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"

Properties = dict[str, Variant]


def address() -> str:
    """The system bus."""
    return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS


class Unreachable(Exception):
    """There is no systemd to be asked now; the text says why."""


class Refused(Exception):
    """systemd says no. `name` is the D-Bus error's."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One unit as systemd has it now (a row of ListUnitsByNames)."""

    id: str
    """Its name proper, also when it was asked for by an alias."""
    load: str
    """loaded, not-found, masked, bad-setting, error."""
    active: str
    """active, reloading, inactive, failed, activating, deactivating, maintenance."""
    sub: str
    path: str
    job: int
    """The job that is queued or running for it, 0 for none."""

    @property
    def at_rest(self) -> bool:
        """Nothing of it runs, and nothing is about to."""
        return self.active in ("inactive", "failed") and not self.job


@dataclasses.dataclass(frozen=True, slots=True)
class Kin:
    """Units that a start or stop of one unit concerns."""

    names: frozenset[str]
    """The name by which it was asked for, its name proper and all its aliases."""
    stopped: frozenset[str] = frozenset()
    """What systemd stops when it stops the unit (Requires= and the like, of any depth), or starts it (Conflicts=)."""


NOWHERE = Row("", "not-found", "inactive", "dead", "", 0)


class Systemd:
    """One connection. `start` once, `close` once; every call may raise Unreachable or Refused."""

    def __init__(self, address: str, on_unit: Callable[[str], None], on_link: Callable[[str | None], None]) -> None:
        """`on_unit(id)`: look at that unit again. `on_link(text)`: connected (None), or why not."""
        self._address = address
        self._on_unit = on_unit
        self._on_link = on_link
        self._bus: MessageBus | None = None
        self._error = "not connected yet"
        self._watched: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        """Set while connected, and for a moment when an attempt to connect has failed."""

    def start(self) -> None:
        """Connect, now and whenever the connection is lost."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep(), name="systemd")

    async def close(self) -> None:
        """Connect no more."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def tried(self) -> None:
        """Come back with a connection, or when the next attempt at one has failed: within RETRY_MAX_S and CALL_S."""
        if self._bus is None:
            await self._tried.wait()

    # -- what it can be asked

    async def look(self, unit: str, *, watch: bool = True) -> Row:
        """The unit as it is now; with `watch` its signals are heard from now on."""
        (rows,) = await self._call("ListUnitsByNames", "as", [[unit]])
        if not rows:
            return NOWHERE  # a name that systemd does not take
        name, _, load, active, sub, _, path, job, _, _ = rows[0]
        if watch and path not in self._watched:
            await self._watch(path, name)
        return Row(name, load, active, sub, path, job)

    async def kin(self, unit: str) -> Kin:
        """Its names, and what stops with it."""
        row = await self.look(unit, watch=False)
        if row.load == NOWHERE.load:
            return Kin(frozenset({unit, row.id} - {""}))
        first = await self._properties(row.path)
        stopped, waiting = set(_listed(first, "Conflicts")), set(_listed(first, *STOPPED_WITH))
        while waiting - stopped and len(stopped) < KIN_MAX:
            other = min(waiting - stopped)
            stopped.add(other)
            path = (await self.look(other, watch=False)).path
            if path:
                found = await self._properties(path)
                stopped |= {*_listed(found, "Names")} - waiting
                waiting |= {*_listed(found, *STOPPED_WITH)}
        return Kin(frozenset({unit, row.id, *_listed(first, "Names")}), frozenset(stopped))

    async def start_unit(self, unit: str) -> None:
        """Queue its start."""
        await self._call("StartUnit", "ss", [unit, "replace"])

    async def stop_unit(self, unit: str) -> None:
        """Queue its stop."""
        await self._call("StopUnit", "ss", [unit, "replace"])

    async def restart_unit(self, unit: str) -> None:
        """Queue its restart."""
        await self._call("RestartUnit", "ss", [unit, "replace"])

    async def kill_unit(self, unit: str, number: int) -> None:
        """Send a signal to all of its processes."""
        await self._call("KillUnit", "ssi", [unit, "all", number])

    async def reset_failed(self, unit: str) -> None:
        """Forget that it failed, and how often it was started."""
        with contextlib.suppress(Refused):
            await self._call("ResetFailedUnit", "s", [unit])

    async def start_transient(
        self, unit: str, properties: Properties, aux: Sequence[tuple[str, Properties]] = ()
    ) -> None:
        """Make a unit of these properties and queue its start; `aux` units are made and not started."""
        body = [unit, "replace", _pairs(properties), [[name, _pairs(more)] for name, more in aux]]
        await self._call("StartTransientUnit", "ssa(sv)a(sa(sv))", body)

    async def names(self, pattern: str) -> list[str]:
        """Those of the units in memory whose names match."""
        (rows,) = await self._call("ListUnitsByPatterns", "asas", [[], [pattern]])
        return [str(row[0]) for row in rows]

    async def is_oneshot(self, unit: str) -> bool:
        """Whether it is a service that runs to its end and is done."""
        row = await self.look(unit)
        try:
            return str(await self._property(row.path, "Service", "Type")) == "oneshot"
        except Refused:
            return False  # no service: a mount, a target

    async def result(self, unit: str) -> tuple[str, int]:
        """How a service ended: systemd's word for it, and the exit status of its main process."""
        row = await self.look(unit, watch=False)
        both = [await self._property(row.path, "Service", name) for name in ("Result", "ExecMainStatus")]
        return str(both[0]), int(both[1])

    async def _property(self, path: str, kind: str, name: str) -> Any:
        message = Message(SYSTEMD, path, PROPERTIES, "Get", signature="ss", body=[f"{SYSTEMD}.{kind}", name])
        (value,) = await self._ask(message)
        return value.value

    async def _properties(self, path: str) -> Properties:
        (found,) = await self._ask(Message(SYSTEMD, path, PROPERTIES, "GetAll", signature="s", body=[UNITS]))
        return dict(found)

    async def _watch(self, path: str, name: str) -> None:
        changed = f"type='signal',sender='{SYSTEMD}',path='{path}',interface='{PROPERTIES}',member='PropertiesChanged'"
        removed = f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved',arg2='{name}'"
        for rule in (f"{changed},arg0='{UNITS}'", removed):
            await self._match(rule)
        self._watched[path] = name

    async def _match(self, rule: str) -> None:
        await self._ask(Message(BUS, BUS_PATH, BUS, "AddMatch", signature="s", body=[rule]))

    async def _call(self, member: str, signature: str = "", body: list[Any] | None = None) -> list[Any]:
        return await self._ask(Message(SYSTEMD, PATH, MANAGER, member, signature=signature, body=body or []))

    async def _ask(self, message: Message) -> list[Any]:
        bus = self._bus
        if bus is None:
            raise Unreachable(self._error)
        return await _asked(bus, message)

    # -- the connection

    async def _keep(self) -> None:
        wait_s = RETRY_S
        while True:
            try:
                async with _connected(self._address, self._heard) as bus:
                    self._bus, wait_s = bus, RETRY_S
                    self._tried.set()
                    self._on_link(None)
                    await _end(bus)
                self._error = "the bus closed the connection"
            except Exception as error:  # also whatever dbus-fast makes of a bus that talks nonsense
                self._error = _text(error)
            finally:
                self._bus = None
                self._watched.clear()
                self._tried.set()
                self._tried.clear()
            self._on_link(self._error)
            await asyncio.sleep(wait_s)
            wait_s = min(RETRY_MAX_S, 2 * wait_s)

    def _heard(self, message: Message) -> None:
        """Any message; signals that were asked for are hints."""
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "PropertiesChanged" and message.path in self._watched:
            self._on_unit(self._watched[message.path])
        elif message.member == "JobRemoved" and len(message.body) == 4:
            self._on_unit(message.body[2])
        elif message.member == "NameOwnerChanged" and message.body[2] and self._bus is not None:
            self._bus.disconnect()  # another systemd: it knows nothing of our subscription


@contextlib.asynccontextmanager
async def _connected(address: str, heard: Callable[[Message], None]) -> AsyncIterator[MessageBus]:
    """A connection that hears of systemd's signals; closed at the end, whatever happens."""
    bus = MessageBus(bus_address=address)
    try:
        async with asyncio.timeout(CALL_S):
            await bus.connect()
            bus.add_message_handler(heard)
            await _asked(bus, Message(SYSTEMD, PATH, MANAGER, "Subscribe"))
            rule = f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{SYSTEMD}'"
            await _asked(bus, Message(BUS, BUS_PATH, BUS, "AddMatch", signature="s", body=[rule]))
        yield bus
    finally:
        if bus.connected:
            bus.disconnect()
            with contextlib.suppress(Exception):
                await asyncio.shield(_end(bus))


async def _end(bus: MessageBus) -> None:
    await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


async def _asked(bus: MessageBus, message: Message) -> list[Any]:
    try:
        async with asyncio.timeout(CALL_S):
            reply: Message | None = await bus.call(message)
    except TimeoutError:
        bus.disconnect()
        raise Unreachable(f"no answer to {message.member} in {CALL_S:g} s") from None
    except Exception as error:  # dbus-fast passes on what ended the connection, of whatever type
        raise Unreachable(_text(error)) from None
    if reply is None:
        raise Unreachable("the connection was closed")
    if reply.message_type is MessageType.ERROR:
        text = str(reply.body[0]) if reply.body else reply.error_name or "no reason given"
        raise Refused(reply.error_name or "", text)
    return list(reply.body)


def _listed(properties: Properties, *names: str) -> list[str]:
    return [unit for name in names if name in properties for unit in properties[name].value]


def _pairs(properties: Properties) -> list[list[Any]]:
    return [[name, value] for name, value in properties.items()]


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        return "there is no system bus (is /run/dbus of the host mounted?)"
    if isinstance(error, ConnectionResetError | EOFError):
        return "the bus refuses this user"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
