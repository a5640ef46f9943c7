"""Changes of the specification on a live cluster, some of which reach a member late, or not for a long time."""

from __future__ import annotations

import dataclasses
import random

from sim.driver import Driver, Spec
from sim.faults import Args, Shape, for_host, host, kind
from vyos_agent.core.model import Group, Keyring, Vip


@kind("no-config", lambda rng, shape: (host(rng, shape), str(4 * shape.span(rng))), weight=5)
def no_config(driver: Driver, name: str, for_ms: str) -> bool:
    """An API outage for one member: no configuration reaches it."""
    if name in driver.deprived:
        return False
    driver.deprived.add(name)

    def over() -> None:
        driver.deprived.discard(name)
        driver.harm()  # moves need one generation: what waited for that may come now
        driver.reach(driver.host(name))

    driver.mend_later(int(for_ms), over)
    return True


def _on_group(rng: random.Random, shape: Shape) -> Args:
    return rng.choice(shape.groups), host(rng, shape), str(2 * shape.span(rng))


@kind("maintenance", _on_group)
def maintenance(driver: Driver, group: str, name: str, for_ms: str) -> bool:
    """A member must not own the group."""
    found = driver.world.groups.get(group)
    if found is None or name in found.maintenance:
        return False

    def enter(g: Group) -> Group:
        return dataclasses.replace(g, maintenance=g.maintenance | {name})

    def leave(g: Group) -> Group:
        return dataclasses.replace(g, maintenance=g.maintenance - {name})

    _publish(driver, driver.with_group(group, enter), [group])
    driver.mend_later(int(for_ms), lambda: _publish(driver, driver.with_group(group, leave), [group]))
    return True


@kind("cordon", for_host, weight=6)
def cordon(driver: Driver, name: str, for_ms: str) -> bool:
    """A cordon with onCordon: Standby."""
    if name in driver.spec.standby:
        return False
    _publish(driver, lambda s: dataclasses.replace(s, standby=s.standby | {name}), None)
    driver.mend_later(
        int(for_ms), lambda: _publish(driver, lambda s: dataclasses.replace(s, standby=s.standby - {name}), None)
    )
    return True


@kind("reorder-members", lambda rng, shape: (rng.choice(shape.groups), str(rng.getrandbits(32))), weight=5)
def reorder_members(driver: Driver, group: str, seed: str) -> bool:
    """Another primary, other secondaries."""
    rng = random.Random(int(seed))

    def shuffle(g: Group) -> Group:
        return dataclasses.replace(g, members=tuple(rng.sample(g.members, len(g.members))))

    if group not in driver.world.groups:
        return False
    _publish(driver, driver.with_group(group, shuffle), [group])
    return True


@kind("toggle-failback", lambda rng, shape: (rng.choice(shape.groups),), weight=4)
def toggle_failback(driver: Driver, group: str) -> bool:
    if group not in driver.world.groups:
        return False
    _publish(
        driver, driver.with_group(group, lambda g: dataclasses.replace(g, auto_failback=not g.auto_failback)), [group]
    )
    return True


@kind("extra-group", lambda rng, shape: (str(4 * shape.span(rng)),), weight=5)
def extra_group(driver: Driver, for_ms: str) -> bool:
    """A group is added on a live cluster, and removed again; no other may notice."""
    if any(g.name == "extra" for g in driver.spec.groups):
        return False
    members = tuple(driver.world.hosts)
    new = Group("extra", members, False, 1000, (Vip("192.168.9.9", 24, driver.spec.interfaces[0]),))
    driver.harm(["extra"])
    _publish(driver, lambda s: dataclasses.replace(s, groups=(*s.groups, new)), ["extra"])

    def remove() -> None:
        _publish(driver, _without, ["extra"])

    driver.mend_later(int(for_ms), remove)
    return True


def _without(spec: Spec) -> Spec:
    return dataclasses.replace(spec, groups=tuple(g for g in spec.groups if g.name != "extra"))


@kind("remove-member", _on_group, weight=5)
def remove_member(driver: Driver, group: str, name: str, for_ms: str) -> bool:
    """A member leaves a group, and comes back as its last secondary."""
    found = next((g for g in driver.spec.groups if g.name == group), None)
    if found is None or name not in found.members or len(found.members) < 3:
        return False

    def leave(g: Group) -> Group:
        return dataclasses.replace(g, members=tuple(m for m in g.members if m != name))

    def back(g: Group) -> Group:
        return g if name in g.members else dataclasses.replace(g, members=(*g.members, name))

    _publish(driver, driver.with_group(group, leave), [group])
    driver.mend_later(int(for_ms), lambda: _publish(driver, driver.with_group(group, back), [group]))
    return True


@kind("intervals", lambda rng, shape: (str(rng.choice((50, 80, 120, 200))), str(4 * shape.span(rng))), weight=5)
def intervals(driver: Driver, percent: str, for_ms: str) -> bool:
    """Other intervals on a live cluster: between half and twice the old ones; nothing may move."""
    spec = driver.spec
    keepalive_ms = max(20, spec.keepalive_ms * int(percent) // 100)
    dead_ms = max(2 * keepalive_ms + 1, spec.dead_ms * int(percent) // 100, 100)

    def change(s: Spec) -> Spec:
        return dataclasses.replace(s, keepalive_ms=keepalive_ms, dead_ms=min(dead_ms, 29_000))

    def back(s: Spec) -> Spec:
        return dataclasses.replace(s, keepalive_ms=spec.keepalive_ms, dead_ms=spec.dead_ms)

    if driver.changing:
        return False
    driver.changing = True
    _publish(driver, change, None)

    def over() -> None:
        driver.changing = False
        _publish(driver, back, None)

    driver.mend_later(int(for_ms), over)
    return True


@kind("rotate-key", lambda rng, shape: (str(rng.getrandbits(64)),), weight=5)
def rotate_key(driver: Driver, seed: str) -> bool:
    """The pre-shared secret changes: all accept both keys, then send with the new, then forget the old."""
    if driver.rotating or driver.deprived:
        return False
    driver.rotating = True
    old = driver.spec.keyring
    new_id = old.send_id % 255 + 1
    new_key = random.Random(int(seed)).randbytes(32)
    stages = [
        Keyring(old.send_id, {**old.keys, new_id: new_key}),
        Keyring(new_id, {**old.keys, new_id: new_key}),
        Keyring(new_id, {new_id: new_key}),
    ]

    def stage() -> None:
        if any(h.seen_generation != driver.spec.generation for h in driver.world.hosts.values()):
            driver.mend_later(500, stage)  # the operator waits until every member has acknowledged the stage before
            return
        if not stages:
            driver.rotating = False
            return
        keyring = stages.pop(0)
        driver.publish(lambda s: dataclasses.replace(s, keyring=keyring))
        driver.mend_later(500, stage)

    driver.mend_later(1, stage)
    return True


def _publish(driver: Driver, change: object, groups: list[str] | None) -> None:
    assert callable(change)
    driver.harm(groups)
    driver.publish(change)
    # It reaches the last member a little later.
    driver.mend_later(500, lambda: driver.harm(groups))
