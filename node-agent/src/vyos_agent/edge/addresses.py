"""Keeps in the kernel what the core holds: one worker thread for all clusters, as netlink may wait for others' locks.

The newest Hold of a cluster wins; what an older one still had to renew is carried over. Each add and renewal goes
through the core's gate right before the call, and again after one that took long. The kernel's own removals and those
by strangers come in as `check`, and are repaired with what is left of the lifetime, never with more.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from vyos_agent.core.events import Held
from vyos_agent.core.model import Vip
from vyos_agent.edge import manners, placing
from vyos_agent.edge.clock import now
from vyos_agent.edge.grants import SLIP_MS, Grant, granted
from vyos_agent.edge.kernel import Entry, Kernel, Put
from vyos_agent.edge.placing import Placing, Seen

logger = logging.getLogger(__name__)

GONE = frozenset({errno.EADDRNOTAVAIL, errno.ENODEV})
"""Refusals of a removal that say that there is nothing to remove."""
STOP_S = 2.0
"""How long a stop waits for a thread that the kernel may hold up."""


class Slot:
    """One cluster's addresses."""

    def __init__(
        self, name: str, scope: frozenset[Vip], gate: Callable[[int], bool], answer: Callable[[Held], None]
    ) -> None:
        self.name = name
        self.gate = gate
        self.answer = answer
        # Under the keeper's lock:
        self.scope = scope
        self.wanted: Mapping[Vip, Grant] | None = None
        self.level = 0
        """Rises when other addresses are wanted: an answer to an older level is not delivered."""
        self.verify = True
        """Compare with the kernel, do not trust what is remembered."""
        self.closed = False
        self.indexes: frozenset[int] = frozenset()
        """Interfaces that hold its addresses."""
        # The loop's:
        self.told: Held | None = None
        self.first = True
        # The worker's:
        self.placed: dict[Vip, Entry] = {}
        self.own: set[Entry] = set()
        self.waiting: set[Entry] = set()
        """Addresses in a former form that stay until the new one is there."""


class AddressKeeper(threading.Thread):
    """The worker. Its other public methods are called from the loop's thread and return at once."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        on_crash: Callable[[Exception], None],
        make: Callable[[], Kernel] = Kernel,
        clock: Callable[[], int] = now,
    ) -> None:
        super().__init__(name="addresses", daemon=True)
        self._loop = loop
        self._on_crash = on_crash
        self._make = make
        self._clock = clock
        self._ready = threading.Condition()
        self._slots: list[Slot] = []
        self._dirty: dict[Slot, None] = {}
        self._stopping = False
        self.port = 0
        """By which netlink events name this worker as their cause."""

    # -- for the loop

    def open(
        self, name: str, scope: frozenset[Vip], gate: Callable[[int], bool], answer: Callable[[Held], None]
    ) -> Slot:
        """A cluster's place; its first `hold` sweeps what an earlier life left."""
        slot = Slot(name, scope, gate, answer)
        with self._ready:
            self._slots.append(slot)
        return slot

    def rescope(self, slot: Slot, scope: frozenset[Vip]) -> None:
        """The cluster's configuration names other addresses now."""
        with self._ready:
            slot.scope, slot.verify = scope, True

    def hold(self, slot: Slot, lifetimes_ms: Mapping[Vip, int], at_ms: int) -> None:
        """Carry out a Hold; the slot's `answer` is called in the loop when there is anything new to tell."""
        with self._ready:
            old = slot.wanted or {}
            forms = {vip.address: grant for vip, grant in old.items()}
            wanted = {
                vip: granted(old.get(vip) or forms.get(vip.address), life_ms, at_ms)
                for vip, life_ms in lifetimes_ms.items()
            }
            if slot.wanted is None or old.keys() != wanted.keys():
                slot.level += 1
                slot.told = None
            slot.wanted = wanted
            self._wake(slot)

    def check(self, index: int | None) -> None:
        """An address of this interface (None: of any) was removed: look whether it was ours."""
        with self._ready:
            for slot in self._slots:
                if slot.wanted and (index is None or index in slot.indexes):
                    slot.verify = True
                    self._wake(slot)

    def close(self, slot: Slot) -> None:
        """Remove whatever the cluster still holds and forget it; no more answers."""
        with self._ready:
            self._slots.remove(slot)
            slot.closed = slot.verify = True
            slot.wanted = {}
            self._wake(slot)

    def stop(self) -> None:
        """End the thread when its work is done; waits a bounded time."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        self.join(STOP_S)

    def _wake(self, slot: Slot) -> None:
        self._dirty[slot] = None
        self._ready.notify()

    # -- the thread

    def run(self) -> None:
        """Work until stopped and nothing is left to do."""
        manners.join_in()
        try:
            kernel = self._make()
            self.port = kernel.port
            with contextlib.closing(kernel):
                while (slot := self._next()) is not None:
                    self._serve(kernel, slot)
        except Exception as error:
            # Without this thread nothing would be renewed or removed, while the loop went on claiming.
            self._tell(self._on_crash, error)

    def _next(self) -> Slot | None:
        with self._ready:
            while not self._dirty:
                if self._stopping:
                    return None
                self._ready.wait()
            slot = next(iter(self._dirty))
            del self._dirty[slot]
            return slot

    def _serve(self, kernel: Kernel, slot: Slot) -> None:
        with self._ready:
            wanted, scope, level, verify = slot.wanted, slot.scope, slot.level, slot.verify
            slot.verify = False
        if wanted is None:
            return
        try:
            failed = self._apply(kernel, slot, wanted, scope, verify=verify)
        except OSError as error:
            logger.error("%s: the kernel refuses to tell about addresses: %s", slot.name, error.strerror)
            failed = dict.fromkeys(wanted, error.strerror or str(error))
            self._doubt(slot)
        failed = {vip: text for vip, text in failed.items() if wanted[vip].life_ms}  # the rest was only asked about
        slot.own = {dataclasses.replace(e, marked=True) for e in (*slot.placed.values(), *slot.waiting)}
        with self._ready:
            slot.indexes = frozenset(e.index for e in slot.placed.values())
        left_ms = {vip: entry.left_s * 1000 for vip, entry in slot.placed.items() if entry.marked and entry.left_s}
        self._tell(self._deliver, slot, level, Held(frozenset(slot.placed), failed, left_ms))

    def _apply(
        self, kernel: Kernel, slot: Slot, wanted: Mapping[Vip, Grant], scope: frozenset[Vip], *, verify: bool
    ) -> dict[Vip, str]:
        """Bring the kernel to what is wanted; what it refused, by address."""
        if not verify and slot.placed.keys() == wanted.keys():
            return self._write(kernel, slot, wanted, {}, {})
        found = self._compare(kernel, slot, wanted, scope)
        for index in found.promote:
            self._promote(kernel, slot, found, index)
        replaced = {vip: olds for vip, olds in found.replaced.items() if wanted[vip].life_ms}
        swept = [old for vip, olds in found.replaced.items() if vip not in replaced for old in olds]
        self._remove(kernel, slot, [*found.surplus, *swept])
        slot.placed = dict(found.there)
        slot.waiting = {old for olds in replaced.values() for old in olds}
        return found.failed | self._write(kernel, slot, wanted, found.absent, replaced)

    def _compare(self, kernel: Kernel, slot: Slot, wanted: Mapping[Vip, Grant], scope: frozenset[Vip]) -> Placing:
        names = {v.interface for v in (*wanted, *scope, *slot.placed)}
        links = {name: kernel.link(name) for name in names}
        indexes = {link.index for link in links.values() if link is not None} | {e.index for e in slot.own}
        found = placing.place(wanted, scope, slot.own, Seen(links, {i: kernel.addresses(i) for i in indexes}))
        for vip in [v for v in found.absent if kernel.is_local(v.address)]:
            ours = {*found.surplus, *found.replaced.get(vip, ())}
            if any(e.address == vip.address and e not in ours for e in kernel.addresses()):
                found.failed[vip] = f"this node has {vip.address} already, on another interface: remove it there"
                del found.absent[vip]
        return found

    def _promote(self, kernel: Kernel, slot: Slot, found: Placing, index: int) -> None:
        try:
            kernel.promote(index)
        except OSError as error:
            text = "%s: cannot set promote_secondaries (%s): adding addresses without their subnet"
            logger.warning(text, slot.name, error.strerror)
            alone = {v: placing.alone(e) for v, e in found.absent.items() if e.index == index}
            found.absent.update(alone)

    def _remove(self, kernel: Kernel, slot: Slot, entries: Sequence[Entry]) -> None:
        for entry, refusal in zip(entries, kernel.remove(entries), strict=True):
            if refusal is None:
                logger.info("%s: removed %s/%d", slot.name, entry.address, entry.prefix)
            elif refusal.errno not in GONE:
                logger.error("%s: cannot remove %s/%d: %s", slot.name, entry.address, entry.prefix, refusal.strerror)

    def _write(
        self,
        kernel: Kernel,
        slot: Slot,
        wanted: Mapping[Vip, Grant],
        absent: Mapping[Vip, Entry],
        replaced: Mapping[Vip, Sequence[Entry]],
    ) -> dict[Vip, str]:
        """Add what is absent and renew what is due, through the gate. `replaced`: former forms, which go after that."""
        at_ms = self._clock()
        todo: dict[Vip, Put] = {}
        for vip, grant in wanted.items():
            entry, life_s = absent.get(vip) or slot.placed.get(vip), grant.seconds(at_ms)
            if entry is not None and life_s and (grant.due or vip in absent):
                todo[vip] = placing.put(vip, entry, life_s, new=vip in absent)
        if not todo or not slot.gate(at_ms):
            return {}
        failed: dict[Vip, str] = {}
        former = {old for vip in todo for old in replaced.get(vip, ())}
        blocking = {old for vip in todo for old in replaced.get(vip, ()) if placing.blocks(old, todo[vip].entry)}
        stand_ins = self._make_room(kernel, slot, todo, blocking) if blocking else []
        for (vip, put), refusal in zip(todo.items(), kernel.put(list(todo.values())), strict=True):
            if refusal is not None:
                slot.placed.pop(vip, None)
                failed[vip] = refusal.strerror or str(refusal)
                continue
            slot.placed[vip] = put.entry
            if put.new:
                text = "%s: added %s/%d to %s for %d s"
                logger.info(text, slot.name, vip.address, put.entry.prefix, vip.interface, put.life_s)
        if former:
            self._remove(kernel, slot, [*(former - blocking), *stand_ins])
            slot.waiting -= former
        after_ms = self._clock()
        if after_ms - at_ms > SLIP_MS and not slot.gate(after_ms):
            logger.warning(
                "%s: netlink took %d ms, and the node's authority ended meanwhile", slot.name, after_ms - at_ms
            )
            kernel.remove([put.entry for put in todo.values()])
            slot.placed = {v: e for v, e in slot.placed.items() if v not in todo}
        if failed or len(slot.placed) < len(wanted):
            self._doubt(slot)
        self._written(slot, wanted, todo)
        return failed

    def _make_room(
        self, kernel: Kernel, slot: Slot, todo: Mapping[Vip, Put], blocking: Collection[Entry]
    ) -> list[Entry]:
        """Remove former forms beside which the kernel would not take the new one; what stands in for them meanwhile.

        The kernel names an IPv4 address by its prefix, so another broadcast needs another prefix for a moment. IPv6
        addresses have one prefix: there the new form follows the former one within a millisecond.
        """
        blocked = {old.address for old in blocking if old.ip.version == 4 and old != placing.alone(old)}
        stand_ins = [Put(placing.alone(p.entry), p.life_s, new=True) for v, p in todo.items() if v.address in blocked]
        if stand_ins:
            kernel.put(stand_ins)
        self._remove(kernel, slot, list(blocking))
        return [put.entry for put in stand_ins]

    def _doubt(self, slot: Slot) -> None:
        """Compare with the kernel the next time."""
        with self._ready:
            slot.verify = True

    def _written(self, slot: Slot, wanted: Mapping[Vip, Grant], todo: Mapping[Vip, Put]) -> None:
        with self._ready:
            if slot.wanted is not None:
                slot.wanted = {
                    v: dataclasses.replace(g, due=False) if v in todo and g is wanted.get(v) else g
                    for v, g in slot.wanted.items()
                }

    def _tell(self, what: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(what, *args)

    def _deliver(self, slot: Slot, level: int, held: Held) -> None:
        if slot.closed or level != slot.level:
            return
        if not slot.first:  # what an earlier life left is of use in the first answer only
            held = dataclasses.replace(held, left_ms={})
            if held == slot.told:
                return
        slot.first = False
        for vip, text in held.failed.items():
            if slot.told is None or slot.told.failed.get(vip) != text:
                logger.warning("%s: cannot hold %s: %s", slot.name, vip.text, text)
        slot.told = held
        slot.answer(held)
