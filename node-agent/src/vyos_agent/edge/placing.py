"""What must change in the kernel so that it holds what is wanted: pure, from the addresses that it holds now.

Two rules stand above all. Only ours is ever changed: what carries our mark, or what this life has put there. And
nobody else's address may go with ours: the kernel removes the secondary addresses of a subnet along with its primary
one unless the interface promotes them, so ours brings a subnet of its own only where the interface promotes.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Collection, Mapping

from vyos_agent.core.model import Vip
from vyos_agent.edge.kernel import Entry, Link, Put


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """The kernel's side: each interface by the name in the configuration (None: there is none), and its addresses."""

    links: Mapping[str, Link | None]
    entries: Mapping[int, Collection[Entry]]


@dataclasses.dataclass(frozen=True, slots=True)
class Placing:
    """Where everything stands, and what must be done."""

    there: dict[Vip, Entry]
    """What is wanted and in the kernel already, as ours."""
    absent: dict[Vip, Entry]
    """What is wanted and must be added, and in which form."""
    surplus: tuple[Entry, ...]
    """Ours, and wanted no more."""
    replaced: dict[Vip, tuple[Entry, ...]]
    """Ours, of addresses in `absent`, in another form (prefix, broadcast, interface): they go when these have come."""
    promote: frozenset[int]
    """Interfaces that must promote secondaries before any of this is done."""
    failed: dict[Vip, str]


def place(wanted: Collection[Vip], scope: Collection[Vip], own: Collection[Entry], seen: Seen) -> Placing:
    """Compare. `scope`: every address of this cluster; `own`: what this life has put into the kernel."""
    there: dict[Vip, Entry] = {}
    absent: dict[Vip, Entry] = {}
    failed: dict[Vip, str] = {}
    kept: set[Entry] = set()
    for vip in wanted:
        link = seen.links.get(vip.interface)
        if link is None:
            failed[vip] = f"there is no interface {vip.interface}"
            continue
        entries = seen.entries[link.index]
        same = [e for e in entries if e.address == vip.address]
        ours = [e for e in same if _ours(e, own)]
        new = Entry(link.index, vip.address, _prefix(vip, entries, own))
        fit = next((e for e in ours if _fits(e, vip, new)), None)
        if fit is not None:  # it stays, also beside the same address with another prefix that somebody else has set
            there[vip] = fit
            kept.add(fit)
        elif same and not ours:
            failed[vip] = f"{vip.interface} has {vip.address} already, set by somebody else: remove it there"
        else:
            absent[vip] = new
    mine = {v.address for v in (*scope, *wanted)} | {e.address for e in own}
    everything = [e for entries in seen.entries.values() for e in entries]
    gone = [e for e in everything if _ours(e, own) and e.address in mine and e not in kept]
    replaced = {vip: tuple(e for e in gone if e.address == vip.address) for vip in absent}
    later = {e for entries in replaced.values() for e in entries}
    surplus = tuple(e for e in gone if e not in later)
    brings = [e for e in (*gone, *absent.values()) if e.ip.version == 4 and e.prefix < e.ip.max_prefixlen]
    promoting = {link.index for link in seen.links.values() if link is not None and link.promotes}
    replaced = {vip: entries for vip, entries in replaced.items() if entries}
    return Placing(there, absent, surplus, replaced, frozenset(e.index for e in brings) - promoting, failed)


def alone(entry: Entry) -> Entry:
    """The same address with a host's prefix: it brings no subnet, and takes none along."""
    return dataclasses.replace(entry, prefix=entry.ip.max_prefixlen)


def put(vip: Vip, entry: Entry, life_s: int, *, new: bool) -> Put:
    """The change that adds (`new`) or renews one address."""
    return Put(entry, life_s, new, _broadcast(vip, entry))


def _broadcast(vip: Vip, entry: Entry) -> str | None:
    network = entry.network
    if vip.broadcast is None and network.version == 4 and network.num_addresses > 2:
        return str(network.broadcast_address)
    return vip.broadcast


def _fits(entry: Entry, vip: Vip, new: Entry) -> bool:
    """Whether an address of ours is in the form that is wanted.

    One that was added with its subnet stays when another address brings that subnet, too, later.
    """
    form = entry.prefix in (vip.prefix, new.prefix)
    return form and (entry.ip.version == 6 or entry.broadcast == _broadcast(vip, entry))


def blocks(old: Entry, new: Entry) -> bool:
    """Whether the kernel refuses the new form of an address while the former one is there."""
    return old.index == new.index and (old.ip.version == 6 or old.prefix == new.prefix)


def _ours(entry: Entry, own: Collection[Entry]) -> bool:
    return entry.marked or _plain(entry) in own


def _plain(entry: Entry) -> Entry:
    """Without what the kernel says of the mark: as `own` has it."""
    return entry if entry.marked else dataclasses.replace(entry, marked=True)


def _prefix(vip: Vip, entries: Collection[Entry], own: Collection[Entry]) -> int:
    """The prefix as written, or a host's where another address brings a subnet with this one in it."""
    ip = ipaddress.ip_address(vip.address)
    covered = any(e.ip.version == ip.version and ip in e.network for e in entries if not _ours(e, own))
    return ip.max_prefixlen if covered else vip.prefix
