"""Every field that can be edited live, edited live, with one member that learns of it late.

Among members that can hear each other there are never two holders of an address, and it is never without one; in the
end kernel, report and configuration of each member say the same. A table: each row is one edit of the manifest's spec.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import values
from edge.lan import Lan, lan
from edge.waiting import wait
from vyos_api import keys, manifest, render
from vyos_api.nodeconfig import Key, KeySet

pytestmark = pytest.mark.netns

D_S = 1.5
SPEC: dict[str, Any] = {
    "interfaces": ["eth0"],
    "keepaliveInterval": "150ms",
    "deadInterval": f"{D_S:g}s",
    "monitorDeadInterval": "2s",
    "initDeadInterval": "3s",
    "preSharedSecret": {"value": "one"},
    "groups": [
        {"name": "g", "primary": "r1", "secondaries": ["r2"], "services": ["192.168.0.123/24/eth0"]},
        {"name": "h", "primary": "r2", "secondaries": ["r1"], "services": ["192.168.0.124/24/eth0"]},
    ],
}
NODES = {"r1": ("192.168.0.11",), "r2": ("192.168.0.12",)}
LONG_S = 1.3 * D_S
"""Longer than the dead interval: who is not heard meanwhile is dead."""
SHORT_S = 0.5
SPEC_INIT_S = 3.0
"""initDeadInterval: who hears nobody until then claims."""

Spec = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Edit:
    """One row: what is changed, who learns of it late, and by how much."""

    name: str
    change: Callable[[Spec], object]
    late: str = "r2"
    late_s: float = SHORT_S
    moves: bool = False
    """The group is handed over, with two holders for a moment."""


def put(**fields: Any) -> Callable[[Spec], object]:
    return lambda spec: spec.update(fields)


def of_group(index: int, **fields: Any) -> Callable[[Spec], object]:
    return lambda spec: spec["groups"][index].update(fields)


WAYS = [
    Edit("port", put(port=7000), late_s=LONG_S),
    Edit("port, the other member late", put(port=7001), late="r1", late_s=LONG_S),
    Edit("mcastGroup", put(mcastGroup="239.1.1.1"), late_s=LONG_S),
    Edit("mcastGroup, to IPv6", put(mcastGroup="ff05::694"), late="r1", late_s=LONG_S),
    Edit("interfaces, another", put(interfaces=["eth1"]), late_s=LONG_S),
    Edit("interfaces, one more in front", put(interfaces=["eth1", "eth0"]), late="r1", late_s=LONG_S),
    Edit("unicast, and another group", put(unicast=True, mcastGroup="239.1.1.2"), late_s=LONG_S),
    Edit("preSharedSecret", put(preSharedSecret={"value": "two"}), late_s=LONG_S),
    Edit(
        "secret, port and interfaces at once",
        put(preSharedSecret={"value": "three"}, port=7002, interfaces=["eth1"]),
        late="r1",
        late_s=LONG_S,
    ),
]


def text_of(spec: Spec, **metadata: Any) -> str:
    """The manifest."""
    named = {"name": "edge", **metadata}
    return json.dumps(
        {"apiVersion": "cluster.vyos.io/v1alpha1", "kind": "VyosCluster", "metadata": named, "spec": spec}
    )


MORE = "192.168.0.125/24/eth0"
INTERVALS = [
    Edit("keepaliveInterval", put(keepaliveInterval="100ms")),
    Edit("deadInterval", put(deadInterval="2s"), late="r1"),
    Edit("initDeadInterval", put(initDeadInterval="4s")),
    Edit("monitorDeadInterval", put(monitorDeadInterval="1s"), late="r1"),
    Edit("ttl", put(ttl=2)),
    Edit("announcements", put(announcements={"count": 2, "interval": "100ms", "refresh": "1s"}), late="r1"),
    Edit("onCordon", put(onCordon="Standby")),
]
GROUPS = [
    Edit("services, one more", of_group(0, services=["192.168.0.123/24/eth0", MORE])),
    Edit("services, one more, the owner late", of_group(0, services=["192.168.0.123/24/eth0", MORE]), late="r1"),
    Edit("services, another", of_group(0, services=[MORE]), late="r1"),
    Edit("services, another order", of_group(0, services=[MORE, "192.168.0.123/24/eth0"])),
    Edit("autoFailback", of_group(0, autoFailback=True), late="r1"),
    Edit("failbackDelay", of_group(0, failbackDelay="1s", autoFailback=True)),
    Edit("monitors", of_group(0, monitors=["192.168.0.11", "192.168.0.12"]), late="r1"),
    Edit("members, another order", of_group(0, primary="r2", secondaries=["r1"])),
    Edit("maintenance of the owner", of_group(1, maintenance=["r2"]), moves=True),
    Edit("maintenance of another, the owner late", of_group(1, maintenance=["r2"]), late="r1", moves=True),
    Edit("a group more", lambda spec: spec["groups"].append(THIRD)),
    Edit("a group more, the primary late", lambda spec: spec["groups"].append(THIRD), late="r1"),
    Edit("a group less", lambda spec: spec["groups"].pop()),
    Edit("a group less, its owner late", lambda spec: spec["groups"].pop(), late="r1"),
]
THIRD = {"name": "i", "primary": "r1", "secondaries": ["r2"], "services": [MORE]}


class Pair:
    """Two members, and what each was configured with last."""

    def __init__(self, found: Lan) -> None:
        self.lan = found
        self.generation = 0
        self.now: dict[str, Spec] = {}

    def configure(self, name: str, spec: Spec) -> None:
        found = manifest.read(text_of(spec, uid=values.UID, generation=self.generation))
        config = render.render(found.cluster, name, NODES)
        secret = keys.heartbeat_key(found.secret, config.uid)
        self.lan[name].configure(values.order(config, KeySet(config.uid, (Key(1, "send", secret),))))
        self.now[name] = spec

    def edit(self, spec: Spec, *, late: str, late_s: float) -> None:
        self.generation += 1
        early = next(name for name in ("r1", "r2") if name != late)
        self.configure(early, spec)
        time.sleep(late_s)
        self.configure(late, spec)

    def settled(self, spec: Spec) -> bool:
        """Kernels, reports and configuration say the same."""
        for group in spec["groups"]:
            owners = {self.lan[n].owner(group["name"]) for n in self.now}
            if len(owners) != 1 or None in owners:
                return False
            (owner,) = owners
            shown = {g["name"]: g["addresses"] for g in self.lan[str(owner)].cluster()["groups"]}
            wanted = [s for s in group["services"] if "/" in s]
            if sorted(shown[group["name"]]) != sorted(wanted):
                return False
            if any(self.lan.watcher.holders(s.split("/")[0]) != {owner} for s in wanted):
                return False
        reports = [self.lan[n].cluster() for n in self.now]
        return all(
            r["generation"] == self.generation and r["deviations"] == [] and r["peers"]["ready"] == 1 for r in reports
        )


def addresses(spec: Spec) -> set[str]:
    return {s.split("/")[0] for group in spec["groups"] for s in group["services"] if "/" in s}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with lan(tmp_path, "r1", "r2", links=2) as found:
        made = Pair(found)
        made.generation = 1
        for router in found.routers.values():
            router.start()
        for name in found.routers:
            made.configure(name, copy.deepcopy(SPEC))
        wait(lambda: made.settled(SPEC), "the beginning")
        yield made


def walk(pair: Pair, rows: list[Edit]) -> None:
    """Each edit, and the way back to the first manifest: with the next edit."""
    spec = SPEC
    for row in rows:
        before, spec = spec, copy.deepcopy(SPEC)
        row.change(spec)
        since = time.monotonic()
        pair.edit(spec, late=row.late, late_s=row.late_s)
        wait(lambda: pair.settled(spec), row.name)  # noqa: B023 (called within this turn of the loop)
        for address in addresses(before) | addresses(spec):
            assert pair.lan.watcher.most(address, since) == 1 or row.moves, row.name
        for address in addresses(before) & addresses(spec):
            assert pair.lan.watcher.dark_s(address, since) == 0, row.name
        gone = addresses(before) - addresses(spec)
        wait(lambda: not any(map(pair.lan.watcher.holders, gone)), row.name)  # noqa: B023 (called within this turn of the loop)


def test_where_heartbeats_go(pair: Pair) -> None:
    """The members stay in contact, whatever one of them does not know yet; then the former ways are forgotten."""
    walk(pair, WAYS)
    last = "every member has the new configuration"
    for router in pair.lan.routers.values():
        wait(lambda: router.log.count(last) >= len(WAYS) - 1, "the former ways to be forgotten")  # noqa: B023 (called within this turn of the loop)


def test_intervals(pair: Pair) -> None:
    """What is no part of a group moves none."""
    walk(pair, INTERVALS)


def test_groups(pair: Pair) -> None:
    """What comes has one holder, what goes has none, and what stays is held without a gap."""
    walk(pair, GROUPS)


def test_a_restart_in_the_middle(pair: Pair) -> None:
    """The former way outlives the process: its next life goes on with the change."""
    spec = {**copy.deepcopy(SPEC), "port": 7000}
    since = time.monotonic()
    pair.generation += 1
    pair.configure("r1", spec)
    files = (pair.lan["r1"].directory / "state").glob
    wait(lambda: all("7000" in f.read_text() for f in [*files("*.ways"), *files("*.config")]), "its state")
    pair.lan["r1"].end(signal.SIGKILL)
    pair.lan["r1"].start()
    time.sleep(SPEC_INIT_S)
    pair.configure("r2", spec)
    wait(lambda: pair.settled(spec), "the end of the change")
    for address in addresses(spec):
        assert pair.lan.watcher.most(address, since) == 1


def test_a_file_edited_while_its_daemon_was_away(tmp_path: Path) -> None:
    """The way of the last life is a former way, too."""
    with lan(tmp_path, "r1", "r2") as found:
        for name, router in found.routers.items():
            (tmp_path / f"{name}.yaml").write_text(text_of(SPEC))
            router.start("--config", str(tmp_path / f"{name}.yaml"))
        found.held_by("r1", address="192.168.0.123")
        found.held_by("r2", address="192.168.0.124")
        found["r2"].end()
        since = time.monotonic()
        (tmp_path / "r2.yaml").write_text(text_of({**SPEC, "preSharedSecret": {"value": "two"}, "port": 7000}))
        found["r2"].start("--config", str(tmp_path / "r2.yaml"))
        found.all_hear_all()
        time.sleep(SPEC_INIT_S)
        assert found.watcher.most("192.168.0.123", since) == found.watcher.most("192.168.0.124", since) == 1
        assert found.watcher.dark_s("192.168.0.123", since) == 0
