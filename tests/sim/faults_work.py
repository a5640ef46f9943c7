"""Faults of what a member works with: the kernel's addresses, host services, monitors; and a person's commands."""

from __future__ import annotations

import random

from sim.driver import Driver
from sim.faults import BYGONE_MS, Args, Shape, host, kind, some
from vyos_agent.core.events import Forced, Hint, Hinted
from vyos_agent.core.model import Force


def _on_group(rng: random.Random, shape: Shape) -> Args:
    return host(rng, shape), rng.choice(shape.groups), str(shape.span(rng))


@kind("refuse", _on_group, weight=4)
def refuse(driver: Driver, name: str, group: str, for_ms: str) -> bool:
    """The kernel refuses the group's addresses."""
    found, machine = driver.world.groups.get(group), driver.host(name)
    if found is None or machine.kernel.refuses & set(found.vips):
        return False
    vips = set(found.vips)
    kernel = machine.kernel
    kernel.refuses |= vips
    driver.harm([group])

    def over() -> None:
        kernel.refuses -= vips
        driver.harm([group])

    driver.mend_later(int(for_ms), over)
    return True


@kind("occupy", _on_group, weight=4)
def occupy(driver: Driver, name: str, group: str, for_ms: str) -> bool:
    """The administrator gives the machine an address of the group for good."""
    found, machine = driver.world.groups.get(group), driver.host(name)
    if found is None or machine.around.occupied:
        return False
    driver.harm([group])
    machine.around.occupy(*(v.address for v in found.vips))

    def over() -> None:
        driver.harm(None)
        machine.around.occupy()

    driver.mend_later(int(for_ms), over)
    return True


@kind("steal", lambda rng, shape: _on_group(rng, shape)[:2], weight=4)
def steal(driver: Driver, name: str, group: str) -> bool:
    """Somebody removes the group's addresses from the interface."""
    found, machine = driver.world.groups.get(group), driver.host(name)
    if found is None or machine.clock.paused or driver.world.held[name].isdisjoint(found.vips):
        return False
    driver.harm([group])
    machine.robbed_ms = driver.world.now
    for vip in found.vips:
        machine.kernel.remove(vip)
    machine.look()
    machine.keeper.wake()
    return True


@kind(
    "slow-netlink", lambda rng, shape: (host(rng, shape), str(rng.choice((20, 60, 150, 400))), str(2 * shape.span(rng)))
)
def slow_netlink(driver: Driver, name: str, most_ms: str, for_ms: str) -> bool:
    """Others hold the kernel's lock: calls take their time."""
    machine = driver.host(name)
    if machine.netlink_ms is not None:
        return False
    machine.netlink_ms = (0, int(most_ms))
    machine.netlink_bounds_ms.append(int(most_ms))

    def over() -> None:
        machine.netlink_ms = None

    def bygone() -> None:
        machine.netlink_bounds_ms.remove(int(most_ms))

    driver.mend_later(int(for_ms), over)
    driver.mend_later(int(for_ms) + BYGONE_MS, bygone)
    return True


def _unit(rng: random.Random, shape: Shape) -> Args:
    return host(rng, shape), rng.choice(shape.units) if shape.units else "-", str(shape.span(rng))


def _break_unit(driver: Driver, name: str, unit: str, for_ms: str, what: str) -> bool:
    systemd = driver.host(name).systemd
    broken: set[str] = getattr(systemd, what)
    if unit == "-" or unit in broken:
        return False
    groups = [g.name for g in driver.world.groups.values() if unit in g.units]
    broken.add(unit)
    driver.harm(groups)

    def over() -> None:
        broken.discard(unit)
        systemd.unstuck_ms = driver.world.now
        driver.harm(groups)

    driver.mend_later(int(for_ms), over)
    return True


@kind("unit-fails", _unit, weight=4)
def unit_fails(driver: Driver, name: str, unit: str, for_ms: str) -> bool:
    """A service does not start."""
    return _break_unit(driver, name, unit, for_ms, "fails")


@kind("unit-stuck", _unit, weight=4)
def unit_stuck(driver: Driver, name: str, unit: str, for_ms: str) -> bool:
    """A service does not stop."""
    return _break_unit(driver, name, unit, for_ms, "stuck")


@kind("unit-absent", _unit, weight=3)
def unit_absent(driver: Driver, name: str, unit: str, for_ms: str) -> bool:
    """A service does not exist there."""
    return _break_unit(driver, name, unit, for_ms, "absent")


@kind("unit-crash", lambda rng, shape: _on_group(rng, shape)[:2], weight=6)
def unit_crash(driver: Driver, name: str, group: str) -> bool:
    """A service that runs ends by itself."""
    machine = driver.host(name)
    if not machine.systemd.runs(group) or not machine.runs:
        return False
    driver.harm([group])
    machine.services.crash(group)
    return True


def _some_monitors(rng: random.Random, shape: Shape) -> Args:
    return host(rng, shape), some(rng, shape.monitors), str(2 * shape.span(rng))


@kind("monitors", _some_monitors)
def monitors(driver: Driver, name: str, lost: str, for_ms: str) -> bool:
    """A member does not reach these monitors."""
    return _monitors(driver, [name], lost, for_ms)


@kind("monitor-down", lambda rng, shape: _some_monitors(rng, shape)[1:], weight=5)
def monitor_down(driver: Driver, lost: str, for_ms: str) -> bool:
    """The monitors themselves are down: nobody reaches them, which is a tie."""
    return _monitors(driver, list(driver.world.hosts), lost, for_ms)


def _monitors(driver: Driver, names: list[str], lost: str, for_ms: str) -> bool:
    addresses = lost.split(",")
    hosts = [driver.host(n) for n in names if all(driver.host(n).monitors.get(a, True) for a in addresses)]
    if lost == "-" or len(hosts) < len(names):
        return False
    _set_monitors(driver, names, addresses, reachable=False)
    driver.mend_later(int(for_ms), lambda: _set_monitors(driver, names, addresses, reachable=True))
    return True


def _set_monitors(driver: Driver, names: list[str], addresses: list[str], *, reachable: bool) -> None:
    driver.harm([g.name for g in driver.world.groups.values() if set(g.monitors) & set(addresses)])
    for name in names:
        driver.host(name).monitors.update(dict.fromkeys(addresses, reachable))
        driver.host(name).tell_monitors()


def _command(rng: random.Random, shape: Shape) -> Args:
    return host(rng, shape), rng.choice((*shape.groups, "-"))


@kind("force-active", _command)
def force_active(driver: Driver, name: str, group: str) -> bool:
    return _force(driver, name, group, Force.ACTIVE)


@kind("force-standby", _command)
def force_standby(driver: Driver, name: str, group: str) -> bool:
    return _force(driver, name, group, Force.STANDBY)


def _force(driver: Driver, name: str, group: str, command: Force) -> bool:
    if not driver.host(name).runs:
        return False
    driver.harm(None if group == "-" else [group])
    driver.host(name).feed(Forced(command, None if group == "-" else group))
    return True


@kind("hint", lambda rng, shape: (host(rng, shape), rng.choice(shape.groups), str(rng.randint(1, 40))), weight=5)
def hint(driver: Driver, name: str, group: str, above: str) -> bool:
    """The status knows of a higher epoch than this member does."""
    machine = driver.host(name)
    if not machine.runs or group not in driver.world.groups:
        return False
    epoch = max(h.disk.get(group, 0) for h in driver.world.hosts.values()) + int(above)
    machine.feed(Hinted({group: Hint(epoch)}))
    return True


@kind("status", lambda rng, shape: (host(rng, shape), rng.choice(shape.groups)), weight=8)
def status(driver: Driver, name: str, group: str) -> bool:
    """A member reads in the status who claims the group: it may be its own claim, or one on the other side of a cut."""
    machine = driver.host(name)
    if not machine.runs or group not in driver.world.claimed or name in driver.deprived:
        return False
    machine.feed(Hinted({group: driver.world.claimed[group]}))
    return True


@kind(
    "old-status", lambda rng, shape: (*rng.sample(shape.members, 2), rng.choice(shape.groups), str(rng.randint(0, 9)))
)
def old_status(driver: Driver, name: str, owner: str, group: str, above: str) -> bool:
    """The status names an owner of long ago, at an epoch that no living member knows."""
    machine = driver.host(name)
    if not machine.runs or group not in driver.world.groups:
        return False
    epoch = max(h.disk.get(group, 0) for h in driver.world.hosts.values()) + int(above)
    machine.feed(Hinted({group: Hint(epoch, owner)}))
    return True
