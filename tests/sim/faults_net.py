"""Faults of the network: cuts, partitions, weather, dead carriers, and an attacker with a recorder."""

from __future__ import annotations

import random

from sim.driver import Driver
from sim.faults import BYGONE_MS, Args, Shape, for_pair, host, kind, some


@kind("cut", for_pair)
def cut(driver: Driver, x: str, y: str, for_ms: str) -> bool:
    """Two members do not hear each other."""
    return _cut(driver, {(x, y), (y, x)}, for_ms)


@kind("cut-one-way", for_pair)
def cut_one_way(driver: Driver, x: str, y: str, for_ms: str) -> bool:
    """The second does not hear the first."""
    return _cut(driver, {(x, y)}, for_ms)


def _cut(driver: Driver, pairs: set[tuple[str, str]], for_ms: str) -> bool:
    network = driver.world.network
    new = pairs - network.cut
    if not new:
        return False
    network.cut |= new
    driver.mend_later(int(for_ms), lambda: network.cut.difference_update(new))
    return True


def _sides(rng: random.Random, shape: Shape) -> Args:
    parts = rng.randint(2, len(shape.members))
    side = [rng.randrange(parts) for _ in shape.members]
    names = ["".join(f"{m}," for m, s in zip(shape.members, side, strict=True) if s == p) for p in range(parts)]
    return "|".join(n.strip(",") for n in names if n), str(shape.span(rng))


@kind("partition", _sides)
def partition(driver: Driver, sides: str, for_ms: str) -> bool:
    """Members of different sides do not hear each other."""
    parts = [side.split(",") for side in sides.split("|")]
    return _cut(driver, {(x, y) for s in parts for x in s for t in parts if t is not s for y in t}, for_ms)


def _on_lan(rng: random.Random, shape: Shape) -> Args:
    return *for_pair(rng, shape)[:2], rng.choice(shape.interfaces), str(shape.span(rng))


@kind("cut-on", _on_lan, weight=5)
def cut_on(driver: Driver, x: str, y: str, interface: str, for_ms: str) -> bool:
    """The second does not hear the first on one LAN."""
    network = driver.world.network
    if (x, y, interface) in network.cut_on:
        return False
    network.cut_on.add((x, y, interface))
    driver.mend_later(int(for_ms), lambda: network.cut_on.discard((x, y, interface)))
    return True


@kind("carrier", lambda rng, shape: (host(rng, shape), rng.choice(shape.interfaces), str(shape.span(rng))))
def carrier(driver: Driver, name: str, interface: str, for_ms: str) -> bool:
    """An interface loses its link."""
    return _carrier(driver, [name], interface, for_ms)


@kind("switch", lambda rng, shape: (rng.choice(shape.interfaces), str(shape.span(rng))), weight=3)
def switch(driver: Driver, interface: str, for_ms: str) -> bool:
    """The switch reboots: every carrier of one LAN is gone."""
    return _carrier(driver, list(driver.world.hosts), interface, for_ms)


def _carrier(driver: Driver, names: list[str], interface: str, for_ms: str) -> bool:
    network = driver.world.network
    new = [n for n in names if (n, interface) not in network.deaf]
    driver.harm()
    for name in new:
        network.deaf.add((name, interface))
        driver.host(name).set_link(interface, up=False)

    def up() -> None:
        driver.harm()
        network.note_cuts()
        for name in new:
            network.deaf.discard((name, interface))
            driver.host(name).set_link(interface, up=True)

    driver.mend_later(int(for_ms), up)
    return bool(new)


@kind("unnumbered", lambda rng, shape: (host(rng, shape), rng.choice(shape.interfaces), str(shape.span(rng))), weight=4)
def unnumbered(driver: Driver, name: str, interface: str, for_ms: str) -> bool:
    """An interface loses its own address: it takes frames, and carries none."""
    network = driver.world.network
    if (name, interface) in network.mute:
        return False
    driver.harm()
    network.mute.add((name, interface))
    driver.host(name).around.set_mute(interface, mute=True)

    def over() -> None:
        driver.harm()
        network.note_cuts()
        network.mute.discard((name, interface))
        driver.host(name).around.set_mute(interface, mute=False)

    driver.mend_later(int(for_ms), over)
    return True


@kind("loss", lambda rng, shape: (str(rng.choice((1, 5, 10, 20, 40))), str(2 * shape.span(rng))))
def loss(driver: Driver, percent: str, for_ms: str) -> bool:
    """A share of all frames is lost, at random."""
    weather = driver.world.network.weather
    if weather.loss:
        return False
    weather.loss = int(percent) / 100

    def over() -> None:
        weather.loss = 0.0

    driver.mend_later(int(for_ms), over)
    return True


@kind("duplicate", lambda rng, shape: (str(rng.choice((5, 50))), str(2 * shape.span(rng))), weight=5)
def duplicate(driver: Driver, percent: str, for_ms: str) -> bool:
    """A share of all frames comes twice."""
    weather = driver.world.network.weather
    if weather.duplicate:
        return False
    weather.duplicate = int(percent) / 100

    def over() -> None:
        weather.duplicate = 0.0

    driver.mend_later(int(for_ms), over)
    return True


@kind("reorder", lambda rng, shape: (str(rng.choice((5, 50))), str(shape.keepalive_ms // 2), str(2 * shape.span(rng))))
def reorder(driver: Driver, percent: str, late_ms: str, for_ms: str) -> bool:
    """A share of all frames is late, so that later ones overtake them."""
    weather = driver.world.network.weather
    if weather.late_ms:
        return False
    weather.reorder, weather.late_ms = int(percent) / 100, int(late_ms)
    driver.harm()

    def over() -> None:
        weather.reorder = 0.0
        driver.harm()

    def bygone() -> None:
        weather.late_ms = 0

    driver.mend_later(int(for_ms), over)
    driver.mend_later(int(for_ms) + BYGONE_MS, bygone)
    return True


@kind(
    "delay",
    lambda rng, shape: (str(rng.randint(2, max(3, min(40, shape.keepalive_ms // 4)))), str(2 * shape.span(rng))),
    weight=5,
)
def delay(driver: Driver, most_ms: str, for_ms: str) -> bool:
    """The network is slower."""
    network = driver.world.network
    before = network.delay_ms
    if network.slow_ms or before[1] >= int(most_ms):
        return False
    network.delay_ms = (before[0], int(most_ms))
    network.slow_ms = int(most_ms)
    driver.harm()

    def over() -> None:
        network.delay_ms = before
        driver.harm()

    def bygone() -> None:
        network.slow_ms = 0

    driver.mend_later(int(for_ms), over)
    driver.mend_later(int(for_ms) + BYGONE_MS, bygone)
    return True


def _recording(rng: random.Random, shape: Shape) -> Args:
    return some(rng, shape.members), str(rng.randint(1, 200)), str(rng.choice((0, 1, 10, 100)))


@kind("replay", _recording)
def replay(driver: Driver, targets: str, count: str, gap_ms: str) -> bool:
    """Frames of anybody, of any time, on any link, to these members."""
    driver.world.peace.replayed_ms = driver.world.now + int(count) * int(gap_ms)
    return driver.world.network.replay(int(count), int(gap_ms), targets.split(",")) > 0


def _of_one(rng: random.Random, shape: Shape) -> Args:
    return host(rng, shape), *_recording(rng, shape)


@kind("replay-of", _of_one)
def replay_of(driver: Driver, source: str, targets: str, count: str, gap_ms: str) -> bool:
    """Frames of one member (dead or alive, of this life or an earlier one)."""
    driver.world.peace.replayed_ms = driver.world.now + int(count) * int(gap_ms)
    return driver.world.network.replay(int(count), int(gap_ms), targets.split(","), source=source) > 0


@kind("forge", lambda rng, shape: (some(rng, shape.members), str(rng.randint(1, 50)), str(rng.getrandbits(32))))
def forge(driver: Driver, targets: str, count: str, seed: str) -> bool:
    """Frames without the key: noise, cut short, a bit turned, another cluster's, too long."""
    network, rng = driver.world.network, random.Random(int(seed))
    for _ in range(int(count)):
        data = bytearray(rng.choice(network.tape).data if network.tape else rng.randbytes(200))
        match rng.randrange(5):
            case 0:
                data = bytearray(rng.randbytes(rng.randint(0, 1500)))
            case 1:
                del data[rng.randrange(len(data)) :]
            case 2:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 3:
                data[12:28] = rng.randbytes(16)
            case _:
                data += rng.randbytes(1500)
        for target in targets.split(","):
            network.deliver(target, rng.choice(driver.world.interfaces), bytes(data), rng.randint(0, 50))
    return True
