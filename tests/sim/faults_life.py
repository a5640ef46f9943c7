"""Faults of processes and machines: killed, frozen, paused, powered off, restored, stopped, and started again."""

from __future__ import annotations

import random

from sim.driver import Driver
from sim.faults import Args, Shape, for_host, host, kind, two
from vyos_agent.core.events import Stopping

BOUNDARIES = ("Send", "Hold", "Serve", "Announce", "Persist", "Decided")
"""Effects before which a freeze may fall."""


def _kill(driver: Driver, name: str, down_ms: str, disk: dict[str, int] | None = None, *, power: bool = False) -> bool:
    """End the daemon or the machine; it comes back with its own disk, or with the one given."""
    machine = driver.host(name)
    if machine.node is None or machine.clock.paused:
        return False
    driver.harm_of(name)
    if power:
        machine.power_off()
    else:
        machine.kill()
    if disk is not None:
        machine.disk = disk
    _start_later(driver, name, int(down_ms))
    return True


def _start_later(driver: Driver, name: str, wait_ms: int) -> None:
    def start() -> None:
        machine = driver.host(name)
        if machine.clock.paused:
            driver.mend_later(500, start)  # it stands still: nothing starts in it
        elif machine.node is None:
            driver.harm_back(name)
            machine.start()

    driver.mend_later(wait_ms, start)


@kind("kill", for_host)
def kill(driver: Driver, name: str, down_ms: str) -> bool:
    return _kill(driver, name, down_ms)


@kind("kill-forget", for_host, weight=5)
def kill_forget(driver: Driver, name: str, down_ms: str) -> bool:
    """It restarts without its state."""
    return _kill(driver, name, down_ms, {})


@kind("kill-foreign", lambda rng, shape: (*two(rng, shape), str(shape.span(rng))), weight=5)
def kill_foreign(driver: Driver, name: str, other: str, down_ms: str) -> bool:
    """It restarts with another node's state."""
    return _kill(driver, name, down_ms, dict(driver.host(other).disk))


@kind("power", for_host)
def power(driver: Driver, name: str, down_ms: str) -> bool:
    return _kill(driver, name, down_ms, power=True)


@kind("blackout", lambda rng, shape: (str(shape.span(rng)), str(rng.randint(0, 500))), weight=3)
def blackout(driver: Driver, down_ms: str, spread_ms: str) -> bool:
    """Total power loss; all come back within a while."""
    for i, name in enumerate(driver.world.hosts):
        _kill(driver, name, str(int(down_ms) + i * int(spread_ms)), power=True)
    driver.harm()
    return True


def _thaw_later(driver: Driver, name: str, wait_ms: int) -> None:
    def thaw() -> None:
        machine = driver.host(name)
        machine.trap = None
        if machine.frozen:
            driver.harm_back(name)
            machine.thaw()

    driver.mend_later(wait_ms, thaw)


@kind("freeze", for_host)
def freeze(driver: Driver, name: str, for_ms: str) -> bool:
    machine = driver.host(name)
    if not machine.runs:
        return False
    driver.harm_of(name)
    machine.freeze()
    _thaw_later(driver, name, int(for_ms))
    return True


def _at_boundary(rng: random.Random, shape: Shape) -> Args:
    return host(rng, shape), rng.choice(BOUNDARIES), str(shape.span(rng))


@kind("freeze-before", _at_boundary)
def freeze_before(driver: Driver, name: str, effect: str, for_ms: str) -> bool:
    """Frozen between a decision and its effect."""
    machine = driver.host(name)
    if not machine.runs:
        return False

    def sprung() -> None:
        driver.harm_of(name)
        _thaw_later(driver, name, int(for_ms))

    machine.trap, machine.on_trap = effect, sprung
    driver.mend_later(10_000, lambda: _disarm(driver, name))
    return True


def _disarm(driver: Driver, name: str) -> None:
    driver.host(name).trap = None


@kind("overflow", for_host, weight=5)
def overflow(driver: Driver, name: str, for_ms: str) -> bool:
    """Frozen, and its receive queue is full of recordings at once, so that the newest frames are lost."""
    machine = driver.host(name)
    if not machine.runs or not driver.world.network.tape:
        return False
    driver.harm()  # it loses the frames of all the others, perhaps for less than makes it late
    machine.freeze()
    driver.world.peace.replayed_ms = driver.world.now
    driver.world.network.replay(300, 0, [name])
    _thaw_later(driver, name, int(for_ms))
    return True


@kind("pause", for_host, weight=5)
def pause(driver: Driver, name: str, for_ms: str) -> bool:
    """The whole machine stands still, clocks and all."""
    return _pause(driver, name, for_ms, suspend=False)


@kind("suspend", for_host, weight=5)
def suspend(driver: Driver, name: str, for_ms: str) -> bool:
    """The machine sleeps, and one of its clocks knows of it."""
    return _pause(driver, name, for_ms, suspend=True)


def _pause(driver: Driver, name: str, for_ms: str, *, suspend: bool) -> bool:
    machine = driver.host(name)
    if machine.clock.paused:
        return False
    driver.harm_of(name)
    machine.pause(suspend=suspend)

    def resume() -> None:
        driver.harm_back(name)
        machine.resume()

    driver.mend_later(int(for_ms), resume)
    return True


@kind("roll-back", for_host, weight=3)
def roll_back(driver: Driver, name: str, after_ms: str) -> bool:
    """The machine is restored from a snapshot taken now."""
    saved = driver.host(name).snapshot()
    if saved is None or not driver.host(name).runs:
        return False

    def restore() -> None:
        machine = driver.host(name)
        if machine.runs and machine.config == saved.config:
            driver.harm()
            machine.roll_back(saved)

    driver.mend_later(int(after_ms), restore)
    return True


@kind("sigterm", for_host)
def sigterm(driver: Driver, name: str, back_ms: str) -> bool:
    """A rolling upgrade: it leaves, and comes back."""
    machine = driver.host(name)
    if not machine.runs:
        return False
    driver.harm_of(name)
    life = machine.life
    machine.feed(Stopping())

    def gone() -> None:
        if machine.clock.paused:
            driver.mend_later(500, gone)
            return
        if machine.node is not None and machine.life == life:
            driver.harm_of(name)
            machine.kill()  # the grace period is over
        _start_later(driver, name, 1)

    driver.mend_later(20_000 + int(back_ms), gone)
    return True


@kind("clock-rate", lambda rng, shape: (host(rng, shape), str(rng.randint(-500, 500))), weight=5)
def clock_rate(driver: Driver, name: str, ppm: str) -> bool:
    """Its clock runs fast or slow from now on."""
    machine = driver.host(name)
    if machine.clock.paused:
        return False
    machine.clock.run_at(driver.world.now, int(ppm))
    return True


def _step(rng: random.Random, shape: Shape) -> Args:
    return host(rng, shape), str(rng.choice((-1, 1)) * rng.choice((50, 1_000, 30_000, 3_600_000)))


@kind("wall-step", _step, weight=5)
def wall_step(driver: Driver, name: str, by_ms: str) -> bool:
    """Somebody sets the wall clock."""
    driver.host(name).clock.step_wall(int(by_ms))
    return True
