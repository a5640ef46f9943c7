"""A cluster's ways for frames while a change of them is under way: the configured one, and those before it.

A way is where frames go (group, port, interfaces, unicast) and the key that seals them. A member that has not learned
of a change yet hears the former way only. So frames go both ways, and are taken from both, until the core says that
every member has proved that it has the new one (`core.staging`). To the core each link of a former way is one more link
of this member; what comes and goes there is sealed here, with the key and the link number of that way.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from vyos_agent import config as configs
from vyos_agent.core import wire
from vyos_agent.core.events import Frame
from vyos_agent.core.model import Config
from vyos_agent.edge.heartbeats import Heartbeats
from vyos_agent.edge.kernel import Link
from vyos_agent.edge.links import Links
from vyos_agent.edge.orders import Item
from vyos_agent.edge.unicast import Unicast
from vyos_agent.edge.way import Way, way

logger = logging.getLogger(__name__)

FORMER_MAX = 3
"""Former ways that are kept; each costs sockets, and a frame more."""
NO_LINK = 255
"""The number of no link: a configuration has far fewer."""
LINK = 7
"""Where a frame says over which link of the sender it went (`core.wire`)."""


@dataclasses.dataclass(slots=True)
class Former:
    """A former way, with its sockets."""

    way: Way
    number: int
    heartbeats: Heartbeats

    def label(self, link: str) -> str:
        """What the core calls a link of it: no interface has ':' in its name."""
        return f"{link}:{self.number}"

    def out(self, datagrams: Mapping[str, tuple[bytes, ...]]) -> dict[str, tuple[bytes, ...]]:
        """What goes this way, as members that have only this one take it."""
        return {
            name: tuple(wire.reseal(d, link, self.way.key_id, self.way.key) for d in datagrams[self.label(name)])
            for link, name in enumerate(self.way.links)
            if self.label(name) in datagrams
        }

    def taken(self, frame: Frame, core: Config) -> Frame | None:
        """What came this way, as the core takes it; None: it is not sealed with this way's key."""
        if not self.sealed(frame.data):
            return None
        label, link, key_id = self.label(frame.interface), frame.data[LINK], core.keyring.send_id
        here = self.way.links.index(frame.interface) if frame.interface in self.way.links else NO_LINK
        number = core.interfaces.index(label) if link == here and label in core.interfaces else NO_LINK
        data = wire.reseal(frame.data, number, key_id, core.keyring.keys[key_id])
        return dataclasses.replace(frame, data=data, interface=label)

    def sealed(self, data: bytes) -> bool:
        """Whether a frame has this way's key."""
        return len(data) >= wire.FRAME_MIN and wire.opens(data, self.way.key_id, self.way.key)


class Ways:
    """See the module's text. As `Heartbeats`, for all ways at once."""

    def __init__(self, item: Item, links: Links, hub: Unicast, wake: Callable[[], None]) -> None:
        self._item = item
        self._links, self._hub, self._wake = links, hub, wake
        self._loop = asyncio.get_running_loop()
        self.current = Heartbeats(item, links, hub, wake)
        self._way = way(item)
        self._former: list[Former] = []
        self._count = 0
        self._errors: dict[str, Mapping[str, int]] = {}
        """Of ways that are closed."""
        self._listening = self._opening = False
        self._closing: set[asyncio.Task[None]] = set()
        self.core = item.core
        """The core's configuration: its links are those of all ways."""

    # -- life

    async def begin(self, item: Item, saved: Sequence[Way]) -> None:
        """Open the sockets. `saved`: the ways of an earlier life, the newest first."""
        found = [w for w in saved if not self._way.reaches(w, item.core.keyring)]
        former = [self._made(w, Heartbeats(_item(item, w), self._links, self._hub, self._wake)) for w in found]
        await self._open(item, self.current, former[:FORMER_MAX])

    async def apply(self, item: Item) -> None:
        """Have the ways that this configuration asks for, and those before it.

        What it returns to must give `core` to the core at once: frames go by that from here on.
        """
        new = way(item)
        if new.reaches(self._way, item.core.keyring):
            current, former = self.current, list(self._former)
        else:
            current = Heartbeats(item, self._links, self._hub, self._wake)
            former = [self._made(self._way, self.current), *self._former]
            text = "%s: frames go where they went before, too, until every member has the new configuration"
            logger.info(text, item.config.cluster)
        kept = [f for f in former if not new.reaches(f.way, item.core.keyring)][:FORMER_MAX]
        await self._open(item, current, kept)
        self._end([f for f in former if f not in kept and f.heartbeats is not current])

    async def _open(self, item: Item, current: Heartbeats, former: list[Former]) -> None:
        self._opening = True
        try:
            await current.apply(item)
            for each in former:
                await each.heartbeats.apply(_item(item, each.way))
        finally:
            self._opening = False
        self._item, self._way, self.current, self._former = item, way(item), current, former
        if self._listening:
            self.listen()
        self._number()

    def forget(self) -> None:
        """The former ways are wanted no more; `core` knows them no more."""
        logger.info("%s: every member has the new configuration: frames go there only", self._item.config.cluster)
        self._end(self._former)
        self._former = []
        self._number()

    def settle(self) -> None:
        """The core speaks on the new interfaces only: close the others."""
        self.current.settle()

    def listen(self) -> None:
        """Call `wake` whenever frames have come."""
        self._listening = True
        for heartbeats in self._all:
            heartbeats.listen()

    async def close(self) -> None:
        """Give every socket back."""
        await asyncio.gather(*(heartbeats.close() for heartbeats in self._all), *self._closing)

    # -- frames

    def drain(self, at_ms: int) -> tuple[Frame, ...]:
        """Frames that have come, oldest first."""
        frames = self.current.drain(at_ms)
        if not self._former:
            return frames
        found = [f for f in frames if not self._is_former(f.data)]
        for each in self._former:
            taken = (each.taken(frame, self.core) for frame in each.heartbeats.drain(at_ms))
            found += [frame for frame in taken if frame is not None]
        return tuple(sorted(found, key=lambda f: f.at_ms))

    def send(self, datagrams: Mapping[str, tuple[bytes, ...]]) -> bool:
        """Send; whether one interface, or one member's address, took it all."""
        mine = {name: parts for name, parts in datagrams.items() if name in self._way.links}
        sent = [self.current.send(mine)]
        for each in self._former:
            out = each.out(datagrams)
            if out:
                sent.append(each.heartbeats.send(out))
        return any(sent)

    @property
    def ways(self) -> tuple[Way, ...]:
        """The newest first."""
        return (self._way, *(each.way for each in self._former))

    @property
    def changing(self) -> bool:
        """Whether there is a former way, and `forget` may be called."""
        return bool(self._former) and not self._opening

    @property
    def labels(self) -> dict[str, str]:
        """The core's names of former links, and the interface (or unicast) that each is."""
        return {each.label(link): link for each in self._former for link in each.way.links}

    def link(self, name: str) -> str:
        """The interface, or unicast, behind the core's name of a link."""
        return self.labels.get(name, name)

    def group(self, name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The multicast group that frames over a link go to."""
        return self._heartbeats(name).group

    def refusal(self, name: str) -> str | None:
        """Why no frame goes out over a link, as far as the socket says; None: nothing is known against it."""
        return self._heartbeats(name).refusal(self.link(name))

    def unicast_accepted(self, name: str) -> bool:
        """Whether the newest frame over this link, which is unicast, was accepted for sending."""
        return self._heartbeats(name).unicast_accepted

    def source(self, member: str, interface: str) -> str | None:
        """The address that a member's frames come from on an interface."""
        found = (heartbeats.source(member, interface) for heartbeats in self._all)
        return next((address for address in found if address is not None), None)

    @property
    def unicast_heard_ms(self) -> int | None:
        """When a frame last came by unicast."""
        heard = [h.unicast_heard_ms for h in self._all if h.unicast_heard_ms is not None]
        return max(heard, default=None)

    @property
    def errors(self) -> dict[str, Mapping[str, int]]:
        """Datagrams that were not accepted for sending, by way and the error's name."""
        found = [self._errors, *(heartbeats.errors for heartbeats in self._all)]
        return {kind: _sum(errors[kind] for errors in found if kind in errors) for kind in self.current.errors}

    def link_changed(self, name: str, link: Link | None) -> None:
        """An interface came, went, or is another one now."""
        for heartbeats in self._all:
            heartbeats.link_changed(name, link)

    # -- inside

    @property
    def _all(self) -> list[Heartbeats]:
        return [self.current, *(each.heartbeats for each in self._former)]

    def _heartbeats(self, name: str) -> Heartbeats:
        found = (each.heartbeats for each in self._former if name in map(each.label, each.way.links))
        return next(found, self.current)

    def _made(self, found: Way, heartbeats: Heartbeats) -> Former:
        self._count += 1
        return Former(found, self._count, heartbeats)

    def _number(self) -> None:
        core, labels = self._item.core, tuple(self.labels)
        self.core = dataclasses.replace(core, interfaces=(*core.interfaces, *labels), former=labels)

    def _is_former(self, data: bytes) -> bool:
        """Whether a frame that came the configured way has a former way's key: that way takes it."""
        if len(data) < wire.FRAME_MIN:
            return False
        key = self.core.keyring.keys.get(data[5])
        mine = key is not None and wire.opens(data, data[5], key)
        return not mine and any(each.sealed(data) for each in self._former)

    def _end(self, former: Sequence[Former]) -> None:
        for each in former:
            errors = each.heartbeats.errors
            self._errors = {kind: _sum([self._errors.get(kind, {}), found]) for kind, found in errors.items()}
            task = self._loop.create_task(each.heartbeats.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: collections.Counter[str] = collections.Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def _item(item: Item, found: Way) -> Item:
    """The configuration with another way."""
    config = dataclasses.replace(
        item.config,
        interfaces=found.interfaces,
        unicast=found.unicast,
        nodes=found.nodes if found.unicast else {},
        mcast_group=found.group,
        port=found.port,
        ttl=found.ttl,
    )
    return dataclasses.replace(item, config=config, endpoint=configs.endpoint(config))
