"""Golden transcripts: the ordinary stories word by word, so that no change of behaviour goes unseen.

A transcript is the log of a story: who changed to what and why, who held which address when, which announcements went
out. Nothing in it is drawn: one delay, one netlink time, one lateness, so that a line moves only with the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sim.build import config, group
from sim.host import Host
from sim.kernel import LATE_MS
from sim.world import World
from vyos_agent.core.events import Forced, LinkChanged, Stopping
from vyos_agent.core.model import Config, Force, Group, Vip

UNITS = ("named.service", "ssh.service")
SECOND = Vip("192.168.0.124", 24, "eth0")
Story = Callable[[], "Told"]


class Told(World):
    """A world that writes down addresses, announcements and services too."""

    def __init__(self, configs: Iterable[Config]) -> None:
        super().__init__(configs, seed=1, delay_ms=(1, 1))
        self.netlink_ms = (1, 1)
        for host in self.hosts.values():
            host.kernel.late_ms = (LATE_MS, LATE_MS)
            host.systemd.job_ms = (40, 40)

    def announce(self, host: Host, vips: Iterable[Vip]) -> None:
        told = tuple(vips)
        self.note(host.name, f"announces {', '.join(v.address for v in told)}")
        super().announce(host, told)

    def look(self, host: Host) -> None:
        before = self.held[host.name]
        super().look(host)
        after = self.held[host.name]
        for vip in sorted(after - before):
            self.note(host.name, f"+ {vip.address}")
        for vip in sorted(before - after):
            self.note(host.name, f"- {vip.address}")

    def services_changed(self, host: Host, group_name: str | None) -> None:
        super().services_changed(host, group_name)
        if group_name is not None:
            units = host.systemd.running.get(group_name, [])
            self.note(host.name, f"runs {', '.join(units) or 'nothing'} of {group_name}")

    def then(self, wait_ms: int, what: str, do: Callable[[], object]) -> None:
        """The next thing that the story does."""
        self.run(wait_ms)
        self.note("#", what)
        do()

    def power_on(self) -> None:
        """All hosts, 10 ms apart."""
        for i, host in enumerate(self.hosts.values()):
            self.at(self.now + 10 * i, host.start)


def _told(
    groups: list[Group], members: str = "ab", interfaces: tuple[str, ...] = ("eth0",), *, dead_ms: int = 3_000
) -> Told:
    world = Told([config(m, groups, interfaces=interfaces, dead_ms=dead_ms) for m in members])
    world.power_on()
    return world


def first_claim() -> Told:
    world = _told([group(members="abc")], "abc")
    world.run(3_000)
    return world


def alone() -> Told:
    world = Told([config(m, [group()]) for m in "ab"])
    world.then(0, "only b is powered on", world.hosts["b"].start)
    world.run(8_000)
    return world


def power_loss() -> Told:
    world = _told([group(units=UNITS)])
    world.then(5_000, "a loses power", world.hosts["a"].power_off)
    world.then(10_000, "a has power again", world.hosts["a"].start)
    world.run(10_000)
    return world


def agent_killed() -> Told:
    world = _told([group()])
    world.then(5_000, "the agent of a is killed", world.hosts["a"].kill)
    world.run(8_000)
    return world


def agent_restarted() -> Told:
    world = _told([group()], dead_ms=10_000)
    world.then(5_000, "the agent of a is killed", world.hosts["a"].kill)
    world.then(300, "and starts again", world.hosts["a"].start)
    world.run(8_000)
    return world


def agent_frozen() -> Told:
    world = _told([group()])
    world.then(5_000, "the agent of a is frozen", world.hosts["a"].freeze)
    world.then(8_000, "and thawed", world.hosts["a"].thaw)
    world.run(8_000)
    return world


def agent_stalled() -> Told:
    world = _told([group()])
    world.then(5_000, "the agent of a is frozen", world.hosts["a"].freeze)
    world.then(1_800, "and thawed, before its peers judge", world.hosts["a"].thaw)
    world.run(8_000)
    return world


def sigterm() -> Told:
    world = _told([group(units=UNITS)])
    world.then(5_000, "a is asked to stop", lambda: world.hosts["a"].feed(Stopping()))
    world.then(5_000, "and starts again", world.hosts["a"].start)
    world.run(5_000)
    return world


def failback() -> Told:
    world = _told([group(auto_failback=True, units=UNITS)])
    world.then(5_000, "a loses power", world.hosts["a"].power_off)
    world.then(10_000, "a has power again", world.hosts["a"].start)
    world.run(10_000)
    return world


def force_standby() -> Told:
    world = _told([group(members="abc")], "abc")
    world.then(5_000, "force standby at a", lambda: world.hosts["a"].feed(Forced(Force.STANDBY)))
    world.run(5_000)
    return world


def force_active() -> Told:
    world = _told([group(members="abc")], "abc")
    world.then(5_000, "force active at c", lambda: world.hosts["c"].feed(Forced(Force.ACTIVE, "g")))
    world.run(5_000)
    return world


def monitors_lost() -> Told:
    world = _told([group(monitors=("192.0.2.1",))])

    def lose(name: str) -> None:
        world.hosts[name].monitors["192.0.2.1"] = False
        world.hosts[name].tell_monitors()

    world.then(5_000, "a does not reach the monitor", lambda: lose("a"))
    world.then(5_000, "neither does b: a tie", lambda: lose("b"))
    world.run(5_000)
    return world


def link_lost() -> Told:
    world = _told([group()], interfaces=("eth0", "eth1"))

    def down() -> None:
        world.deaf_links.add(("a", "eth0"))
        world.hosts["a"].feed(LinkChanged("eth0", False))

    world.then(5_000, "a loses the carrier of eth0", down)
    world.run(5_000)
    return world


def partition() -> Told:
    world = _told([group(members="abc")], "abc")
    world.then(5_000, "a is cut from b and c", lambda: world.partition("a", "bc"))
    world.then(8_000, "and they hear each other again", world.heal)
    world.run(5_000)
    return world


def refused_address() -> Told:
    world = _told([group()])
    world.hosts["a"].kernel.refuses.add(group().vips[0])
    world.run(8_000)
    return world


def service_fails() -> Told:
    world = _told([group(units=UNITS)])
    world.hosts["a"].systemd.fails.add("ssh.service")
    world.run(8_000)
    return world


def two_groups() -> Told:
    world = _told([group("g", "ab"), group("h", "ba", vip=SECOND)])
    world.then(5_000, "a loses power", world.hosts["a"].power_off)
    world.run(5_000)
    return world


STORIES: tuple[Story, ...] = (
    first_claim,
    alone,
    power_loss,
    agent_killed,
    agent_restarted,
    agent_frozen,
    agent_stalled,
    sigterm,
    failback,
    force_standby,
    force_active,
    monitors_lost,
    link_lost,
    partition,
    refused_address,
    service_fails,
    two_groups,
)
