"""Whether the LAN agrees about who has a shared address: the word of strangers, for reports only.

Everybody asks now and then. A standby expects one answer, from the owner's hardware address where that can be learned
(by asking for the address that the owner's frames come from); the owner expects none, and also hears who says that it
has the address without being asked. "Owner recorded" and "address answers" are two facts, and neither is the other's
proof.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import ipaddress
import logging
import random
from collections.abc import Callable, Collection, Mapping

from vyos_agent.core.model import Vip
from vyos_agent.edge.clock import now
from vyos_agent.edge.kernel import Link
from vyos_agent.edge.neighbours import Ear, IpAddress, Mouth, Word, own_macs

logger = logging.getLogger(__name__)

ROUND_MS = 30_000
"""Between two rounds of questions for one address: at 64 members two a second on the LAN."""
FIRST_MS = 2_000
"""After a change of owner: announcements have gone out by then, and handovers are over."""
HEARD_MAX = 16
"""Hardware addresses that are kept for one address in one round: two are too many, and a stranger can invent more."""
AGAIN_MS = 3_000
"""After a round that went badly: one lost frame is no news."""
ASK_GAP_MS = 300
ASKS = 2
WAIT_MS = 1_000
"""How long a round waits for answers."""
MISSES = 2
"""Rounds without an answer before it is told."""
RIVAL_MS = 2 * ROUND_MS + AGAIN_MS
"""A rival that is not heard of for so long is gone."""
FIRST_CLAIM_MS = 200
"""Of RFC 5227's probe: two questions instead of three, within 0.2 s instead of up to 7."""
GRAIN_MS = 100


class Answer(enum.StrEnum):
    """What is wrong about an address on the LAN."""

    NO_ANSWER = "NoAnswer"
    """Nobody answers for it, though it has an owner."""
    WRONG_MAC = "WrongMAC"
    """Somebody answers for it who is not its owner."""
    TWO_MACS = "TwoMACs"
    """Two answer for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """What this member is to an address now."""

    owner: str | None
    mine: bool


class Probe:
    """One address of one cluster."""

    def __init__(self, vip: Vip, watch: Watch) -> None:
        self.vip = vip
        self.ip: IpAddress = ipaddress.ip_address(vip.address)
        self.watch = watch
        self.part = Part(None, mine=False)
        self.verdict: Answer | None = None
        self.since_ms = 0
        """When its part last changed."""
        self.next_ms = 0
        """When a round begins; while one is under way, when something of it is due."""
        self.begun_ms: int | None = None
        self.asked = 0
        self.beacon: IpAddress | None = None
        """Another address of the owner, asked for to learn its hardware address."""
        self.heard: set[bytes] = set()
        self.owners: set[bytes] = set()
        self.misses = 0
        self.rival_ms: int | None = None

    @property
    def answered(self) -> bool:
        """Whether its owner answered, as far as that can be told, and nobody else."""
        return not self.part.mine and len(self.heard) == 1 and self.heard <= self.owners

    def judge(self) -> Answer | None:
        """At the end of a round."""
        if self.part.mine:
            return self.verdict
        if not self.heard:
            self.misses += 1
            return Answer.NO_ANSWER if self.misses >= MISSES else self.verdict
        self.misses = 0
        if len(self.heard) > 1:
            return Answer.TWO_MACS
        return Answer.WRONG_MAC if self.owners and not self.heard <= self.owners else None


class Watch:
    """The addresses of one cluster."""

    def __init__(
        self,
        prober: Prober,
        name: str,
        *,
        beacon: Callable[[str, str], str | None],
        on_change: Callable[[], None],
        on_rival: Callable[[Vip, bytes], None],
        on_verified: Callable[[Vip, str], None],
    ) -> None:
        self.name = name
        self.beacon = beacon
        self.on_change = on_change
        self.on_rival = on_rival
        self.on_verified = on_verified
        self.probes: dict[Vip, Probe] = {}
        self._prober = prober

    def set(self, parts: Mapping[Vip, Part]) -> None:
        """What this member is to each of the cluster's addresses now. Cheap when nothing changed."""
        if {vip: probe.part for vip, probe in self.probes.items()} != parts:
            self._prober.set(self, parts)

    @property
    def answers(self) -> dict[str, str]:
        """What is wrong, by address."""
        return {vip.address: str(p.verdict) for vip, p in self.probes.items() if p.verdict is not None}

    def close(self) -> None:
        """Ask no more."""
        self.set({})


class Prober:
    """See the module's text. One per daemon, in the loop's thread."""

    def __init__(self, look: Callable[[str], Link | None], clock: Callable[[], int] = now) -> None:
        """`look(name)`: an interface."""
        self._look = look
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._mouth = Mouth()
        self._probes: list[Probe] = []
        self._ears: dict[str, Ear] = {}
        self._told: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def open(
        self,
        name: str,
        *,
        beacon: Callable[[str, str], str | None],
        on_change: Callable[[], None],
        on_rival: Callable[[Vip, bytes], None],
        on_verified: Callable[[Vip, str], None],
    ) -> Watch:
        """A cluster's place. `beacon(member, interface)`: the address that a member's frames come from there.

        `on_verified(vip, owner)`: at the end of a round in which the owner's hardware address answered, and no other.
        """
        return Watch(self, name, beacon=beacon, on_change=on_change, on_rival=on_rival, on_verified=on_verified)

    def close(self) -> None:
        """Neither ask nor hear any more."""
        if self._timer is not None:
            self._timer.cancel()
        for name in list(self._ears):
            self._deafen(name)
        self._probes.clear()
        self._mouth.close()

    def set(self, watch: Watch, parts: Mapping[Vip, Part]) -> None:
        """Bring a watch to these parts."""
        at_ms = self._clock()
        for vip in watch.probes.keys() - parts.keys():
            del watch.probes[vip]
        for vip, part in parts.items():
            probe = watch.probes.get(vip) or Probe(vip, watch)
            if probe.part != part or vip not in watch.probes:
                watch.probes[vip] = probe
                probe.part, probe.since_ms, probe.begun_ms, probe.rival_ms = part, at_ms, None, None
                probe.verdict, probe.misses = None, 0
                probe.next_ms = at_ms + FIRST_MS + random.randrange(FIRST_MS)
        self._probes = [p for p in self._probes if p.watch is not watch] + list(watch.probes.values())
        self._listen()
        self._arm()

    async def first_claim(self, watch: Watch, vips: Collection[Vip]) -> None:
        """Nobody should have these now: whoever does is a rival. Nothing waits for this, nor does it stop anything.

        An address that is refused to one member would only go to the next, which takes over and asks nobody.
        """
        links = {vip: link for vip in vips if (link := self._look(vip.interface)) is not None}
        for vip, mac in (await self._who(links)).items():
            probe = watch.probes.get(vip)
            if probe is not None and probe.part.mine:
                self._rival(probe, mac, self._clock())

    async def _who(self, vips: Mapping[Vip, Link]) -> dict[Vip, bytes]:
        """Who has which of them; Raises OSError when that cannot be asked."""
        ears: list[Ear] = []
        found: dict[Vip, bytes] = {}
        try:
            for link in {link.index: link for link in vips.values() if link.up}.values():
                ears.append(Ear(link))
                ears[-1].want([ipaddress.ip_address(v.address) for v, on in vips.items() if on.index == link.index])
            for _ in range(ASKS):
                for vip, link in vips.items():
                    self._mouth.ask(ipaddress.ip_address(vip.address), link)
                await asyncio.sleep(FIRST_CLAIM_MS / ASKS / 1000)
            ours = functools.cache(own_macs)
            for ear in ears:
                for word in ear.hear():
                    if word.mac not in ours():
                        found |= {v: word.mac for v in vips if v.address == str(word.ip)}
        finally:
            for ear in ears:
                ear.close()
        return found

    # -- the timer

    def _arm(self) -> None:
        due_ms = min((p.next_ms for p in self._probes), default=None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ms is not None:
            self._timer = self._loop.call_at(max(due_ms, self._clock() + GRAIN_MS) / 1000, self._ring)

    def _ring(self) -> None:
        self._timer = None
        at_ms = self._clock()
        changed: dict[Watch, None] = {}
        for probe in self._probes:
            if probe.next_ms <= at_ms and self._due(probe, at_ms):
                changed[probe.watch] = None
        self._listen()
        self._arm()
        for watch in changed:
            watch.on_change()

    def _due(self, probe: Probe, at_ms: int) -> bool:
        """Take the probe's next step; whether its verdict changed."""
        link = self._look(probe.vip.interface)
        if link is None or not link.up or probe.part.owner is None:
            probe.begun_ms = None
            probe.next_ms = at_ms + ROUND_MS
            return self._find(probe, None)
        if probe.begun_ms is None:
            self._begin(probe, at_ms)
        if probe.asked < ASKS:
            probe.asked += 1
            for ip in (probe.ip, probe.beacon):
                if ip is not None:
                    self._mouth.ask(ip, link)
            probe.next_ms = at_ms + ASK_GAP_MS
            if probe.asked == ASKS:
                probe.next_ms = (probe.begun_ms or at_ms) + WAIT_MS
            return False
        probe.begun_ms = None
        gone = probe.rival_ms is not None and at_ms - probe.rival_ms > RIVAL_MS
        verdict = None if probe.part.mine and gone else probe.judge()
        if probe.answered and probe.part.owner is not None:
            probe.watch.on_verified(probe.vip, probe.part.owner)
        bad = verdict is not None or probe.misses > 0
        probe.next_ms = at_ms + (AGAIN_MS if (bad and verdict != probe.verdict) or probe.misses == 1 else ROUND_MS)
        probe.next_ms += random.randrange(probe.next_ms - at_ms) // 4
        return self._find(probe, verdict)

    def _begin(self, probe: Probe, at_ms: int) -> None:
        probe.begun_ms, probe.asked, probe.heard, probe.owners, probe.beacon = at_ms, 0, set(), set(), None
        if not probe.part.mine and probe.part.owner is not None:
            text = probe.watch.beacon(probe.part.owner, probe.vip.interface)
            probe.beacon = ipaddress.ip_address(text) if text is not None else None
        self._listen()

    def _find(self, probe: Probe, verdict: Answer | None) -> bool:
        if verdict is probe.verdict:
            return False
        probe.verdict = verdict
        name, address = probe.watch.name, probe.vip.address
        if verdict is None:
            logger.info("%s: %s answers as it should", name, address)
        else:
            macs = ", ".join(sorted(mac.hex(":") for mac in probe.heard)) or "nobody"
            logger.warning("%s: %s: %s (heard: %s)", name, address, verdict, macs)
        return True

    # -- the ears

    def _listen(self) -> None:
        """Have an ear on each interface with addresses, and none elsewhere."""
        wanted: dict[str, set[IpAddress]] = {}
        for probe in self._probes:
            wanted.setdefault(probe.vip.interface, set()).update(
                ip for ip in (probe.ip, probe.beacon if probe.begun_ms is not None else None) if ip is not None
            )
        for name in [n for n, ear in self._ears.items() if n not in wanted or not ear.fits(self._look(n))]:
            self._deafen(name)
        for name, ips in wanted.items():
            ear = self._ears.get(name) or self._open(name)
            if ear is not None:
                ear.want(ips)

    def _open(self, name: str) -> Ear | None:
        link = self._look(name)
        if link is None:
            return None
        try:
            ear = Ear(link)
        except OSError as error:
            if name not in self._told:
                self._told.add(name)
                logger.warning("%s: cannot hear who answers for addresses: %s (told once)", name, error.strerror)
            return None
        self._ears[name] = ear
        for fd in ear.filenos():
            self._loop.add_reader(fd, self._hear, name)
        return ear

    def _deafen(self, name: str) -> None:
        ear = self._ears.pop(name)
        for fd in ear.filenos():
            self._loop.remove_reader(fd)
        ear.close()

    def _hear(self, name: str) -> None:
        ear = self._ears[name]
        ours = functools.cache(own_macs)  # asked once for all that is queued: a node can have hundreds of interfaces
        for word in ear.hear():
            for probe in [p for p in self._probes if p.vip.interface == name]:
                self._take(probe, word, ear.link, ours)

    def _take(self, probe: Probe, word: Word, link: Link, ours: Callable[[], Collection[bytes]]) -> None:
        if word.ip == probe.beacon:
            _note(probe.owners, word.mac)
        if word.ip != probe.ip or word.mac == link.mac or word.mac in ours():
            return
        _note(probe.heard, word.mac)
        at_ms = self._clock()
        if probe.part.mine and at_ms - probe.since_ms >= FIRST_MS:
            self._rival(probe, word.mac, at_ms)

    def _rival(self, probe: Probe, mac: bytes, at_ms: int) -> None:
        probe.rival_ms = at_ms
        probe.watch.on_rival(probe.vip, mac)
        if self._find(probe, Answer.TWO_MACS):
            probe.watch.on_change()


def _note(macs: set[bytes], mac: bytes) -> None:
    if len(macs) < HEARD_MAX:
        macs.add(mac)
